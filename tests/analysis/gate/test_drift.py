"""The drift gate: exact where nothing changed, each limit on its own, and what is no drift at all."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_scores import edited

from instructor_eval import metrics
from instructor_eval.analysis.compare.compact import top_hashes
from instructor_eval.analysis.compare.side import Side
from instructor_eval.analysis.gate.drift import Drift, assess, compare_vectors
from instructor_eval.analysis.gate.limits import DriftLimits
from instructor_eval.analysis.gate.quality import NOT_COMPARABLE, OK, REGRESSED
from instructor_eval.core.values import Items
from instructor_eval.results.probe import Probe
from instructor_eval.results.score import Score

MakeScore = Callable[..., Score]
QUERIES = 200
RNG = np.random.default_rng(6)
VECTORS = RNG.normal(size=(32, 16)).astype(np.float32)
PROBE = Probe(
    "org/model", "main", "fp32", "a" * 16, "", 1, {"torch": "2.9"}, {"cores": 2, "gpu": None}, "2026", VECTORS
)


def retrieval_items() -> Items:
    values = [round(float(v), 5) for v in RNG.uniform(size=QUERIES)]
    return {
        "id": [f"q{i}" for i in range(QUERIES)],
        "ndcg_at_10": values,
        "relevant": [1] * QUERIES,
        "top": [[f"d{i}", *(f"e{j}" for j in range(11))] for i in range(QUERIES)],
        "top_scores": [[0.5] * 12] * QUERIES,
    }


def sts_items() -> Items:
    gold = [float(i % 6) for i in range(40)]
    return {"id": [f"p{i}" for i in range(40)], "gold": gold, "cosine": [g / 10 + i / 1000 for i, g in enumerate(gold)]}


RETRIEVAL, STS = retrieval_items(), sts_items()
Make = Callable[..., Side]


@pytest.fixture
def side(make_score: MakeScore) -> Make:
    """`side(items by task, what else a score says)`: scores agree with their items."""

    def make(items: dict[str, Items] | None = None, failed: dict[str, str] | None = None, **fields: Any) -> Side:
        items = {"SciFact": RETRIEVAL, "STSBenchmark": STS} if items is None else items
        kinds = {"SciFact": ("Retrieval", "ndcg_at_10"), "STSBenchmark": ("STS", "cosine_spearman")}
        scores = {}
        for task, own in items.items():
            kind, metric = kinds[task]
            scores[task] = make_score(
                task, metrics.compute(metric, own), type=kind, metric=metric, n_items=len(own["id"]), **fields
            )
        return Side("label", {t: s.score for t, s in scores.items()}, scores, lambda s: items[s.task], "", failed or {})

    return make


def moved(values: Probe, by: float) -> Probe:
    """Every vector turned by the angle whose 1 - cosine is `by`."""
    angle = np.arccos(1 - by)
    rows = values.vectors.astype(np.float64)
    other = np.roll(rows, 1, axis=1)
    other -= rows * (np.sum(other * rows, axis=1) / np.sum(rows * rows, axis=1))[:, None]
    other *= (np.linalg.norm(rows, axis=1) / np.linalg.norm(other, axis=1))[:, None]
    turned = np.cos(angle) * rows + np.sin(angle) * other
    return dataclasses.replace(values, vectors=turned.astype(np.float32))


def task(found: Drift, name: str) -> Any:
    [one] = [t for t in found.tasks if t.task == name]
    return one


# The same


def test_the_same_twice_is_exact(side: Make) -> None:
    found = assess(side(), side(), (PROBE, dataclasses.replace(PROBE, created="later")))
    assert found.verdict == OK
    assert found.exact
    assert found.vectors.cosine == 0.0
    assert [t.delta for t in found.tasks] == [0.0, 0.0]
    assert [(t.lists, t.lists_changed, t.items_changed) for t in found.tasks] == [(0, 0, 0), (QUERIES, 0, 0)]
    assert found.changes == found.notes == ()
    assert found.line == "drift: OK: exact: 32 vectors and every item of 2 tasks are the same"


def test_the_order_of_items_is_no_drift(side: Make) -> None:
    turned = {column: values[::-1] for column, values in RETRIEVAL.items()}
    found = assess(side({"SciFact": RETRIEVAL}), side({"SciFact": turned}), (PROBE, PROBE))
    assert found.exact, found


# The vectors


@pytest.mark.parametrize(
    ("by", "verdict"), [(1e-9, OK), (0.9e-4, OK), (1.1e-4, REGRESSED), (0.5, REGRESSED), (2.0, REGRESSED)]
)
def test_vectors_that_turn(by: float, verdict: str) -> None:
    found = compare_vectors(PROBE, moved(PROBE, by), 1e-4)
    assert found.verdict == verdict
    assert found.cosine == pytest.approx(by, rel=1e-2)
    assert not found.exact
    assert ("over" in found.message) == (verdict == REGRESSED)


def test_one_text_is_enough_and_is_named() -> None:
    vectors = VECTORS.copy()
    vectors[17] = moved(PROBE, 1e-3).vectors[17]
    found = compare_vectors(PROBE, dataclasses.replace(PROBE, vectors=vectors), 1e-4)
    assert (found.verdict, found.text) == (REGRESSED, 17)


def test_a_bit_is_seen_and_lets_pass() -> None:
    vectors = VECTORS.copy()
    vectors[0, 0] = np.nextafter(vectors[0, 0], np.float32(9))
    found = compare_vectors(PROBE, dataclasses.replace(PROBE, vectors=vectors), 1e-4)
    assert found.verdict == OK
    assert not found.exact
    assert found.cosine is not None
    assert 0 < found.cosine < 1e-13, "float32 arithmetic would give 0 or 1e-7"


def test_longer_vectors_are_not_turned_but_not_exact() -> None:
    found = compare_vectors(PROBE, dataclasses.replace(PROBE, vectors=VECTORS * np.float32(2)), 0.0)
    assert (found.verdict, found.cosine, found.exact) == (OK, 0.0, False)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (None, "the candidate has no probe of its vectors: run a task again with --no-cache"),
        (dataclasses.replace(PROBE, fingerprint="b" * 16), "another model or variant: that is a question of quality"),
        (dataclasses.replace(PROBE, instruction="I: "), "another instruction: that is a question of quality"),
        (dataclasses.replace(PROBE, sample_version=2), "another sample of texts"),
        (dataclasses.replace(PROBE, vectors=VECTORS[:8]), "another sample of texts"),
    ],
)
def test_probes_that_cannot_be_compared(other: Probe | None, message: str, side: Make) -> None:
    found = assess(side(), side(), (PROBE, other))
    assert found.verdict == found.vectors.verdict == NOT_COMPARABLE
    assert message in found.vectors.message
    assert [t.verdict for t in found.tasks] == [OK, OK], "what the items say stands beside it"
    assert "the baseline has no probe" in assess(side(), side(), (None, PROBE)).line


def test_what_has_changed_is_said(side: Make) -> None:
    now = dataclasses.replace(PROBE, versions={"torch": "2.10", "onnx": "1"}, machine={"cores": 2, "gpu": "H100"})
    found = assess(side(), side(), (PROBE, now))
    assert found.changes == ("torch 2.9 -> 2.10", "onnx (none) -> 1", "gpu (none) -> H100")
    assert found.verdict == OK


# The tasks


def with_scores(by: float) -> Items:
    """Every query's value moved by so much."""
    items = copy.deepcopy(RETRIEVAL)
    items["ndcg_at_10"] = [v + by for v in items["ndcg_at_10"]]
    return items


