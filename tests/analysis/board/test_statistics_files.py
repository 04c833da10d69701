from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instructor_eval import metrics
from instructor_eval.analysis.board import statistics_files as module
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol

MakeScore = Callable[..., Score]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], StoredStatistics]:
    """A new look at the same file."""
    return lambda: StoredStatistics(tmp_path / "statistics" / "board.v2", lambda score: "stamp")


def test_what_is_put_comes_back(opened: Callable[[], StoredStatistics]) -> None:
    first = opened()
    entries = {"k1": {"low": 0.1 + 0.2, "high": None, "method": "t"}, "plain": {"names": ["ä", "b"]}}
    for key, entry in entries.items():
        first.put(key, entry)
    first.save()
    second = opened()
    assert {key: second.get(key) for key in entries} == entries
    assert second.get("gone") is None


def test_nothing_new_writes_nothing(opened: Callable[[], StoredStatistics]) -> None:
    first = opened()
    first.save()
    assert not first.path.exists()
    first.put("a", {"x": 1})
    first.save()
    before = first.path.stat().st_mtime_ns
    second = opened()
    second.get("a")
    second.save()
    assert second.path.stat().st_mtime_ns == before


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "cut short": lambda raw: raw[:-20],
    "one bit": lambda raw: raw[:100] + bytes([raw[100] ^ 1]) + raw[101:],
    "text": lambda raw: b"not this at all\n" * 100,
    "bytes": lambda raw: bytes(range(256)) * 50,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_as_good_as_none(damage: str, opened: Callable[[], StoredStatistics]) -> None:
    first = opened()
    first.put("a", {"x": "1" * 200})
    first.save()
    first.path.write_bytes(DAMAGES[damage](first.path.read_bytes()))
    second = opened()
    assert second.get("a") is None
    second.put("b", {"x": 2})
    second.save()
    assert opened().get("b") == {"x": 2}


@pytest.mark.parametrize("body", [b"[]\n", b'{"a": 1}\n', b'{"a": [{}, 5, 9]}\n', b"{}", b'{"a": "x"}\n', b"{}\nxyz"])
def test_a_file_with_a_checksum_and_nonsense_is_none_either(
    body: bytes, opened: Callable[[], StoredStatistics]
) -> None:
    first = opened()
    first.path.parent.mkdir()
    first.path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert first.get("a") is None


