"""Results of every type as a run files them, without a model."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from made_scores import score_of
from made_up import MIRRORS

from instructor_eval import metrics
from instructor_eval.analysis.check.check import check_results, check_score
from instructor_eval.core.values import Items
from instructor_eval.results.checksums import identity
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.protocol import relevant
from instructor_eval.tasks.task import Card, Outcome

Result = tuple[Score, Items]
DEMO = ("DemoRetrieval", "DemoSTS", "DemoBillboard", "DemoPrompts")
QUICK = [n for n in MIRRORS if n not in ("EmotionClassification", "AmazonCounterfactualClassification")]
ASK = "AskUbuntuDupQuestions"
FORUMS = shipped_cards()["CQADupstackRetrieval"].parts


def filed(card: Card, outcome: Outcome, *, limit: int | None = None, protocol: dict[str, str], key: str = "k") -> Score:
    """The score that a run would file."""
    return score_of(
        identity=identity({"task": card.name, "limit": limit, "protocol": protocol}),
        status="ok",
        task=card.name,
        benchmark=card.benchmark,
        type=card.type,
        model={"name": "fake/encoder", "family": "plain", "fingerprint": "f" * 16, "variant": "fp32"},
        instructions={"set": "paper", "roles": {}},
        metric=outcome.metric,
        score=outcome.score,
        metrics=dict(outcome.metrics),
        n_items=len(outcome.items["id"]),
        items_file="beside",
        data={"key": key, "hash": identity({"gold": outcome.gold_hash})},
        protocol=relevant(protocol, card.type, card.name),
        limit=limit,
        counts={"texts": 10, "unique": 8, "hits": 3, "tokens": 99},
        created="2026-01-01T00:00:00+00:00",
    )


def stored(root: Path, *results: Result) -> list[Path]:
    """File results; the paths of their JSON files."""
    store = Store(root)
    return [store.path(store.write(score, items)) for score, items in results]


def errors(root: Path) -> list[str]:
    """Everything that is found in a results folder."""
    return [text for checked in check_results(root) for text in checked.errors]


def of(real: Mapping[str, Result], label: str) -> Result:
    if label != "one":
        score, items = copy.deepcopy(real[label])
    else:  # the queries with one relevant document
        score, items = copy.deepcopy(real["DemoRetrieval"])
        places = [i for i, n in enumerate(items["relevant"]) if n == 1]
        items = {name: [values[i] for i in places] for name, values in items.items()}
        score = dataclasses.replace(score, n_items=len(places), score=metrics.compute(score.metric, items), metrics={})
    # The first item is one with a right answer, where that matters.
    if score.task == "DemoPrompts":
        items = {name: sorted_by(values, items["correct"]) for name, values in items.items()}
    if score.task == "DemoRetrieval":
        items = {name: sorted_by(values, items["precision_at_1"]) for name, values in items.items()}
    assert check_score(score, items) == []
    return score, items


def sorted_by(values: list[Any], key: list[float]) -> list[Any]:
    return [v for _, v in sorted(zip(key, values, strict=True), key=lambda pair: -pair[0])]