@pytest.mark.parametrize(
    ("by", "verdict"), [(0.0009, OK), (-0.001, OK), (0.001, OK), (0.0011, REGRESSED), (-0.0011, REGRESSED)]
)
def test_scores_that_move_either_way(by: float, verdict: str, side: Make) -> None:
    found = assess(side({"SciFact": RETRIEVAL}), side({"SciFact": with_scores(by)}), (PROBE, PROBE))
    [one] = found.tasks
    assert one.verdict == found.verdict == verdict
    assert one.delta == pytest.approx(by, abs=1.1e-5)  # the score is rounded to five places
    assert one.items_changed == one.items == QUERIES
    assert not found.exact
    if verdict == REGRESSED:
        assert found.line.startswith(f"drift: REGRESSED: SciFact: the score changed by {by:+.4f}")


def with_lists(changed: int, change: Callable[[list[str]], list[str]]) -> Items:
    items = copy.deepcopy(RETRIEVAL)
    items["top"] = [change(top) if i < changed else top for i, top in enumerate(items["top"])]
    return items


@pytest.mark.parametrize(("lists", "verdict"), [(1, OK), (2, OK), (3, REGRESSED)])
@pytest.mark.parametrize("change", [lambda t: [t[1], t[0], *t[2:]], lambda t: [*t[:9], "new", *t[10:]]])
def test_lists_that_change_in_order_or_members(
    lists: int, verdict: str, change: Callable[[list[str]], list[str]], side: Make
) -> None:
    found = assess(side({"SciFact": RETRIEVAL}), side({"SciFact": with_lists(lists, change)}), (PROBE, PROBE))
    [one] = found.tasks
    assert one.verdict == found.verdict == verdict
    assert (one.lists, one.lists_changed, one.top10) == (QUERIES, lists, lists / QUERIES)
    assert one.delta == one.items_changed == 0
    assert not found.exact


