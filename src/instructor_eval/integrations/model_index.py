"""The `model-index` of a model card on the hub: a row's scores, each with its literal instructions and versions."""

from __future__ import annotations

from typing import Any

import yaml

from instructor_eval.analysis.compare.side import Side
from instructor_eval.core.environment import VERSION
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import shipped_cards


def text(side: Side) -> str:
    """Return the YAML block for the head of a model's README.md; scores are times 100, as cards have them."""
    known = shipped_cards()
    own = [score for task, score in sorted(side.scores.items()) if task in side.values]
    name = own[0].model.name.rstrip("/").rpartition("/")[2] or "model"
    results = [_result(score, mteb=score.task in known and score.benchmark == "mteb") for score in own]
    return yaml.safe_dump(
        {"model-index": [{"name": name, "results": results}]}, sort_keys=False, allow_unicode=True, width=120
    )


def _result(score: Score, *, mteb: bool) -> dict[str, Any]:
    data = score.data
    dataset = {
        "type": data.id or score.task,
        "name": f"MTEB {score.task}" if mteb else score.task,
        "config": data.subset,
        "split": data.split,
        "revision": data.revision,
        "args": {"instructions": score.instructions.texts, "instruction_set": score.instructions.set},
    }
    interval = score.statistics.interval if score.statistics else None
    args: dict[str, Any] = {"variant": score.model.variant, "items": score.n_items, "versions": _versions(score)}
    if interval is not None and interval.low is not None and interval.high is not None:
        args["interval_95"] = [_points(interval.low), _points(interval.high)]
    metric = {"type": score.metric, "value": _points(score.score or 0.0), "args": args}
    return {
        "task": {"type": score.type},
        "dataset": {name: value for name, value in dataset.items() if value is not None},
        "metrics": [metric],
    }


def _versions(score: Score) -> dict[str, str]:
    """Return the libraries that the number depends on."""
    wanted = ("instructor-eval", "mteb", "torch", "transformers", "sentence-transformers", "tokenizers")
    versions = dict(score.environment.versions) or {"instructor-eval": VERSION}
    return {name: versions[name] for name in wanted if name in versions}


def _points(value: float) -> float:
    return round(100 * value, 5)
