"""A causal language model: token ids in, losses or further token ids out.

The tokens that a question's options share are read once; the rest of each option is read with copies of the shared
tokens' keys and values.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, GenerationConfig, StoppingCriteriaList
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from instructor_eval.core.errors import OutOfMemory, UserError
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.models.pending import memory_errors, use_cores
from instructor_eval.readers.tokens import Asked, cut

DEFAULT_BATCH_TOKENS = {"cpu": 4096, "gpu": 32768}


class LanguageModel:
    """A checkpoint on a device, in evaluation mode.

    Args:
        folder: The checkpoint.
        name: The model's name in errors.
        device: cpu, cuda, cuda:1.
        dtype: float32, bfloat16, float16.
        eos: The tokens that end a generated text.
        budget: Tokens in memory at once, padding included; None: a default for the device.

    Raises:
        UserError: it cannot be loaded, does not fit the device, or is not causal.
    """

    def __init__(
        self, folder: Path, *, name: str, device: str, dtype: str, eos: Sequence[int], budget: int | None
    ) -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            use_cores()
        self.budget = budget or DEFAULT_BATCH_TOKENS["cpu" if self.device.type == "cpu" else "gpu"]
        with quiet_transformers():
            self.model = _load(folder, name, device=device, dtype=dtype)
        # The checkpoint's own may use sampling or penalties, but an answer is the likeliest text.
        self.model.generation_config = GenerationConfig()
        self.eos = list(eos)
        self.vocabulary = int(self.model.get_input_embeddings().weight.shape[0])
        self._takes = inspect.signature(self.model.forward).parameters
        self.in_two_passes = self._probe(name)
        """True if a text can be read in two passes, and beside longer ones."""

    @torch.inference_mode()
    def losses(self, batch: Sequence[Asked]) -> list[list[float]]:
        """Return for each question and option the mean negative log-likelihood of the option's tokens.

        Args:
            batch: Questions with options.

        Raises:
            OutOfMemory: the batch is too large for the device.
        """
        with quiet_transformers(), memory_errors():
            found: list[list[Tensor]] = [[] for _ in batch]
            two = [i for i, asked in enumerate(batch) if self.in_two_passes and asked.prefix]
            one = sorted(set(range(len(batch))) - set(two))
            for numbers, read in ((two, self._read_in_two_passes), (one, self._read_whole)):
                if numbers:
                    for i, values in zip(numbers, read([batch[i] for i in numbers]), strict=True):
                        found[i] = values
            # One transfer for all: each waits for the device.
            every = iter(torch.cat([value for values in found for value in values]).tolist())
        return [[_mean(list(islice(every, len(value)))) for value in values] for values in found]

    @torch.inference_mode()
    def generate(self, batch: Sequence[Asked], text: Callable[[list[int]], str]) -> list[list[int]]:
        """Return for each question the tokens that follow its prompt, each the likeliest.

        Args:
            batch: Questions without options.
            text: Turns tokens into text; a stop in it ends the answer.

        Raises:
            OutOfMemory: the batch is too large for the device.
        """
        with quiet_transformers(), memory_errors():
            ids, mask = self._padded([asked.prefix for asked in batch], left=True)
            ends = _Ends(batch, ids.shape[1], self.eos, text)
            settings = GenerationConfig(
                do_sample=False,
                num_beams=1,
                max_new_tokens=max(1, *(asked.question.max_tokens for asked in batch)),
                eos_token_id=self.eos or None,
                pad_token_id=self.eos[0] if self.eos else 0,
            )
            given = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([ends]),
            )
            rows: list[list[int]] = given[:, ids.shape[1] :].tolist()
        return [row[:end] for row, end in zip(rows, ends.ends, strict=True)]

    def close(self) -> None:
        """Release the weights; nothing can be read after it."""
        self.model = None
        self.free()

    def free(self) -> None:
        """Give memory back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _probe(self, name: str) -> bool:
        """Return whether texts can be read in two passes, tested with two texts that differ in their last token."""
        with torch.inference_mode(), quiet_transformers():
            ids = torch.tensor([[0, 0], [0, self.vocabulary - 1]], device=self.device)
            out = self._read(ids, torch.ones_like(ids), use_cache=True)
        first, second = out.logits[:, 0].float()
        if not torch.allclose(first, second, rtol=1e-2, atol=1e-2, equal_nan=True):
            raise UserError(
                f"reader {name} is not a causal language model (its output at a token changes with later tokens): "
                "use another reader"
            )
        cache = getattr(out, "past_key_values", None)
        kinds = {type(layer) for layer in cache.layers} if cache is not None and type(cache) is DynamicCache else set()
        # With other kinds of state, or without position ids, padding in front may change its output.
        return (
            {"attention_mask", "position_ids", "past_key_values"} <= set(self._takes)
            and bool(kinds)
            and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        )

    def _read_whole(self, batch: Sequence[Asked]) -> list[list[Tensor]]:
        """Return losses of each option's tokens, every text in one pass; padding follows, where no token sees it."""
        texts = [([*asked.prefix, *rest], i, j) for i, asked in enumerate(batch) for j, rest in enumerate(asked.rests)]
        found = [[torch.empty(0)] * len(asked.rests) for asked in batch]
        for part in _parts(texts, 0, self.budget):
            ids, mask = self._padded([text[:-1] for text, _, _ in part])
            firsts = [len(batch[i].prefix) + batch[i].starts[j] for _, i, j in part]
            before = min(firsts) - 1  # positions before any option
            logits = self._read(ids, mask, keep=ids.shape[1] - before, use_cache=False).logits
            for row, (text, i, j), first in zip(logits, part, firsts, strict=True):
                found[i][j] = _token_losses(row[first - 1 - before : len(text) - 1 - before], text[first:])
        return found

    def _read_in_two_passes(self, batch: Sequence[Asked]) -> list[list[Tensor]]:
        """Return losses of each option's tokens, read in two passes: shared prefixes first, then the rests."""
        ids, mask = self._padded([asked.prefix for asked in batch], left=True)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        out = self._read(ids, mask, keep=1, position_ids=positions, use_cache=True)
        found = []
        for asked, last in zip(batch, out.logits[:, -1], strict=True):
            losses = _token_losses(last.expand(len(asked.rests), -1), [rest[0] for rest in asked.rests])
            found.append([losses[j : j + (start == 0)] for j, start in enumerate(asked.starts)])
        prefixes = out.past_key_values
        del out, last, ids, positions
        rests = [(r, i, j) for i, asked in enumerate(batch) for j, r in enumerate(asked.rests) if len(r) > 1]
        for part in _parts(rests, mask.shape[1], self.budget):
            rows = torch.tensor([i for _, i, _ in part], device=self.device)
            ids, rest_mask = self._padded([rest[:-1] for rest, _, _ in part])
            logits = self._read(
                ids,
                torch.cat([mask[rows], rest_mask], dim=1),
                position_ids=mask[rows].sum(1, keepdim=True) + torch.arange(ids.shape[1], device=self.device),
                past_key_values=_rows_of(prefixes, rows),
                use_cache=True,
            ).logits
            for row, (rest, i, j) in zip(logits, part, strict=True):
                first = max(batch[i].starts[j], 1)
                losses = _token_losses(row[first - 1 : len(rest) - 1], rest[first:])
                found[i][j] = torch.cat([found[i][j], losses])
        return found

    def _read(self, ids: Tensor, mask: Tensor, *, keep: int | None = None, **more: Any) -> Any:
        """Return the model's output, with the logits of the last `keep` positions, or of all."""
        asks = {"input_ids": ids, "attention_mask": mask, "logits_to_keep": keep or 0} | more
        out = self.model(**{name: value for name, value in asks.items() if name in self._takes})
        if keep is not None:
            out.logits = out.logits[:, -keep:]
        return out

    def _padded(self, rows: Sequence[Sequence[int]], *, left: bool = False) -> tuple[Tensor, Tensor]:
        """Pad rows: token ids and attention mask [rows, longest]."""
        width = max(map(len, rows))
        ids, mask = [], []
        for row in rows:
            padding = [0] * (width - len(row))
            attended = [1] * len(row)
            ids.append([*padding, *row] if left else [*row, *padding])
            mask.append(padding + attended if left else attended + padding)
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)


