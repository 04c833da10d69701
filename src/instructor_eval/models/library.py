"""`load_encoder`: a model for your own code."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from instructor_eval.cache.vectors import DEFAULT_LIMIT, VectorCache
from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Item, Picture, as_item, is_picture
from instructor_eval.core.progress import Progress
from instructor_eval.core.values import FAMILIES, Vectors
from instructor_eval.models.device import default_variant, pick_device
from instructor_eval.models.engine import Engine, refuse_pictures
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.images.engine import ImageEngine
from instructor_eval.models.images.find import is_image_model, read_image_model
from instructor_eval.models.precision import CALIBRATED, Precision, calibration_texts
from instructor_eval.models.variant import FP32, Variant, check_device, check_installed

Pair: TypeAlias = Sequence[Any]
"""[instruction, text], or [instruction, text, 0] as in INSTRUCTOR's model cards."""
Texts: TypeAlias = str | Path | bytes | Iterable[str | Path | bytes] | Iterable[Pair]
"""Texts, or pairs; a model of texts and pictures takes pictures too: paths, bytes of files, `PIL.Image.Image`."""


class LibraryEncoder:
    """An encoder for your own code: texts and an instruction in, vectors out.

    Vectors are float32 in every variant: the values that an index of its precision computes with.
    """

    def __init__(self, engine: Engine | ImageEngine, variant: Variant = FP32) -> None:
        self.engine = engine
        self.precision = Precision(
            variant, dim=engine.dim, normalize=engine.checkpoint.normalize, model=engine.checkpoint.name
        )
        self.dim = self.precision.dim
        self.fingerprint = engine.fingerprint
        self._item: Callable[[Any], Any] = as_item if engine.checkpoint.reads_pictures else self._text

    def _text(self, value: Any) -> Any:
        if isinstance(value, Path) or is_picture(value):
            raise UserError(
                f"model {self.engine.checkpoint.name} reads texts alone, and a {type(value).__name__} is none: give "
                "its text, or use a model of texts and pictures"
            )
        return value

    def calibrate(self, texts: Iterable[str], instruction: str | None = None) -> None:
        """Take every dimension's range, which int8 and uint8 need, from at most 10,000 of these texts.

        Other variants need none, and nothing happens. A later call replaces an earlier one.

        Args:
            texts: Texts like those that will be searched; their order does not matter.
            instruction: The instruction that they will be under.

        Raises:
            UserError: there is no text, or as `encode`.
        """
        _check_many(texts)
        if self.precision.variant.embedding not in CALIBRATED:
            return
        chosen = calibration_texts(_strings(texts, self._item))
        if not chosen:
            raise UserError("there is no text to calibrate on: give some as they will be searched")
        instruction = self._given(instruction)
        vectors = self.engine.encode(chosen, instruction)
        if (vectors == vectors[0]).all():
            raise UserError("one text, or texts of one vector, show no range to calibrate on: give some hundred")
        self.precision.calibrate(vectors, instruction=instruction, origin="given")

    def encode(
        self,
        texts: Texts | None = None,
        instruction: str | None = None,
        *,
        sentences: Texts | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        output_value: str = "sentence_embedding",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
    ) -> Any:
        """Embed texts: float32 [len(texts), dim]; a single text gives [dim].

        The options are those of InstructorEmbedding and sentence-transformers.

        Args:
            texts: Texts under `instruction`; or pairs `[instruction, text]`, each under its own. A model of texts and
                pictures takes pictures among them, under no instruction: a `Path`, the bytes of a file, a PIL image.
            instruction: Put before every text, exactly as it is. By default the checkpoint's default prompt
                (`default_prompt_name`), which few have, else none.
            sentences: Another name for `texts`.
            batch_size: Texts in a batch at most; not needed, batches are made by tokens.
            show_progress_bar: Show a bar, on a terminal.
            output_value: `token_embeddings` gives the transformer's last hidden states instead, an array
                [tokens, width] a text, instruction included.
            convert_to_numpy: False gives a list of torch tensors, one a text.
            convert_to_tensor: Give one torch tensor, on the CPU, whatever `convert_to_numpy` says.
            device: The device that the model was loaded for, or None.
            normalize_embeddings: Scale every text's vector to length 1, in any model.

        Raises:
            UserError: an input or an option that cannot be used, the model gives no usable vector for a text, or
                int8 was not calibrated.
            TypeError: neither `texts` nor `sentences` is given, or both are.
        """
        if (texts is None) == (sentences is None):
            raise TypeError("encode() takes either texts or sentences")
        pairs, single = _pairs(
            sentences if texts is None else texts, instruction, self.engine.checkpoint.default_prompt, self._item
        )
        if batch_size is not None and (not isinstance(batch_size, int | np.integer) or batch_size < 1):
            raise UserError(f"batch_size {batch_size} is not a whole number of at least 1")
        self._check_device(device)
        rows: Vectors | list[Vectors]
        if output_value == "sentence_embedding":
            rows = self._vectors(pairs, batch_size, show=bool(show_progress_bar))
            if normalize_embeddings:
                rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        elif output_value == "token_embeddings":
            refuse_pictures((text for _, text in pairs), f"{self.engine.checkpoint.name} (token_embeddings)")
            rows = [self.engine.token_vectors(str(text), given) for given, text in pairs]
        else:
            raise UserError(f"unknown output_value '{output_value}': give sentence_embedding or token_embeddings")
        if convert_to_numpy and not convert_to_tensor:
            return rows[0] if single else rows
        if single:
            return _tensor(rows[0])
        return _tensor(rows) if convert_to_tensor and isinstance(rows, np.ndarray) else [_tensor(row) for row in rows]

    def stream(self, texts: Iterable[str], instruction: str | None = None) -> Iterator[Vectors]:
        """Embed any number of texts in bounded memory; yield arrays [some, dim] in input order.

        Raises:
            UserError: as `encode`; here when the text's turn comes.
        """
        _check_many(texts)
        self.precision.check()
        return map(self.precision.apply, self.engine.stream(_strings(texts, self._item), self._given(instruction)))

    def _given(self, instruction: str | None) -> str:
        return _instruction(instruction, self.engine.checkpoint.default_prompt)

    def _vectors(self, pairs: list[tuple[str, Item]], batch_size: int | None, *, show: bool) -> Vectors:
        self.precision.check()
        by_instruction: dict[str, list[int]] = {}
        for i, (instruction, _) in enumerate(pairs):
            by_instruction.setdefault(instruction, []).append(i)
        vectors = np.empty((len(pairs), self.engine.dim), dtype=np.float32)
        name = Path(self.engine.checkpoint.name).name
        with Progress(name if show and sys.stderr.isatty() else "") as progress:
            for instruction, at in by_instruction.items():
                texts = [pairs[i][1] for i in at]
                vectors[at] = self.engine.encode(texts, instruction, progress=progress, most=batch_size)
        return self.precision.apply(vectors)

    def _check_device(self, device: str | None) -> None:
        wanted, here = (str(d).replace("cuda:0", "cuda") for d in (device, self.engine.device))
        if device is not None and wanted != here:
            raise UserError(f"the model is loaded for {here}: give device '{wanted}' to load_encoder")


