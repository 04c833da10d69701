"""Run by the Python of an environment that has xllamacpp, gguf and safetensors: MiniLM as a GGUF file, and its server.

    python llama_server.py gguf FOLDER FILE.gguf
    python llama_server.py serve FILE.gguf PORT
    python llama_server.py gpt2 FILE.gguf
    python llama_server.py complete FILE.gguf PORT

The first file holds the folder's weights as they are (float32), under the names that llama.cpp gives them; `gpt2` makes
a language model of two small layers and random weights, whose tokens are bytes.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_CONTROL, _NORMAL, _UNKNOWN = 3, 1, 2
_SPECIAL = {"[PAD]": _CONTROL, "[UNK]": _UNKNOWN, "[CLS]": _CONTROL, "[SEP]": _CONTROL, "[MASK]": _CONTROL}
BATCH = 512


def write_gguf(folder: Path, file: Path) -> None:
    """A BERT checkpoint with a WordPiece vocabulary as a GGUF file that pools by the mean."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(str(file), "bert")
    writer.add_name("MiniLM")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_token_type_count(config["type_vocab_size"])
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_shown(token) for token in tokens])
    writer.add_token_types([_SPECIAL.get(token, _NORMAL) for token in tokens])
    at = {token: tokens.index(token) for token in _SPECIAL}
    writer.add_bos_token_id(at["[CLS]"])
    writer.add_eos_token_id(at["[SEP]"])
    writer.add_sep_token_id(at["[SEP]"])
    writer.add_unk_token_id(at["[UNK]"])
    writer.add_pad_token_id(at["[PAD]"])
    writer.add_mask_token_id(at["[MASK]"])
    for name, array in load_file(folder / "model.safetensors").items():
        if (known := _name(name)) is not None:
            writer.add_tensor(known, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_gpt2(file: Path) -> None:
    """A GPT-2 of random weights that knows bytes alone: it says nothing of use, and a server takes it."""
    import gguf
    import numpy as np

    dim, layers, length = 64, 2, 2048
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(file), "gpt2")
    writer.add_name("tiny")
    writer.add_context_length(length)
    writer.add_embedding_length(dim)
    writer.add_feed_forward_length(4 * dim)
    writer.add_block_count(layers)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    own = [b for b in range(256) if chr(b).isprintable() and b not in (32, 0xA0, 0xAD)]
    shown = {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in own)}
    # One merge, as llama.cpp takes no vocabulary without any.
    tokens = [*(shown[b] for b in range(256)), f"{shown[32]}t", "<|endoftext|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_NORMAL] * 257 + [_CONTROL])
    writer.add_token_merges([f"{shown[32]} t"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (0.3 * random.standard_normal(shape)).astype(np.float32))

    add("token_embd.weight", len(tokens), dim)
    add("position_embd.weight", length, dim)
    for n in range(layers):
        for name, shape in (
            ("attn_norm", (dim,)), ("attn_qkv", (3 * dim, dim)), ("attn_output", (dim, dim)), ("ffn_norm", (dim,)),
            ("ffn_up", (4 * dim, dim)), ("ffn_down", (dim, 4 * dim)),
        ):  # fmt: skip
            add(f"blk.{n}.{name}.weight", *shape)
            add(f"blk.{n}.{name}.bias", shape[0])
    add("output_norm.weight", dim)
    add("output_norm.bias", dim)
    add("output.weight", len(tokens), dim)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(file: Path, port: int, *, embeds: bool) -> None:
    """Answer with embeddings, or with completions, until this process is ended."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    if embeds:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx = 4 * BATCH
    params.n_batch = params.n_ubatch = BATCH
    params.n_parallel = 4
    # Its threads wait for each other in a loop: more than one is slow where others want the same cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = port
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


def _shown(token: str) -> str:
    """As llama.cpp has a WordPiece token: what begins a word is marked, not what goes on with it."""
    if token in _SPECIAL:
        return token
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _name(name: str) -> str | None:
    """As llama.cpp calls a tensor of BERT; None for what it does not need."""
    name = name.removeprefix("bert.")
    stem, _, part = name.rpartition(".")
    block = ""
    if stem.startswith("encoder.layer."):
        number, _, stem = stem.removeprefix("encoder.layer.").partition(".")
        block = f"blk.{number}."
    return f"{block}{_NAMES[stem]}.{part}" if stem in _NAMES else None


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "gguf":
        write_gguf(Path(given[0]), Path(given[1]))
    elif what == "gpt2":
        write_gpt2(Path(given[0]))
    else:
        serve(Path(given[0]), int(given[1]), embeds=what == "serve")
