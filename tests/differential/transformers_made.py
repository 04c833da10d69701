"""Transformers of many architectures, a few kilobytes each, with weights drawn from a seed."""

import functools
import importlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from differential import vocabularies as v
from transformers import AutoConfig, AutoModel, PreTrainedModel

WIDTH, HEADS, LAYERS, FEED, POSITIONS = 16, 2, 2, 24, 80
USUAL = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": FEED,
    "max_position_embeddings": POSITIONS,
}
T5_SIZES = {
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": FEED,
    "num_layers": LAYERS,
    "num_decoder_layers": LAYERS,
    "num_heads": HEADS,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
CAUSAL = {**USUAL, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
# Sizes of the architectures that do not call them as BERT does.
SIZES: dict[str, dict[str, Any]] = {
    "distilbert": {
        "dim": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "hidden_dim": FEED,
        "max_position_embeddings": POSITIONS,
    },
    "albert": {**USUAL, "embedding_size": 8},
    "electra": {**USUAL, "embedding_size": 8},
    "deberta-v2": {**USUAL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    "deberta": {**USUAL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "gpt2": {
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "xlnet": {
        "d_model": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "d_inner": FEED,
        "pad_token_id": 5,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "funnel": {
        "d_model": WIDTH,
        "n_head": HEADS,
        "d_head": 8,
        "d_inner": FEED,
        "block_sizes": [1, 1],
        "architectures": ["FunnelModel"],
        "num_decoder_layers": 1,
    },
    "convbert": {**USUAL, "embedding_size": 8, "head_ratio": 1, "conv_kernel_size": 3},
    "mobilebert": {
        **USUAL,
        "embedding_size": 8,
        "intra_bottleneck_size": 8,
        "true_hidden_size": 8,
        "num_feedforward_networks": 1,
    },
    "squeezebert": {
        **USUAL,
        "embedding_size": WIDTH,
        "q_groups": 1,
        "k_groups": 1,
        "v_groups": 1,
        "post_attention_groups": 1,
        "intermediate_groups": 1,
        "output_groups": 1,
    },
    "big_bird": {**USUAL, "attention_type": "original_full"},
    "roformer": {**USUAL, "embedding_size": WIDTH},
    "longformer": {**USUAL, "attention_window": [4, 4], "pad_token_id": 1},
    "modernbert": {
        **USUAL,
        "pad_token_id": 0,
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "nomic_bert": {**USUAL, "head_dim": 8},
    "fnet": {**USUAL},
    "rembert": {**USUAL, "input_embedding_size": 8, "output_embedding_size": 8},
    "clip_text_model": {**USUAL, "projection_dim": WIDTH, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
    "opt": {
        **USUAL,
        "ffn_dim": FEED,
        "word_embed_proj_dim": WIDTH,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "bloom": {
        "hidden_size": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "gpt_neox": {**USUAL, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0},
    "gptj": {
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": POSITIONS,
        "rotary_dim": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "gemma": {**CAUSAL, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2},
    "gemma3_text": {
        **CAUSAL,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mistral": {**CAUSAL, "sliding_window": 8},
    "qwen2": {**CAUSAL, "bos_token_id": 0, "eos_token_id": 0},
    "qwen3": {**CAUSAL, "bos_token_id": 0, "eos_token_id": 0},
    "eurobert": {**USUAL, "num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "longt5": {**T5_SIZES, "local_radius": 8, "feed_forward_proj": "relu"},
    "t5": {**T5_SIZES, "feed_forward_proj": "relu"},
    "mt5": {**T5_SIZES, "feed_forward_proj": "gated-gelu"},
    "umt5": {**T5_SIZES, "feed_forward_proj": "gated-gelu"},
    "bart": {
        "d_model": WIDTH,
        "encoder_layers": LAYERS,
        "decoder_layers": LAYERS,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "encoder_ffn_dim": FEED,
        "decoder_ffn_dim": FEED,
        "max_position_embeddings": POSITIONS,
    },
    "xlm": {
        "emb_dim": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "max_position_embeddings": POSITIONS,
        "pad_index": 1,
        "unk_index": 3,
        "pad_token_id": 1,
        "bos_index": 0,
        "eos_index": 2,
    },
}
ENCODERS = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
    "dpr_question": "DPRQuestionEncoder",
    "dpr_context": "DPRContextEncoder",
}
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "data2vec-text", "ibert", "longformer", "xlm", "mpnet", "xmod")
FAMILIES: dict[str, tuple[str, ...]] = {
    "roberta": ("roberta", "data2vec-text", "longformer", "bart", "opt", "ibert"),
    "unigram": ("xlm-roberta", "camembert", "xlm"),
    "t5": ("t5", "mt5", "umt5", "longt5"),
    "llama": ("llama", "mistral", "phi3", "olmo"),
    "qwen": ("qwen2", "qwen3"),
    "gpt2": ("gpt2", "gpt_neox", "gptj", "bloom"),
    "gemma": ("gemma", "gemma2", "gemma3_text"),
    "xlnet": ("xlnet",),
    "clip": ("clip_text_model",),
}


def tokenizer_of(architecture: str, folder: Path, **config: Any) -> int:
    """Write the kind of tokenizer that this architecture's checkpoints have, and return the number of pieces."""
    kind = next((k for k, names in FAMILIES.items() if architecture in names), "bert")
    if kind == "roberta":
        return v.write(folder, v.byte_pairs(v.ROBERTA), v.ROBERTA, "<s> $A </s>", **_cls(config))
    if kind == "unigram":
        return v.write(folder, v.unigram(v.ROBERTA), v.ROBERTA, "<s> $A </s>", **_cls(config))
    if kind == "t5":
        return v.write(folder, v.unigram(v.T5), v.T5, "$A </s>", **config)
    if kind == "llama":
        return v.write(folder, v.byte_pairs(v.LLAMA), v.LLAMA, "<s> $A </s>", **{"pad_token": "<unk>", **config})
    if kind == "qwen":
        return v.write(folder, v.composed_byte_pairs(v.GPT2), v.GPT2, None, **{"pad_token": v.GPT2[0], **config})
    if kind == "gpt2":
        return v.write(folder, v.byte_pairs(v.GPT2), v.GPT2, None, **{"pad_token": v.GPT2[0], **config})
    if kind == "gemma":
        return v.write(folder, v.unigram(v.GEMMA), v.GEMMA, "<bos> $A <eos>", **config)
    if kind == "xlnet":
        return v.write(folder, v.unigram(v.XLNET), v.XLNET, "$A <sep> <cls>", **{"padding_side": "left", **config})
    if kind == "clip":
        template = f"{v.CLIP[0]} $A {v.CLIP[1]}"
        return v.write(folder, v.byte_pairs(v.CLIP), v.CLIP, template, **{"pad_token": v.CLIP[1], **config})
    return v.write(folder, v.word_piece(v.BERT), v.BERT, "[CLS] $A [SEP]", **config)


def _cls(config: dict[str, Any]) -> dict[str, Any]:
    return {"cls_token": "<s>", "sep_token": "</s>", **config}


def draw(model: PreTrainedModel, seed: int) -> None:
    """Fill every weight from the seed, by sorted name: libraries initialise so that texts hardly differ."""
    random = torch.Generator().manual_seed(seed)
    state = dict(sorted(model.named_parameters()))
    with torch.no_grad():
        for name, weight in state.items():
            drawn = torch.randn(weight.shape, generator=random)
            if weight.ndim < 2:
                weight.copy_(0.1 * drawn + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
            else:
                weight.copy_(drawn * (0.7 if "embed" in name.lower() else weight.shape[-1] ** -0.5))


def clip(folder: Path, *, seed: int = 0) -> None:
    """Write a whole CLIP of texts and images, and what its processor wants to know."""
    sizes = {**SIZES["clip_text_model"], "vocab_size": tokenizer_of("clip_text_model", folder)}
    images = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": HEADS, "intermediate_size": FEED}
    images |= {"image_size": 8, "patch_size": 4}
    model = AutoModel.from_config(
        AutoConfig.for_model("clip", text_config=sizes, vision_config=images, projection_dim=12)
    )
    draw(model, seed)
    model.eval().save_pretrained(folder)
    processor = {"crop_size": 8, "size": 8, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    processor |= {"feature_extractor_type": "CLIPFeatureExtractor", "do_resize": True, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")


def save(folder: Path, architecture: str, *, seed: int = 0, vocabulary: int | None = None, **config: Any) -> None:
    """Write config.json and model.safetensors of a random model beside a tokenizer of its kind."""
    pieces = tokenizer_of(architecture, folder)
    kind = architecture.partition("_question")[0].partition("_context")[0]
    sizes = SIZES.get(architecture, CAUSAL if architecture in FAMILIES["llama"] else USUAL)
    if architecture in ROBERTA_LIKE:
        sizes = {**sizes, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    built = AutoConfig.for_model(kind, **{"vocab_size": vocabulary or pieces, **sizes, **config})
    if architecture in ENCODERS:
        model = getattr(importlib.import_module("transformers"), ENCODERS[architecture])(built)
    else:
        model = AutoModel.from_config(built)
    draw(model, seed)
    model.eval().save_pretrained(folder)


@functools.cache
def _made(architecture: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="made-")) / architecture
    save(folder, architecture)
    return folder


def copy(architecture: str, to: Path) -> Path:
    """A copy of the architecture's checkpoint, which is made once a process."""
    return Path(shutil.copytree(_made(architecture), to, dirs_exist_ok=True))
