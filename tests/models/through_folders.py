"""Folders of models that sentence-transformers computes, made of a tiny one of ours."""

from pathlib import Path

import tiny
from checkpoints import edit_json
from safetensors.numpy import save_file

MODULES = "sentence_transformers.models."
WORDS = ["PADDING_TOKEN", "river", "city", "question", "two"]


def set_modules(folder: Path, *kinds: str) -> None:
    """Write which modules follow each other."""
    tiny.write_modules(folder, list(kinds))


def with_dense(folder: Path, **config: object) -> None:
    set_modules(folder, "Transformer", "Pooling", "Dense")
    given = {"in_features": 32, "out_features": 8, "bias": True, "activation_function": "torch.nn.Tanh", **config}
    tiny.write_json(folder / "2_Dense" / "config.json", given)
    shapes = {"linear.weight": ((8, 32), 0.2), "linear.bias": ((8,), 0.5)}
    if given.get("use_residual"):
        shapes["residual.weight"] = ((8, 32), 0.2)
    tiny.write_weights(folder / "2_Dense", tiny.fill(shapes, seed=5), safetensors=True)


def with_layer_norm(folder: Path, *, safe: bool = True) -> None:
    set_modules(folder, "Transformer", "Pooling", "LayerNorm")
    tiny.write_json(folder / "2_LayerNorm" / "config.json", {"dimension": 32})
    shapes = {"norm.weight": ((32,), 1.0), "norm.bias": ((32,), 0.5)}
    tiny.write_weights(folder / "2_LayerNorm", tiny.fill(shapes, seed=6), safetensors=safe)
    assert (folder / "2_LayerNorm" / "model.safetensors").exists() == safe


def only(kind: str, folder: Path, *rest: str) -> Path:
    """The folder with `kind` in the transformer's place."""
    for file in ("model.safetensors", "config.json", "sentence_bert_config.json"):
        (folder / file).unlink()
    modules = [{"idx": 0, "name": "0", "path": f"0_{kind}", "type": MODULES + kind}]
    modules += [{"idx": i, "name": str(i), "path": f"{i}_{k}", "type": MODULES + k} for i, k in enumerate(rest, 1)]
    tiny.write_json(folder / "modules.json", modules)
    (folder / f"0_{kind}").mkdir()
    return folder / f"0_{kind}"


def with_static(folder: Path) -> None:
    place = only("StaticEmbedding", folder)
    (folder / "tokenizer.json").rename(place / "tokenizer.json")
    pieces = len(tiny.word_pieces())
    save_file(tiny.fill({"embedding.weight": ((pieces, 8), 1.0)}, seed=7), place / "model.safetensors")


def with_words(folder: Path, *, safe: bool = True) -> None:
    place = only("WordEmbeddings", folder, "WordWeights", "Pooling")
    kind = "sentence_transformers.sentence_transformer.modules.tokenizer.whitespace.WhitespaceTokenizer"
    tiny.write_json(place / "wordembedding_config.json", {"tokenizer_class": kind, "update_embeddings": False})
    tiny.write_json(
        place / "whitespacetokenizer_config.json", {"vocab": WORDS, "stop_words": [], "do_lower_case": True}
    )
    tiny.write_weights(place, tiny.fill({"emb_layer.weight": ((len(WORDS), 8), 1.0)}, seed=8), safetensors=safe)
    weights = {"vocab": WORDS, "word_weights": {"river": 2.0}, "unknown_word_weight": 1}
    tiny.write_json(folder / "1_WordWeights" / "config.json", weights)
    tiny.write_json(folder / "2_Pooling" / "config.json", {"embedding_dimension": 8, "pooling_mode": "mean"})


def set_pooling(mode: object):
    config = {"embedding_dimension": 32, "pooling_mode": mode}
    return lambda folder: tiny.write_json(folder / "1_Pooling" / "config.json", config)


def edited(file: str, *drop: str, **changes: object):
    return lambda folder: edit_json(folder / file, *drop, **changes)
