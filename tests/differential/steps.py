"""Steps that make a checkpoint folder: each takes the folder and writes, changes or removes some of its files."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from differential import transformers_made, vocabularies
from differential.transformers_made import WIDTH
from safetensors.torch import load_file, save_file
from torch import nn

Step = Callable[[Path], object]
OLD = "sentence_transformers.models."
# Where sentence-transformers 6.2 has its modules, and says so in modules.json.
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}

MODES = {
    "cls": "cls_token",
    "mean": "mean_tokens",
    "max": "max_tokens",
    "mean_sqrt_len": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens",
    "lasttoken": "lasttoken",
}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def transformer(architecture: str, **config: Any) -> Step:
    """The architecture's transformer with its tokenizer; one of its own where `config` differs from the usual."""
    if config:
        return lambda folder: transformers_made.save(folder, architecture, **config)
    return lambda folder: transformers_made.copy(architecture, folder)


def chain(*steps: Step) -> Step:
    def make(folder: Path) -> None:
        for step in steps:
            step(folder)

    return make


def inside(name: str, *steps: Step) -> Step:
    """The steps, in a folder of the folder."""
    return lambda folder: chain(*steps)(folder / name)


def edit(file: str, *drop: str, **changes: Any) -> Step:
    """Change or drop keys of a JSON mapping, which is made if it is not there."""

    def make(folder: Path) -> None:
        before = read_json(folder / file) if (folder / file).exists() else {}
        write_json(folder / file, {k: v for k, v in {**before, **changes}.items() if k not in drop})

    return make


def remove(*files: str) -> Step:
    return lambda folder: [(folder / file).unlink() for file in files]


def text(file: str, content: str) -> Step:
    return lambda folder: (folder / file).write_text(content, encoding="utf-8")


def modules(*kinds: str, types: Mapping[str, str] | None = None, first: str = "", **more: Any) -> Step:
    """modules.json: the first kind lies in `first`, the others each in a folder of its number and kind."""
    listed = [
        {
            "idx": idx,
            "name": str(idx),
            "path": f"{idx}_{kind.rpartition('.')[2]}" if idx else first,
            "type": (types or {}).get(kind, kind if "." in kind else OLD + kind),
            **more,
        }
        for idx, kind in enumerate(kinds)
    ]

    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "modules.json", listed)
        for module in listed[1:]:
            (folder / str(module["path"])).mkdir(exist_ok=True)

    return make


def pooling(*modes: str, where: str = "1_Pooling", dim: int = WIDTH, **more: Any) -> Step:
    """A pooling configuration with the keys that uploads of all years have."""
    config = {f"pooling_mode_{key}": mode in modes for mode, key in MODES.items()}
    return edit(f"{where}/config.json", word_embedding_dimension=dim, **config, **more)


def usual(architecture: str, *modes: str, **config: Any) -> Step:
    """Transformer and pooling, as most checkpoints have them."""
    return chain(transformer(architecture, **config), modules("Transformer", "Pooling"), pooling(*(modes or ("mean",))))


def ending(architecture: str, *kinds: str) -> Step:
    """The usual two and more modules, whose folders later steps fill."""
    return chain(transformer(architecture), modules("Transformer", "Pooling", *kinds), pooling("mean"))


def drawn(module: nn.Module, seed: int = 1) -> dict[str, torch.Tensor]:
    """Weights of a module from a seed."""
    random = torch.Generator().manual_seed(seed)
    state = sorted(module.state_dict().items())
    return {k: torch.randn(w.shape, generator=random) * 0.5 + (0.2 if w.ndim == 1 else 0) for k, w in state}


def saved(where: str, build: Callable[[], Any], *, pickled: bool = False) -> Step:
    """A module of sentence-transformers, with random weights, as that library saves it."""

    def make(folder: Path) -> None:
        module = build()
        if drawn(module):
            module.load_state_dict(drawn(module))
        (folder / where).mkdir(parents=True, exist_ok=True)
        module.save(str(folder / where), safe_serialization=not pickled)

    return make


def dense(
    where: str = "2_Dense", size_in: int = WIDTH, out: int = 12, *, activation: str = "Identity", **config: Any
) -> Step:
    """A Dense module by hand, as uploads before 2023 have it; `pickled` keeps its weights in a torch archive."""
    pickled, half = config.pop("pickled", False), config.pop("half", False)
    bias = config.get("bias", True)

    def make(folder: Path) -> None:
        named = activation if "." in activation else f"torch.nn.modules.activation.{activation}"
        if activation == "Identity":
            named = "torch.nn.modules.linear.Identity"
        write_json(
            folder / where / "config.json",
            {"in_features": size_in, "out_features": out, "bias": True, "activation_function": named, **config},
        )
        state = {f"linear.{k}": w for k, w in drawn(nn.Linear(size_in, out, bias=bias), 3).items()}
        if config.get("use_residual") and size_in != out:
            state |= {f"residual.{k}": w for k, w in drawn(nn.Linear(size_in, out, bias=False), 4).items()}
        state = {k: w.half() if half else w for k, w in state.items()}
        if pickled:
            torch.save(state, folder / where / "pytorch_model.bin")
        else:
            save_file(state, folder / where / "model.safetensors", metadata={"format": "pt"})

    return make


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Step:
    """Change the transformer's weights in their file."""

    def make(folder: Path) -> None:
        state = change(load_file(folder / "model.safetensors"))
        save_file(
            {k: w.contiguous() for k, w in state.items()}, folder / "model.safetensors", metadata={"format": "pt"}
        )

    return make


def pickled(folder: Path) -> None:
    """Only the pickle of old uploads."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder: Path) -> None:
    """The weights in two files and an index."""
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    parts = {f"model-0000{n + 1}-of-00002.safetensors": names[n::2] for n in range(2)}
    for file, chosen in parts.items():
        save_file({k: state[k] for k in chosen}, folder / file, metadata={"format": "pt"})
    size = sum(w.nbytes for w in state.values())
    where = {k: file for file, chosen in parts.items() for k in chosen}
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where})
    (folder / "model.safetensors").unlink()


def adapter(base: str, size: float = 1.0) -> Step:
    """A LoRA adapter's two files, as `peft` saves them, for a BERT."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "peft_type": "LORA",
            "task_type": "FEATURE_EXTRACTION",
            "base_model_name_or_path": base,
            "r": 2,
            "lora_alpha": 16,
            "lora_dropout": 0.0,
            "target_modules": ["query", "value"],
            "bias": "none",
            "inference_mode": True,
            "fan_in_fan_out": False,
        }
        write_json(folder / "adapter_config.json", config)
        random = torch.Generator().manual_seed(5)
        state = {
            f"base_model.model.encoder.layer.{layer}.attention.self.{part}.lora_{side}.weight": size
            * torch.randn((2, WIDTH) if side == "A" else (WIDTH, 2), generator=random)
            for layer in range(transformers_made.LAYERS)
            for part in ("query", "value")
            for side in "AB"
        }
        save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    return make


def tokenizer(kind: str, specials: list[str], template: str | None, **config: Any) -> Step:
    """Another tokenizer in the place of the architecture's own."""
    return lambda folder: vocabularies.write(
        folder, getattr(vocabularies, kind)(specials), specials, template, **config
    )


def moved(into: str, *files: str) -> Step:
    """Move files of the folder into one of its folders."""

    def make(folder: Path) -> None:
        (folder / into).mkdir(parents=True, exist_ok=True)
        for file in files or [p.name for p in folder.iterdir() if p.is_file()]:
            shutil.move(folder / file, folder / into / file)

    return make
