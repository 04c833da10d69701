"""Models that are Python objects: a `SentenceTransformer`, an mteb encoder, a function of texts.

They are evaluated as they are, in the thread of the caller: a model in training can be evaluated between two steps.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import FAMILIES, Vectors
from instructor_eval.models.family import named_prompts
from instructor_eval.models.library import LibraryEncoder
from instructor_eval.models.served.contract import Limits, ServedModel
from instructor_eval.models.served.mteb import RegistryModel

_IN_THIS_THREAD = Limits(texts=1024, tokens=2**31, concurrency=0)


class ObjectModel(ServedModel):
    """A function `(texts) -> array` or `(texts, instruction) -> array` as a model.

    Args:
        function: Gives one vector a text, float [len(texts), dim].
        name: Its name in tables and score files.
        family: instructor, prefix or plain; by default instructor where it takes an instruction, else plain.
        label: The caller's name for the state of its weights. With one its vectors are cached and its scores are
            reused; without, nothing says whether it is the same model as before, so neither is.
        trained_on: The note that names its training data.
    """

    where = "python"
    limits = _IN_THIS_THREAD

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        family: str | None = None,
        label: str = "",
        trained_on: str = "",
    ) -> None:
        self._function, self._trained_on = function, trained_on
        self._takes_instruction = _takes_instruction(function)
        usual = "instructor" if self._takes_instruction else "plain"
        if family is not None and family not in FAMILIES:
            raise UserError(f"unknown family '{family}': give one of {', '.join(FAMILIES)}")
        if family not in (None, "plain") and not self._takes_instruction:
            raise UserError(f"{name} takes texts alone: give it a parameter `instruction`, or leave family out")
        self.name, self.family = name, family or usual
        self.family_rule = "a Python object that takes an instruction" if self._takes_instruction else "a Python object"
        _name_state(self, label)

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Call the function: float32 [len(texts), dim].

        Raises:
            ModelOutputError: it gives something else than one row of numbers a text.
        """
        given = (list(texts), instruction) if self._takes_instruction else (list(texts),)
        return as_vectors(self._function(*given), len(texts), self.name)

    def notes(self) -> tuple[str, ...]:
        """Return what it was trained on, where that is known."""
        return (self._trained_on,) if self._trained_on else ()


class SentenceTransformerModel(ObjectModel):
    """A `SentenceTransformer` that is loaded already; an instruction is given as its `prompt`."""

    libraries = ("sentence-transformers",)

    def __init__(self, model: Any, name: str, *, family: str | None = None, label: str = "") -> None:
        def encode(texts: list[str], instruction: str) -> Any:
            return model.encode(texts, prompt=instruction, convert_to_numpy=True, show_progress_bar=False)

        prompts = named_prompts(getattr(model, "prompts", None), getattr(model, "default_prompt_name", None))
        super().__init__(encode, name, family=family or ("prefix" if prompts else "plain"), label=label)
        self.family_rule = "a SentenceTransformer" + (" with prompts" if prompts else "")
        self.prompts, self.prompts_rule = prompts, "the model's own prompts"
        self.max_length = int(getattr(model, "max_seq_length", None) or 0)
        self.where = str(getattr(model, "device", "python"))


class MtebModel(RegistryModel):
    """An encoder that keeps to mteb's protocol, loaded already; mteb's own prompts are its matter."""

    def __init__(self, model: Any, name: str, *, label: str = "") -> None:
        self._given = model
        self.name = name
        self.family, self.family_rule = "plain", "an mteb encoder, under its own prompts"
        self.limits = _IN_THIS_THREAD
        self.where = "python"
        _name_state(self, label)

    def _get(self) -> Any:
        return self._given


def as_model(
    model: Any, *, name: str | None = None, family: str | None = None, label: str = ""
) -> str | ServedModel | LibraryEncoder:
    """Return a model that a run takes: its text, a loaded encoder, or an object around which a model is made.

    Args:
        model: A name or folder, an encoder of `load_encoder`, a `SentenceTransformer`, an mteb encoder, an object with
            `encode(texts, instruction)`, or a function of (texts) or (texts, instruction).
        name: What an object is called; by default its class or function.
        family: instructor, prefix or plain, where the object does not show it.
        label: The caller's name for the state of an object's weights.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(model, ServedModel | LibraryEncoder):
        return model
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        return str(model)
    called = name or getattr(model, "__name__", None) or type(model).__name__
    kinds = {f"{c.__module__.partition('.')[0]}.{c.__name__}" for c in type(model).__mro__}
    if "sentence_transformers.SentenceTransformer" in kinds:
        return SentenceTransformerModel(model, called, family=family, label=label)
    encode = getattr(model, "encode", None)
    if callable(encode):
        if "task_metadata" in _parameters(encode):
            return MtebModel(model, called, label=label)
        return ObjectModel(encode, called, family=family, label=label)
    if callable(model):
        return ObjectModel(model, called, family=family, label=label)
    raise UserError(
        f"a model of type {type(model).__name__}: give a name, a folder, a function of (texts) or (texts, "
        "instruction), or an object with `encode`"
    )


def as_vectors(found: Any, count: int, name: str) -> Vectors:
    """Return what a model gave as float32 [count, dim].

    Raises:
        ModelOutputError: it is no such array.
    """
    found = found.detach().cpu().float().numpy() if hasattr(found, "detach") else found
    if isinstance(found, list) and found and hasattr(found[0], "detach"):
        found = [row.detach().cpu().float().numpy() for row in found]
    try:
        rows = np.asarray(found, dtype=np.float32)
    except (TypeError, ValueError) as e:
        raise ModelOutputError(f"{name}: gives {type(found).__name__}, not an array of numbers: {e}") from e
    if rows.ndim != 2 or len(rows) != count:
        raise ModelOutputError(f"{name}: gives an array {rows.shape} for {count} texts: give one row a text")
    return np.ascontiguousarray(rows)


def _name_state(model: ServedModel, label: str) -> None:
    """Set what tells an object from others of its name: the caller's label, or a text that no later run has."""
    model.cached = bool(label)
    model.revision = label or "python"
    model.identity = {"kind": "python", "name": model.name, "state": label or uuid.uuid4().hex}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # built in, without a signature
        return {}


def _takes_instruction(function: Callable[..., Any]) -> bool:
    """Return whether a function takes an instruction: a parameter of that name, or a second one that must be given."""
    parameters = _parameters(function)
    if "instruction" in parameters:
        return True
    given = [
        p
        for p in parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(given) > 1
