"""`INSTRUCTOR`: InstructorEmbedding 1.0.1's class on current libraries, with that release's vectors.

It is a `torch.nn.Module` of sentence-transformers' modules, so that it can be moved, halved, saved and quantized as its
users do (`torch.quantization.quantize_dynamic`). Evaluation uses the engine instead, which is faster and has the same
vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import Access
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.library import pair_of
from instructor_eval.models.library_model import errors_in_one_line, loadable, loading_options
from instructor_eval.models.pooling import INSTRUCTOR as RULE
from instructor_eval.models.pooling import input_string, whole_characters

_MASKS = "context_masks"
"""The feature of a batch that says how many leading positions of each text pooling leaves out."""


class _Input(str):
    """One input as it is tokenised; `instruction` is the part of it that is not pooled."""

    __slots__ = ("instruction",)
    instruction: str

    def __new__(cls, instruction: str, text: str) -> _Input:
        made = super().__new__(cls, whole_characters(input_string(instruction, text, rule=RULE)))
        made.instruction = whole_characters(instruction.strip())
        return made

    def __reduce__(self) -> Any:
        return _remade, (str(self), self.instruction)


def _remade(string: str, instruction: str) -> _Input:
    """Return an input that another process sent."""
    made = str.__new__(_Input, string)
    made.instruction = instruction
    return made


class INSTRUCTOR(SentenceTransformer):  # type: ignore[misc] # it has no types here
    """INSTRUCTOR as its users call it: `INSTRUCTOR("hkunlp/instructor-large").encode([[instruction, text]])`.

    Args:
        model_name_or_path: A folder, a hub id (`org/name[@revision]`) or `minilm`.
        device: cpu, cuda, ...; None: a GPU if there is one.
        cache_folder: The folder of downloaded models; None: Hugging Face's.
        use_auth_token: A token for the hub, or None for the environment's.

    Raises:
        UserError: the model cannot be had or loaded.

    Source: InstructorEmbedding 1.0.1, class `INSTRUCTOR`.
    """

    def __init__(
        self,
        model_name_or_path: str | Path,
        device: str | None = None,
        cache_folder: str | Path | None = None,
        use_auth_token: str | bool | None = None,
    ) -> None:
        access = Access(cache_folder, use_auth_token)
        spec = ModelSpec.parse(str(model_name_or_path))
        found = locate(spec, offline=False, known=[], family="instructor", access=access)
        with errors_in_one_line(found.name, "cannot be loaded"), loadable(found.folder, with_code=False) as place:
            super().__init__(str(place), device=device, **loading_options(torch.float32, trust_remote_code=False))
        # transformers 5 builds another tokenizer than the folder's for T5: control characters have other tokens.
        self.tokenizer._tokenizer = found.tokenizer

    def get_sentence_embedding_dimension(self) -> int | None:
        """Return the length of a vector."""
        dimension: int | None = self.get_embedding_dimension()
        return dimension

    def tokenize(self, texts: Any, **options: Any) -> dict[str, Any]:
        """Return the features of one batch of texts, or of pairs [instruction, text]."""
        return self.preprocess(_inputs(texts)[0], **options)

    def preprocess(self, inputs: Any, prompt: str | None = None, **options: Any) -> dict[str, Any]:
        """Return the features of one batch; of pairs also how many of each one's positions pooling leaves out."""
        plain = [str(i) if isinstance(i, _Input) else whole_characters(i.strip()) for i in inputs]
        features: dict[str, Any] = super().preprocess(plain, prompt=prompt, **options)
        if plain and all(isinstance(i, _Input) for i in inputs):
            features[_MASKS] = self._skipped([i.instruction for i in inputs])
        return features

    def _skipped(self, instructions: Sequence[str]) -> torch.Tensor:
        """Return the tokens of each instruction without its closing one; a single token counts as none (1.0.1)."""
        different = list(dict.fromkeys(instructions))
        counts = super().preprocess(different)["attention_mask"].sum(dim=1) - 1
        by_text = dict(zip(different, torch.where(counts <= 1, 0, counts).tolist(), strict=True))
        return torch.tensor([by_text[text] for text in instructions])

    def forward(self, input: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Return the features with token and sentence vectors.

        Raises:
            UserError: an instruction has more tokens than it has together with its text.
        """
        skipped = input.get(_MASKS)
        if skipped is None:
            whole: dict[str, Any] = super().forward(input, **options)
            return whole
        first, *others = self
        features = first({name: value for name, value in input.items() if name != _MASKS}, **options)
        mask = features["attention_mask"]
        if bool((mask.sum(dim=1) < skipped).any()):
            raise UserError("an instruction's tokens merge with its text: end the instruction with a space")
        positions = torch.arange(mask.shape[1], device=mask.device)
        features["attention_mask"] = mask * (positions >= skipped.to(mask.device)[:, None])
        for module in others:
            features = module(features)
        return {**features, _MASKS: skipped}

    def encode(
        self,
        sentences: Any,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        **options: Any,
    ) -> Any:
        """Embed texts, or pairs [instruction, text]: float32 [n, dim]; a single text gives [dim].

        Args:
            sentences: Texts; or pairs, each under its own instruction (a third part that is 0 is left out).
            batch_size: Texts in a batch.
            show_progress_bar: Show a bar.
            output_value: `token_embeddings` gives a tensor [tokens, width] a text, None all features of each.
            convert_to_numpy: False gives a list of tensors.
            convert_to_tensor: Give one tensor.
            device: Move the model there first.
            normalize_embeddings: Scale every vector to length 1.
            options: sentence-transformers' further ones: `pool`, `truncate_dim`, `precision`, ...

        Raises:
            UserError: an input is neither a text nor a pair of texts.
        """
        inputs, single = _inputs(sentences)
        if not inputs and output_value == "sentence_embedding":
            empty = torch.zeros((0, self.get_sentence_embedding_dimension() or 0))
            return empty if convert_to_tensor else empty.numpy() if convert_to_numpy else []
        found = super().encode(
            inputs,
            batch_size=batch_size,
            show_progress_bar=bool(show_progress_bar),
            output_value=output_value,
            convert_to_numpy=convert_to_numpy,
            convert_to_tensor=convert_to_tensor,
            device=device,
            normalize_embeddings=normalize_embeddings,
            **options,
        )
        return found[0] if single else found


def _inputs(sentences: Any) -> tuple[list[str], bool]:
    """Return the inputs, and whether there was a single text."""
    if isinstance(sentences, np.ndarray):
        sentences = sentences.tolist()
    if isinstance(sentences, str):
        return [sentences], True
    if not isinstance(sentences, Iterable) or isinstance(sentences, bytes | dict | set):
        raise UserError(f"sentences of type {type(sentences).__name__}: give texts, or pairs [instruction, text]")
    given = list(sentences)
    if all(isinstance(i, str) for i in given):
        return given, False
    return [_Input(*pair_of(n, i)) for n, i in enumerate(given)], False
