"""Folders as hubs hold them and libraries save them: names of weights, files beside, links, code of their own."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from differential.judge import Made
from differential.made_embeddings import static, word_embeddings
from differential.steps import (
    OLD,
    Step,
    chain,
    dense,
    edit,
    ending,
    inside,
    modules,
    pickled,
    pooling,
    saved,
    text,
    transformer,
    usual,
    weights,
    write_json,
)
from differential.transformers_made import WIDTH
from safetensors.torch import load_file, save_file

MODULE, TOKENIZER, OWN = "sentence_bert_config.json", "tokenizer_config.json", "config_sentence_transformers.json"
PREFIXES = {
    "distilbert": "distilbert",
    "mpnet": "mpnet",
    "xlm-roberta": "roberta",
    "albert": "albert",
    "electra": "electra",
    "gpt2": "transformer",
    "llama": "model",
    "qwen2": "model",
    "modernbert": "model",
}
# What saved tokenizers carry besides.
EXTRAS: dict[str, Any] = {
    "max_length": 20,
    "stride": 0,
    "truncation_strategy": "longest_first",
    "pad_to_multiple_of": None,
    "pad_token_type_id": 0,
    "padding_side": "right",
    "truncation_side": "right",
    "clean_up_tokenization_spaces": True,
    "added_tokens_decoder": {},
    "never_split": None,
}


def _renamed(**parts: str) -> Step:
    def rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for old, new in parts.items():
            state = {k.replace(old.replace("__", "."), new): w for k, w in state.items()}
        return state

    return weights(rename)


def _prefixed(architecture: str, prefix: str) -> Step:
    return chain(usual(architecture), weights(lambda state: {f"{prefix}.{k}": w for k, w in state.items()}))


def _linked(folder: Path) -> None:
    """Every file a link to one beside the folder, as the hub's cache has them."""
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    for number, file in enumerate([p for p in sorted(folder.rglob("*")) if p.is_file()]):
        (blobs / str(number)).write_bytes(file.read_bytes())
        file.unlink()
        file.symlink_to(blobs / str(number))


def _other_pickle(folder: Path) -> None:
    """A pickle with other values beside the safetensors, which is what counts."""
    state = {k: w + 1 for k, w in load_file(folder / "model.safetensors").items()}
    torch.save(state, folder / "pytorch_model.bin")


def _other_safetensors(name: str) -> Step:
    def make(folder: Path) -> None:
        state = {k: w + 1 for k, w in load_file(folder / "model.safetensors").items()}
        save_file(state, folder / name, metadata={"format": "pt"})

    return make


def _paths(change: str) -> Step:
    def make(folder: Path) -> None:
        listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        write_json(folder / "modules.json", [m | {"path": change.format(m["path"])} for m in listed])

    return make


def _layer_norm() -> Any:
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    return LayerNorm(WIDTH)


