"""A checkpoint as its files describe it: modules, maximum length, family and fingerprint. No torch here.

The layout is sentence-transformers' (`modules.json`, and a folder for each module); INSTRUCTOR checkpoints use it too.
A setting that our own code does not support makes sentence-transformers compute (`folder/settings.py`; docs/models.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import read_json
from instructor_eval.core.paths import file_sha256
from instructor_eval.models import family as family_rules
from instructor_eval.models.description import ModelDescription, trained_on
from instructor_eval.models.folder import rules
from instructor_eval.models.folder.files import (
    check_module_weights,
    check_transformer_weights,
    content_hash,
    module_weights,
    readable_files,
)
from instructor_eval.models.folder.library_files import library_files
from instructor_eval.models.folder.numbers import LARGEST, check_fit, is_whole
from instructor_eval.models.folder.settings import FolderSettings, Module, library_reason, read_settings
from instructor_eval.models.folder.tokenizer import PROBES, check_tokenizers, differs_in_transformers, read_tokenizer
from instructor_eval.models.pooling import EXCLUDED, INSTRUCTOR, POOLED
from instructor_eval.models.variant import form, form_of

DEFAULT_MAX_LENGTH = 512
# Transformers that number positions from pad_token_id + 1: they read that many tokens fewer than they have positions.
_OFFSET_POSITIONS = ("camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl")
FINGERPRINT_VERSION = 1
# How a fingerprint names the prompt's part in pooling; the first two are older than the third.
_PROMPT_PARTS = {INSTRUCTOR: True, POOLED: False, EXCLUDED: "left out as sentence-transformers does"}


@dataclass(frozen=True)
class Dense:
    """A linear layer after pooling: [dim_in] -> [dim_out]."""

    folder: Path
    dim_in: int
    dim_out: int
    bias: bool
    activation: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint(ModelDescription):
    """A checkpoint folder, read but not loaded."""

    folder: Path
    transformer: Path
    config: Mapping[str, Any]
    pooling: str
    """The pooling mode; where sentence-transformers computes, several modes or the modules that replace it."""
    dense: tuple[Dense, ...]
    normalizes: bool
    """True if its last module scales vectors to length 1."""
    lowercase: bool
    width: int
    """Length of the vectors before `truncate_dim` cuts them."""
    truncate_dim: int | None = None
    """Values of a vector that config_sentence_transformers.json asks for."""
    prompt_rule: str = POOLED
    """The prompt's part in the tokens and in pooling (`models/pooling.py`)."""
    through: str = ""
    """The reason why sentence-transformers computes it; empty: it is computed here."""
    base: Path | None = None
    """The folder of the base that a PEFT adapter names."""
    default_prompt: str = ""
    """The text that sentence-transformers puts before a text given without a prompt."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return min(self.width, self.truncate_dim or self.width)

    @property
    def computed(self) -> str:
        """The library that computes, with the reason if it is not this one."""
        if not self.through:
            return "computed here"
        return f"by sentence-transformers {rules.version()}: {self.through}"

    @property
    def about(self) -> str:
        """Pooling, length of the vectors, maximum length and the library that computes, in one line."""
        limit = f"at most {self.max_length:,} tokens" if self.max_length else "no maximum length"
        cut = f" of {self.width}" if self.dim < self.width else ""
        prompt = f", default prompt {self.default_prompt[:60]!r}" if self.default_prompt else ""
        return f"pooling {self.pooling}, {self.dim}{cut} values, {limit}{prompt}, {self.computed}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The data that it was trained on, where `evaluate train` has recorded them."""
        try:
            data = read_json(self.folder / "training.json")["data"]
            return (trained_on(str(data["file"]), str(data["sha256"])),)
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    def check_form(self, *, compiled: bool = False) -> None:
        """Refuse numeric forms that sentence-transformers does not compute in.

        Raises:
            UserError: this is one of them, or the forward pass is to be compiled.
        """
        if not self.through or (self.form in rules.FORMS and not compiled):
            return
        asked = "--compile" if compiled and self.form in rules.FORMS else f"variant {self.form}"
        step = "leave it out" if asked == "--compile" else f"use --variant {', '.join(rules.FORMS)}"
        raise UserError(
            f"{asked}: {self.name} is computed by sentence-transformers ({self.through}), and {asked} needs a network "
            f"that is computed here: {step}"
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The fast tokenizer, without truncation and padding."""
        return read_tokenizer(self.transformer, self.name, lowercase=self.lowercase)

    def _hash(self, variant: str) -> str:
        """Return a hash of everything that changes a vector.

        Computed here: weights and configuration by content, the tokenizer by content and by its behaviour on `PROBES`
        (library versions have changed one without the other), pooling, normalisation, maximum length, family, numeric
        form. By sentence-transformers: the content of every file that it can read, in the base's folder too.
        """
        parts = self._files_parts() if self.through else self._own_parts()
        parts |= {"version": FINGERPRINT_VERSION, "variant": variant}
        recipe = form(form_of(variant)).recipe
        if recipe:  # the same form may mean other numbers in a later release
            parts["recipe"] = recipe
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _own_parts(self) -> dict[str, Any]:
        weights = [*sorted(self.transformer.glob("*.safetensors")), *(module_weights(d.folder) for d in self.dense)]
        tokenizer = self.transformer / "tokenizer.json"
        parts = {
            "weights": [[p.relative_to(self.folder).as_posix(), content_hash(p)] for p in weights],
            "config": file_sha256(self.transformer / "config.json"),
            "tokenizer": file_sha256(tokenizer) if tokenizer.exists() else None,
            "probes": [self.tokenizer.encode(p).ids for p in PROBES],
            "pooling": self.pooling,
            "dense": [[d.dim_in, d.dim_out, d.bias, d.activation] for d in self.dense],
            "normalize": self.normalizes,
            "max_length": self.max_length,
            "lowercase": self.lowercase,
            "skips_instruction": _PROMPT_PARTS[self.prompt_rule],
        }
        if self.dim < self.width:
            parts["truncate_dim"] = self.dim
        code = sorted(self.transformer.glob("*.py"))  # runs with --trust-remote-code
        if code:
            parts["code"] = [[p.name, file_sha256(p)] for p in code]
        return parts

    def _files_parts(self) -> dict[str, Any]:
        files = self._named_hashes(self.folder)
        base = self._named_hashes(self.base) if self.base else []
        return {"computed": "sentence-transformers", "files": files, "base": base, "prompt": self.prompt_rule}

    def _named_hashes(self, folder: Path) -> list[list[str]]:
        """Return name and content hash of every file that sentence-transformers may read."""
        return [[p.relative_to(folder).as_posix(), content_hash(p)] for p in library_files(folder, self.name)]


def hidden_size(config: Mapping[str, Any]) -> int:
    """Return the width of a transformer's last layer, under any of the names that configurations use; 0: none."""
    found = next((config[key] for key in ("hidden_size", "d_model", "dim", "n_embd") if config.get(key)), 0)
    return found if isinstance(found, int) else 0


def read_checkpoint(
    folder: Path, *, name: str, revision: str, family: str | None = None, trust_remote_code: bool = False
) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: In sentence-transformers' layout; without `modules.json`, its defaults hold.
        name: The model's name in tables.
        revision: The commit, or where the folder came from.
        family: Overrides the family that the files show.
        trust_remote_code: Let the folder's own code run when the model is loaded.

    Raises:
        UserError: a file is missing, cut short or of an unsupported kind; there are only pickled weights; neither this
            package nor sentence-transformers can do what a setting asks for.
    """
    readable_files(folder, name)
    settings = read_settings(folder, name)
    rules.refuse(settings, trust_remote_code=trust_remote_code)
    of_instructor = any(m.of_instructor for m in settings.modules)
    decided, rule = family_rules.decide(settings, name)
    if family:
        decided, rule = family, "--family"
    is_t5 = family_rules.is_t5(settings.config)
    prompt_rule = POOLED
    if decided == "instructor":
        prompt_rule = INSTRUCTOR if is_t5 or of_instructor else EXCLUDED
    elif not settings.include_prompt:
        prompt_rule = EXCLUDED
    found_prompts, prompts_rule = family_rules.prompts(folder)
    common: dict[str, Any] = {
        "name": name,
        "revision": revision,
        "folder": folder,
        "transformer": settings.transformer,
        "config": settings.config,
        "truncate_dim": settings.truncate_dim,
        "family": decided,
        "family_rule": rule,
        "prompts": found_prompts,
        "prompts_rule": prompts_rule,
        "prompt_rule": prompt_rule,
        "default_prompt": settings.default_prompt,
    }
    through = library_reason(settings, trust_remote_code=trust_remote_code)
    if not through:
        own = _own(settings, instructor=prompt_rule == INSTRUCTOR)
        # The tokenizer last: only folders that would be computed here need this check. INSTRUCTORs use their own file.
        if prompt_rule != INSTRUCTOR:
            through = differs_in_transformers(
                settings.transformer, name, settings.config, settings.tokenizer, lowercase=own["lowercase"]
            )
        if not through:
            return Checkpoint(**common, **own, normalize=own["normalizes"] and not _cuts(settings, own["width"]))
    return _through(settings, common, through, trust_remote_code=trust_remote_code)


def _cuts(settings: FolderSettings, width: int) -> bool:
    return settings.truncate_dim is not None and settings.truncate_dim < width


def _own(settings: FolderSettings, *, instructor: bool) -> dict[str, Any]:
    """Return the fields of a checkpoint that is computed here."""
    name, config = settings.name, settings.config
    check_fit(config, check_transformer_weights(settings.transformer, name), name)
    dense = tuple(_dense(settings, module) for module in settings.dense)
    _check_widths(config, dense, name)
    return {
        "pooling": settings.pooling[0] if settings.pooling else "mean",
        "dense": dense,
        "normalizes": settings.modules[-1].kind == "Normalize",
        "lowercase": bool(settings.own.get("do_lower_case", False)),
        "max_length": _max_length(settings, instructor=instructor),
        "width": dense[-1].dim_out if dense else hidden_size(config),
    }


def _through(settings: FolderSettings, common: dict[str, Any], why: str, *, trust_remote_code: bool) -> Checkpoint:
    rules.check_through(settings)
    check_tokenizers(readable_files(settings.folder, settings.name), settings.name)
    width, length = rules.known_dim(settings), rules.known_length(settings)
    if width is None:
        from instructor_eval.models.library_model import measure

        width, length = measure(settings, trust_remote_code=trust_remote_code)
    normalizes = settings.modules[-1].kind == "Normalize"
    return Checkpoint(
        **common,
        pooling=rules.modules_text(settings),
        dense=(),
        normalizes=normalizes,
        normalize=normalizes and not _cuts(settings, width),
        lowercase=False,
        max_length=length,
        width=width,
        through=why,
        base=rules.adapter_base(settings),
    )


def _dense(settings: FolderSettings, module: Module) -> Dense:
    name, folder, config = settings.name, settings.folder / module.path, settings.settings_of(module)
    size_in, size_out = (config.get(key) for key in ("in_features", "out_features"))
    if not (is_whole(size_in) and is_whole(size_out) and 0 < size_in <= LARGEST and 0 < size_out <= LARGEST):
        raise UserError(
            f"model {name}: {folder / 'config.json'} names no in_features and out_features from 1 to {LARGEST:,}: copy "
            "or download the checkpoint again"
        )
    bias = bool(config.get("bias", True))
    wanted = {"weight": (size_out, size_in)} | ({"bias": (size_out,)} if bias else {})
    found = {key.removeprefix("linear."): shape for key, shape in check_module_weights(folder, name).items()}
    if found != wanted:
        raise UserError(
            f"model {name}: {folder} does not fit its config.json: it holds {found} instead of {wanted}: copy or "
            "download the checkpoint again"
        )
    named = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    return Dense(folder, size_in, size_out, bias, named.rsplit(".", 1)[-1])


def _check_widths(config: Mapping[str, Any], dense: tuple[Dense, ...], name: str) -> None:
    width = hidden_size(config)
    if width <= 0:
        raise UserError(f"model {name}: config.json names no hidden_size: the kind of transformer is not supported")
    for layer in dense:
        if layer.dim_in != width:
            raise UserError(
                f"model {name}: {layer.folder.name} expects vectors of {layer.dim_in} values and is given {width}: "
                "the checkpoint's files do not belong together"
            )
        width = layer.dim_out


def _max_length(settings: FolderSettings, *, instructor: bool) -> int:
    """Return how many tokens of a text are read at most; 0: no limit, as for a T5 whose files name none.

    As in sentence-transformers: the Transformer's own maximum, else the tokenizer's; at most one token a position.
    """
    config = settings.config
    limit = settings.own.get("max_seq_length") or rules.tokenizer_limit(settings.tokenizer)
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        unlimited = family_rules.is_t5(config) and not instructor
        return int(limit or (0 if unlimited else DEFAULT_MAX_LENGTH))
    if config.get("model_type") in _OFFSET_POSITIONS:
        pad = config.get("pad_token_id", 1)
        positions -= (pad if isinstance(pad, int) else 1) + 1
    return min(int(limit or positions), positions)
