"""mteb's metadata of a task that is none of its own: a dozen required fields, most of them about publications."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


def own_metadata(kind: str, *, name: str = "OwnTask", split: str = "test", main_score: str = "main") -> Any:
    """An mteb `TaskMetadata`.

    Args:
        kind: The task's type, by mteb's name.
        name: Letters and digits.
        split: The scored split.
        main_score: What mteb calls its metric.
    """
    from mteb.abstasks.task_metadata import TaskMetadata  # four seconds

    return TaskMetadata(
        name=name,
        description="A user's own task.",
        reference=None,
        dataset={"path": "own/own", "revision": "local"},
        type=kind,
        category="t2t",
        modalities=["text"],
        eval_splits=[split],
        eval_langs=["eng-Latn"],
        main_score=main_score,
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation=None,
    )


@contextmanager
def quiet_mteb() -> Iterator[None]:
    """No progress bars, warnings and log lines of mteb and datasets: their users are not ours."""
    import datasets
    from mteb._evaluators.text import summarization_evaluator  # its bar has no switch

    bar = summarization_evaluator.tqdm
    summarization_evaluator.tqdm = partial(bar, disable=True)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    loggers = [logging.getLogger(n) for n in ("mteb", "datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)  # what they log as an error they raise as well
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        summarization_evaluator.tqdm = bar
        if not bars:
            datasets.enable_progress_bars()
