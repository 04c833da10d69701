"""The plain mean over sub-tasks (CQADupstackRetrieval over its 12 forums), whose scores are its items."""

from __future__ import annotations

from instructor_eval.metrics.metric import Metric

MEAN_OF_PARTS = Metric(
    "mean_of_parts",
    lambda items: float(sum(items["value"]) / len(items["value"])),
    unit="part",
    bounds=(-1.0, 1.0),
    columns=("value",),
    column="value",
    of_parts=True,
)
