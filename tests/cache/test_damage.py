"""The cache damaged: it costs speed, and no vector is ever wrong."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import Clock, filled, hits, made, opened, read, space, sql
from checkpoints import one_line

from instructor_eval.cache import database, upkeep
from instructor_eval.cache import vectors as module
from instructor_eval.cache.database import FILE_NAME
from instructor_eval.cache.vectors import Space, VectorCache

PAGE = 32 * 1024


def _flip(data: bytearray, dice: random.Random, first: int, last: int, times: int) -> None:
    for _ in range(times):
        data[dice.randrange(first, last)] ^= 1 << dice.randrange(8)


def _zero_page(data: bytearray, dice: random.Random) -> None:
    page = dice.randrange(len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)


def _swap_pages(data: bytearray, dice: random.Random) -> None:
    a, b = (slice(n * PAGE, (n + 1) * PAGE) for n in dice.sample(range(len(data) // PAGE), 2))
    data[a], data[b] = data[b], data[a]


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


DAMAGE: dict[str, Callable[[bytearray, random.Random], None]] = {
    "one bit": lambda d, r: _flip(d, r, 0, len(d), 1),
    "many bits": lambda d, r: _flip(d, r, 0, len(d), 400),
    "header": lambda d, r: _flip(d, r, 0, 100, 1),
    "first page": lambda d, r: _flip(d, r, 100, PAGE, 2000),
    "small tables": lambda d, r: _flip(d, r, PAGE, 9 * PAGE, 2000),
    "ends of pages": lambda d, r: [_flip(d, r, p - 900, p, 3) for p in range(PAGE, len(d) + 1, PAGE)] and None,
    "starts of pages": lambda d, r: [_flip(d, r, p, p + 40, 1) for p in range(PAGE, len(d), 2 * PAGE)] and None,
    "zero page": _zero_page,
    "swapped pages": _swap_pages,
    "cut": _cut,
    "empty": lambda d, r: d.clear(),
    "garbage": lambda d, r: d.__setitem__(slice(None), r.randbytes(5 * PAGE + 17)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes], np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    return folder / FILE_NAME, *filled(folder, blocks=60, rows=10, dim=96)


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 8))])
def test_a_run_on_a_damaged_cache(
    tmp_path: Path, whole: tuple[Path, list[bytes], np.ndarray], kind: str, seed: int
) -> None:
    """Whatever is damaged: no vector is wrong, one line at most, and what the run stores is there for the next."""
    file, keys, vectors = whole
    data = bytearray(file.read_bytes())
    DAMAGE[kind](data, random.Random(f"{kind} {seed}"))
    (tmp_path / FILE_NAME).write_bytes(data)
    of, lines = space(96), []
    cache = opened(tmp_path, warn=lines.append)
    before = hits(cache, of, keys, vectors)
    cache.write(of, keys, vectors)
    after = hits(cache, of, keys, vectors)
    cache.write(*_more(cache))
    cache.close()
    aside = set_aside_in(tmp_path)
    assert len(lines) == len(aside) <= 1
    if aside:
        assert lines == [f"cache {tmp_path} is damaged ({_reason(lines[0])}): set aside as {aside[0].name}, "
                         "all vectors are computed again"]  # fmt: skip
        assert aside[0].stat().st_size >= len(data) // PAGE * PAGE
        assert after.all()
    elif kind == "one bit":
        assert before.sum() >= len(keys) - 10, "the other blocks are as they were"
        assert after.all()
    upkeep.verify(tmp_path)  # it may find what the run did not read
    assert upkeep.verify(tmp_path).sound
    cache = opened(tmp_path)
    cache.write(of, keys, vectors)
    assert hits(cache, of, keys, vectors).all()


def _reason(line: str) -> str:
    return line[line.index("(") + 1 : line.rindex("): set aside")]


def set_aside_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("vectors.v1.damaged-*.sqlite3"))


def _more(_: VectorCache) -> tuple[Space, list[bytes], np.ndarray]:
    keys, vectors = made(30, 8, seed=9, fingerprint="e" * 16)
    return space(8, fingerprint="e" * 16), keys, vectors


def _garbage(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def _schema_is_no_text(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE blocks", b"CREATE \xd5ABLE blocks"))


def _version(file: Path) -> None:
    _set_byte(file, 63, 99)


def _cannot_be_written(file: Path) -> None:
    _set_byte(file, 18, 9)


def _cannot_be_read(file: Path) -> None:
    _set_byte(file, 19, 9)


def _no_table(file: Path) -> None:
    sql(file.parent, "DROP TABLE blocks")


def _no_index(file: Path) -> None:
    """The root page of the index becomes nonsense: only a statement finds that."""
    [(page,)] = sql(file.parent, "SELECT rootpage FROM sqlite_master WHERE name = 'entries'")
    data = bytearray(file.read_bytes())
    data[(page - 1) * PAGE : page * PAGE] = b"\xa5" * PAGE
    file.write_bytes(data)


def _set_byte(file: Path, at: int, value: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] = value
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_garbage, "file is not a database"),
        (_schema_is_no_text, "malformed database schema"),
        (_version, "its version 99 is not 1"),
        (_cannot_be_read, "file is not a database"),
        (_cannot_be_written, "attempt to write a readonly database"),
        (_no_table, "no such table: blocks"),
        (_no_index, "database disk image is malformed"),
    ],
)
@pytest.mark.parametrize("first", ["read", "write", "verify"])
def test_a_damaged_database_is_set_aside(tmp_path: Path, damage: Callable[[Path], None], why: str, first: str) -> None:
    keys, vectors = filled(tmp_path, blocks=3)
    damage(tmp_path / FILE_NAME)
    damaged = (tmp_path / FILE_NAME).read_bytes()
    lines: list[str] = []
    if first == "verify":
        verdict = upkeep.verify(tmp_path)
        assert (verdict.rows, verdict.sound) == (0, False)
        lines = [verdict.set_aside]
    cache = opened(tmp_path, warn=lines.append)
    if first == "read":
        hit, _ = read(cache, space(64), keys)
        assert hit.any() == (damage is _cannot_be_written)
    cache.write(space(64), *made(5, 64, seed=5))
    assert hits(cache, space(64), *made(5, 64, seed=5)).all()
    assert not hits(cache, space(64), keys, vectors).any()
    cache.close()
    [aside] = set_aside_in(tmp_path)
    if (first, damage) == ("verify", _no_index):
        why = "is damaged (*** in database main *** page "  # it asks SQLite's own check, which names the page
    assert why in lines[0]
    assert [line.split(": set aside as ")[1] for line in lines] == [f"{aside.name}, all vectors are computed again"]
    assert aside.read_bytes() == damaged, "as it was"
    assert upkeep.verify(tmp_path).sound


def test_only_the_newest_copy_stays(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("vectors.damaged", "vectors.v1.sqlite3.damaged-x", "answers.v1.damaged-x")]
    for other in others:
        other.write_text("mine")
    for round_ in range(3):  # within one second, as a rule
        cache = opened(tmp_path)
        cache.write(space(64), *made(3, 64, seed=round_))
        cache.close()
        for end in ("-wal", "-shm"):  # as a killed process leaves them
            (tmp_path / f"{FILE_NAME}{end}").write_text(f"{round_}")
        (tmp_path / FILE_NAME).write_bytes(b"%d" % round_ * 1000)
        cache = opened(tmp_path, warn=[].append)
        assert not hits(cache, space(64), *made(3, 64, seed=round_)).any()
        cache.close()
    [aside] = set_aside_in(tmp_path)
    assert aside.read_bytes() == b"2" * 1000
    ours = {FILE_NAME, aside.name, f"{aside.name}-wal", f"{aside.name}-shm"}
    assert {p.name for p in tmp_path.iterdir()} <= ours | {other.name for other in others}
    assert all(other.read_text() == "mine" for other in others)


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    monkeypatch.setattr(database.time, "strftime", lambda *_: "now")
    (tmp_path / "vectors.v1.damagednow").write_text("mine")
    names = []
    for _ in range(3):
        _garbage(tmp_path / FILE_NAME)
        upkeep.verify(tmp_path)
        names += [p.name for p in set_aside_in(tmp_path)]
    assert names == [f"vectors.v1.damaged-now{end}.sqlite3" for end in ("", "-1", "")]


def test_a_database_damaged_twice_in_one_run(tmp_path: Path) -> None:
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    cache.write(space(), *made(1))
    for there in (True, False):
        sql(tmp_path, "DROP TABLE blocks")
        cache.write(space(), *made(3))
        assert hits(cache, space(), *made(3)).all() == there
    assert len(lines) == 3
    assert "set aside" in lines[0]
    assert lines[1] == f"cache {tmp_path} cannot be written (no such table: blocks): new vectors are not stored"
    assert lines[2] == f"cache {tmp_path} cannot be used (no such table: blocks): all vectors are computed"


def test_a_folder_in_which_nothing_can_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _garbage(tmp_path / FILE_NAME)

    def rename(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", rename)
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    cache.write(space(), *made(3))
    assert not hits(cache, space(), *made(3)).any()
    why = "file is not a database, and it cannot be set aside: permission denied"
    assert lines == [f"cache {tmp_path} cannot be used ({why}): all vectors are computed"]
    with one_line(str(tmp_path), why):
        upkeep.verify(tmp_path)


@pytest.mark.parametrize("code", ["SQLITE_IOERR_READ", "SQLITE_IOERR_CORRUPTFS"])
def test_a_disk_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    keys, vectors = filled(tmp_path, blocks=1)
    real = module._read

    def fail(*args: object) -> object:
        monkeypatch.setattr(module, "_read", real)
        e = sqlite3.OperationalError("disk I/O error")
        e.sqlite_errorcode = getattr(sqlite3, code)
        raise e

    monkeypatch.setattr(module, "_read", fail)
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    assert not hits(cache, space(64), keys, vectors).any()
    assert "is damaged (disk i/o error): set aside as" in lines[0]


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_log_makes_misses(tmp_path: Path, seed: int) -> None:
    keys, vectors = made(400, 64)
    cache = opened(tmp_path / "live")
    for start in range(0, 400, 20):
        cache.write(space(64), keys[start : start + 20], vectors[start : start + 20])
    shutil.copytree(tmp_path / "live", tmp_path / "copy")  # as after a crash: nothing of the log is in the database
    cache.close()
    log = tmp_path / "copy" / f"{FILE_NAME}-wal"
    data, dice = bytearray(log.read_bytes()), random.Random(seed)
    _flip(data, dice, 0, len(data), 5)
    log.write_bytes(data if seed % 2 else data[: dice.randrange(len(data))])
    cache = opened(tmp_path / "copy", warn=[].append)
    hits(cache, space(64), keys, vectors)
    cache.write(space(64), keys, vectors)
    cache.close()
    upkeep.verify(tmp_path / "copy")
    cache = opened(tmp_path / "copy")
    cache.write(space(64), keys, vectors)
    assert hits(cache, space(64), keys, vectors).all()


@pytest.mark.parametrize("target", ["2", "999", "NULL"])
def test_an_entry_that_misleads_is_a_miss_and_is_replaced(tmp_path: Path, target: str) -> None:
    keys, vectors = filled(tmp_path, blocks=3)
    if target == "NULL":  # not by SQL, which forbids it: the block itself goes
        sql(tmp_path, "DELETE FROM blocks WHERE id = 1")
        lost = set(range(20))
    else:
        sql(tmp_path, f"UPDATE entries SET block = {target} WHERE key = ?", keys[0])
        lost = {0}
    cache = opened(tmp_path)
    assert set(np.flatnonzero(~hits(cache, space(64), keys[:1], vectors[:1])).tolist()) == {0}
    assert set(np.flatnonzero(~hits(cache, space(64), keys, vectors)).tolist()) <= lost
    cache.write(space(64), keys, vectors)
    assert hits(cache, space(64), keys, vectors).all()
    assert sql(tmp_path, "SELECT COUNT(*) FROM blocks")[0][0] >= 3  # the block it led to is as good as before


def test_an_entry_may_be_written_over_that_leads_to_no_block(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, blocks=2)
    sql(tmp_path, "DELETE FROM blocks WHERE id = 1")
    cache = opened(tmp_path)
    cache.write(space(64), keys, vectors)  # without a read before
    assert hits(cache, space(64), keys, vectors).all()


def test_an_entry_that_leads_to_another_model(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, blocks=1)
    cache = opened(tmp_path)
    cache.write(*_more(cache))
    sql(tmp_path, "UPDATE entries SET block = 2 WHERE key = ?", keys[3])
    assert not hits(cache, space(64), keys[3:4], vectors[3:4]).any()
    assert hits(cache, *_more(cache)).all()


@pytest.mark.parametrize("column", ["keys", "checksum", "vectors"])
@pytest.mark.parametrize("value", ["x'00'", "'text'", "17", "x''", "zeroblob(5120)"])
def test_a_damaged_block_is_dropped_and_written_again(tmp_path: Path, column: str, value: str) -> None:
    keys, vectors = filled(tmp_path, blocks=3)
    sql(tmp_path, f"UPDATE blocks SET {column} = {value} WHERE id = 2")
    cache = opened(tmp_path)
    hit = hits(cache, space(64), keys, vectors)
    assert hit.tolist() == [not 20 <= i < 40 for i in range(60)]
    assert sql(tmp_path, "SELECT id FROM blocks") == [(1,), (3,)]
    cache.write(space(64), keys, vectors)
    assert hits(cache, space(64), keys, vectors).all()


def test_strange_notes_of_use_do_no_harm(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, blocks=8)
    for column in ("used", "bytes", "texts", "space"):
        sql(tmp_path, f"UPDATE uses SET {column} = 'x' WHERE block IN (2, 3)")
    sql(tmp_path, "UPDATE uses SET used = x'ff' WHERE block = 5")
    cache = opened(tmp_path, limit=1024**2)
    assert hits(cache, space(64), keys, vectors).all()
    more_keys, more = made(5000, 64, seed=3)
    for start in range(0, 5000, 500):
        cache.write(space(64), more_keys[start : start + 500], more[start : start + 500])
    assert cache.reads
    assert cache.writes


def test_a_space_that_lost_its_shape_gets_it_back(tmp_path: Path) -> None:
    keys, vectors = filled(tmp_path, blocks=1)
    sql(tmp_path, "UPDATE spaces SET dim = 7")
    cache = opened(tmp_path)
    assert hits(cache, space(64), keys, vectors).all()
    cache.write(space(64), *made(1, 64, seed=5))
    assert sql(tmp_path, "SELECT dim FROM spaces") == [(64,)]
