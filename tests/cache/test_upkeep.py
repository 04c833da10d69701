"""Show, check and shrink a cache, also while others use it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from caches import DAY, A, B, Clock, fill, finished, hits, made, opened, program, read, space, space_of, sql
from checkpoints import one_line

from instructor_eval.cache import upkeep
from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import FILE_NAME, open_existing
from instructor_eval.cache.vectors import keys_of
from instructor_eval.core.errors import UserError

# info


def test_info_counts(tmp_path: Path, two: dict) -> None:
    info = upkeep.info(tmp_path)
    a, b = info.models
    assert (a.name, a.variant, a.revision, a.dim, a.dtype, a.fingerprint) == ("org/a", "bf16", "r1", 32, "float32", A)
    assert (a.texts, a.bytes, b.texts, b.bytes) == (100, 100 * (32 * 4 + 16), 50, 50 * (7 * 4 + 16))
    assert (info.texts, info.bytes) == (150, a.bytes + b.bytes)
    assert b.used - a.used == 10 * DAY
    assert info.disk == (tmp_path / FILE_NAME).stat().st_size
    assert info.version == 1
    cache = opened(tmp_path)
    cache.write(*two["a"])
    cache.write(space_of(A), *made(9, 32, seed=8))
    assert upkeep.info(tmp_path).disk > info.disk  # the log
    cache.close()


def test_nothing_there(tmp_path: Path) -> None:
    for action in (upkeep.info, upkeep.verify, upkeep.prune, upkeep.clear):
        with one_line(str(tmp_path / "none"), "no cache in", "--cache"):
            action(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"x" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_cache_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    for action in (upkeep.info, upkeep.prune, upkeep.clear):
        with one_line(f"cache {tmp_path}: ", ": `evaluate cache verify` sets it aside"):
            action(tmp_path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [content]
    verdict = upkeep.verify(tmp_path)
    assert verdict == upkeep.Verdict(set_aside=verdict.set_aside)
    assert not verdict.sound
    assert upkeep.verify(tmp_path) == upkeep.Verdict()
    assert upkeep.info(tmp_path).texts == 0


def test_an_empty_file_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"")
    assert upkeep.info(tmp_path).texts == upkeep.clear(tmp_path).rows == 0


def test_damage_within_is_one_line(tmp_path: Path, two: dict) -> None:
    file = tmp_path / FILE_NAME
    data = bytearray(file.read_bytes())
    data[2 * 32768 :] = b"\xff" * (len(data) - 2 * 32768)
    file.write_bytes(data)
    for action in (upkeep.info, upkeep.clear):
        with one_line(str(tmp_path), "malformed", "`evaluate cache verify` sets it aside"):
            action(tmp_path)


# verify


def test_a_whole_cache_is_sound(tmp_path: Path, two: dict) -> None:
    verdict = upkeep.verify(tmp_path)
    assert verdict == upkeep.Verdict(rows=6, texts=150)
    assert verdict.sound


def test_damaged_blocks_go_with_their_entries(tmp_path: Path, two: dict) -> None:
    sql(tmp_path, "UPDATE blocks SET vectors = zeroblob(LENGTH(vectors)) WHERE id = 2")
    sql(tmp_path, "UPDATE blocks SET keys = substr(keys, 17) WHERE id = 5")
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=6, texts=100, wrong=2, entries=1)
    assert sql(tmp_path, "SELECT COUNT(*) FROM entries") == [(100,)]
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=4, texts=100)
    cache = opened(tmp_path)
    assert hits(cache, *two["a"]).sum() == 75
    for part in two.values():
        cache.write(*part)
        assert hits(cache, *part).all()
    cache.close()


def test_entries_and_notes_without_a_block_go(tmp_path: Path, two: dict) -> None:
    of, keys, vectors = two["a"]
    sql(tmp_path, "UPDATE entries SET block = 77 WHERE key = ?", keys[3])
    sql(tmp_path, "INSERT INTO entries VALUES (x'01', 99)")
    sql(tmp_path, "INSERT INTO uses VALUES (50, 1, 1, 1, 1)")
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=6, texts=150, entries=3)
    assert upkeep.verify(tmp_path).sound
    cache = opened(tmp_path)
    assert not hits(cache, of, keys[3:4], vectors[3:4]).any()
    cache.write(of, keys[3:4], vectors[3:4])
    assert hits(cache, of, keys, vectors).all()
    cache.close()
    assert upkeep.verify(tmp_path).sound, "a key in two blocks is no damage"


def test_blocks_with_a_wrong_note_of_use_go(tmp_path: Path, two: dict) -> None:
    """They could not be counted, or would never be evicted."""
    sql(tmp_path, "UPDATE uses SET texts = 3 WHERE block = 1")
    sql(tmp_path, "UPDATE uses SET bytes = 'x' WHERE block = 2")
    sql(tmp_path, "UPDATE uses SET space = 77 WHERE block = 5")
    sql(tmp_path, "DELETE FROM uses WHERE block = 3")
    verdict = upkeep.verify(tmp_path)
    assert (verdict.rows, verdict.wrong, verdict.entries) == (6, 4, 0)
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=2, texts=50)
    assert upkeep.info(tmp_path).texts == 50


def test_a_locked_cache_is_not_damaged(tmp_path: Path, two: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instructor_eval.cache.database._BUSY_SECONDS", 0.05)
    sql(tmp_path, "UPDATE blocks SET checksum = x'00' WHERE id = 2")
    with open_existing(tmp_path, VECTORS) as other:
        other.execute("BEGIN IMMEDIATE")
        with one_line(f"cache {tmp_path} cannot be checked (database is locked): try again later"):
            upkeep.verify(tmp_path)
    assert upkeep.verify(tmp_path).wrong == 1


# prune and clear


def test_prune_by_model(tmp_path: Path, two: dict) -> None:
    for number, name in enumerate(("org/a", "org/a@r1", A)):
        dropped = upkeep.prune(tmp_path, model=name)
        assert (dropped.rows, dropped.bytes) == (100, 100 * 144)
        assert [m.name for m in upkeep.info(tmp_path).models] == ["org/b"]
        assert upkeep.verify(tmp_path).sound
        cache = opened(tmp_path)
        assert not hits(cache, *two["a"]).any(), number
        cache.write(*two["a"])
        assert hits(cache, *two["b"]).all()
        cache.close()
    for name in ("org/c", "org/a@r2", "x"):
        with one_line(f"'{name}'", "did you mean org/" if "/" in name else "it has org/a, org/b"):
            upkeep.prune(tmp_path, model=name)


def test_prune_by_age(tmp_path: Path, two: dict) -> None:
    assert upkeep.prune(tmp_path, older_than_days=11).rows == 0
    assert upkeep.prune(tmp_path, older_than_days=9, model="org/b").rows == 0  # only what both name
    assert upkeep.prune(tmp_path, older_than_days=9).rows == 100
    assert hits(opened(tmp_path), *two["b"]).all()


@pytest.mark.parametrize("model", [None, "org/a"])
def test_prune_by_size_drops_what_was_used_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | None
) -> None:
    clock = Clock(monkeypatch)
    parts = []
    for seed in range(30):
        clock.now += 3600
        of = space_of((B, A)[seed % 2], dim=1000)
        parts.append((of, *fill(tmp_path, of, writes=1, rows=50, seed=seed)))
    full = upkeep.info(tmp_path)
    assert upkeep.prune(tmp_path, size=full.disk).rows == 0
    size = full.disk * 2 // 3
    dropped = upkeep.prune(tmp_path, size=size, model=model)
    left = upkeep.info(tmp_path)
    assert size - 2**20 < left.disk <= size
    assert dropped.freed == full.disk - left.disk
    assert (dropped.rows, dropped.bytes) == (full.texts - left.texts, full.bytes - left.bytes)
    assert upkeep.verify(tmp_path).sound
    cache = opened(tmp_path)
    left_of = [float(hits(cache, *part).mean()) for part in parts if model is None or part[0].name == model]
    assert left_of == sorted(left_of)
    assert left_of[0] == 0
    assert left_of[-1] == 1
    if model:
        assert all(hits(cache, *part).all() for part in parts if part[0].name != model)
    cache.close()


def test_strange_notes_of_use_do_not_stop_it(tmp_path: Path, two: dict) -> None:
    sql(tmp_path, "UPDATE uses SET texts = 'x', bytes = x'ff', used = 'y' WHERE block < 3")
    sql(tmp_path, "UPDATE uses SET used = 9000000000000000000 WHERE block > 4")
    assert [m.used <= time.time() for m in upkeep.info(tmp_path).models] == [True, True]
    assert upkeep.prune(tmp_path, model="org/a").rows == 50
    assert upkeep.clear(tmp_path).rows == 50


def test_clear(tmp_path: Path, two: dict) -> None:
    fill(tmp_path, space_of(A, dim=2000), writes=20, rows=40, seed=4)
    before = upkeep.info(tmp_path)
    dropped = upkeep.clear(tmp_path)
    after = upkeep.info(tmp_path)
    assert (dropped.rows, dropped.bytes) == (before.texts, before.bytes)
    assert dropped.freed == before.disk - after.disk
    assert after.disk < 400_000
    assert (after.texts, after.models) == (0, [])
    assert upkeep.verify(tmp_path).sound
    cache = opened(tmp_path)
    cache.write(*two["b"])
    assert hits(cache, *two["b"]).all()


def test_clear_deletes_what_was_set_aside(tmp_path: Path, two: dict) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100_000)
    upkeep.verify(tmp_path)
    assert upkeep.info(tmp_path).disk > 1_100_000
    (tmp_path / "vectors.damaged").write_text("mine")
    assert upkeep.clear(tmp_path).freed >= 1_100_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vectors.damaged", FILE_NAME]


def test_a_locked_cache_is_one_line(tmp_path: Path, two: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instructor_eval.cache.database._BUSY_SECONDS", 0.05)
    with open_existing(tmp_path, VECTORS) as other:
        other.execute("BEGIN IMMEDIATE")
        for action in (upkeep.clear, lambda folder: upkeep.prune(folder, size=2**20, older_than_days=1)):
            with one_line(str(tmp_path), "locked", "try again"):
                action(tmp_path)
        other.execute("ROLLBACK")
    assert upkeep.info(tmp_path).texts == 150


def test_upkeep_while_another_process_writes(tmp_path: Path) -> None:
    writer = program(
        """