def test_a_file_too_large_is_not_read(opened: Callable[[], StoredStatistics], monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened()
    first.put("a", {"x": "1" * 3000})
    first.save()
    monkeypatch.setattr(module, "MOST", 1000)
    assert opened().get("a") is None


def test_the_newest_calls_stay_where_room_is_short(
    opened: Callable[[], StoredStatistics], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2000)
    for call in range(4):
        one = opened()
        one.put(f"new {call}", {"call": str(call) * 800})
        one.get("new 0")  # used at every call
        one.save()
    last = opened()
    assert [last.get(f"new {call}") is not None for call in range(4)] == [True, False, False, True]
    assert last.path.stat().st_size < 2500


def test_a_folder_that_cannot_be_written_is_no_error(opened: Callable[[], StoredStatistics], tmp_path: Path) -> None:
    (tmp_path / "statistics").write_text("a file where the folder should be")
    one = opened()
    one.put("a", {"x": 1})
    one.save()
    assert one.get("a") == {"x": 1}


def test_a_key_is_of_everything_that_changes_the_figure(
    opened: Callable[[], StoredStatistics], make_score: MakeScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(what: str = "spread", stamp: str = "s", **fields: Any) -> str:
        value = fields.pop("value", 0.5)
        return StoredStatistics(Path("x"), lambda score: stamp).key(what, make_score("STS12", value, **fields))

    found = [
        key(), key("difference"), key(stamp="t"), key(identity="b"), key(created="later"), key(value=0.6),
        key(metric="cosine_ap"), key(data={"hash": "h"}),
    ]  # fmt: skip
    monkeypatch.setattr(module, "_code", lambda: "another version")
    found.append(key())
    assert len(set(found)) == len(found)


# With a results folder


@pytest.fixture
def results(tmp_path: Path, make_score: MakeScore) -> Store:
    """Two models and a variant of one of them, on two tasks."""
    store = Store(tmp_path)
    for i, (model, variant) in enumerate((("a", "fp32"), ("a", "int8"), ("b", "fp32"))):
        for task, metric in (("SciFact", "ndcg_at_10"), ("STS12", "cosine_spearman")):
            file_one(store, make_score, task, metric, model=model, variant=variant, seed=i)
    return store


def file_one(store: Store, make_score: MakeScore, task: str, metric: str, *, seed: int, **fields: Any) -> Score:
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(50).random(60)
    values = (gold + 0.3 * rng.normal(size=60)).tolist()
    items: Items = {"id": [f"{k:02}" for k in range(60)]}
    items |= {"gold": gold.tolist(), "cosine": values} if metric == "cosine_spearman" else {metric: values}
    kind = "Retrieval" if task == "SciFact" else "STS"
    given = {"type": kind, "metric": metric, "n_items": 60, "identity": f"{seed}{task}", "fingerprint": str(seed)}
    score = make_score(task, metrics.compute(metric, items), **(given | fields))
    store.write(score, items)
    return score


class Counted:
    """`Store.items`, counting."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[str] = []

    def __call__(self, score: Score) -> Items:
        self.asked.append(f"{score.model.name} {score.model.variant} {score.task}")
        return self.store.items(score)


def look(store: Store, **fields: Any) -> tuple[str, list[str]]:
    """The board as JSON, and whose items were read."""
    items = Counted(store)
    board: Board = build(
        store.scores(), protocol=protocol.parse([]), items=items, stored=StoredStatistics.of(store), **fields
    )
    return format_board(board, "json"), items.asked


def test_a_second_look_reads_no_items_and_says_the_same(results: Store) -> None:
    first, asked = look(results)
    assert len(asked) == 6
    assert look(results) == (first, [])
    (results.root / "statistics" / "board.v2").unlink()
    again, asked = look(results)
    assert (again, len(asked)) == (first, 6)
    assert json.loads(first)[0]["rank_low"] is not None


def test_a_changed_score_is_computed_again_and_no_other(results: Store, make_score: MakeScore) -> None:
    first, _ = look(results)
    file_one(results, make_score, "STS12", "cosine_spearman", model="b", seed=2, created="2026-02-01")
    second, asked = look(results)
    assert asked == ["b fp32 STS12"]
    assert second == first  # the same items, made again
    for path in (results.root / "scores" / "b").rglob("STS12*.parquet"):
        path.unlink()
    third, asked = look(results)
    assert asked == ["b fp32 STS12"]
    by_model = {row["model"]: row for row in json.loads(third)}
    assert set(by_model["b"]["intervals"]) == {"SciFact"}


def test_an_entry_of_another_shape_is_computed_again(results: Store) -> None:
    first, _ = look(results)
    one = StoredStatistics.of(results)
    entries = one._load()
    for entry in entries.values():
        del entry[next(iter(entry))]
    one._changed = True
    one.save()
    found, asked = look(results)
    assert found == first
    assert len(asked) == 6


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_folder_that_takes_nothing(number: int, results: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "no")

    first, _ = look(results)
    (results.root / "statistics" / "board.v2").unlink()
    monkeypatch.setattr(module, "atomic_write", full)
    assert look(results)[0] == first
    assert list((results.root / "statistics").iterdir()) == []


def test_a_missing_file_of_items_is_named(results: Store) -> None:
    score = next(results.scores())
    assert results.items_stamp(score)
    for path in results.root.rglob("*.parquet"):
        path.unlink()
    assert results.items_stamp(score) == ""
    with pytest.raises(UserError, match="missing or cut short"):
        results.items(score)
