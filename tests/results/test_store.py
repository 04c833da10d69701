from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rewritten import rewrite

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results import items_files
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store, read_items, read_score

MakeScore = Callable[..., Score]
ITEMS: Items = {"id": ["a", "b"], "value": [0.25, 1.0]}


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden and temporary ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same(a: object, b: object) -> bool:
    """Equal to the last bit, NaN included."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a.hex() == b.hex()
    return type(a) is type(b) and a == b


# Round trips

_TEXTS = st.text(st.characters(codec="utf-8"))


@st.composite
def item_tables(draw: st.DrawFn) -> Items:
    n = draw(st.integers(1, 5))
    values = [
        st.floats(), st.floats() | st.none(), _TEXTS, _TEXTS | st.none(), st.booleans(),
        st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(0, 9)), st.lists(_TEXTS), st.lists(st.floats()),
    ]  # fmt: skip
    columns = draw(st.lists(_TEXTS, min_size=1, max_size=3, unique=True))
    table = {name: draw(st.lists(draw(st.sampled_from(values)), min_size=n, max_size=n)) for name in columns}
    return table | {"id": [str(i) for i in range(n)]}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(items=item_tables())
@example(items={"id": [], "value": []})
@example(
    items={
        "id": ["q/1", "日本 🎉"],
        "value": [math.nan, 0.1 + 0.2],
        "maybe": [None, -0.0],
        "top": [["d1", "d2"], []],
        "predictions": [[1, 2], [3, 4]],
    }
)
def test_items_come_back_as_they_were(items: Items, tmp_path: Path, make_score: MakeScore) -> None:
    store, score = Store(tmp_path), make_score()
    store.write(score, items)
    back = store.items(score)
    assert list(back) == list(items)
    assert all(same(back[name], items[name]) for name in items)


def test_a_folder_whose_name_looks_like_a_partition(tmp_path: Path, make_score: MakeScore) -> None:
    store, score = Store(tmp_path / "lr=0.1" / "seed=7"), make_score()
    store.write(score, ITEMS)
    assert store.items(score) == ITEMS


def test_a_score_comes_back_as_it_was(tmp_path: Path, make_score: MakeScore) -> None:
    score = make_score(
        "Größe 日本/../x", 0.1 + 0.2, metrics={"ndcg_at_10": 1 / 3}, counts={"texts": 3}, error=None, limit=5,
        command=["evaluate", "--task", "a b"], data={"hash": "\ud800 half a pair"},
    )  # fmt: skip
    score = Store(tmp_path).write(score, ITEMS)
    path = Store(tmp_path).path(score)
    assert read_score(path) == score
    assert list(Store(tmp_path).scores()) == [score]
    assert path.is_relative_to(tmp_path / "scores" / "org__model" / "paper")
    assert len(files(tmp_path)) == 2


def test_numbers_that_json_lacks_are_null(tmp_path: Path, make_score: MakeScore) -> None:
    path = Store(tmp_path).path(Store(tmp_path).write(make_score(metrics={"a": math.nan, "b": math.inf, "c": 0.5})))
    assert json.loads(path.read_text("utf-8"))["metrics"] == {"a": None, "b": None, "c": 0.5}


def test_what_differs_in_the_path_stands_side_by_side(tmp_path: Path, make_score: MakeScore) -> None:
    store = Store(tmp_path)
    variety: list[dict[str, Any]] = [
        {}, {"task": "STS12"}, {"model": "org__model"}, {"instructions": "template"}, {"identity": "f" * 16},
    ]  # fmt: skip
    assert len({store.path(store.write(make_score(**fields))) for fields in variety}) == 5
    assert len(list(store.scores())) == 5


def test_a_newer_score_of_the_same_identity_replaces_the_old(tmp_path: Path, make_score: MakeScore) -> None:
    store = Store(tmp_path)
    store.write(make_score(value=0.25), ITEMS)
    store.write(make_score(value=0.75), {"id": ["z"]})
    [score] = store.scores()
    assert score.score == 0.75
    assert store.items(score) == {"id": ["z"]}


def test_manifests(tmp_path: Path) -> None:
    Store(tmp_path).write_run("2026-01-01T00:00:00 x", {"tasks": ["ü"], "nan": math.nan, ("a", "b")[0]: (1, 2)})
    [path] = (tmp_path / "runs").iterdir()
    assert json.loads(path.read_text("utf-8")) == {"tasks": ["ü"], "nan": None, "a": [1, 2]}


# Looking up


def test_find(tmp_path: Path, make_score: MakeScore) -> None:
    store, score = Store(tmp_path), make_score()
    assert store.find(score) is None
    filed = store.write(score, ITEMS)
    assert store.find(make_score(value=None)) == filed
    assert store.find(make_score(identity="f" * 16)) is None


def test_a_failed_score_is_not_found(tmp_path: Path, make_score: MakeScore) -> None:
    store = Store(tmp_path)
    store.write(make_score(value=None, error="no data"))
    assert store.find(make_score()) is None
    assert [s.error for s in store.scores()] == ["no data"]


def test_a_score_whose_items_are_gone_is_not_found(tmp_path: Path, make_score: MakeScore) -> None:
    store, score = Store(tmp_path), make_score()
    path = store.path(store.write(score, ITEMS))
    path.with_suffix(".parquet").unlink()
    assert store.find(score) is None
    with pytest.raises(UserError, match=r"items missing or cut short .*: run the task again"):
        store.items(score)
    store.write(score, ITEMS)
    assert store.find(score) is not None


def test_an_empty_or_missing_folder_has_no_scores(tmp_path: Path) -> None:
    assert list(Store(tmp_path).scores()) == []
    assert list(Store(tmp_path / "none").scores()) == []
    assert not (tmp_path / "none").exists()


# Damage


def one_line(error: pytest.ExceptionInfo[UserError], path: Path) -> str:
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    return text


@pytest.mark.parametrize("keep", [0, 1, 50, -3])
def test_a_score_cut_short(keep: int, tmp_path: Path, make_score: MakeScore) -> None:
    store = Store(tmp_path)
    path = store.path(store.write(make_score()))
    path.write_bytes(path.read_bytes()[:keep])
    for read in (lambda: read_score(path), lambda: list(store.scores())):
        with pytest.raises(UserError) as error:
            read()
        assert "delete it and run the task again" in one_line(error, path)
    # A run does not stop at it: the task is run again, and the new score takes its place.
    assert store.find(make_score()) is None
    store.write(make_score())
    assert list(store.scores()) == [make_score()]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"[]", b"null", b'"x"', b"{}", b"[" * 100_000, b'{"schema_version": 1}', b"\0" * 300]
)
def test_what_is_no_score(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_score(path)
    one_line(error, path)


@pytest.mark.parametrize("version", [0, 3, "1", None, 1.5, 1.0, True])
def test_an_unknown_schema_version_is_an_error(version: object, tmp_path: Path, make_score: MakeScore) -> None:
    path = Store(tmp_path).path(Store(tmp_path).write(make_score()))
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"schema_version": version}))
    with pytest.raises(UserError) as error:
        list(Store(tmp_path).scores())
    assert f"schema version {version!r} is not 2" in one_line(error, path)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "org/model"}, {"model": None}, {"model": {}}, {"model": {"name": 5}}, {"instructions": []},
        {"instructions": {}}, {"score": "0.5"}, {"score": [0.5]}, {"task": None}, {"created": 5}, {"type": []},
        {"served": []}, {"served": {"requests": "5"}}, {"served": None}, {"counts": {"texts": -1}},
        {"counts": {"texts": "many"}}, {"n_items": -1}, {"identity": "../x"}, {"identity": "a\u202eb"}, {"seed": -1},
        {"cost": {"file_bytes": "big"}}, {"cost": {"speed_ratio": 0}}, {"cost": {"speed_ratio": True}},
        {"environment": {"probe": "../../etc/passwd"}}, {"metrics": {"a": "1"}}, {"timings": {"total": 1e300}},
        {"notes": [{}]}, {"command": "abc"}, {"command": [1]}, {"status": "failed", "error": 5}, {"reader": []},
        {"instructions": {"set": "paper", "roles": {"query": "text"}}}, {"environment": {"hardware": "x"}},
        {"score": 1e308},
    ],
)  # fmt: skip
def test_a_score_with_values_of_another_kind(change: dict[str, Any], tmp_path: Path, make_score: MakeScore) -> None:
    path = Store(tmp_path).path(Store(tmp_path).write(make_score()))
    rewrite(path, **change)
    with pytest.raises(UserError) as error:
        read_score(path)
    assert "not a whole score file" in one_line(error, path)
    assert Store(tmp_path).find(make_score()) is None


def test_fields_of_a_later_release_do_no_harm(tmp_path: Path, make_score: MakeScore) -> None:
    path = Store(tmp_path).path(Store(tmp_path).write(make_score()))
    rewrite(path, new_field=1)
    assert read_score(path) == make_score()


def test_items_cut_short(tmp_path: Path, make_score: MakeScore) -> None:
    store, score = Store(tmp_path), make_score()
    path = store.path(store.write(score, ITEMS)).with_suffix(".parquet")
    whole = path.read_bytes()
    for content in (b"", whole[:4], whole[: len(whole) // 2], whole[:-1], whole[:-4] + b"XXXX", b"\0" * len(whole)):
        path.write_bytes(content)
        with pytest.raises(UserError) as error:
            read_items(path)
        assert "items missing or cut short" in one_line(error, path)


# Writing that fails


class Breaks:
    """Lets `n` calls through, then fails as the system does."""

    def __init__(self, real: Callable[..., Any], code: int, n: int = 0) -> None:
        self.real, self.code, self.left = real, code, n

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.left == 0:
            raise OSError(self.code, os.strerror(self.code))
        self.left -= 1
        return self.real(*args, **kwargs)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("place", ["sync", "write", "rename"])
def test_no_space_left(
    place: str, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_score: MakeScore
) -> None:
    store = Store(tmp_path)
    if old:
        store.write(make_score(value=0.25), ITEMS)
    before = files(tmp_path)
    if place == "sync":
        monkeypatch.setattr(os, "fsync", Breaks(os.fsync, errno.ENOSPC))
    elif place == "write":
        monkeypatch.setattr(items_files, "pack", Breaks(items_files.pack, errno.ENOSPC))
    else:
        monkeypatch.setattr(Path, "replace", Breaks(Path.replace, errno.ENOSPC))
    with pytest.raises(UserError) as error:
        store.write(make_score(value=0.75), {"id": ["new"]})
    assert "no space left on device" in str(error.value)
    assert str(tmp_path) in str(error.value)
    monkeypatch.undo()
    assert files(tmp_path) == before
    if old:
        [score] = store.scores()
        assert (score.score, store.items(score)) == (0.25, ITEMS)


def test_a_first_result_without_its_score_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_score: MakeScore
) -> None:
    """The items are written first: a stop between them and the score leaves nothing that reads as a result."""
    store = Store(tmp_path)
    breaks = Breaks(Path.replace, errno.ENOSPC, n=1)
    monkeypatch.setattr(Path, "replace", lambda self, target: breaks(self, target))
    with pytest.raises(UserError, match="no space left"):
        store.write(make_score(), ITEMS)
    monkeypatch.undo()
    assert [Path(name).suffix for name in files(tmp_path)] == [".parquet"]
    assert list(store.scores()) == []
    assert store.find(make_score()) is None


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_write_leaves_the_old_file(stop: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    atomic_write(path, lambda f: f.write(b"old"))

    def half(f: Any) -> None:
        f.write(b"ne")
        f.flush()
        assert path.read_bytes() == b"old"
        raise stop

    with pytest.raises(stop):
        atomic_write(path, half)
    assert files(tmp_path) == {"x.json": b"old"}


def test_leftovers_of_a_killed_process_are_never_read(tmp_path: Path, make_score: MakeScore) -> None:
    program = (
        "import os, sys; from pathlib import Path; from instructor_eval.core.whole_files import atomic_write\n"
        "def half(f): f.write(b'{\"schema_version\": 1'); f.flush(); os._exit(9)\n"
        "atomic_write(Path(sys.argv[1]), half)"
    )
    store = Store(tmp_path)
    path = store.path(store.write(make_score()))
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == 9
    assert len(files(tmp_path)) == 2
    assert list(store.scores()) == [make_score()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path, make_score: MakeScore) -> None:
    folder = tmp_path / "ro"
    folder.mkdir(mode=0o555)
    with pytest.raises(UserError, match=r"permission denied: choose another with --results"):
        Store(folder).check_writable()
    with pytest.raises(UserError, match="permission denied"):
        Store(folder).write(make_score())


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_score: MakeScore
) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", Breaks(tempfile.mkstemp, code))
    monkeypatch.setattr(tempfile, "TemporaryFile", Breaks(tempfile.TemporaryFile, code))
    reason = os.strerror(code).lower()
    with pytest.raises(UserError) as error:
        Store(tmp_path).check_writable()
    assert str(error.value) == f"cannot write results to {tmp_path}: {reason}: choose another with --results"
    with pytest.raises(UserError, match=reason):
        Store(tmp_path).write(make_score(), ITEMS)
    with pytest.raises(UserError, match=reason):
        Store(tmp_path).write_run("x", {})
    assert files(tmp_path) == {}


def test_a_file_where_the_folder_should_be(tmp_path: Path, make_score: MakeScore) -> None:
    (tmp_path / "results").write_text("mine")
    store = Store(tmp_path / "results")
    for write in (store.check_writable, lambda: store.write(make_score()), lambda: store.write_run("x", {})):
        with pytest.raises(UserError, match=r"cannot write"):
            write()
    assert (tmp_path / "results").read_text() == "mine"


def test_check_writable_makes_nothing(tmp_path: Path) -> None:
    """A flag may still be wrong: the folder is made with the first file."""
    Store(tmp_path / "a" / "b").check_writable()
    assert list(tmp_path.iterdir()) == []
