from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from instructor_eval.metrics.correlation import (
    COSINE_PEARSON,
    COSINE_SPEARMAN,
    PEARSON,
    article_correlation,
    pearson,
    spearman,
)
from instructor_eval.metrics.summaries import SUMMEVAL_V1, SUMMEVAL_V2

# Few values, so that ties are the rule; at least two differ on both sides.
COLUMNS = (
    st.integers(3, 40)
    .flatmap(lambda n: st.tuples(*[st.lists(st.integers(-20, 20).map(lambda i: i / 8), min_size=n, max_size=n)] * 2))
    .filter(lambda xy: len(set(xy[0])) > 1 and len(set(xy[1])) > 1)
)


def by_hand(x: list[float], y: list[float]) -> float:
    """Pearson's r in exact sums."""
    mx, my = math.fsum(x) / len(x), math.fsum(y) / len(y)
    over = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return over / math.sqrt(math.fsum((a - mx) ** 2 for a in x) * math.fsum((b - my) ** 2 for b in y))


def ranks(values: list[float]) -> list[float]:
    """Ranks from 1, ties at their mean."""
    return [1 + sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


@given(COLUMNS)
def test_pearson(columns: tuple[list[float], list[float]]) -> None:
    gold, found = columns
    items = {"gold": gold, "cosine": found, "value": found}
    assert COSINE_PEARSON.compute(items) == pytest.approx(by_hand(gold, found), abs=1e-9)
    assert COSINE_PEARSON.compute(items) == float(pearsonr(gold, found)[0])
    assert PEARSON.compute(items) == pytest.approx(by_hand(gold, found), abs=1e-9)


@given(COLUMNS)
def test_spearman(columns: tuple[list[float], list[float]]) -> None:
    gold, found = columns
    rho = COSINE_SPEARMAN.compute({"gold": gold, "cosine": found})
    assert rho == pytest.approx(by_hand(ranks(gold), ranks(found)), abs=1e-9)
    assert rho == float(spearmanr(gold, found)[0])
    result = article_correlation(found, gold)
    assert result == tuple(float(v) for v in spearmanr(gold, found))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("n", [2, 3, 17, 1000, 20_001])
def test_both_are_scipys_to_the_last_bit(n: int, scale: float) -> None:
    random = np.random.default_rng(n)
    for _ in range(20 if n < 1000 else 3):
        gold = random.normal(size=n) * scale
        found = gold * random.normal() + random.normal(size=n) * scale
        assert pearson(gold, found) == float(pearsonr(gold, found)[0])
        assert spearman(gold, found) == float(spearmanr(gold, found)[0])


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_where_there_is_none(correlation: Callable[..., float]) -> None:
    for x, y in (([1.0], [2.0]), ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [0.3] * 3), ([], [])):
        assert math.isnan(correlation(x, y))
    assert math.isnan(correlation([1.0, math.nan, 2.0], [1.0, 2.0, 3.0]))


def test_metrics_are_computed_without_scipys_slow_module() -> None:
    program = (
        "import sys\nfrom instructor_eval import metrics\nfrom instructor_eval.metrics import correlation\n"
        "print('scipy' in sys.modules)\n"
        "items = {'gold': [1, 2, 3, 4], 'cosine': [1, 3, 2, 4], 'value': [1, 3, 2, 4]}\n"
        "for name in ('cosine_spearman', 'cosine_pearson', 'pearson'): metrics.compute(name, items)\n"
        "correlation.article_correlation([1, 2, 3], [1, 3, 2])\nprint('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_spearman_sees_only_the_order() -> None:
    assert COSINE_SPEARMAN.compute({"gold": [1, 2, 3, 4], "cosine": [0.1, 0.2, 0.9, 0.99]}) == pytest.approx(1)
    assert COSINE_SPEARMAN.compute({"gold": [1, 2, 3, 4], "cosine": [9.0, 5.0, 4.0, -7.0]}) == pytest.approx(-1)
    # 1 - 6 * sum(d^2) / (n (n^2 - 1)) where there are no ties
    assert COSINE_SPEARMAN.compute({"gold": [1, 2, 3, 4, 5], "cosine": [2, 1, 4, 3, 5]}) == pytest.approx(
        1 - 6 * 4 / 120
    )


def test_summeval_by_hand() -> None:
    items = {"rho": [0.5, -0.25, 0.0], "p": [0.125, 0.75, 1.0]}
    assert SUMMEVAL_V1.compute(items) == pytest.approx((0.5 + 0.125 - 0.25 + 0.75 + 0.0 + 1.0) / 6, abs=1e-15)
    assert SUMMEVAL_V2.compute(items) == pytest.approx(0.25 / 3, abs=1e-15)


def test_summeval_rows_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        SUMMEVAL_V1.compute({"rho": [0.5], "p": [0.5, 0.5]})


# The human scores of the real Billboard files. They hold no column of a published metric, so Pearson's r of those
# cannot be had again from them; the counts of the published figures can.

CENSUS = {"mscoco": (500, 5), "cnndm": (100, 18)}


def thumb_rows(hub: Path, name: str) -> list[dict]:
    path = hub / "datasets" / "billboard" / name / f"{name}_THumB-1.0.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.realdata
@pytest.mark.parametrize("name", CENSUS)
def test_the_real_files_are_those_of_the_published_figures(name: str, hub: Path, reference: Path) -> None:
    rows = thumb_rows(hub, name)
    segments, systems = CENSUS[name]
    assert len(rows) == segments * systems
    assert len({r["seg_id"] for r in rows}) == segments
    # The published figures of mscoco leave the human-written captions out, those of cnndm do not.
    counted = [r for r in rows if name != "mscoco" or r["SYS"] != "Human"]
    with (reference / "billboard_golden_pearson.csv").open(encoding="utf-8", newline="") as f:
        golden = [r for r in csv.DictReader(f) if r["dataset"] == name]
    assert golden
    for row in golden:
        assert (int(row["n_instances"]), int(row["n_systems"])) == (len(counted), len({r["SYS"] for r in counted}))


@pytest.mark.realdata
@pytest.mark.parametrize("name", CENSUS)
def test_the_correlation_on_real_human_scores(name: str, hub: Path) -> None:
    rows = thumb_rows(hub, name)
    gold = [float(r["human_score"]) for r in rows]
    value = [float(len(r["hyp"])) for r in rows]
    assert PEARSON.compute({"gold": gold, "value": value}) == pytest.approx(by_hand(gold, value), abs=1e-12)