def _pairs(
    texts: Any, instruction: str | None, default: str, item: Callable[[Any], Any]
) -> tuple[list[tuple[str, Item]], bool]:
    """Return (instruction, text) of each input, and whether it was a single text.

    Raises:
        UserError: inputs of mixed or unknown kinds, or two instructions for one text.
    """
    if isinstance(texts, np.ndarray):
        texts = texts.tolist() if texts.ndim < 3 else [texts]
    shared = _instruction(instruction, default)
    texts = item(texts)
    if isinstance(texts, Picture):
        return [(shared, texts)], True
    if isinstance(texts, str):
        return [(shared, str(texts))], True
    _check_many(texts)
    inputs = [item(given) for given in texts]
    if not inputs or isinstance(inputs[0], str | Picture):
        return [(shared, text) for text in _strings(inputs, item)], False
    pairs: list[tuple[str, Item]] = [pair_of(i, given) for i, given in enumerate(inputs)]
    if instruction is not None:
        raise UserError("pairs bring their own instructions: give no `instruction` beside them")
    return pairs, False


def _check_many(texts: Any) -> None:
    """Refuse a value that is not a series of texts, or whose items are not the texts that were meant."""
    if not isinstance(texts, Iterable) or isinstance(texts, str | bytes | Mapping | set | frozenset):
        raise UserError(f"texts of type {type(texts).__name__}: give a list of texts, or of pairs [instruction, text]")


def _strings(inputs: Iterable[Any], item: Callable[[Any], Any]) -> Iterator[Item]:
    for i, text in enumerate(map(item, inputs)):
        if isinstance(text, Picture):
            yield text
            continue
        if not isinstance(text, str):
            raise UserError(f"input {i} is of type {type(text).__name__}, not a text: all inputs must be texts here")
        yield str(text)  # and not NumPy's subclass


