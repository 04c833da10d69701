from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_items import make_items, take
from made_scores import edited, score_of

from instructor_eval import metrics
from instructor_eval.analysis.compare.compare import MOST_MOVED, Comparison, TaskComparison, compare, draws
from instructor_eval.analysis.compare.side import Side
from instructor_eval.analysis.statistics import difference
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import shipped_cards

MakeScore = Callable[..., Score]
MakeSide = Callable[..., Side]
CQA = "CQADupstackRetrieval"
FORUMS = shipped_cards()[CQA].parts
METRICS = {"SciFact": ("Retrieval", "ndcg_at_10"), "ArguAna": ("Retrieval", "ndcg_at_10"),
           "Banking77Classification": ("Classification", "accuracy"), "STSBenchmark": ("STS", "cosine_spearman"),
           "STS12": ("STS", "cosine_spearman"), "SprintDuplicateQuestions": ("PairClassification", "max_ap"),
           "ArxivClusteringS2S": ("Clustering", "v_measure"), "SummEval": ("Summarization", "summeval_v1"),
           "MSCOCO": ("Billboard", "pearson"), CQA: ("Retrieval", "mean_of_parts"),
           **{forum: ("Retrieval", "ndcg_at_10") for forum in FORUMS}}  # fmt: skip


@pytest.fixture
def side(make_score: MakeScore) -> MakeSide:
    """`side("label", {task: items}, task={field: value})`: a side whose scores are those of the items."""

    def make(label: str, tasks: Mapping[str, Items], failed: Mapping[str, str] | None = None, **changes: Any) -> Side:
        scores = {}
        for name, items in tasks.items():
            kind, metric = METRICS[name]
            given = {"value": metrics.compute(metric, items), "type": kind, "metric": metric,
                     "n_items": len(items["id"]), "identity": f"{label} {name}", "data": {"hash": "d"}, "seed": 42,
                     "command": ["evaluate", "--task", name]}  # fmt: skip
            scores[name] = make_score(name, **(given | changes.get(name, {})))
        values = {name: s.score for name, s in scores.items() if s.score is not None}
        for name in values.keys() & {CQA}:
            values = {n: v for n, v in values.items() if shipped_cards()[n].part_of != name}
        given_fields = {"root"} & {f.name for f in dataclasses.fields(Side)}
        return Side(
            label=label, values=values, scores=scores, read=lambda score: tasks[score.task], source=f"where {label} is",
            failed=dict(failed or {}), **dict.fromkeys(given_fields, None),
        )  # fmt: skip

    return make


def some(*names: str, seed: int = 1, n: int = 60) -> dict[str, Items]:
    return {name: make_items(METRICS[name][1], n, seed) for name in names}


def only(comparison: Comparison) -> TaskComparison:
    [task] = comparison.tasks
    return task


# What one task shows


@pytest.mark.parametrize("name", [n for n in METRICS if n != CQA and n not in FORUMS])
def test_one_task_by_its_parts(name: str, side: MakeSide) -> None:
    kind, metric = METRICS[name]
    ours, theirs = some(name, seed=1), some(name, seed=2)
    comparison = compare(side("a", theirs), side("b", ours))
    found = only(comparison)
    seed = f"b {name} a {name} {name}"
    assert found.difference == difference.paired(metric, ours[name], theirs[name], seed_text=seed)
    assert (found.task, found.type, found.metric, found.not_comparable, found.notes) == (name, kind, metric, None, ())
    assert found.baseline == metrics.compute(metric, theirs[name])
    assert found.candidate == metrics.compute(metric, ours[name])
    assert found.n == (20 if metric == "pearson" else 60) == found.wins + found.ties + found.losses
    assert found.changed == found.wins + found.losses > 0
    assert found.chance is not None
    assert 0 < found.chance.loss <= 1
    assert (found.p_t is not None) == (metric in ("ndcg_at_10", "accuracy", "v_measure", "summeval_v1"))
    assert len(found.lost) == min(MOST_MOVED, found.losses)
    assert [m.delta for m in found.lost] == sorted(m.delta for m in found.lost)
    assert [m.delta for m in found.gained] == sorted((m.delta for m in found.gained), reverse=True)
    assert found.command == ("evaluate", "--task", name)
    # One task is its own mean.
    assert comparison.macro == dataclasses.replace(found.difference, n=1)
    assert comparison.macro_chance == found.chance
    assert comparison.types == {kind: comparison.macro}
    assert (comparison.baseline, comparison.candidate) == ("a", "b")
    assert (comparison.baseline_source, comparison.candidate_source) == ("where a is", "where b is")


