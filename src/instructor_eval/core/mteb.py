"""The one file that uses mteb's private names (`mteb._...`, attributes that start with `_`), read from mteb 2.26.24.

Everything else calls mteb's public names. When mteb changes, this file changes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

from instructor_eval.core.libraries import logs_are_shown

_UNSAID = ("reference", "date", "domains", "task_subtypes", "license", "annotations_creators", "dialect",
           "sample_creation", "bibtex_citation")  # fmt: skip
"""Fields of `TaskMetadata` that must be there, and may be None."""


def own_metadata(kind: str, *, name: str = "OwnTask", split: str = "test", main_score: str = "main") -> Any:
    """Return mteb's `TaskMetadata` of a task that mteb does not know.

    Args:
        kind: The task's type; one that mteb does not know is STS for it, which has no query and no document.
        name: Letters and digits.
        split: The scored split.
        main_score: mteb's name of its metric.
    """
    from mteb.abstasks.task_metadata import TaskMetadata, TaskType  # four seconds

    return TaskMetadata(
        name=name,
        description="A user's own task.",
        dataset={"path": "own/own", "revision": "local"},
        type=kind if kind in get_args(TaskType) else "STS",
        category="t2t",
        modalities=["text"],
        eval_splits=[split],
        eval_langs=["eng-Latn"],
        main_score=main_score,
        **dict.fromkeys(_UNSAID),
    )


@contextmanager
def quiet_mteb() -> Iterator[None]:
    """Silence progress bars, warnings and log lines of mteb and datasets; not with `-v`."""
    if logs_are_shown():
        yield
        return
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


_SAID = frozenset({"metadata", "min_score", "max_score", "column_names", "ignore_identical_ids", "fast_loading",
                   "abstask_prompt", "load_data", "dataset_transform", "_abc_impl", "input1_column_name",
                   "input2_column_name", "label_column_name", "input_column_name", "train_split", "samples_per_label",
                   "n_experiments"})  # fmt: skip
"""Attributes that a task's class may set: they are read of the object, or shape its data before it is scored."""


def scores_as(task: Any, base: str) -> bool:
    """Return whether a task of texts is scored by a class of `mteb.abstasks` as it stands, without a method of its own.

    Args:
        task: A task object.
        base: The name of the class.
    """
    from mteb import abstasks

    known, kinds = getattr(abstasks, base), type(task).__mro__
    if known not in kinds or list(task.metadata.modalities) != ["text"]:
        return False
    own = {name for kind in kinds[: kinds.index(known)] for name in vars(kind)}
    return not {name for name in own if not name.startswith("__")} - _SAID and not any(
        getattr(task, name, None) for name in ("input1_prompt_type", "input2_prompt_type", "skip_first_result")
    )


def known_tasks() -> dict[str, Any]:
    """Return the classes of all tasks of the installed mteb, by name."""
    from mteb.get_tasks import _TASKS_REGISTRY

    return dict(_TASKS_REGISTRY)


def query_texts(queries: Any, task_metadata: Any) -> list[str]:
    """Return the texts that mteb embeds for a data set of queries."""
    from mteb._create_dataloaders import create_dataloader
    from mteb.types import PromptType

    loader: Any = create_dataloader(queries, task_metadata=task_metadata, prompt_type=PromptType.query)
    return [str(text) for text in loader.dataset["text"]]


def choose_summarization_evaluator(task: Any, version: str) -> None:
    """Let mteb score summaries as in its version 1 (`v1`), or as in SummEvalSummarization.v2."""
    from mteb._evaluators.text.summarization_evaluator import (
        DeprecatedSummarizationEvaluator,
        SummarizationEvaluator,
    )

    task.evaluator = DeprecatedSummarizationEvaluator if version == "v1" else SummarizationEvaluator


def catch_predictions(task: Any, caught: dict[str, Any]) -> None:
    """Let mteb leave a task's predictions in `caught` instead of a file."""

    def catch(predictions: Any, *_args: Any, **_kwargs: Any) -> None:
        caught["predictions"] = predictions

    task._save_task_predictions = catch


def score_any_two_labels(task: Any) -> None:
    """Let mteb score two labels if neither is 1.

    For two labels it adds an average precision that takes 1 for the positive one, and fails without a 1: after
    `--limit`, or if the test split has labels that training did not. Then there is no such figure; the others do not
    depend on the labels' names.
    """
    original: Callable[..., dict[str, Any]] = task._calculate_scores

    def calculate(gold: Any, predicted: Any) -> dict[str, Any]:
        known = sorted(set(gold))
        if len(known) != 2 or 1 in known:
            return original(gold, predicted)
        number = {label: i for i, label in enumerate([*known, *sorted(set(predicted) - set(known))])}
        scores = original([number[x] for x in gold], [number[x] for x in predicted])
        return {**scores, "ap": None, "ap_weighted": None}

    task._calculate_scores = calculate


@contextmanager
def replaced_cosines(cosines: Callable[..., Any], paired_cosines: Callable[..., Any]) -> Iterator[None]:
    """Let mteb's evaluators of pairs and summaries use these functions for as long as the block runs.

    Args:
        cosines: Of vectors [n, dim] and [m, dim], the cosines [n, m].
        paired_cosines: Of vectors [n, dim] and [n, dim], the cosines [n].
    """
    from mteb._evaluators import any_sts_evaluator, pair_classification_evaluator
    from mteb._evaluators.text import summarization_evaluator

    def distances(a: Any, b: Any) -> Any:
        return 1 - paired_cosines(a, b)

    before = summarization_evaluator.cos_sim, pair_classification_evaluator.paired_cosine_distances
    summarization_evaluator.cos_sim = cosines
    for module in (any_sts_evaluator, pair_classification_evaluator):
        module.paired_cosine_distances = distances
    try:
        yield
    finally:
        summarization_evaluator.cos_sim = before[0]
        for module in (any_sts_evaluator, pair_classification_evaluator):
            module.paired_cosine_distances = before[1]


def one_cluster_evaluator() -> Any:
    """Return mteb's evaluator of clusterings with the clustering left out: it embeds, and puts all in one cluster."""
    from mteb._create_dataloaders import create_dataloader
    from mteb._evaluators import ClusteringEvaluator

    class OneCluster(ClusteringEvaluator):  # type: ignore[misc] # mteb is not typed here
        def __call__(self, model: Any, *, encode_kwargs: Any, num_proc: int | None = None) -> list[int]:
            inputs = create_dataloader(
                self.dataset,
                task_metadata=self.task_metadata,
                input_column=self.input_column_name,
                num_proc=num_proc,
                **encode_kwargs,
            )
            model.encode(inputs, hf_split=self.hf_split, hf_subset=self.hf_subset)
            return [0] * len(self.dataset)

    return OneCluster