def test_below_the_tenth_place_nothing_counts(side: Make) -> None:
    found = assess(
        side({"SciFact": RETRIEVAL}),
        side({"SciFact": with_lists(QUERIES, lambda t: [*t[:10], "new", "other"])}),
        (PROBE, PROBE),
    )
    assert (found.verdict, found.tasks[0].lists_changed) == (OK, 0)


def test_a_compact_baseline_has_hashes_of_the_lists(side: Make) -> None:
    ten = RETRIEVAL | {"top": [top[:10] for top in RETRIEVAL["top"]]}
    compact = {k: v for k, v in RETRIEVAL.items() if not k.startswith("top")} | {"top_hash": top_hashes(ten)}
    now = with_lists(3, lambda t: t[::-1])
    found = assess(side({"SciFact": compact}), side({"SciFact": now}), (PROBE, PROBE))
    assert (found.verdict, found.tasks[0].lists_changed) == (REGRESSED, 3)
    assert assess(side({"SciFact": compact}), side({"SciFact": RETRIEVAL}), (PROBE, PROBE)).exact
    assert assess(side({"SciFact": compact}), side({"SciFact": compact}), (PROBE, PROBE)).tasks[0].lists == QUERIES


def test_equal_ranks_are_no_change_but_not_exact(side: Make) -> None:
    now = STS | {"cosine": [c + 1e-7 for c in STS["cosine"]]}
    found = assess(side({"STSBenchmark": STS}), side({"STSBenchmark": now}), (PROBE, PROBE))
    [one] = found.tasks
    assert (one.verdict, one.delta, one.items_changed, one.exact) == (OK, 0.0, 0, False)
    assert (one.lists, one.top10) == (0, None)
    assert found.line == ("drift: OK: largest 1 - cosine 0, 0 of 0 top-10 lists changed, largest change of a score 0")


def test_limits_are_given(side: Make) -> None:
    sides = side({"SciFact": RETRIEVAL}), side({"SciFact": with_scores(0.01)})
    assert assess(*sides, (PROBE, PROBE), DriftLimits(score=0.02)).verdict == OK
    assert assess(*sides, (PROBE, moved(PROBE, 1e-3)), DriftLimits(cosine=1e-2, score=0.02)).verdict == OK
    swapped = side({"SciFact": with_lists(100, lambda t: t[::-1])})
    assert assess(sides[0], swapped, (PROBE, PROBE), DriftLimits(top10=0.5)).verdict == OK


# What is no drift


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fingerprint": "b" * 16}, "another model or variant: that is a question of quality"),
        (
            {"instructions": {"set": "none", "roles": {"text": {"text": "I: "}}}},
            "other instruction texts: that is a question of quality",
        ),
        ({"data": {"hash": "other"}}, "other data"),
        ({"protocol": {"empty_text": "error"}}, "other protocol"),
        ({"limit": 10}, "other limit"),
    ],
)
def test_another_thing_is_no_drift(fields: dict[str, Any], message: str, side: Make, make_score: MakeScore) -> None:
    before = side({"SciFact": RETRIEVAL}, data={"hash": "one"})
    now = side({"SciFact": with_scores(0.5)}, **({"data": {"hash": "one"}} | {
        k: v for k, v in fields.items() if k not in ("instructions",)
    }))  # fmt: skip
    if "instructions" in fields:
        now.scores["SciFact"] = edited(now.scores["SciFact"], instructions=fields["instructions"])
    found = assess(before, now, (PROBE, PROBE))
    assert found.verdict == NOT_COMPARABLE
    assert message in found.tasks[0].message
    assert "SciFact" in found.line


