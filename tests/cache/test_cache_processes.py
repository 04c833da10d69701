"""One cache and several processes: at once, from the start, and killed at any moment."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from caches import finished, opened, program, read, space
from forked import KILLED

from instructor_eval.cache import upkeep, verify
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
    assert verify.verify(tmp_path).sound
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
        assert verify.verify(tmp_path).sound
    finished(process)
    assert seen > 100
