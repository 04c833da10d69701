"""mteb's metadata of a task that is none of its own: a dozen required fields, most of them about publications."""

from __future__ import annotations

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
