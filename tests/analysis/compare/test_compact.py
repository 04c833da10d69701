from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_items import METRICS, make_items, whole_items

from instructor_eval import metrics
from instructor_eval.analysis.compare.compact import compact, from_parquet, to_parquet, top_hashes
from instructor_eval.analysis.statistics import contributions, difference, matching, randomise, resample
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.correlation import COSINE_SPEARMAN
from instructor_eval.metrics.pairs import average_precision


def stored(metric: str, items: Items) -> Items:
    return from_parquet(metric, to_parquet(compact(metric, items)))


@pytest.mark.parametrize("metric", METRICS)
def test_every_test_gives_the_same_answer_to_the_last_bit(metric: str) -> None:
    child, parent = whole_items(metric, 1), whole_items(metric, 2)
    small, base = stored(metric, child), stored(metric, parent)
    assert metrics.compute(metric, base) == pytest.approx(metrics.compute(metric, parent), abs=1e-12)
    if metric != "accuracy":  # its draws are not stored: their mean is, rounded otherwise
        assert metrics.compute(metric, base) == metrics.compute(metric, parent)
    expected = difference.paired(metric, child, parent, seed_text="x")
    for a, b in ((child, base), (small, parent), (small, base)):
        found = difference.paired(metric, a, b, seed_text="x")
        if metric != "accuracy":
            assert found == expected
        assert (found.se, found.n, found.df) == (expected.se, expected.n, expected.df)
        assert found.delta == pytest.approx(expected.delta, abs=1e-12)
        mine, theirs, _ = matching.matched(metric, a, b)
        whole = matching.matched(metric, child, parent)[:2]
        assert randomise.chance(metric, mine, theirs, seed_text="x") == (
            randomise.chance(metric, *whole, seed_text="x")
        )
    ids, added = contributions.contributions(metric, parent)
    names, again = contributions.contributions(metric, base)
    assert ids == names
    assert np.array_equal(added, again)


@pytest.mark.parametrize("metric", METRICS)
def test_compact_items_come_back_as_they_were(metric: str) -> None:
    items = whole_items(metric, 1)
    small = compact(metric, items)
    assert set(small) <= {*items, "top_hash"}
    assert not {"predictions", "top", "top_scores", "prompt_hash", "recall_at_100"} & set(small)
    assert stored(metric, items) == small
    assert compact(metric, small) == small
    assert to_parquet(small) == to_parquet(stored(metric, items))


def test_means_of_parts_are_stored() -> None:
    items: Items = {"id": ["A", "B"], "value": [0.25, 0.5]}
    assert stored("mean_of_parts", items) == items


FLOATS = st.floats(-1, 1).map(lambda v: round(v, 2)) | st.floats(-1, 1)


@given(st.lists(st.tuples(st.integers(0, 1), FLOATS, FLOATS), min_size=3, max_size=30))
def test_ranks_keep_order_and_ties(rows: list[tuple[int, float, float]]) -> None:
    labels, gold, values = (list(column) for column in zip(*rows, strict=True))
    if len(set(gold)) < 2 or len(set(values)) < 2:
        return
    ids = [str(i) for i in range(len(rows))]
    sts: Items = {"id": ids, "gold": gold, "cosine": values}
    ranked = stored("cosine_spearman", sts)
    assert ranked["gold"] == gold
    assert COSINE_SPEARMAN.compute(ranked).hex() == COSINE_SPEARMAN.compute(sts).hex()
    counts = np.random.default_rng(1).integers(0, 3, (len(rows), 5)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole, small = (resample.statistic(COSINE_SPEARMAN, items)(counts) for items in (sts, ranked))
    assert np.array_equal(whole, small, equal_nan=True)
    if any(labels):
        pairs = stored("cosine_ap", sts | {"gold": labels})
        assert pairs["gold"] == labels
        assert average_precision(labels, pairs["cosine"]).hex() == average_precision(labels, values).hex()


def test_similarities_ranked_as_the_cosine_are_stored_once() -> None:
    items = make_items("max_ap")
    items |= {"similarity": items["cosine"], "euclidean": [-v for v in items["cosine"]]}
    raw = to_parquet(compact("max_ap", items))
    import pyarrow as pa

    assert pq.read_table(pa.BufferReader(raw)).column_names == ["id", "gold", "cosine", "manhattan", "dot"]
    back = from_parquet("max_ap", raw)
    assert back == compact("max_ap", items)
    assert metrics.compute("max_ap", back) == metrics.compute("max_ap", items)


def test_top_hashes_of_whole_and_compact_items() -> None:
    items = whole_items("ndcg_at_10", 1)
    hashes = top_hashes(items)
    assert hashes is not None
    assert all(0 <= h < 2**32 for h in hashes)
    assert len(set(hashes)) == len(hashes)
    assert top_hashes(stored("ndcg_at_10", items)) == hashes
    changed = items | {"top": [["d1", "other"], *items["top"][1:]]}
    assert [a == b for a, b in zip(top_hashes(changed) or [], hashes, strict=True)] == [False] + [True] * 59
    assert top_hashes({"id": ["a"], "top": [["x", "y"]]}) != top_hashes({"id": ["a"], "top": [["y", "x"]]})
    assert top_hashes({"id": ["a"]}) is None
    assert "top_hash" not in compact("ndcg_at_10", {k: v for k, v in items.items() if k != "top"})


@pytest.mark.parametrize("column", ["gold", "cosine"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_values_that_are_none_are_refused(column: str, bad: Any) -> None:
    items = make_items("cosine_spearman")
    items[column][7] = bad
    with pytest.raises(UserError, match=f"no value here and there in {column}"):
        compact("cosine_spearman", items)


def test_unknown_metrics_and_missing_columns() -> None:
    with pytest.raises(UserError, match="unknown metric 'no_such_metric'"):
        compact("no_such_metric", {"id": []})
    with pytest.raises(UserError, match="the items hold no column 'cosine' for cosine_spearman"):
        compact("cosine_spearman", {"id": ["a"], "gold": [1.0]})


def test_files_are_small() -> None:
    """A few bytes an item: 10,000 queries, 10,000 pairs, 50,000 pairs of five similarities."""
    assert len(to_parquet(compact("ndcg_at_10", whole_items("ndcg_at_10", 1, 10_000)))) < 100_000
    assert len(to_parquet(compact("cosine_spearman", make_items("cosine_spearman", 10_000)))) < 50_000
    rng = np.random.default_rng(0)
    items = make_items("max_ap", 50_000) | {name: rng.random(50_000).tolist() for name in ("cosine", "manhattan")}
    assert len(to_parquet(compact("max_ap", items))) < 400_000
