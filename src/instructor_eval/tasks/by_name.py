"""Cards of mteb's own tasks of pictures: `--task mteb:NAME`, for whatever the installed mteb has."""

from __future__ import annotations

from typing import Any

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.libraries import folder_of, require
from instructor_eval.core.mteb import known_tasks, quiet_mteb
from instructor_eval.core.values import Template
from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card

PREFIX = "mteb:"
BENCHMARK = "mteb-pictures"
RETRIEVAL, ZERO_SHOT = "ImageTextRetrieval", "ZeroShotClassification"
_SEARCHES = ("Any2AnyRetrieval", "Retrieval", "DocumentUnderstanding")
"""mteb's types that are retrieval."""
_CATEGORIES = ("t2i", "i2t")
"""mteb's letters for queries and documents: of texts and pictures."""
_LONGEST = 100
"""Characters of a name that is looked for among mteb's files."""
_WORK = f"types that work by name are {', '.join(_SEARCHES)} of {', '.join(_CATEGORIES)}, and {ZERO_SHOT} of pictures"


def is_by_name(task: str) -> bool:
    """Return whether a `--task` names a task of mteb."""
    return task.startswith(PREFIX)


def hint_of(task: str) -> str:
    """Return the end of an error about an unknown task: that mteb has it; empty if not. mteb is not imported."""
    package = folder_of("mteb")
    if package is None or len(task) > _LONGEST or not task.replace("-", "_").replace(".", "_").isidentifier():
        return ""
    there = any((package / "descriptive_stats" / "Image").glob(f"*/{task}.json"))
    return f": mteb has it, as --task {PREFIX}{task}" if there else ""


def card_of(task: str) -> Card:
    """Return the card of a task that mteb knows, by its metadata.

    Raises:
        UserError: mteb is missing, or has no such task, or it is of a type or modality that is not run here.
    """
    require(["mteb", "datasets"], "run", f"--task {task[:100]}")
    name = task.removeprefix(PREFIX)
    with quiet_mteb():
        known = known_tasks()
    if name not in known:
        raise UserError(f"mteb has no task '{name[:100]}'{did_you_mean(name, known) or ': ' + _WORK}")
    metadata = known[name].metadata
    kind = _kind(name, known[name], metadata)
    subsets = list(metadata.hf_subsets)
    if len(subsets) != 1:
        some = ", ".join(subsets)[:80]
        raise UserError(f"mteb:{name} has {len(subsets)} subsets ({some}): only tasks of one are run by name")
    type_ = types.get(kind)
    metric, notes = metadata.main_score, []
    if metric not in type_.metrics:
        metric = type_.metrics[0]
        notes.append(f"mteb's main score is {str(metadata.main_score)[:40]}, which is not computed here: {metric}")
    return Card(
        name=name,
        benchmark=BENCHMARK,
        type=kind,
        metric=metric,
        split=metadata.eval_splits[0],
        subset=subsets[0],
        data_id=metadata.dataset["path"],
        data_revision=metadata.dataset["revision"],
        template=Template(roles=dict(type_.wording)),
        template_is_default=True,
        # Its labels are prompts already, and its captions are searched as they are.
        instructions={role: {"default": ""} for role in type_.wording},
        notes=tuple(notes),
        source=f"mteb's metadata of {name}",
    )


def _kind(name: str, task: Any, metadata: Any) -> str:
    """Return the name of our type of a task.

    Raises:
        UserError: there is none.
    """
    about = f"mteb:{name} is of type {metadata.type}, category {metadata.category}, of {', '.join(metadata.modalities)}"
    bases = {base.__name__ for base in task.__mro__}
    pictured = set(metadata.modalities) <= {"image", "text"} and "image" in metadata.modalities
    if pictured and "AbsTaskRetrieval" in bases:
        plain = not getattr(task, "skip_first_result", False)
        if plain and metadata.type in _SEARCHES and metadata.category in _CATEGORIES:
            return RETRIEVAL
    elif pictured and "AbsTaskZeroShotClassification" in bases and isinstance(task.input_column_name, str):
        return ZERO_SHOT
    raise UserError(f"{about}: {_WORK}")