@pytest.mark.parametrize(
    ("name", "unit"),
    [("SciFact", "query"), ("Banking77Classification", "test item"), ("STS12", "pair"), ("MSCOCO", "segment"),
     ("ArxivClusteringS2S", "split"), ("SummEval", "article")],
)  # fmt: skip
def test_units(name: str, unit: str, side: MakeSide) -> None:
    assert only(compare(side("a", some(name)), side("b", some(name)))).unit == unit


def test_identical_sides(side: MakeSide) -> None:
    given = some(*(n for n in METRICS if n != CQA and n not in FORUMS))
    comparison = compare(side("a", given), side("b", given))
    for task in comparison.tasks:
        assert task.difference is not None
        assert task.chance is not None
        assert (task.difference.delta, task.chance.loss, task.chance.gain, task.changed) == (0, 1, 1, 0)
    assert comparison.macro is not None
    assert comparison.macro_chance is not None
    assert (comparison.macro.delta, comparison.macro_chance.loss, comparison.macro_chance.gain) == (0, 1, 1)


def test_the_means(side: MakeSide) -> None:
    names = ("SciFact", "ArguAna", "STS12", "Banking77Classification")
    comparison = compare(side("a", some(*names, seed=1)), side("b", some(*names, seed=2)))
    differences = {t.task: t.difference for t in comparison.tasks if t.difference is not None}
    assert comparison.macro == difference.mean(differences[t.task] for t in comparison.tasks)
    assert comparison.macro_chance == difference.chance_of_mean(comparison.macro)
    assert comparison.types["Retrieval"] == difference.mean(
        differences[t.task] for t in comparison.tasks if t.type == "Retrieval"
    )
    assert comparison.types["STS"] == dataclasses.replace(differences["STS12"], n=1)
    assert comparison.comparable == comparison.tasks


def test_the_order_of_tasks_is_that_of_the_cards(side: MakeSide) -> None:
    names = ["STS12", "SciFact", "Banking77Classification", "ArguAna"]
    found = [
        [t.task for t in compare(side("a", some(*order)), side("b", some(*names))).tasks]
        for order in (names, names[::-1], sorted(names))
    ]
    known = list(shipped_cards())
    assert found == [sorted(names, key=known.index)] * 3


def test_only_the_tasks_asked_for_and_what_is_said(side: MakeSide) -> None:
    lines: list[str] = []
    given = some("STS12", "SciFact", "ArguAna")
    comparison = compare(side("a", given), side("b", given), tasks=["STS12", "SciFact"], say=lines.append)
    assert [t.task for t in comparison.tasks] == ["STS12", "SciFact"]
    assert sorted(line.partition(" ")[2].partition(":")[0] for line in lines) == ["of 2 tasks compared"] * 2


# What cannot be compared


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limit": 50}, "other limit"),
        ({"protocol": {"empty_text": "error"}}, "other protocol"),
        ({"protocol_version": "0"}, "other protocol version"),
        ({"data": {"hash": "e"}}, "other data"),
        ({"seed": 7}, "other seed"),
        ({"metric": "cosine_pearson"}, "other metric"),
        ({"reader": {"name": "x", "fingerprint": "y"}}, "other reader"),
        ({"value": 0.9}, "its score is 0.9: the file was changed, run it again"),
        ({"n_items": 61}, "says 61 items and has 60: the file was changed"),
    ],
)
@pytest.mark.parametrize("changed", ["baseline", "candidate"])
def test_scores_of_something_else(change: dict[str, Any], reason: str, changed: str, side: MakeSide) -> None:
    given = some("STS12", "SciFact")
    sides = {
        what: side(what, given, **({"STS12": change} if what == changed else {})) for what in ("baseline", "candidate")
    }
    comparison = compare(sides["baseline"], sides["candidate"])
    found = {t.task: t for t in comparison.tasks}
    assert found["STS12"].difference is None
    assert re.search(reason, str(found["STS12"].not_comparable))
    assert found["SciFact"].difference is not None
    assert comparison.macro is not None
    assert comparison.macro.n == 1  # of what can be compared


def test_other_instructions_are_a_question_of_quality(side: MakeSide) -> None:
    texts = {"set": "none", "roles": {"text": {"text": "", "rule": "none"}}}
    candidate = side("b", some("STS12"))
    candidate.scores["STS12"] = edited(candidate.scores["STS12"], instructions=texts)
    assert only(compare(side("a", some("STS12")), candidate)).difference is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": [f"j{k}" for k in range(60)]}, "other items: 60 items only in the candidate: j0, j1, j2 ...; 60 items"),
        ({"id": ["i0"] * 60}, "other items: 59 ids come twice"),
        (
            {"ndcg_at_10": [math.nan] * 60},
            "60 items of the candidate have no value in ndcg_at_10 (NaN): i0, i1, i2 ...",
        ),
        ({"ndcg_at_10": [0.5] * 59}, "the items of the candidate are not whole: run the task again"),
    ],
)
def test_other_items(change: Items, reason: str, side: MakeSide) -> None:
    given = some("SciFact")
    candidate = dataclasses.replace(side("b", given), read=lambda _: given["SciFact"] | change)
    found = only(compare(side("a", given), candidate))
    assert str(found.not_comparable).startswith(reason)
    assert (found.difference, found.chance) == (None, None)


