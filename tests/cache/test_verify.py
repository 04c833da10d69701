"""Checking a cache and making it whole: what is wrong goes or is put right, and what is good stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from caches import DAY, A, fill, finished, hits, opened, program, space_of, sql
from checkpoints import one_line

from instructor_eval.cache import salvage, upkeep, verify
from instructor_eval.cache.database import FILE_NAME, open_existing


def test_a_whole_cache_is_sound(tmp_path: Path, two: dict) -> None:
    verdict = verify.verify(tmp_path)
    assert verdict == verify.Verdict(blocks=6, texts=150)
    assert verdict.sound


def test_damaged_blocks_go_with_their_entries(tmp_path: Path, two: dict) -> None:
    sql(tmp_path, "UPDATE blocks SET vectors = zeroblob(LENGTH(vectors)) WHERE id = 2")
    sql(tmp_path, "UPDATE blocks SET keys = NULL || 'x' WHERE 0")
    sql(tmp_path, "UPDATE blocks SET keys = substr(keys, 17) WHERE id = 5")
    verdict = verify.verify(tmp_path)
    assert (verdict.blocks, verdict.texts, verdict.damaged, verdict.dropped) == (6, 150, 2, 50)
    assert not verdict.sound
    assert sql(tmp_path, "SELECT COUNT(*) FROM entries") == [(100,)]
    assert verify.verify(tmp_path) == verify.Verdict(blocks=4, texts=100)
    cache = opened(tmp_path)
    assert hits(cache, *two["a"]).sum() == 75
    for part in two.values():
        cache.write(*part)
        assert hits(cache, *part).all()
    cache.close()


def test_index_and_blocks_are_made_to_agree(tmp_path: Path, two: dict) -> None:
    of, keys, vectors = two["a"]
    sql(tmp_path, "DELETE FROM entries WHERE key IN (?, ?)", keys[0], keys[1])
    sql(tmp_path, "UPDATE entries SET block = 3 WHERE key = ?", keys[2])
    sql(tmp_path, "UPDATE entries SET block = 77 WHERE key = ?", keys[3])
    sql(tmp_path, "INSERT INTO entries VALUES (zeroblob(16), 1)")
    sql(tmp_path, "INSERT INTO entries VALUES (x'01', 99)")
    verdict = verify.verify(tmp_path)
    assert (verdict.damaged, verdict.dropped, verdict.mended) == (0, 0, 6)
    assert verify.verify(tmp_path).sound
    assert hits(opened(tmp_path), of, keys, vectors).all()


def test_a_key_in_two_blocks_is_no_fault(tmp_path: Path, two: dict) -> None:
    of, keys, vectors = two["a"]
    sql(tmp_path, "DELETE FROM entries WHERE key = ?", keys[0])
    cache = opened(tmp_path)
    cache.write(of, keys, vectors)
    cache.close()
    assert sql(tmp_path, "SELECT SUM(texts) FROM uses") == [(151,)]
    assert verify.verify(tmp_path).sound


def test_notes_of_use_are_put_right(tmp_path: Path, two: dict) -> None:
    sql(tmp_path, "UPDATE uses SET texts = 3, used = 'x' WHERE block = 1")
    sql(tmp_path, "UPDATE uses SET space = 2 WHERE block = 2")  # of another size
    sql(tmp_path, "DELETE FROM uses WHERE block = 3")
    sql(tmp_path, "INSERT INTO uses VALUES (50, 1, 1, 1, 1)")
    verdict = verify.verify(tmp_path)
    assert (verdict.mended, verdict.dropped) == (4, 0)
    assert verify.verify(tmp_path).sound
    assert sql(tmp_path, "SELECT block, space, texts FROM uses") == [
        (1, 1, 25), (2, 1, 25), (3, 1, 25), (4, 1, 25), (5, 2, 25), (6, 2, 25)
    ]  # fmt: skip


def test_good_blocks_are_kept_when_nobody_knows_whose_they_are(tmp_path: Path, two: dict) -> None:
    sql(tmp_path, "DELETE FROM spaces")
    assert verify.verify(tmp_path).dropped == 0
    assert [m.name for m in upkeep.info(tmp_path).models] == ["unknown", "unknown"]
    cache = opened(tmp_path)
    for of, keys, vectors in two.values():
        assert not hits(cache, of, keys, vectors).any()
        cache.write(of, keys[:1], vectors[:1])  # the model comes back
        assert hits(cache, of, keys, vectors).all()
    cache.close()


def test_a_version_that_is_not_the_file_names_is_mended(tmp_path: Path, two: dict) -> None:
    with open_existing(tmp_path) as connection:
        connection.execute("PRAGMA user_version = 99")
    verdict = verify.verify(tmp_path)
    assert verdict.problem == "its version 99 is not 1"
    assert (verdict.blocks, verdict.texts, verdict.damaged, verdict.dropped) == (6, 150, 0, 0)
    used = [m.used for m in upkeep.info(tmp_path).models]
    assert used[1] - used[0] == 10 * DAY
    for part in two.values():
        cache = opened(tmp_path)
        assert hits(cache, *part).all()
        cache.close()


@pytest.mark.parametrize("offset", [18, 19, 60])
def test_a_header_that_stops_writing_is_mended(tmp_path: Path, two: dict, offset: int) -> None:
    file = tmp_path / FILE_NAME
    data = bytearray(file.read_bytes())
    data[offset] = 9
    file.write_bytes(data)
    verdict = verify.verify(tmp_path)
    assert verdict.problem
    cache = opened(tmp_path)
    for part in two.values():
        cache.write(*part)
        assert hits(cache, *part).all()
    cache.close()


def _break_index(folder: Path) -> None:
    """The root page of the index becomes nonsense."""
    [(page,)] = sql(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'entries'")
    file = folder / FILE_NAME
    data = bytearray(file.read_bytes())
    data[(page - 1) * 32768 : page * 32768] = b"\xa5" * 32768
    file.write_bytes(data)


def test_a_broken_index_is_made_anew_and_nothing_is_lost(tmp_path: Path, two: dict) -> None:
    _break_index(tmp_path)
    verdict = verify.verify(tmp_path)
    assert verdict.problem
    assert (verdict.blocks, verdict.texts, verdict.damaged, verdict.dropped) == (6, 150, 0, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [FILE_NAME]
    for part in two.values():
        cache = opened(tmp_path)
        assert hits(cache, *part).all()
        cache.close()


def test_a_database_in_use_is_not_replaced(tmp_path: Path, two: dict) -> None:
    _break_index(tmp_path)
    user = program(
        """
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("SELECT COUNT(*) FROM spaces").fetchone()
print("open", flush=True)
sys.stdin.readline()
""",
        tmp_path / FILE_NAME,
    )
    assert user.stdout.readline() == "open\n"
    inode = (tmp_path / FILE_NAME).stat().st_ino
    with one_line(str(tmp_path), "damaged", "another process uses it"):
        verify.verify(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_ino == inode
    finished(user)
    assert verify.verify(tmp_path).texts == 150
    assert (tmp_path / FILE_NAME).stat().st_ino != inode


def test_no_room_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, space_of(A, dim=2000), writes=10, rows=40)
    _break_index(tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    real = salvage.prepare

    def prepare(connection: object) -> None:
        real(connection)  # type: ignore[arg-type]
        connection.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    monkeypatch.setattr(salvage, "prepare", prepare)
    with one_line(str(tmp_path), "cannot be mended", "full", "free some space"):
        verify.verify(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert not list(tmp_path.glob("*mending*"))
