from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import made_scores
import numpy as np
import pytest
from baseline_sides import MakeScore, MakeSide, error, files
from made_items import METRICS, whole_items

from instructor_eval import metrics as scorers
from instructor_eval.analysis.compare import baseline_files, baselines
from instructor_eval.analysis.compare.baselines import load, pin, read, read_named, set_baseline
from instructor_eval.analysis.compare.compact import compact
from instructor_eval.analysis.compare.side import Side, side_of
from instructor_eval.analysis.statistics import difference, matching
from instructor_eval.core.values import Items
from instructor_eval.results import probe
from instructor_eval.results.score import Environment

# Stored


def test_every_metric_comes_back(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(*METRICS)
    path, written = set_baseline(side, folder=tmp_path, note="the first")
    assert written
    back = read(path)
    assert (back.label, back.values, back.failed, back.source) == (side.label, side.values, {}, str(path))
    assert read_named("main", folder=tmp_path).values == read(path.parent).values == side.values
    for task, score in side.scores.items():
        stored = back.scores[task]
        assert difference.why_not(score, stored) is None
        assert (stored.identity, stored.model, stored.score, stored.n_items) == (
            score.identity, score.model, score.score, score.n_items,
        )  # fmt: skip
        assert back.read(stored) == compact(score.metric, side.read(score))
        matching.check(stored, back.read(stored), "baseline")  # as a comparison does


def test_a_manifest_is_plain_and_stable(make_side: MakeSide, tmp_path: Path) -> None:
    first, _ = set_baseline(make_side("accuracy", "pearson"), folder=tmp_path / "a", note="größer")
    again, _ = set_baseline(make_side("pearson", "accuracy"), folder=tmp_path / "b", note="größer")
    assert {p.name for p in (first.parent / "items").iterdir()} == {p.name for p in (again.parent / "items").iterdir()}
    lines = [
        [line for line in path.read_text(encoding="ascii").splitlines() if '"checksum"' not in line]
        for path in (first, again)
    ]
    assert [line for line in lines[0] if '"created"' not in line] == [x for x in lines[1] if '"created"' not in x]
    raw = json.loads(first.read_text())
    assert list(raw) == sorted(raw)
    assert raw["note"] == "größer"
    assert load(first).size == sum(len(c) for n, c in files(first.parent).items() if n != "pinned.json")


def test_the_same_again_changes_nothing(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side("accuracy")
    set_baseline(side, folder=tmp_path)
    before = files(tmp_path)
    path, written = set_baseline(side, folder=tmp_path)
    assert not written
    assert files(tmp_path) == before
    assert set_baseline(side, folder=tmp_path, note="now with a note")[1]
    assert load(path).note == "now with a note"


def test_the_pinned_one_stays_until_it_is_pinned_again(make_side: MakeSide, tmp_path: Path) -> None:
    first, second, third = (make_side("accuracy", "pearson", seed=seed) for seed in (1, 2, 3))
    path, _ = set_baseline(first, folder=tmp_path)
    pinned = path.with_name("pinned.json")
    assert pinned.read_bytes() == path.read_bytes()
    set_baseline(second, folder=tmp_path)
    set_baseline(third, folder=tmp_path)
    assert read_named("main", folder=tmp_path).values == third.values
    assert read_named("main/pinned", folder=tmp_path).values == first.values
    assert len(list((tmp_path / "main" / "items").iterdir())) == 4  # those of the second are gone
    assert pin(folder=tmp_path) == pinned
    assert read(pinned).values == third.values
    assert len(list((tmp_path / "main" / "items").iterdir())) == 2


def test_what_did_not_change_is_stored_once_whatever_wrote_it(
    make_side: MakeSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_baseline(make_side("accuracy", "pearson"), folder=tmp_path)
    before = set((tmp_path / "main" / "items").iterdir())
    # Another version of the library that writes: other bytes, the same content.
    real = baseline_files.to_parquet
    import pyarrow as pa
    import pyarrow.parquet as pq

    def other(items: Items) -> bytes:
        out = pa.BufferOutputStream()
        pq.write_table(pa.table(items), out)
        return bytes(out.getvalue())

    monkeypatch.setattr(baseline_files, "to_parquet", other)
    side = make_side("accuracy", "pearson")
    assert other(compact("accuracy", whole_items("accuracy", 1))) != real(
        compact("accuracy", whole_items("accuracy", 1))
    )
    path, _ = set_baseline(side, folder=tmp_path, note="new")
    assert set((tmp_path / "main" / "items").iterdir()) == before
    # One that is damaged is not taken for the same.
    victim = sorted(before)[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    path.with_name("pinned.json").unlink()
    set_baseline(side, folder=tmp_path, note="newer")
    assert read(path).values == side.values
    assert victim not in set((tmp_path / "main" / "items").iterdir())


def test_a_baseline_is_itself_a_side_to_set(make_side: MakeSide, tmp_path: Path) -> None:
    """Going back to the pinned one, or another name for the last."""
    first, second = make_side(*METRICS, seed=1), make_side(*METRICS, seed=2)
    set_baseline(first, folder=tmp_path)
    set_baseline(second, folder=tmp_path)
    set_baseline(read_named("main/pinned", folder=tmp_path), folder=tmp_path)
    assert read_named("main", folder=tmp_path).values == first.values
    items = {name: content for name, content in files(tmp_path / "main").items() if name.startswith("items")}
    set_baseline(read_named("main", folder=tmp_path), name="release-1.0", folder=tmp_path)
    assert {n: c for n, c in files(tmp_path / "release-1.0").items() if n.startswith("items")} == items
    assert baselines.names(tmp_path) == ["main", "release-1.0"]


def test_tasks_can_be_chosen_and_parts_come_with_their_whole(make_score: MakeScore, tmp_path: Path) -> None:
    items: dict[str, Items] = {
        "CQADupstackRetrieval": {"id": ["CQADupstackGisRetrieval"], "value": [0.5]},
        "CQADupstackGisRetrieval": {"id": ["q"], "ndcg_at_10": [0.5], "relevant": [1]},
        "STS12": {"id": ["0", "1", "2"], "gold": [0.0, 0.5, 1.0], "cosine": [0.1, 0.2, 0.3]},
    }
    metrics = ("mean_of_parts", "ndcg_at_10", "cosine_spearman")
    scores = [
        make_score(t, scorers.compute(m, items[t]), metric=m, n_items=len(items[t]["id"]))
        for t, m in zip(items, metrics, strict=True)
    ]
    side = side_of("x", scores, lambda score: items[score.task], "made up")
    path, _ = set_baseline(side, folder=tmp_path, tasks=["CQADupstackRetrieval"])
    assert set(read(path).scores) == {"CQADupstackRetrieval", "CQADupstackGisRetrieval"}
    assert set(read(path).values) == {"CQADupstackRetrieval"}
    assert "has no result of task 'STS13': did you mean STS12?" in (
        error(lambda: set_baseline(side, folder=tmp_path, tasks=["STS13"]))
    )


# What is refused


def test_failed_tasks_must_be_left_out_by_name(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(Good="accuracy", failed={"Bad": "no data"})
    message = error(lambda: set_baseline(side, folder=tmp_path))
    assert "Bad failed (no data): run again, or name the tasks to keep (--task Good ...)" in message
    assert "Bad failed" in error(lambda: set_baseline(side, folder=tmp_path, tasks=["Good", "Bad"]))
    assert not list(tmp_path.iterdir())
    path, _ = set_baseline(side, folder=tmp_path, tasks=["Good"])
    assert list(read(path).values) == ["Good"]


def test_sides_without_items_or_scores(make_side: MakeSide, tmp_path: Path) -> None:
    published = Side("published:m", {"STS12": 0.5}, {}, None, "", {})
    assert "published scores have no items" in error(lambda: set_baseline(published, folder=tmp_path))
    assert "no scores to keep" in error(lambda: set_baseline(make_side(), folder=tmp_path))


def test_items_that_are_not_the_scores_own(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(T="accuracy")
    side.scores["T"] = made_scores.edited(side.scores["T"], score=0.123)
    assert "no baseline can be made: the items of the result of T give" in (
        error(lambda: set_baseline(side, folder=tmp_path))
    )
    assert not list(tmp_path.iterdir())


NAMES = ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", ".hidden", "a b", "x" * 200, "a\0b", "a\n", "größe", "con:1"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_could_leave_the_folder(make_side: MakeSide, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "side"
    side = make_side("accuracy")
    actions: list[Callable[[], object]] = [
        lambda: set_baseline(side, name=name, folder=folder),
        lambda: pin(name, folder=folder),
        lambda: baselines.find(name, folder),
        lambda: read_named(name, folder=folder),
    ]
    for action in actions:
        message = error(action)
        reads_a_part = action is actions[-1] and "/" in name  # as in "main/pinned"
        assert ("there are baseline:" if reads_a_part else "is no name for a baseline") in message
    assert not list(tmp_path.iterdir())


def test_task_names_stay_in_the_folder(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(**{"../../evil": "accuracy", "a/b": "accuracy", "a__b": "accuracy", "日本": "pearson"})
    path, _ = set_baseline(side, folder=tmp_path / "x")
    assert {p.parent for p in tmp_path.rglob("*.parquet")} == {path.parent / "items"}
    assert read(path).values == side.values


# The vectors of the drift gate


@pytest.fixture
def with_probe(make_side: MakeSide, tmp_path: Path) -> Callable[[float], Side]:
    """A side whose score names a probe of vectors that `first` begins, in a results folder of its own."""

    def make(first: float) -> Side:
        root = tmp_path / f"results {first}"
        vectors = np.full((probe.COUNT, 4), first, dtype=np.float32)
        taken = probe.Probe("org/model", "main", "fp32", "a" * 16, "", 1, {"torch": "2"}, {"cores": 2}, "2026", vectors)
        probe.write(root, taken)
        side = make_side("accuracy", seed=round(first))
        environment = {"probe": taken.name, "fresh": True, "versions": {"torch": "2"}}
        scores = {task: made_scores.edited(score, environment=environment) for task, score in side.scores.items()}
        return dataclasses.replace(side, scores=scores, root=root)

    return make


def test_vectors_come_along(with_probe: Callable[[float], Side], tmp_path: Path) -> None:
    side = with_probe(1.0)
    path, _ = set_baseline(side, folder=tmp_path / "b")
    found, before = read(path).probe(), side.probe()
    assert (found.name, found.vectors.tobytes()) == (before.name, before.vectors.tobytes())
    [score] = read(path).scores.values()
    assert score.environment == Environment(probe=found.name, fresh=True)  # the rest changes where nothing else does
    assert load(path).size == sum(len(c) for n, c in files(path.parent).items() if n != "pinned.json")


def test_vectors_that_nothing_names_go(with_probe: Callable[[float], Side], tmp_path: Path) -> None:
    folder = tmp_path / "b"
    for first in (1.0, 2.0, 3.0):  # the first is pinned too
        path, _ = set_baseline(with_probe(first), folder=folder)
    left = sorted(float(probe.read(p).vectors[0, 0]) for p in (path.parent / "probes").rglob("*.npz"))
    assert left == [1.0, 3.0]
    pin(folder=folder)
    assert [float(probe.read(p).vectors[0, 0]) for p in (path.parent / "probes").rglob("*.npz")] == [3.0]
