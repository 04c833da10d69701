"""Options beside transformers' own training arguments. Light: no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.core.errors import UserError

MEDI = "medi-data.json"
"""The name of the authors' file."""
STOP, KEEP = ("never", "regressed"), ("last", "best")
_COUNTS = ("max_source_length", "gradient_cache", "dense_dim", "evaluate_steps", "evaluate_limit", "max_examples")
LAST = "last"
"""Resume from the last checkpoint of the output folder."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """A name is that of its flag; the first eleven are those of INSTRUCTOR's own train.py."""

    model_name_or_path: str
    output_dir: Path
    cache_dir: Path | None = None
    train_file: Path | None = None
    validation_file: Path | None = None
    max_source_length: int = 512
    cl_temperature: float = 0.01
    add_prompt_to_document: bool = True
    max_examples: int | None = None
    overwrite_output_dir: bool = False
    warmup_ratio: float = 0.0
    resume_from_checkpoint: str | None = None
    skip_bad_rows: bool = False
    gradient_cache: int | None = None
    dense_dim: int | None = None
    evaluate: Sequence[str] = ()
    evaluate_steps: int | None = None
    evaluate_limit: int | None = None
    best_task: str | None = None
    stop_if: str = "never"
    keep: str = "last"
    thresholds: Path | None = None
    instructions: Sequence[str] = ()
    results: Path = Path("results")
    hub: Path | None = None
    offline: bool = False

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            UserError: they do not.
        """
        if (self.train_file is None) == (self.cache_dir is None):
            raise UserError(f"give --train_file FILE, or --cache_dir DIR, the folder of {MEDI}, and not both")
        if self.cl_temperature <= 0:
            raise UserError(f"--cl_temperature {self.cl_temperature}: give a number above 0")
        if not 0 <= self.warmup_ratio < 1:
            raise UserError(f"--warmup_ratio {self.warmup_ratio}: give a share of all steps, from 0 to below 1")
        for flag in _COUNTS:
            value = getattr(self, flag)
            if value is not None and value < 1:
                raise UserError(f"--{flag} {value}: give a whole number of at least 1")
        for flag, path in (("train_file", self.file), ("validation_file", self.validation_file)):
            if path is not None and not path.exists():
                raise UserError(f"{path}: there is no such file of rows: give another --{flag}")
        self._check_evaluation()

    def _check_evaluation(self) -> None:
        for flag, known in (("stop_if", STOP), ("keep", KEEP)):
            if getattr(self, flag) not in known:
                raise UserError(f"--{flag} {getattr(self, flag)}: give one of {', '.join(known)}")
        for flag, given in (("stop_if", self.stop_if != STOP[0]), ("keep", self.keep != KEEP[0])):
            if given and not self.evaluate:
                raise UserError(f"--{flag} {getattr(self, flag)} needs --evaluate TASK, whose scores decide")
        if self.best_task is not None and self.best_task not in self.evaluate:
            raise UserError(f"--best_task {self.best_task}: it is none of --evaluate's tasks")

    @property
    def file(self) -> Path:
        """The file of training rows."""
        assert self.train_file is not None or self.cache_dir is not None
        return self.train_file or Path(self.cache_dir or ".", MEDI)