def _load(folder: Path, name: str, *, device: str, dtype: str) -> Any:
    """Load a folder's model on a device, in evaluation mode.

    Raises:
        UserError: it cannot be loaded, lacks weights, or does not fit the device.
    """
    try:
        with memory_errors():
            return (
                _from_files(folder, name, getattr(torch, dtype)).to(device).eval().requires_grad_(requires_grad=False)
            )
    except OutOfMemory as e:
        raise UserError(
            f"reader {name} does not fit {device} in {dtype} ({str(e)[:100]}): use another device, or a smaller reader"
        ) from e


def _from_files(folder: Path, name: str, dtype: torch.dtype) -> Any:
    try:
        with memory_errors():
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except OutOfMemory:
        raise
    except Exception as e:  # of many types, for a checkpoint that transformers cannot read
        raise UserError(
            f"reader {name} cannot be loaded ({type(e).__name__}: {str(e)[:300]}): use another reader"
        ) from e
    missing, wrong = sorted(info["missing_keys"]), sorted(str(k[0]) for k in info.get("mismatched_keys", ()))
    if missing or wrong:
        what = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
        raise UserError(
            f"reader {name} {what} ({len(missing) + len(wrong)} such weights): "
            "this is not a whole language model, use another reader"
        )
    return model


class _Ends:
    """The end of each generated text: before an end token, with a token that completes a stop, or at its length.

    `generate` calls it after every token to see which rows are done.
    """

    def __init__(self, batch: Sequence[Asked], width: int, eos: list[int], text: Callable[[list[int]], str]) -> None:
        self.questions = [asked.question for asked in batch]
        self.width = width
        self.eos = eos
        self.text = text
        self.ends: list[int | None] = [None] * len(batch)

    def __call__(self, ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Return which rows are done: bool [rows]."""
        for i, row in enumerate(ids[:, self.width :].tolist()):
            if self.ends[i] is None:
                self.ends[i] = self._end(i, row)
        return torch.tensor([end is not None for end in self.ends], device=ids.device)

    def _end(self, i: int, row: list[int]) -> int | None:
        question = self.questions[i]
        if row[-1] in self.eos:
            return len(row) - 1
        if len(row) >= question.max_tokens or (question.stop and cut(text := self.text(row), question.stop) != text):
            return min(len(row), question.max_tokens)
        return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _token_losses(logits: Tensor, ids: list[int]) -> Tensor:
    """Return -log p of each of `ids`: float32 [n], from the logits [n, vocabulary] at the positions before them."""
    return functional.cross_entropy(logits.float(), torch.tensor(ids, device=logits.device), reduction="none")


def _parts(
    texts: list[tuple[list[int], int, int]], before: int, budget: int
) -> Iterator[list[tuple[list[int], int, int]]]:
    """Yield parts of `texts`, longest first, that fit the budget with `before` tokens in front of each."""
    texts = sorted(texts, key=lambda text: -len(text[0]))
    while texts:
        size = max(1, budget // (before + len(texts[0][0])))
        yield texts[:size]
        texts = texts[size:]


def _rows_of(cache: Any, rows: Tensor) -> Any:
    """Return a cache with these rows of `cache`, which does not change: its layers replace their tensors."""
    part = copy.copy(cache)
    part.layers = [copy.copy(layer) for layer in cache.layers]
    part.batch_select_indices(rows)
    return part
