"""An INSTRUCTOR checkpoint on disk: sentence-transformers' layout, with a model card of how it was trained.

The pooling's configuration has no `include_prompt`, as published INSTRUCTORs have none: InstructorEmbedding 1.0.1 loads
no other. The card's tag tells this package that pooling leaves instructions out; sentence-transformers needs a call.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from instructor_eval.core.environment import VERSION
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.models.family import TRAINED_TAG
from instructor_eval.training.data import About

if TYPE_CHECKING:
    from instructor_eval.training.model import TrainedModel

_CONFIG = "config.json"
RECORD = "training.json"
"""Beside the card: the same for programs."""
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt"),
)
_MODES = {
    "cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken",
}  # fmt: skip
_KIND = "sentence_transformers.models."
_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- {tag}
---

# {title}

A text encoder that takes instructions, trained from `{base}` by instructor-eval {version} for {steps:,} steps.
An instruction stands before its text, is read with it, and is left out of pooling.

    evaluate --model FOLDER --task ArguAna

    from InstructorEmbedding import INSTRUCTOR      # 1.0.1
    INSTRUCTOR(FOLDER).encode([[instruction, text]])

    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(FOLDER)
    model.set_pooling_include_prompt(False)         # else other vectors
    model.encode(texts, prompt=instruction)

## Data

{rows:,} rows of {tasks:,} tasks, from `{file}` (SHA-256 {sha256}). Its instructions, literally:

{instructions}

## Arguments

{arguments}
"""


@dataclass(frozen=True)
class Provenance:
    """How a checkpoint came about."""

    title: str
    base: str
    data: About
    arguments: Mapping[str, Any] = field(default_factory=dict)


def save(model: TrainedModel, folder: Path, provenance: Provenance, steps: int) -> None:
    """Write a checkpoint into a folder.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = model.start
    with quiet_transformers():
        model.transformer.save_pretrained(folder)
    for name in _TOKENIZER:  # as they are: transformers would write others
        if (start.transformer / name).exists():
            shutil.copyfile(start.transformer / name, folder / name)
    kinds = ["Transformer", "Pooling"]
    width = int(model.transformer.config.hidden_size)
    pooling = {f"pooling_mode_{key}": mode == start.pooling for mode, key in _MODES.items() if mode != "lasttoken"}
    if start.pooling == "lasttoken":
        pooling["pooling_mode_lasttoken"] = True
    _write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **pooling})
    for layer in model.head:
        kinds.append("Dense")
        _save_dense(layer, folder / f"{len(kinds) - 1}_Dense")
    kinds.append("Normalize")
    (folder / f"{len(kinds) - 1}_Normalize").mkdir(exist_ok=True)
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": _KIND + kind}
        for i, kind in enumerate(kinds)
    ]
    _write_json(folder / "modules.json", modules)
    _write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": start.max_length, "do_lower_case": start.lowercase}
    )
    _write_json(folder / "config_sentence_transformers.json", {"__version__": {"instructor_eval": VERSION}})
    _write_card(folder, provenance, steps)


def move_whole(made: Path, folder: Path) -> None:
    """Move a checkpoint into a folder that holds other things too, in the place of one that may be there.

    Its config.json comes last: until then the folder is no model, rather than one of some of these files.

    Args:
        made: The checkpoint, on the same disk.
        folder: Where it is to be.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / _CONFIG).unlink(missing_ok=True)
    for path in sorted(made.rglob("*")):
        place = folder / path.relative_to(made)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        elif place != folder / _CONFIG:
            path.replace(place)
    (made / _CONFIG).replace(folder / _CONFIG)


def _save_dense(layer: Any, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    linear, activation = layer
    kind = type(activation)
    # Identity's home in torch; the others are in modules.activation.
    config = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{kind.__module__}.{kind.__name__}",
    }
    _write_json(folder / "config.json", config)
    state = {f"linear.{name}": tensor.detach().cpu().contiguous() for name, tensor in linear.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(state, folder / "pytorch_model.bin")  # InstructorEmbedding 1.0.1 reads no other; this package never does


def _write_card(folder: Path, provenance: Provenance, steps: int) -> None:
    data = provenance.data
    record = {
        "base": provenance.base,
        "steps": steps,
        "version": VERSION,
        "data": {**vars(data), "tasks": list(data.tasks), "instructions": list(data.instructions)},
        "arguments": dict(provenance.arguments),
    }
    _write_json(folder / RECORD, record)
    card = _CARD.format(
        tag=TRAINED_TAG,
        title=_plain(provenance.title),
        base=_plain(provenance.base),
        version=VERSION,
        steps=steps,
        rows=data.rows,
        tasks=len(data.tasks),
        file=_plain(data.file),
        sha256=data.sha256,
        instructions=_block(json.dumps(one, ensure_ascii=False) for one in data.instructions),
        arguments=_block(f"--{name} {json.dumps(value)}" for name, value in provenance.arguments.items()),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _plain(text: str) -> str:
    """Return text that is no Markdown."""
    return "".join(c if c.isprintable() and c not in "`<>[]*" else "-" for c in text)


def _block(lines: Any) -> str:
    """Indent lines: nothing in such a block is Markdown."""
    return "\n".join(f"    {line}" for line in lines)


def saved_step(folder: Path) -> int:
    """Return the number of steps that a saved checkpoint was trained for."""
    return int(json.loads((folder / RECORD).read_text(encoding="utf-8"))["steps"])


def dense_folders(folder: Path) -> Sequence[Path]:
    """Return the folders of a checkpoint's Dense layers, in order."""
    return sorted(folder.glob("[0-9]_Dense"))


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
