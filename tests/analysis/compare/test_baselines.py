from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_scores
import numpy as np
import pytest
from edits import edits
from made_items import METRICS, whole_items

from instructor_eval import metrics as scorers
from instructor_eval.analysis.compare import baseline_files, baselines
from instructor_eval.analysis.compare.baselines import load, pin, read, read_named, set_baseline
from instructor_eval.analysis.compare.compact import compact
from instructor_eval.analysis.compare.side import Side, side_of
from instructor_eval.analysis.statistics import difference, matching
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results import probe
from instructor_eval.results.score import Environment, Score

MakeScore = Callable[..., Score]
MakeSide = Callable[..., Side]


@pytest.fixture
def make_side(make_score: MakeScore) -> MakeSide:
    """A side with made-up items: tasks by metric, or metrics by themselves; `seed` stands for the model."""

    def make(*metrics: str, seed: int = 1, failed: dict[str, str] | None = None, **tasks: str) -> Side:
        items: dict[str, Items] = {}
        scores: list[Score] = []
        for task, metric in (tasks | {f"Task-{m}": m for m in metrics}).items():
            items[task] = whole_items(metric, seed)
            value = scorers.compute(metric, items[task])
            scores.append(
                make_score(task, value, metric=metric, n_items=60, identity=f"{seed:016x}", fingerprint=f"{seed}" * 16)
            )
        scores += [make_score(task, None, error=error) for task, error in (failed or {}).items()]
        return side_of("org/model@fp32:paper", scores, lambda score: items[score.task], "made up")

    return make


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def error(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is kept


def test_every_metric_comes_back(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(*METRICS)
    path, written = set_baseline(side, folder=tmp_path, note="the first")
    assert written
    back = read(path)
    assert (back.label, back.values, back.failed, back.source) == (side.label, side.values, {}, str(path))
    assert read_named("main", folder=tmp_path).values == read(path.parent).values == side.values
    assert side.read is not None
    assert back.read is not None
    for task, score in side.scores.items():
        kept = back.scores[task]
        assert difference.why_not(score, kept) is None
        assert (kept.identity, kept.model, kept.score, kept.n_items) == (
            score.identity, score.model, score.score, score.n_items,
        )  # fmt: skip
        assert back.read(kept) == compact(score.metric, side.read(score))
        matching.check(kept, back.read(kept), "baseline")  # as a comparison does


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


def test_the_pinned_one_stays_until_it_is_pinned_anew(make_side: MakeSide, tmp_path: Path) -> None:
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
    assert side.read is not None
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
        assert "is no name for a baseline" in message or "there are baseline:" in message
    assert not list(tmp_path.iterdir())


def test_task_names_stay_in_the_folder(make_side: MakeSide, tmp_path: Path) -> None:
    side = make_side(**{"../../evil": "accuracy", "a/b": "accuracy", "a__b": "accuracy", "日本": "pearson"})
    path, _ = set_baseline(side, folder=tmp_path / "x")
    assert {p.parent for p in tmp_path.rglob("*.parquet")} == {path.parent / "items"}
    assert read(path).values == side.values


# What is damaged


@pytest.fixture
def manifest(make_side: MakeSide, tmp_path: Path) -> Path:
    """The manifest of a baseline of one task."""
    return set_baseline(make_side(T="accuracy"), folder=tmp_path)[0]


def edited(path: Path, change: Callable[[dict[str, Any]], object], *, signed: bool = False) -> None:
    """Change a manifest; `signed` makes its checksum hold, as nobody does by hand."""
    raw = json.loads(path.read_text())
    change(raw)
    if signed:
        raw.pop("checksum", None)
        text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
        raw["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(raw))


def test_a_manifest_edited_by_hand(manifest: Path) -> None:
    whole = manifest.read_bytes()
    for change in (lambda raw: raw["tasks"]["T"].update(score=0.1), lambda raw: raw.pop("checksum")):
        manifest.write_bytes(whole)
        edited(manifest, change)
        message = error(lambda: read(manifest))
        assert message.startswith(f"{manifest}: edited by hand or damaged")
        assert "set it again" in message
        assert message in error(lambda: pin(folder=manifest.parents[1]))


def test_every_field_of_a_manifest_and_every_byte_of_its_items(manifest: Path) -> None:
    whole = manifest.read_bytes()
    raw = json.loads(whole)
    n = 0
    for place, change in edits(raw):
        manifest.write_bytes(whole)
        edited(manifest, change)
        with pytest.raises(UserError):
            read(manifest)
        assert json.loads(manifest.read_bytes()) != raw, place
        n += 1
    assert n > 60
    manifest.write_bytes(whole)
    [items] = (manifest.parent / "items").iterdir()
    content = items.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 100)):
        items.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert f"{items}: the items of T are cut short or changed" in error(lambda: read(manifest))


def test_white_space_is_no_edit(manifest: Path) -> None:
    """Line ends that git changes, say."""
    values = read(manifest).values
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    assert read(manifest).values == values


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_an_unknown_schema_version(manifest: Path, version: Any) -> None:
    edited(manifest, lambda raw: raw.update(schema_version=version), signed=True)
    message = error(lambda: read(manifest))
    assert f"schema version {version!r} is not 2" in message
    assert "use that one or set the baseline again" in message


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_manifest_cut_short(manifest: Path, keep: int) -> None:
    manifest.write_bytes(manifest.read_bytes().rstrip()[:keep])
    assert f"{manifest}: edited by hand or damaged" in error(lambda: read(manifest))


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"schema_version": 1}'])
def test_something_else_by_that_name(manifest: Path, content: str) -> None:
    manifest.write_text(content)
    assert f"{manifest}: not a baseline" in error(lambda: read(manifest))


