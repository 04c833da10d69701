"""One cache and several processes: at once, from the start, and killed at any moment."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import pytest
from caches import filled, finished, hits, made, opened, program, read, space, sql
from forked import KILLED
from waiting import LONGEST

from instructor_eval.cache import upkeep
from instructor_eval.cache.database import FILE_NAME
from instructor_eval.cache.vectors import keys_of

_WRITER = """
folder, number, n = Path(sys.argv[1]), int(sys.argv[2]), 400
space = Space("f" * 16, "m", "r", "v", 16)
def fail(line): raise SystemExit(line)
keys = keys_of("f" * 16, "", [str(i) for i in range(n)])
rows = np.repeat(np.arange(n, dtype=np.float32)[:, None], 16, axis=1)
rows[:, 1] = number
"""


def test_processes_write_and_read_the_same_keys_at_once(tmp_path: Path) -> None:
    write = """
cache = VectorCache(folder, warn=fail)
for start in np.random.default_rng(number).permutation(np.arange(0, n - 9, 5)):
    cache.write(space, keys[start : start + 15], rows[start : start + 15])
cache.close()
"""
    look = """
cache, seen = VectorCache(folder, warn=fail), 0
until = time.monotonic() + LONGEST
while seen < n and time.monotonic() < until:
    out = np.full((n, 16), -1, dtype=np.float32)
    hit = cache.read(space, keys, out)
    assert (out[hit][:, 0] == np.flatnonzero(hit)).all() and np.isin(out[hit][:, 1], (1, 2)).all()
    assert hit.sum() >= seen
    seen = int(hit.sum())
print(seen)
"""
    processes = [program(_WRITER + code, tmp_path, i) for i, code in enumerate((look, write, write))]
    assert [finished(p) for p in processes] == ["400\n", "", ""]
    assert upkeep.verify(tmp_path).sound
    assert upkeep.info(tmp_path).texts == 400


def test_two_processes_make_the_database_at_once(tmp_path: Path) -> None:
    code = """
for line in sys.stdin:
    cache = VectorCache(folder / line.strip(), warn=fail)
    cache.write(space, keys[:5], rows[:5])
    cache.close()
    print("done", flush=True)
"""
    processes = [program(_WRITER + code, tmp_path, i) for i in (1, 2)]
    for number in range(25):
        for process in processes:
            process.stdin.write(f"{number}\n")
        for process in processes:
            process.stdin.flush()
        for process in processes:
            assert process.stdout.readline() == "done\n", finished(process)
        assert upkeep.info(tmp_path / str(number)).texts == 5
    assert [finished(p) for p in processes] == ["", ""]


def test_a_writer_killed_at_any_moment_leaves_a_whole_cache(tmp_path: Path) -> None:
    # One process that has everything imported makes a writer for each line, which is killed in its own time: after so
    # many writes, and so many seconds of the processor more.
    code = """
for line in sys.stdin:
    seed, writes, seconds = line.split()
    pid = os.fork()
    if not pid:
        dice = np.random.default_rng(int(seed))
        cache = VectorCache(folder, limit=2**20, warn=fail)
        for done in itertools.count():
            if done == int(writes):
                end_after(float(seconds))
            start = int(dice.integers(n - 30))
            cache.write(space, keys[start : start + 30], rows[start : start + 30])
            cache.write(space, keys_of("f" * 16, str(dice.random()), map(str, range(300))), np.ones((300, 16)))
    print(wait(pid), flush=True)
"""
    process, dice = program(_WRITER + code, tmp_path, 1), random.Random(0)
    keys = keys_of("f" * 16, "", [str(i) for i in range(400)])
    seen = 0
    for seed in range(20):
        process.stdin.write(f"{seed} {dice.randint(0, 6)} {dice.uniform(0, 0.02)}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{KILLED}\n", finished(process)
        if not (tmp_path / FILE_NAME).is_file():
            continue
        cache = opened(tmp_path)
        hit, out = read(cache, space(), keys)
        assert (out[hit][:, 0] == np.flatnonzero(hit)).all()
        seen = max(seen, int(hit.sum()))
        cache.close()
        assert upkeep.verify(tmp_path).sound
    finished(process)
    assert seen > 100


# A database that is set aside

_DAMAGE = b"\xa5" * 32768


def _damage(folder: Path) -> None:
    """Break the root page of the index, on which every read and write fails."""
    [(page,)] = sql(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'entries'")
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek((page - 1) * 32768)
        file.write(_DAMAGE)


def test_several_processes_find_the_same_damage(tmp_path: Path) -> None:
    code = """
