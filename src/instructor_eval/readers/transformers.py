"""The reader `hf:<model>`: any causal language model of transformers, from a folder or the hub."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import OutOfMemory, UserError
from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.core.paths import file_sha256
from instructor_eval.models.device import pick_device
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.model_files import check, find, ids_of, read_json, tokenizer_files
from instructor_eval.readers.tokens import Asked, Tokens, cut

if TYPE_CHECKING:
    from instructor_eval.readers.language_model import LanguageModel

FINGERPRINT_VERSION = 1
# Names of the maximum number of tokens in configurations.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")


class HfReader:
    """A reader with transformers. Its files are found at once, its weights loaded for the first question.

    Args:
        spec: A local folder, or a hub id `org/name[@revision]`.
        device: auto, cpu, cuda, cuda:1.
        dtype: float32, bfloat16, float16, or auto: bfloat16 on a GPU, float32 elsewhere.
        batch_tokens: Tokens in a batch, padding included; None: a default for the device.
        offline: Never use the network.

    Raises:
        UserError: there is no such model, it is not a causal language model, or a file is missing.
    """

    is_cheap = False

    def __init__(
        self,
        spec: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        offline: bool = False,
    ) -> None:
        self.name = f"hf:{spec}"
        if dtype not in DTYPES:
            raise UserError(f"reader {self.name}: unknown dtype '{dtype}': give one of {', '.join(DTYPES)}")
        if batch_tokens is not None and batch_tokens < 1:
            raise UserError(f"reader {self.name}: batch_tokens {batch_tokens} is not a whole number of at least 1")
        self._folder, self.revision = find(spec, self.name, offline=offline)
        self._weights = check(self._folder, self.name)
        self._wanted_device, self._wanted_dtype, self._batch_tokens = device, dtype, batch_tokens
        self._model: LanguageModel | None = None

    @cached_property
    def dtype(self) -> str:
        """The numeric form of the weights."""
        if self._wanted_dtype != "auto":
            return self._wanted_dtype
        return "float32" if pick_device(self._wanted_device) == "cpu" else "bfloat16"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and tokenizer by content, of end tokens, and of the numeric form."""
        parts = {
            "version": FINGERPRINT_VERSION,
            "weights": [[path.name, file_sha256(path)] for path in self._weights],
            "config": file_sha256(self._folder / "config.json"),
            "tokenizer": [[path.name, file_sha256(path)] for path in tokenizer_files(self._folder)],
            "eos": self._eos,
            "dtype": self.dtype,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Return name, revision, fingerprint and numeric form."""
        return {
            "name": self.name,
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "dtype": self.dtype,
        }

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Yield answers: questions with options before the others, and the longest first.

        Raises:
            UserError: the model cannot be loaded, a question cannot be read or is too long or does not fit into memory,
                or a loss is not a finite number.
        """
        if not questions:
            return
        config = self._config
        eos = self._eos or ids_of(getattr(config, "eos_token_id", None))
        first = next(iter([*ids_of(getattr(config, "bos_token_id", None)), *eos]), None)
        tokens = Tokens(self._folder, name=self.name, first=first)
        asked = [tokens.ask(place, question) for place, question in enumerate(questions)]
        self._check_lengths(asked, config)
        model = self._model = self._model or self._load(eos)
        self._check_ids(asked, model)
        for part in ([a for a in asked if a.rests], [a for a in asked if not a.rests]):
            yield from self._in_batches(part, tokens, model)

    def close(self) -> None:
        """Release the weights; the next question loads them again."""
        model, self._model = self._model, None
        if model is not None:
            model.close()

    @cached_property
    def _eos(self) -> list[int]:
        """The tokens that end a text, from the configuration of generation; empty without one."""
        path = self._folder / "generation_config.json"
        return ids_of(read_json(path, self.name).get("eos_token_id")) if path.exists() else []

    @cached_property
    def _config(self) -> Any:
        """The language model's configuration, with transformers' defaults for missing keys."""
        from transformers import AutoConfig  # the import of torch

        try:
            with quiet_transformers():
                # Without False, transformers would ask on the terminal.
                config = AutoConfig.from_pretrained(str(self._folder), local_files_only=True, trust_remote_code=False)
                return config.get_text_config(decoder=True)
        except Exception as e:  # of many types, for a configuration that transformers cannot read
            if "trust_remote_code" in str(e):
                raise UserError(f"reader {self.name} needs code of its own, never run here: use another reader") from e
            raise UserError(
                f"reader {self.name}: transformers cannot use its config.json ({str(e)[:200]}): use another reader"
            ) from e

    def _load(self, eos: list[int]) -> LanguageModel:
        from instructor_eval.readers.language_model import LanguageModel

        device = pick_device(self._wanted_device)
        return LanguageModel(
            self._folder, name=self.name, device=device, dtype=self.dtype, eos=eos, budget=self._batch_tokens
        )

    def _check_lengths(self, asked: Sequence[Asked], config: Any) -> None:
        positions = next((n for key in _POSITIONS if isinstance(n := getattr(config, key, None), int) and n > 0), None)
        longest = max(a.need for a in asked)
        if positions is not None and longest > positions:
            raise UserError(
                f"reader {self.name} reads {positions:,} tokens and the longest question needs {longest:,}, "
                f"{longest - positions:,} too many: use another reader, or a smaller `budget` in the card's options"
            )

    def _check_ids(self, asked: Sequence[Asked], model: LanguageModel) -> None:
        largest = max(max(ids) for a in asked for ids in (a.prefix, *a.rests) if ids)
        if largest >= model.vocabulary:
            raise UserError(
                f"reader {self.name}: its tokenizer has token {largest:,} and its weights have {model.vocabulary:,}: "
                "the files do not belong together, use another reader"
            )

    def _in_batches(self, asked: Sequence[Asked], tokens: Tokens, model: LanguageModel) -> Iterator[tuple[int, Answer]]:
        todo = sorted(asked, key=lambda a: -a.need)
        while todo:
            size = max(1, model.budget // todo[0].need)
            if not (todo[0].rests or model.in_two_passes):
                size = 1  # padding in front could change its output
            batch = todo[:size]
            answers = self._answers(batch, tokens, model)
            if isinstance(answers, str):
                self._halve(batch, model, answers)
                continue
            todo = todo[size:]
            yield from zip([a.place for a in batch], answers, strict=True)

    def _answers(self, batch: Sequence[Asked], tokens: Tokens, model: LanguageModel) -> list[Answer] | str:
        """Return a batch's answers; if memory is full, the error as text, since an exception would hold that memory."""
        try:
            if not batch[0].rests:
                rows = model.generate(batch, tokens.text)
                return [Answer(cut(tokens.text(row), a.question.stop)) for a, row in zip(batch, rows, strict=True)]
            losses = model.losses(batch)
        except OutOfMemory as e:
            return str(e)
        if not all(math.isfinite(loss) for row in losses for loss in row):
            way = "use another reader" if self.dtype == "float32" else "use dtype float32"
            raise UserError(f"reader {self.name} gives a loss that is not finite in {self.dtype}: {way}")
        return [
            Answer(a.question.options[row.index(min(row))], tuple(row)) for a, row in zip(batch, losses, strict=True)
        ]

    def _halve(self, batch: Sequence[Asked], model: LanguageModel, error: str) -> None:
        """Lower the budget to half of the batch that did not fit, down to one text at a time."""
        model.free()
        need = batch[0].need
        tried = min(model.budget, need * sum(max(1, len(a.rests)) for a in batch))
        if tried <= need:
            raise UserError(
                f"reader {self.name}: {model.device} has too little memory for one text of {need:,} tokens "
                f"({error[:100]}): use another device, a smaller reader, or a smaller `budget` in the card's options"
            )
        model.budget = max(need, tried // 2)


DTYPES = ("auto", "float32", "bfloat16", "float16")
