"""The statistics filed with a score are those that its items give; each of them that differs is named."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_boards import FORUMS
from made_items import METRICS, make_items

from instructor_eval import metrics
from instructor_eval.analysis.check.check import check_results
from instructor_eval.analysis.check.statistics import of_items
from instructor_eval.analysis.statistics import resample
from instructor_eval.analysis.statistics.filed import measure, measure_whole, spread_of
from instructor_eval.analysis.statistics.spread import rounds
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

MakeScore = Callable[..., Score]


def made(make_score: MakeScore, metric: str, n: int, task: str = "Mine", seed: int = 1) -> tuple[Score, Items]:
    """A score with its statistics, as a run files it."""
    items = make_items(metric, n, seed)
    score = make_score(task, metrics.compute(metric, items), metric=metric, n_items=n, data={"hash": "abc"})
    return dataclasses.replace(score, statistics=measure(score, items)), items


@pytest.mark.parametrize(
    ("metric", "n"),
    [(metric, n) for metric in METRICS for n in (7, 300)]
    + [(metric, n) for metric in ("ndcg_at_10", "accuracy", "cosine_spearman") for n in (1, 2)],
)
def test_what_a_run_files_agrees(metric: str, n: int, make_score: MakeScore) -> None:
    assert list(of_items(*made(make_score, metric, n))) == []


def changed(score: Score, **fields: Any) -> Score:
    """The score with other statistics: `interval__low=0.1`."""
    statistics = score.statistics
    assert statistics is not None
    for name, value in fields.items():
        record, _, field = name.partition("__")
        new = dataclasses.replace(getattr(statistics, record), **{field: value}) if field else value
        statistics = dataclasses.replace(statistics, **{record: new})
    return dataclasses.replace(score, statistics=statistics)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("interval__low", lambda v: v + 1e-5),
        ("interval__high", lambda v: v - 1e-5),
        ("interval__high", lambda _: None),
        ("interval__se", lambda v: v * 1.001),
        ("interval__n", lambda v: v + 1),
        ("interval__method", lambda _: "t-test"),
        ("interval__weak", lambda v: not v),
        ("interval__df", lambda v: v - 1),
        ("interval__confidence", lambda _: 0.9),
        ("shape__low", lambda v: v - 0.1),
        ("shape__high", lambda v: v + 0.1),
        ("shape__counts", lambda v: (v[0] + 1, *v[1:-1], v[-1] - 1)),
        ("shape__counts", lambda v: v[:-1]),
        ("shape__median", lambda v: v + 1e-5),
        ("shape__worst", lambda v: ((v[0][0], v[0][1] + 1e-5), *v[1:])),
        ("shape__worst", lambda v: (("i999", v[0][1]), *v[1:])),
        ("shape__best", lambda v: v[:-1]),
        ("shape__is_mean", lambda v: not v),
        ("shape", lambda _: None),
        ("replicates", lambda v: v[4:]),
        ("replicates", lambda v: v[:8] + np.float32(0.5).tobytes() + v[12:]),
        ("replicates", lambda _: b""),
    ],
)
@pytest.mark.parametrize("metric", ["ndcg_at_10", "cosine_spearman", "rougeL_third_worst_group"])
def test_each_that_differs_is_named(
    name: str, change: Callable[[Any], Any], metric: str, make_score: MakeScore, tmp_path: Path
) -> None:
    score, items = made(make_score, metric, 60)
    record, _, field = name.partition("__")
    before = getattr(score.statistics, record)
    Store(tmp_path).write(changed(score, **{name: change(getattr(before, field) if field else before)}), items)
    [checked] = check_results(tmp_path)
    said = {"interval": "interval: ", "shape": "histogram: ", "replicates": "replicate"}[record]
    found = [text for text in checked.errors if said in text and field in text]
    assert found, checked.errors


def test_items_of_another_run_give_other_statistics(make_score: MakeScore) -> None:
    score, items = made(make_score, "accuracy", 200)
    other = make_items("accuracy", 200, seed=2)
    kinds = {text.partition(" ")[0] for text in of_items(score, items | {"value": other["value"]})}
    assert kinds >= {"interval:", "histogram:", "replicate"}


def test_few_replicates_are_drawn(make_score: MakeScore, monkeypatch: pytest.MonkeyPatch) -> None:
    score, items = made(make_score, "rougeL_third_worst_group", 3000)
    asked: list[int] = []
    draws = resample.draws
    monkeypatch.setattr(resample, "draws", lambda n, most, **kw: asked.append(most) or draws(n, most, **kw))
    assert list(of_items(score, items)) == []
    assert asked == [20]
    assert rounds(3000) == 1000


def whole(make_score: MakeScore, root: Path) -> tuple[list[Score], Score, Store]:
    """File a mean of parts and its parts; the parts, the whole, the store."""
    store, parts = Store(root), []
    for seed, name in enumerate(FORUMS):
        part, items = made(make_score, "ndcg_at_10", 30, name, seed)
        parts.append(dataclasses.replace(part, identity=f"{seed:016x}", type="Retrieval"))
        store.write(parts[-1], items)
    values: Items = {"id": list(FORUMS), "value": [part.score for part in parts]}
    score = make_score("CQADupstackRetrieval", metrics.compute("mean_of_parts", values), metric="mean_of_parts",
                       type="Retrieval", n_items=len(parts))  # fmt: skip
    spreads = [spread_of(part, part.statistics, replicates=True) for part in parts if part.statistics]
    score = dataclasses.replace(score, statistics=measure_whole(score, spreads, values))
    store.write(score, values)
    return parts, score, store


def about_statistics(root: Path) -> list[str]:
    return [text for checked in check_results(root) for text in checked.errors if "interval" in text or "hist" in text]


def test_those_of_a_whole_are_those_of_its_parts(make_score: MakeScore, tmp_path: Path) -> None:
    _, score, store = whole(make_score, tmp_path)
    assert about_statistics(tmp_path) == []
    assert score.statistics is not None
    store.write(changed(score, interval__se=0.5), store.items(score))
    [found] = about_statistics(tmp_path)
    assert found.startswith("interval: se is 0.5, the items give 0.0")


def test_a_whole_with_an_interval_that_a_part_lacks(make_score: MakeScore, tmp_path: Path) -> None:
    parts, _, store = whole(make_score, tmp_path)
    store.write(changed(parts[3], interval__se=None), store.items(parts[3]))
    assert "an interval is filed, and one of its parts has none" in about_statistics(tmp_path)