def test_other_gold_values(side: MakeSide) -> None:
    given = some("STS12")["STS12"]
    other = given | {"gold": given["gold"][::-1]}
    found = only(compare(side("a", {"STS12": given}), side("b", {"STS12": other})))
    assert str(found.not_comparable).startswith("other gold values: ")


def test_tasks_of_one_side_and_failed_ones(side: MakeSide) -> None:
    baseline = side("a", some("STS12", "SciFact"), failed={"ArguAna": "out of memory"})
    candidate = side("b", some("STS12", "ArguAna", "STSBenchmark"))
    found = {t.task: t for t in compare(baseline, candidate).tasks}
    assert found["STS12"].difference is not None
    assert found["SciFact"].not_comparable == "only in the baseline"
    assert found["STSBenchmark"].not_comparable == "only in the candidate"
    assert found["ArguAna"].not_comparable == "it failed in the baseline: out of memory"
    dropped = compare(baseline, candidate, intersect=True)
    assert [t.task for t in dropped.tasks] == ["STS12"]
    assert set(dropped.left_out) == {"SciFact", "ArguAna", "STSBenchmark"}


def test_items_of_one_side_only(side: MakeSide) -> None:
    every = some("STS12")["STS12"]
    baseline, candidate = side("a", {"STS12": take(every, range(58))}), side("b", {"STS12": take(every, range(1, 60))})
    found = only(compare(baseline, candidate))
    assert found.not_comparable == (
        "other items: 2 items only in the candidate: i58, i59; 1 items only in the baseline: i0 "
        "(--intersect leaves them out)"
    )
    found = only(compare(baseline, candidate, intersect=True))
    assert found.notes == (
        "left out: 2 items only in the candidate: i58, i59", "left out: 1 items only in the baseline: i0",
    )  # fmt: skip
    assert found.n == 57
    common = metrics.compute("cosine_spearman", take(every, range(1, 58)))
    assert (found.baseline, found.candidate) == pytest.approx((common, common), abs=1e-12)
    assert found.difference is not None
    assert (found.difference.delta, found.difference.n) == (0, 57)


def test_a_file_that_cannot_be_read_is_said(side: MakeSide, tmp_path: Path) -> None:
    from instructor_eval.results.store import read_items

    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    given = some("STS12", "SciFact")
    baseline = side("a", given)
    own = baseline.read
    assert own is not None
    broken = dataclasses.replace(
        baseline, read=lambda s: read_items(tmp_path / "cut.parquet") if s.task == "STS12" else own(s)
    )
    found = {t.task: t for t in compare(broken, side("b", given)).tasks}
    assert "items missing or cut short" in str(found["STS12"].not_comparable)
    assert found["SciFact"].difference is not None


# Published scores, wholes


def test_published_scores_have_differences_without_intervals(side: MakeSide) -> None:
    candidate = side("b", some("STS12", "SciFact"))
    empty = side("published:x", {})
    published = dataclasses.replace(empty, values={"STS12": 0.1, "SciFact": 0.2, "ArguAna": 0.5}, read=None)
    comparison = compare(published, candidate)
    assert [t.task for t in comparison.tasks] == ["SciFact", "STS12"]  # far more is published than anyone runs
    assert comparison.left_out == ("ArguAna",)
    for task in comparison.tasks:
        assert task.difference is not None
        assert task.difference.delta == candidate.values[task.task] - published.values[task.task]
        assert (task.difference.low, task.chance, task.n) == (None, None, 0)
        assert task.notes == ("published scores have no items: no interval",)
    assert comparison.macro is not None
    assert comparison.macro.low is None
    assert comparison.macro.delta == pytest.approx(
        np.mean([t.difference.delta for t in comparison.tasks if t.difference])
    )
    assert comparison.macro_chance is None


def whole(seed: int, forums: tuple[str, ...] = FORUMS) -> dict[str, Items]:
    parts = {forum: make_items("ndcg_at_10", 40, seed + k) for k, forum in enumerate(forums)}
    values = [metrics.compute("ndcg_at_10", items) for items in parts.values()]
    return {**parts, CQA: {"id": list(forums), "value": values}}


