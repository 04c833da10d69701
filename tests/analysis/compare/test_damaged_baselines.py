"""Baselines that are damaged, edited by hand or gone: each is one line that says what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baseline_sides import MakeSide, error, files
from edits import edits

from instructor_eval.analysis.compare import baseline_files
from instructor_eval.analysis.compare.baselines import pin, read, read_named, set_baseline
from instructor_eval.core.errors import UserError


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
    assert read(pin(folder=folder)).values  # pinning writes it again


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