NAMED = [
    *(Made(f"weights-prefixed-{name}", _prefixed(name, prefix)) for name, prefix in PREFIXES.items()),
    Made(
        "weights-gamma-beta",
        chain(usual("bert"), _renamed(LayerNorm__weight="LayerNorm.gamma", LayerNorm__bias="LayerNorm.beta")),
    ),
    Made("weights-of-an-encoder-t5", chain(usual("t5"), _renamed(shared__weight="encoder.embed_tokens.weight"))),
    Made(
        "weights-with-position-ids",
        chain(usual("bert"), weights(lambda s: {**s, "embeddings.position_ids": torch.arange(80)[None]})),
    ),
    Made("both-kinds-of-weights", chain(usual("bert"), _other_pickle)),
    Made(
        "other-weights-beside",
        chain(usual("bert"), _other_safetensors("model.fp16.safetensors")),
        either=True,
        refused="model.fp16",
    ),
    Made(
        "consolidated-beside",
        chain(usual("mistral", "lasttoken"), _other_safetensors("consolidated.safetensors")),
        either=True,
        refused="consolidated",
    ),
    Made("config-says-float16", chain(usual("bert"), edit("config.json", dtype="float16")), half=True),
    Made(
        "config-says-bfloat16-old-key",
        chain(usual("llama", "lasttoken"), edit("config.json", "dtype", torch_dtype="bfloat16")),
        half=True,
    ),
    Made(
        "quantized",
        chain(
            usual("bert"),
            edit("config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        ),
        refused="quantization_config|bitsandbytes",
    ),
    Made(
        "dense-both-kinds-of-weights",
        chain(ending("bert", "Dense"), dense(), lambda f: torch.save({}, f / "2_Dense" / "pytorch_model.bin")),
    ),
    Made(
        "layer-norm-archive",
        chain(ending("bert", "LayerNorm"), saved("2_LayerNorm", _layer_norm, pickled=True)),
        either=True,
        refused="pytorch_model.bin",
    ),
    Made(
        "static-embedding-archive",
        chain(modules("StaticEmbedding"), static(""), pickled),
        either=True,
        refused="pytorch_model.bin",
    ),
    Made(
        "word-embeddings-archive",
        chain(
            modules("WordEmbeddings", "Pooling", first="0_Words"),
            word_embeddings("0_Words"),
            inside("0_Words", pickled),
            pooling("mean"),
        ),
        either=True,
        refused="pytorch_model.bin",
    ),
    Made(
        "static-embedding-dense",
        chain(modules("StaticEmbedding", "Dense", "Normalize"), static(""), dense("1_Dense", activation="Tanh")),
    ),
]
BESIDE = [
    Made("links-as-in-the-hub-cache", chain(ending("bert", "Dense", "Normalize"), dense(), _linked)),
    Made(
        "links-through-sentence-transformers",
        chain(ending("gpt2", "LayerNorm"), saved("2_LayerNorm", _layer_norm), _linked),
    ),
    Made("a name (with) spaces, ümläuts", usual("bert")),
    Made("a name [that] is a pattern*", usual("gpt2", "lasttoken")),
    Made("paths-with-dots", chain(usual("bert"), _paths("./{}"))),
    Made("paths-with-slashes", chain(usual("bert"), _paths("{}/")), either=True, refused="modules.json|path"),
    Made("tokenizer-extras", chain(usual("bert"), edit(TOKENIZER, **EXTRAS))),
    Made(
        "special-tokens-mappings",
        chain(
            usual("bert"),
            edit(
                "special_tokens_map.json",
                cls_token={
                    "content": "[CLS]",
                    "lstrip": False,
                    "normalized": False,
                    "rstrip": False,
                    "single_word": False,
                },
            ),
        ),
    ),
    Made("added-tokens-file", chain(usual("bert"), edit("added_tokens.json", **{"[MASK]": 4}))),
    Made(
        "preprocessor-beside",
        chain(usual("bert"), edit("preprocessor_config.json", image_processor_type="ViTImageProcessor")),
        either=True,
        refused="preprocessor_config|[Pp]illow|image processor",
    ),
    Made(
        "processor-beside",
        chain(usual("bert"), edit("processor_config.json", processor_class="CLIPProcessor")),
        either=True,
        refused="processor_config|[Pp]illow|[Pp]rocessor",
    ),
    Made(
        "generation-config-beside",
        chain(usual("gpt2", "lasttoken"), edit("generation_config.json", max_length=5, do_sample=True)),
    ),
    Made(
        "chat-template-file",
        chain(
            transformer("llama"), text("chat_template.jinja", "{% for m in messages %}{{ m['content'] }}!{% endfor %}")
        ),
        either=True,
        refused="chat_template",
    ),
    Made(
        "chat-template-file-unused", chain(usual("llama", "lasttoken"), text("chat_template.jinja", "{{ messages }}"))
    ),
    Made(
        "module-config-at-the-root",
        chain(
            inside("0_Transformer", transformer("bert")),
            modules("Transformer", "Pooling", first="0_Transformer"),
            pooling("mean"),
            edit(MODULE, max_seq_length=5),
        ),
    ),
    Made("subfolder-without-modules", inside("0_Transformer", transformer("bert")), refused="config.json|modules.json"),
    Made(
        "of-itself",
        chain(
            usual("bert"),
            edit(
                OWN, model_type="SentenceTransformer", prompts={"query": "", "document": ""}, default_prompt_name=None
            ),
        ),
    ),
    Made(
        "classifier-without-modules",
        chain(
            _prefixed("bert", "bert"),
            lambda f: (f / "modules.json").unlink(),
            edit("config.json", architectures=["BertForSequenceClassification"], num_labels=1),
        ),
    ),
    Made("roberta-to-the-last-position", chain(usual("roberta"), edit(TOKENIZER, model_max_length=78))),
    Made("bert-to-the-last-position", chain(usual("bert"), edit(TOKENIZER, model_max_length=80))),
    Made("gpt2-to-the-last-position", chain(usual("gpt2", "lasttoken"), edit(TOKENIZER, model_max_length=80))),
    Made(
        "llama-yarn",
        usual(
            "llama",
            "lasttoken",
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 100.0,
                "factor": 4.0,
                "original_max_position_embeddings": 20,
            },
        ),
    ),
    Made(
        "max-seq-length-zero",
        chain(usual("bert"), edit(MODULE, max_seq_length=0)),
        either=True,
        refused="max_seq_length|length",
    ),
    Made(
        "max-seq-length-a-text",
        chain(usual("bert"), edit(MODULE, max_seq_length="12")),
        either=True,
        refused="max_seq_length",
    ),
    Made(
        "max-seq-length-a-fraction",
        chain(usual("bert"), edit(MODULE, max_seq_length=12.5)),
        either=True,
        refused="max_seq_length",
    ),
    Made("truncate-dim-zero", chain(usual("bert"), edit(OWN, truncate_dim=0)), either=True, refused="truncate_dim"),
    Made(
        "truncate-dim-negative", chain(usual("bert"), edit(OWN, truncate_dim=-3)), either=True, refused="truncate_dim"
    ),
    Made("truncate-dim-a-text", chain(usual("bert"), edit(OWN, truncate_dim="8")), refused="truncate_dim"),
    Made("prompts-a-list", chain(usual("bert"), edit(OWN, prompts=["query: "])), refused="prompts"),
    Made(
        "moved-pooling",
        chain(usual("bert"), lambda f: shutil.move(f / "1_Pooling", f / "2_Pooling")),
        refused="1_Pooling",
    ),
]
CODE = """
from torch import nn


class Twice(nn.Module):
    def forward(self, features):
        features["sentence_embedding"] = 2 * features["sentence_embedding"] + 1
        return features

    def save(self, output_path):
        pass

    @staticmethod
    def load(input_path):
        return Twice()
"""
MODEL = """
from transformers import BertConfig, BertModel


class AcmeConfig(BertConfig):
    model_type = "acme"


class AcmeModel(BertModel):
    config_class = AcmeConfig

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.last_hidden_state = output.last_hidden_state * 3 - 1
        return output
"""
ACME = {"AutoConfig": "modeling_acme.AcmeConfig", "AutoModel": "modeling_acme.AcmeModel"}
TRUSTED = [
    Made(
        "trusted-module",
        chain(ending("bert"), modules("Transformer", "Pooling", "twice.Twice"), text("twice.py", CODE)),
        trusted=True,
    ),
    Made(
        "trusted-module-of-gpt2",
        chain(ending("gpt2"), modules("Transformer", "Pooling", "twice.Twice"), text("twice.py", CODE)),
        trusted=True,
    ),
    Made(
        "trusted-transformer",
        chain(
            usual("bert"),
            edit("config.json", model_type="acme", architectures=["AcmeModel"], auto_map=ACME),
            text("modeling_acme.py", MODEL),
        ),
        trusted=True,
    ),
    Made("trusted-without-code", usual("bert"), trusted=True),
    Made(
        "trusted-activation",
        chain(ending("bert", "Dense"), dense(activation="torch.nn.modules.activation.SiLU")),
        trusted=True,
    ),
]


def _routes(folder: Path) -> None:
    """A transformer for queries and another, with its own pooling, for documents."""
    structure, types = {}, {}
    for route, seed in {"query": "bert", "document": "roberta"}.items():
        places = [f"{route}_0_Transformer", f"{route}_1_Pooling"]
        inside(places[0], transformer(seed), edit(MODULE, max_seq_length=20))(folder)
        pooling("max" if route == "query" else "mean", where=places[1])(folder)
        structure[route] = places
        types |= {place: OLD + place.rpartition("_")[2] for place in places}
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})


ROUTED = [
    Made("router-of-transformers", chain(modules("Router"), _routes)),
    Made(
        "router-of-transformers-normalized", chain(modules("Router", "Normalize"), _routes, edit(OWN, truncate_dim=7))
    ),
]
PUBLISHED = [*NAMED, *BESIDE, *TRUSTED, *ROUTED]