def test_a_whole_is_compared_by_its_parts(side: MakeSide) -> None:
    baseline, candidate = side("a", whole(100)), side("b", whole(200))
    found = only(compare(baseline, candidate))
    parts = [only(compare(baseline, candidate, tasks=[forum])) for forum in sorted(FORUMS)]
    assert found.task == CQA
    assert found.difference == difference.mean([p.difference for p in parts if p.difference])
    assert found.difference is not None
    assert found.difference.delta == pytest.approx(candidate.values[CQA] - baseline.values[CQA], abs=1e-12)
    assert (found.n, found.unit, found.chance) == (12, "part", difference.chance_of_mean(found.difference))
    assert found.wins + found.losses == 12
    assert {m.id for m in (*found.lost, *found.gained)} == set(FORUMS)


def test_a_part_that_cannot_be_compared_keeps_the_whole_from_it(side: MakeSide) -> None:
    baseline = side("a", whole(100))
    found = only(compare(baseline, side("b", whole(200), **{FORUMS[3]: {"data": {"hash": "e"}}})))
    assert found.not_comparable == f"part {FORUMS[3]}: other data"
    assert only(compare(baseline, side("b", whole(200, FORUMS[1:])))).not_comparable == "other parts"
    missing = whole(200)
    del missing[FORUMS[0]]
    assert str(only(compare(baseline, side("b", missing))).not_comparable).startswith(
        f"part {FORUMS[0]}: only in the baseline"
    )


def test_a_whole_of_other_parts_than_its_score_is_seen(side: MakeSide) -> None:
    changed = whole(200)
    changed[FORUMS[0]] = make_items("ndcg_at_10", 40, 777)  # run again, and the whole not
    found = only(compare(side("a", whole(100)), side("b", changed)))
    assert str(found.not_comparable).startswith("its parts are not those that its score was computed from")


def test_parts_of_a_whole_that_one_side_lacks(side: MakeSide) -> None:
    parts = {name: items for name, items in whole(200).items() if name != CQA}
    found = {t.task: t for t in compare(side("a", whole(100)), side("b", parts)).tasks}
    assert found[CQA].not_comparable == "only in the baseline"
    # The forums themselves are on both sides.
    assert {t.task for t in found.values() if t.difference} == set(FORUMS)


# The same everywhere


PROGRAM = """
import json, sys
sys.path[:0] = {tests!r}
import test_compare
print(test_compare.everything(int(sys.argv[1])))
"""


def everything(shuffle: int) -> str:
    """A comparison and its verdicts as text, of items in the order that `shuffle` gives them."""
    from instructor_eval.analysis.gate import quality
    from instructor_eval.analysis.gate.limits import Thresholds

    sizes = {"SciFact": 300, "STS12": 2500, "STSBenchmark": 41, "Banking77Classification": 3000, "MSCOCO": 1500,
             "SprintDuplicateQuestions": 700, "ArxivClusteringS2S": 10, "SummEval": 100}  # fmt: skip
    sides = []
    for label, seed in (("a", 1), ("b", 2)):
        items = {n: make_items(METRICS[n][1], size, seed, noise=0.2 + 0.02 * seed) for n, size in sizes.items()}
        scores = {
            n: score_of(
                identity=f"{label} {n}", status="ok", task=n, benchmark="mteb", type=METRICS[n][0],
                model={"name": label, "family": "plain", "fingerprint": label, "variant": "fp32"},
                instructions={"set": "none"}, metric=METRICS[n][1], score=metrics.compute(METRICS[n][1], columns),
                n_items=sizes[n],
            )
            for n, columns in items.items()
        }  # fmt: skip
        values = {n: s.score for n, s in scores.items() if s.score is not None}
        if shuffle:
            rng = np.random.default_rng(shuffle + seed)
            items = {n: take(columns, rng.permutation(sizes[n]).tolist()) for n, columns in items.items()}
            # A score of rounded mean stays the same; the others may change in the last bits only.
        sides.append(Side(label, values, scores, read=lambda s, known=items: known[s.task], source="here", failed={}))
    judgement = quality.judge(compare(*sides), Thresholds())
    return json.dumps(dataclasses.asdict(judgement), sort_keys=True)


@pytest.mark.slow
def test_threads_and_item_order_change_no_bit() -> None:
    found = []
    program = PROGRAM.format(tests=[str(folder) for folder in Path(__file__).parents[:3]])
    for threads, shuffle in (("1", "0"), ("4", "11"), ("2", "0")):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", program, shuffle], env=os.environ | dict.fromkeys(names, threads),
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    verdicts = {v["name"]: v["verdict"] for v in json.loads(found[0])["tasks"]}
    assert len(verdicts) == 8
    assert "NOT COMPARABLE" not in verdicts.values()
    assert found[0] == found[1] == found[2]


def test_more_is_drawn_for_more_tasks() -> None:
    """A p-value adjusted for 500 tasks must be able to fall below .05."""
    assert draws(56) == 9_999
    assert 2 * 500 / (draws(500) + 1) < 0.02