def test_what_one_side_has_alone_or_failed_at(side: Make) -> None:
    found = assess(side(), side({"SciFact": RETRIEVAL}), (PROBE, PROBE))
    assert found.verdict == NOT_COMPARABLE
    assert task(found, "STSBenchmark").message == "the candidate does not have it"
    assert task(found, "SciFact").verdict == OK
    found = assess(side(), side({"SciFact": RETRIEVAL}, failed={"STSBenchmark": "out of memory"}), (PROBE, PROBE))
    assert task(found, "STSBenchmark").message == "it failed in the candidate: out of memory"
    published = dataclasses.replace(side(), scores={}, read=None)
    assert "published score only" in assess(published, side(), (None, PROBE)).tasks[0].message
    assert assess(side({}), side({}), (PROBE, PROBE)).verdict == NOT_COMPARABLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["id"].__setitem__(0, "other"), "other items"),
        (lambda i: i["id"].__setitem__(0, i["id"][1]), "come twice"),
        (lambda i: i["relevant"].__setitem__(0, 9), "other gold values"),
        (lambda i: i["ndcg_at_10"].__setitem__(0, float("nan")), "NaN"),
        (lambda i: i["ndcg_at_10"].__setitem__(0, 40.0), "the file was changed"),
        (lambda i: i["top"].pop(), "not whole"),
        (lambda i: i.pop("ndcg_at_10"), "not whole"),
        (lambda i: i.pop("id"), "not whole"),
    ],
)
def test_items_that_are_not_those_of_the_score(change: Callable[[Items], object], message: str, side: Make) -> None:
    now = side({"SciFact": RETRIEVAL})
    items = copy.deepcopy(RETRIEVAL)
    change(items)
    now = dataclasses.replace(now, read=lambda _: items)
    for sides in ((side({"SciFact": RETRIEVAL}), now), (now, side({"SciFact": RETRIEVAL}))):
        found = assess(*sides, (PROBE, PROBE))
        assert found.verdict == NOT_COMPARABLE
        assert message in found.tasks[0].message


def test_a_change_comes_before_what_cannot_be_compared(side: Make) -> None:
    found = assess(side(), side({"SciFact": with_scores(0.01)}), (PROBE, None))
    assert found.verdict == REGRESSED
    assert found.line.startswith("drift: REGRESSED: SciFact: ")


def test_vectors_of_the_cache_are_noted(side: Make) -> None:
    counts = {"hits": 30, "unique": 40}
    stale = side({"SciFact": RETRIEVAL}, counts=counts)
    fresh = side({"SciFact": RETRIEVAL}, counts=counts, environment={"fresh": True})
    [one] = assess(fresh, stale, (PROBE, PROBE)).tasks
    assert one.notes == (
        "candidate: 30 of 40 vectors came from the cache: they say nothing of what computes now (--no-cache)",
    )
    assert one.verdict == OK
    assert assess(fresh, fresh, (PROBE, PROBE)).tasks[0].notes == ()
    compact = side({"SciFact": RETRIEVAL}, environment={"fresh": False})
    [note] = assess(compact, fresh, (PROBE, PROBE)).tasks[0].notes
    assert note.startswith("baseline: vectors came from the cache")


def test_scores_of_another_probe_are_noted(side: Make) -> None:
    own = side({"SciFact": RETRIEVAL}, environment={"probe": PROBE.name})
    other = side({"SciFact": RETRIEVAL}, environment={"probe": f"{'a' * 16}.{'0' * 16}"})
    assert assess(own, own, (PROBE, PROBE)).notes == ()
    [note] = assess(own, other, (PROBE, PROBE)).notes
    assert "the probe is not that of SciFact" in note


def test_it_is_json(side: Make) -> None:
    found = assess(side(), side({"SciFact": with_scores(0.01)}), (PROBE, moved(PROBE, 1e-3)))
    raw = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert raw["verdict"] == REGRESSED
    assert raw["gate"] == "drift"
    assert raw["limits"] == {"cosine": 1e-4, "top10": 0.01, "score": 0.001}
    assert [t["top10"] for t in raw["tasks"]] == [None if t.top10 is None else t.top10 for t in found.tasks]
    assert raw["line"] == found.line