def pair_of(i: int, given: Any) -> tuple[str, str]:
    """Return an input's instruction and text.

    Raises:
        UserError: it is no pair of texts.
    """
    if isinstance(given, np.ndarray):
        if given.ndim > 1:
            raise UserError(f"input {i} is an array of {given.ndim} dimensions: of a picture, give PIL.Image.fromarray")
        given = given.tolist()
    if isinstance(given, str) or not isinstance(given, Sequence):
        what = "a text" if isinstance(given, str) else f"of type {type(given).__name__}"
        raise UserError(f"input {i} is {what}, not a pair [instruction, text]: give one kind, all texts or all pairs")
    if len(given) not in (2, 3):
        raise UserError(f"input {i} has {len(given)} parts: a pair is [instruction, text]")
    if not all(isinstance(part, str) for part in given[:2]):
        raise UserError(f"input {i} is not made of texts: a pair is [instruction, text]")
    if len(given) == 3 and not (isinstance(given[2], int | np.integer) and given[2] == 0):
        raise UserError(f"input {i} has a third part that is not 0: a pair is [instruction, text] or with a 0 after it")
    return str(given[0]), str(given[1])


def _instruction(given: Any, default: str) -> str:
    if given is not None and not isinstance(given, str):
        raise UserError(f"the instruction is of type {type(given).__name__}, not a text (other options go by name)")
    return default if given is None else str(given)


def _tensor(array: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def load_encoder(
    model: str | Path,
    *,
    device: str = "auto",
    variant: str = "auto",
    batch_tokens: int | None = None,
    cache: str | Path | None = None,
    cache_size: int | None = DEFAULT_LIMIT,
    family: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    compiled: bool = False,
) -> LibraryEncoder:
    """Load a model from a folder, the hub (`org/name[@revision]`) or the embedded default (`minilm`).

    Args:
        model: As for `evaluate --model`.
        device: auto, cpu, cuda, cuda:1.
        variant: `form[+embedding][@dim]` as for `evaluate --variant`: `fp32`, `bf16+binary@256`. The form auto is bf16
            on a GPU, fp32 elsewhere.
        batch_tokens: Tokens in a batch, padding included; None: a default for the device.
        cache: Folder of a vector cache, made if it does not exist; none by default.
        cache_size: Bytes that this cache may have; None: no limit.
        family: instructor, prefix or plain, where the checkpoint's files do not show it.
        offline: Use the local hub cache only.
        trust_remote_code: Let the checkpoint run code of its own.
        compiled: Compile the forward pass.

    Raises:
        UserError: the model cannot be had or read, or an option cannot be used.
    """
    if family is not None and family not in FAMILIES:
        raise UserError(f"unknown family '{family}': give one of {', '.join(FAMILIES)}")
    if batch_tokens is not None and batch_tokens < 1:
        raise UserError(f"batch_tokens {batch_tokens} is not a whole number of at least 1")
    chosen = _variant(variant, device)
    stored = VectorCache(Path(cache), limit=cache_size, warn=_warn) if cache is not None else None
    if is_image_model(str(model)):
        images = read_image_model(str(model), family=family, offline=offline)
        images = dataclasses.replace(images, variant=str(chosen))
        images.check_form(compiled=compiled)
        return LibraryEncoder(ImageEngine(images, device=device, cache=stored), chosen)
    spec = ModelSpec.parse(str(model))
    checkpoint = locate(spec, offline=offline, known=[], family=family, with_code=trust_remote_code)
    return LibraryEncoder(
        Engine(
            dataclasses.replace(checkpoint, variant=str(chosen)),
            device=device,
            batch_tokens=batch_tokens,
            trust_remote_code=trust_remote_code,
            cache=stored,
            compiled=compiled,
        ),
        chosen,
    )


def _variant(text: str, device: str) -> Variant:
    chosen = Variant.parse(text, auto=default_variant(device))
    check_installed([chosen.form])
    check_device([chosen.form], pick_device(device))
    if chosen.embedding == "binary-rescore":
        raise UserError(
            f"variant '{text}': rescoring is a way of searching: embed documents with +binary, and queries without"
        )
    return chosen


def _warn(line: str) -> None:
    warnings.warn(line, RuntimeWarning, stacklevel=3)