for line in sys.stdin:
    lines = []
    cache = VectorCache(folder / line.strip(), warn=lines.append)
    out = np.empty((n, 16), dtype=np.float32)
    mine = slice(number * 100, number * 100 + 100)
    cache.read(space, keys, out)
    cache.write(space, keys[mine], rows[mine])
    assert cache.read(space, keys[mine], out[mine]).all() and (out[mine][:, 0] == np.arange(n)[mine]).all()
    cache.close()
    print(len(lines), *lines, flush=True)
"""
    processes = [program(_WRITER + code, tmp_path, i) for i in range(4)]
    for number in range(15):
        folder = tmp_path / str(number)
        filled(folder, blocks=3)
        _damage(folder)
        for process in processes:
            process.stdin.write(f"{number}\n")
        for process in processes:
            process.stdin.flush()
        said = [process.stdout.readline() for process in processes]
        assert sum(int(line.split()[0]) for line in said) == 1, said
        assert len(list(folder.glob("*.damaged-*.sqlite3"))) == 1, "its log may lie beside it"
        assert upkeep.verify(folder) == upkeep.Verdict(rows=upkeep.verify(folder).rows, texts=400)
    assert [finished(p) for p in processes] == [""] * 4


def test_a_process_goes_over_to_the_new_database(tmp_path: Path) -> None:
    code = """
cache = VectorCache(folder, warn=fail)
for line in sys.stdin:
    part = slice(*map(int, line.split()))
    cache.write(space, keys[part], rows[part])
    out = np.empty((n, 16), dtype=np.float32)
    print(int(cache.read(space, keys, out).sum()), flush=True)
cache.close()
"""
    process = program(_WRITER + code, tmp_path, 1)

    def write(first: int, last: int) -> int:
        process.stdin.write(f"{first} {last}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    assert write(0, 100) == 100
    (log,) = tmp_path.glob("*-wal")
    assert log.stat().st_size > 0
    sql(tmp_path, "DROP TABLE blocks")
    assert upkeep.verify(tmp_path).set_aside
    assert write(100, 200) == 100
    cache = opened(tmp_path)
    assert read(cache, space(), keys_of("f" * 16, "", [str(i) for i in range(400)]))[0].sum() == 100
    cache.close()
    assert finished(process) == ""
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=1, texts=100)


@pytest.mark.parametrize("end", ["cache.close()", "connection.close()", "os._exit(0)", ""])
def test_closing_the_old_database_leaves_the_new_one_alone(tmp_path: Path, end: str) -> None:
    """SQLite deletes the log by its name when the last process closes a database."""
    code = f"""
cache = VectorCache(folder, warn=fail)
cache.write(space, keys[:100], rows[:100])
connection = cache._database._connection
print("open", flush=True)
sys.stdin.readline()
connection.execute("INSERT INTO uses VALUES (7, 7, 7, 7, 7)")
{end}
"""
    process = program(_WRITER + code, tmp_path, 1)
    assert process.stdout.readline() == "open\n"
    sql(tmp_path, "DROP TABLE blocks")
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    keys, vectors = made(300)
    cache.write(space(), keys, vectors)
    assert len(lines) == 1
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 6, "two databases, each with its log"
    assert finished(process) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    other = opened(tmp_path)
    assert hits(other, space(), keys, vectors).all()
    other.close()
    cache.close()
    assert upkeep.verify(tmp_path) == upkeep.Verdict(rows=1, texts=300)


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_kill_while_it_is_set_aside(tmp_path: Path, renames: int) -> None:
    filled(tmp_path, blocks=3)
    _damage(tmp_path)
    for end in ("-wal", "-shm"):
        (tmp_path / f"{FILE_NAME}{end}").write_bytes(b"")
    code = """
rename, left = Path.rename, number
def until_killed(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)
Path.rename = until_killed
cache = VectorCache(folder, warn=print)
cache.write(space, keys[:5], rows[:5])
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = program(_WRITER + code, tmp_path, renames)
    process.communicate(timeout=LONGEST)
    assert process.returncode == -signal.SIGKILL
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    keys, vectors = made(300)
    cache.write(space(), keys, vectors)
    assert hits(cache, space(), keys, vectors).all()
    cache.close()
    assert len(lines) == (renames < 3), lines
    assert upkeep.verify(tmp_path).sound
    assert len(list(tmp_path.glob("*.damaged-*.sqlite3"))) == 1
