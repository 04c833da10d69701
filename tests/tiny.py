"""Tiny checkpoints for the tests, written without torch: the same weights, bit for bit, on every machine.

The folders have the files, names and type strings of the real ones on the hub (``hkunlp/instructor-large``,
``sentence-transformers/all-MiniLM-L6-v2``). Weights are drawn from a seed by exact arithmetic only, so that
a vector made from them may be committed and compared anywhere.
"""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Array = np.ndarray[Any, np.dtype[np.float32]]
Shapes = dict[str, tuple[tuple[int, ...], float]]

TOKENIZER_FILE = Path(__file__).resolve().parent / "golden" / "tiny_tokenizer.json"
HEADS, HEAD_DIM, FEED_FORWARD = 4, 8, 64
NORM = 0.0  # in place of a scale: the weight of a layer norm, near 1
MODULES = "sentence_transformers.models."
WORDS = """
the a an of to in on for and or is are was were be it this that with as at by from not no who what where
when why how which represent query passage document question answer sentence text retrieval search title
science news review product amazon city river book film music model data vaccine protein virus patient
health bank card money account payment good bad great poor new old big small red green blue one two three
four five man woman child people dog cat bird tree water fire earth sky sun moon star day night year time
"""
ENDINGS = ["s", "ed", "ing", "er", "ly", "ion", "able", "ness", "ment"]
ST_VERSIONS = {"sentence_transformers": "2.2.0", "transformers": "4.7.0", "pytorch": "1.9.0+cu102"}


def fill(shapes: Shapes, seed: int) -> dict[str, Array]:
    """Fill the named tensors in sorted order of name, uniformly with the given standard deviation.

    ``RandomState.random_sample`` is frozen by numpy's policy and needs no libm, as a normal draw would.
    """
    random = np.random.RandomState(seed)
    tensors: dict[str, Array] = {}
    for name in sorted(shapes):
        shape, scale = shapes[name]
        drawn = 2.0 * random.random_sample(shape) - 1.0
        values = 1.0 + 0.25 * drawn if scale == NORM else drawn * (scale * 1.7320508075688772)
        tensors[name] = values.astype(np.float32)
    return tensors


def write_json(path: Path, value: object) -> None:
    """Write value as indented JSON, making the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_weights(folder: Path, tensors: dict[str, Array], *, safetensors: bool) -> None:
    """Write model.safetensors, or pytorch_model.bin as the oldest checkpoints have it (imports torch)."""
    folder.mkdir(parents=True, exist_ok=True)
    if safetensors:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    import torch

    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    torch.save(state, folder / "pytorch_model.bin")


def write_modules(folder: Path, kinds: list[str]) -> None:
    """Write modules.json for the kinds in order; the first lies in the folder itself."""
    modules = [
        {"idx": idx, "name": str(idx), "path": f"{idx}_{kind}" if idx else "", "type": MODULES + kind}
        for idx, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)


def write_pooling(folder: Path, dim: int, *, include_prompt_key: bool = False) -> None:
    """Write 1_Pooling/config.json for mean pooling."""
    config: dict[str, Any] = {
        "word_embedding_dimension": dim,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    if include_prompt_key:
        config["include_prompt"] = False
    write_json(folder / "1_Pooling" / "config.json", config)


def t5_shapes(vocab: int, dim: int, layers: int) -> Shapes:
    """Names and shapes of a T5EncoderModel's tensors (ReLU feed-forward, as GTR-T5 has); embeddings tied."""
    inner = HEADS * HEAD_DIM
    shapes: Shapes = {"shared.weight": ((vocab, dim), 1.0), "encoder.final_layer_norm.weight": ((dim,), NORM)}
    for index in range(layers):
        attention, dense = f"encoder.block.{index}.layer.0.", f"encoder.block.{index}.layer.1."
        for letter in "qkv":
            scale = dim**-0.5 * (HEAD_DIM**-0.25 if letter in "qk" else 1.0)
            shapes[f"{attention}SelfAttention.{letter}.weight"] = ((inner, dim), scale)
        shapes[f"{attention}SelfAttention.o.weight"] = ((dim, inner), inner**-0.5)
        shapes[f"{attention}layer_norm.weight"] = ((dim,), NORM)
        shapes[f"{dense}DenseReluDense.wi.weight"] = ((FEED_FORWARD, dim), dim**-0.5)
        shapes[f"{dense}DenseReluDense.wo.weight"] = ((dim, FEED_FORWARD), FEED_FORWARD**-0.5)
        shapes[f"{dense}layer_norm.weight"] = ((dim,), NORM)
    shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = ((32, HEADS), 1.0)
    return shapes


def t5_config(vocab: int, dim: int, layers: int) -> dict[str, Any]:
    """The config.json of a T5 encoder, with the keys that the real checkpoints have."""
    return {
        "architectures": ["T5EncoderModel"],
        "d_ff": FEED_FORWARD,
        "d_kv": HEAD_DIM,
        "d_model": dim,
        "decoder_start_token_id": 0,
        "dense_act_fn": "relu",
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "relu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "is_gated_act": False,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_decoder_layers": layers,
        "num_heads": HEADS,
        "num_layers": layers,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "torch_dtype": "float32",
        "transformers_version": "4.20.0.dev0",
        "use_cache": True,
        "vocab_size": vocab,
    }