def set_entry(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["tasks"]["T"].__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.pop("tasks"),
        lambda raw: raw.update(tasks={"T": None}),
        lambda raw: raw.pop("label"),
        set_entry("score", None),
        set_entry("items", {"file": "T.0123456789ab.parquet\n", "sha256": "0"}),
    ],
)
def test_a_manifest_of_another_shape_is_refused_despite_its_sum(
    manifest: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """More of them stand in tests/hostile."""
    edited(manifest, change, signed=True)
    assert f"{manifest}: not a whole baseline" in error(lambda: read(manifest))


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"x" * 5000])
def test_items_that_are_missing_or_others(manifest: Path, content: bytes | None) -> None:
    [items] = (manifest.parent / "items").iterdir()
    if content is None:
        items.unlink()
    else:
        items.write_bytes(content)
    message = error(lambda: read(manifest))
    assert message.startswith(f"{items}: the items of T are {'missing' if content is None else 'cut short or changed'}")
    assert "restore it from git, or set it again" in message


def test_items_cut_short_after_the_baseline_was_read(manifest: Path) -> None:
    side = read(manifest)
    [items] = (manifest.parent / "items").iterdir()
    items.write_bytes(items.read_bytes()[:-10])
    assert side.read is not None
    assert "cut short or changed" in error(lambda: side.read(side.scores["T"]))


def test_foreign_items_under_a_checksum_that_holds(manifest: Path) -> None:
    content = b"not a Parquet file at all"
    digest = hashlib.sha256(content).hexdigest()
    name = f"T.{digest[:12]}.parquet"
    (manifest.parent / "items" / name).write_bytes(content)
    edited(manifest, set_entry("items", {"file": name, "sha256": digest}), signed=True)
    side = read(manifest)
    assert f"{name}: no items of T" in error(lambda: side.read(side.scores["T"]))


def test_a_damaged_last_baseline_is_replaced_a_pinned_one_not(make_side: MakeSide, manifest: Path) -> None:
    folder, pinned = manifest.parents[1], manifest.with_name("pinned.json")
    manifest.write_bytes(b"{")
    set_baseline(make_side(T="accuracy"), folder=folder)
    assert read(manifest).values
    pinned.write_bytes(b"{")
    before = files(folder)
    message = error(lambda: set_baseline(make_side(T="accuracy", seed=2), folder=folder))
    assert "pinned.json: edited by hand or damaged" in message
    assert "delete it and `evaluate baseline pin`" in message
    assert files(folder) == before
    assert read(pin(folder=folder)).values  # pinning writes it anew


def test_what_is_not_there(manifest: Path) -> None:
    folder = manifest.parents[1]
    assert "no baseline 'man' in" in error(lambda: read_named("man", folder=folder))
    assert "did you mean main?" in error(lambda: read_named("man", folder=folder))
    assert "there are main" in error(lambda: read_named("zzz", folder=folder))
    assert "make it with `evaluate baseline set SIDE`" in error(lambda: read_named("x", folder=folder / "none"))
    manifest.with_name("pinned.json").unlink()
    assert "has no pinned.json: make it with `evaluate baseline pin main`" in (
        error(lambda: read_named("main/pinned", folder=folder))
    )
    assert "there are baseline:main and baseline:main/pinned" in error(lambda: read_named("main/old", folder=folder))


def test_foreign_files_among_the_items_are_left_alone(make_side: MakeSide, manifest: Path) -> None:
    notes = manifest.parent / "items" / "README.md"
    notes.write_text("ours")
    set_baseline(make_side(T="accuracy", seed=2), folder=manifest.parents[1])
    assert notes.read_text() == "ours"


def test_a_folder_that_cannot_be_written(make_side: MakeSide, tmp_path: Path) -> None:
    (tmp_path / "main").write_text("a file")
    assert f"cannot write baseline 'main' to {tmp_path / 'main'}" in (
        error(lambda: set_baseline(make_side("accuracy"), folder=tmp_path))
    )


@pytest.mark.parametrize("after", range(4))
def test_a_kill_leaves_the_old_baseline_or_the_new_one(
    make_side: MakeSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    old, new = (make_side("accuracy", "pearson", seed=seed) for seed in (1, 2))
    path, _ = set_baseline(old, folder=tmp_path)
    real, calls = baseline_files.atomic_write, iter(range(99))

    def killed(target: Path, write: Any) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        real(target, write)

    monkeypatch.setattr(baseline_files, "atomic_write", killed)
    if after < 3:  # two items files and the manifest
        with pytest.raises(KeyboardInterrupt):
            set_baseline(new, folder=tmp_path)
    else:
        set_baseline(new, folder=tmp_path)
    assert read(path).values == (old if after < 3 else new).values
    assert read_named("main/pinned", folder=tmp_path).values == old.values


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
    assert found is not None
    assert before is not None
    assert (found.name, found.vectors.tobytes()) == (before.name, before.vectors.tobytes())
    [score] = read(path).scores.values()
    assert score.environment == Environment(probe=found.name, fresh=True)  # the rest changes where nothing else does
    assert load(path).size == sum(len(c) for n, c in files(path.parent).items() if n != "pinned.json")


def test_vectors_that_nothing_names_go(with_probe: Callable[[float], Side], tmp_path: Path) -> None:
    folder = tmp_path / "b"
    for first in (1.0, 2.0, 3.0):  # the first is pinned too
        path, _ = set_baseline(with_probe(first), folder=folder)
    kept = sorted(float(probe.read(p).vectors[0, 0]) for p in (path.parent / "probes").rglob("*.npz"))
    assert kept == [1.0, 3.0]
    pin(folder=folder)
    assert [float(probe.read(p).vectors[0, 0]) for p in (path.parent / "probes").rglob("*.npz")] == [3.0]
