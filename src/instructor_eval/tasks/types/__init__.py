"""The task types, a class each: all that differs between types stands in the type's own file.

Reading commands import them: numpy, mteb and the like are imported inside methods.
"""

from __future__ import annotations

from instructor_eval.tasks.types.base import TaskType
from instructor_eval.tasks.types.classification import Classification
from instructor_eval.tasks.types.clustering import Clustering
from instructor_eval.tasks.types.image_text_retrieval import ImageTextRetrieval
from instructor_eval.tasks.types.pair_classification import PairClassification
from instructor_eval.tasks.types.prompt_retrieval import PromptRetrieval
from instructor_eval.tasks.types.reranking import Reranking
from instructor_eval.tasks.types.retrieval import Retrieval
from instructor_eval.tasks.types.sts import STS
from instructor_eval.tasks.types.summarization import Summarization
from instructor_eval.tasks.types.text_evaluation import TextEvaluation
from instructor_eval.tasks.types.zero_shot import ZeroShotClassification

TYPES: dict[str, TaskType] = {
    kind.name: kind
    for kind in (
        Retrieval(), Reranking(), Clustering(), PairClassification(), Classification(), STS(), Summarization(),
        TextEvaluation(), PromptRetrieval(), ImageTextRetrieval(), ZeroShotClassification(),
    )
}  # fmt: skip
"""By name, in the order of the paper's Table 2; those of pictures last."""

GENERAL_WORDING = {**Retrieval.wording, "text": ("text", "")}
"""Role -> wording, for a type that is not known."""

_UNKNOWN = TaskType()


def get(name: str) -> TaskType:
    """Return a type by its name; of a name that is not known (in a file from elsewhere), one that nothing concerns."""
    return TYPES.get(name, _UNKNOWN)


def own() -> tuple[str, ...]:
    """Return the names of the types that own tasks can have."""
    return tuple(name for name, kind in TYPES.items() if kind.may_be_own)