folder = Path(sys.argv[1])
space = Space("f" * 16, "org/w", "r", "v", 64)
def fail(line): raise SystemExit(line)
cache = VectorCache(folder, warn=fail)
n = 0
while not select.select([sys.stdin], [], [], 0)[0]:  # until its input ends
    keys = keys_of("f" * 16, str(n // 3), [str(i) for i in range(100)])
    out = np.full((100, 64), -1, dtype=np.float32)
    hit = cache.read(space, keys, out)
    assert (out[hit][:, 0] == np.flatnonzero(hit)).all()
    cache.write(space, keys, np.repeat(np.arange(100, dtype=np.float32)[:, None], 64, axis=1))
    n += 1
    print(n, flush=True)
""",
        tmp_path,
    )
    for rounds in range(9):
        for _ in range(3):  # it gets on meanwhile
            assert writer.stdout.readline(), finished(writer)
        assert upkeep.verify(tmp_path).wrong == 0
        upkeep.prune(tmp_path, size=2**20)
        upkeep.info(tmp_path)
        if rounds % 3 == 0:
            upkeep.clear(tmp_path)
    finished(writer)
    assert upkeep.verify(tmp_path).sound
    keys = keys_of("f" * 16, "0", ["0"])
    read(opened(tmp_path), space(64, name="org/w"), keys)


def test_upkeep_never_raises_but_user_errors(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    for action in (upkeep.info, upkeep.verify):
        with pytest.raises(UserError):
            action(tmp_path)