def hub_form(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The same vocabulary with the normalizer and pre_tokenizer believed to be in T5 files of 2022."""
    pre = [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}]
    return {
        **tokenizer,
        "normalizer": tokenizer["normalizer"]["normalizers"][0],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre},
        "decoder": pre[1],
    }


def write_t5_tokenizer(folder: Path, *, hub_tokenizer: bool) -> int:
    """Write the three tokenizer files and give the number of pieces."""
    text = TOKENIZER_FILE.read_text(encoding="utf-8")
    tokenizer = json.loads(text)
    if hub_tokenizer:
        text = json.dumps(hub_form(tokenizer), ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    special = {
        "additional_special_tokens": [f"<extra_id_{number}>" for number in range(100)],
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
    write_json(folder / "special_tokens_map.json", special)
    config = {**special, "extra_ids": 100, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"}
    write_json(folder / "tokenizer_config.json", config)
    return len(tokenizer["model"]["vocab"])


def build_instructor(
    folder: Path,
    *,
    seed: int = 0,
    dim: int = 32,
    layers: int = 2,
    out_dim: int | None = 24,
    include_prompt_key: bool = False,
    safetensors: bool = True,
    hub_tokenizer: bool = False,
) -> Path:
    """Write a tiny INSTRUCTOR checkpoint: T5, mean pooling, Dense (none if out_dim is None), Normalize.

    include_prompt_key adds ``include_prompt: false`` to the pooling, as newer sentence-transformers write it
    (InstructorEmbedding 1.0.1 cannot load that); hub_tokenizer gives tokenizer.json its form of 2022.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = write_t5_tokenizer(folder, hub_tokenizer=hub_tokenizer)
    vocab = -(-pieces // 128) * 128  # more rows than pieces, as the real ones have (32,128 and 32,100)
    write_json(folder / "config.json", t5_config(vocab, dim, layers))
    write_weights(folder, fill(t5_shapes(vocab, dim, layers), seed), safetensors=safetensors)
    write_pooling(folder, dim, include_prompt_key=include_prompt_key)
    kinds = ["Transformer", "Pooling", "Normalize"]
    if out_dim is not None:
        kinds.insert(2, "Dense")
        dense = {
            "in_features": dim,
            "out_features": out_dim,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        write_json(folder / "2_Dense" / "config.json", dense)
        weight = fill({"linear.weight": ((out_dim, dim), dim**-0.5)}, seed + 1)
        write_weights(folder / "2_Dense", weight, safetensors=safetensors)
    write_modules(folder, kinds)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"__version__": ST_VERSIONS})
    return folder


def bert_shapes(vocab: int, dim: int, layers: int, positions: int) -> Shapes:
    """Names and shapes of a BertModel's tensors."""
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": ((vocab, dim), 1.0),
        "embeddings.position_embeddings.weight": ((positions, dim), 0.3),
        "embeddings.token_type_embeddings.weight": ((2, dim), 0.1),
    }
    linear = {"embeddings.LayerNorm": None, "pooler.dense": (dim, dim)}
    for index in range(layers):
        layer = f"encoder.layer.{index}."
        linear |= {f"{layer}attention.self.{name}": (dim, dim) for name in ("query", "key", "value")}
        linear[f"{layer}attention.output.dense"] = (dim, dim)
        linear[f"{layer}attention.output.LayerNorm"] = None
        linear[f"{layer}intermediate.dense"] = (FEED_FORWARD, dim)
        linear[f"{layer}output.dense"] = (dim, FEED_FORWARD)
        linear[f"{layer}output.LayerNorm"] = None
    for name, shape in linear.items():
        shapes[f"{name}.weight"] = ((dim,), NORM) if shape is None else (shape, shape[1] ** -0.5)
        shapes[f"{name}.bias"] = ((dim if shape is None else shape[0],), 0.05)
    return shapes


def word_pieces() -> list[str]:
    """A WordPiece vocabulary: BERT's special tokens, printable ASCII, some words, endings."""
    characters = [char for char in string.printable[:95] if not char.isspace() and not char.isupper()]
    letters = string.ascii_lowercase + string.digits
    marked = [f"##{piece}" for piece in [*letters, *ENDINGS]]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*specials, *characters, *WORDS.split(), *marked]))


def write_bert_tokenizer(folder: Path, pieces: list[str], max_length: int) -> None:
    """Write tokenizer.json (made with the tokenizers library), its configuration and vocab.txt."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    special = {**names, "mask_token": "[MASK]"}
    write_json(folder / "special_tokens_map.json", special)
    config = {
        **special,
        "do_lower_case": True,
        "model_max_length": max_length,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    write_json(folder / "tokenizer_config.json", config)


def bert_config(vocab: int, dim: int, layers: int, positions: int) -> dict[str, Any]:
    """The config.json of a BertModel."""
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": dim,
        "initializer_range": 0.02,
        "intermediate_size": FEED_FORWARD,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "transformers_version": "4.8.2",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": vocab,
    }


def build_plain(
    folder: Path,
    *,
    seed: int = 0,
    dim: int = 32,
    layers: int = 2,
    max_length: int = 128,
    prompts: dict[str, str] | None = None,
    safetensors: bool = True,
) -> Path:
    """Write a tiny BERT checkpoint of the all-MiniLM kind; config_sentence_transformers.json has prompts."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = word_pieces()
    positions = 512
    write_bert_tokenizer(folder, pieces, max_length)
    write_json(folder / "config.json", bert_config(len(pieces), dim, layers, positions))
    tensors = fill(bert_shapes(len(pieces), dim, layers, positions), seed)
    write_weights(folder, tensors, safetensors=safetensors)
    write_pooling(folder, dim)
    write_modules(folder, ["Transformer", "Pooling", "Normalize"])
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    config: dict[str, Any] = {"__version__": ST_VERSIONS}
    if prompts is not None:
        config |= {"prompts": prompts, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", config)
    return folder
