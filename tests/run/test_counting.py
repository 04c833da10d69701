"""The stand-in for the cache and the engine in a dry run: it knows what a run would find, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from caches import filled, made, opened, space

from instructor_eval.cache.database import FILE_NAME
from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.engine import Engine
from instructor_eval.run.counting import CLASSES, CountingEngine, KnownKeys, Sample


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


OPENED: list[KnownKeys] = []


@pytest.fixture(autouse=True)
def _all_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def known(folder: Path | None, **more: object) -> KnownKeys:
    def fail(line: str) -> None:
        raise AssertionError(line)

    OPENED.append(KnownKeys(folder, **({"warn": fail} | more)))
    return OPENED[-1]


def hits(cache: KnownKeys, keys: list[bytes]) -> list[bool]:
    found = cache.read(space(), keys, np.empty((len(keys), 16), dtype=np.float32))
    return [bool(x) for x in found]


def test_it_knows_what_the_cache_has_and_leaves_no_trace(tmp_path: Path) -> None:
    keys, vectors = made(6)
    cache = opened(tmp_path)
    cache.write(space(), keys[:4], vectors[:4])
    cache.close()
    before = listing(tmp_path)
    stand_in = known(tmp_path)
    assert hits(stand_in, keys) == [True] * 4 + [False] * 2
    assert (stand_in.on_disk, stand_in.found_on_disk) == (set(keys[:4]), 4)
    stand_in.write(space(), keys[4:5], vectors[:0])
    assert hits(stand_in, keys) == [True] * 5 + [False]
    assert stand_in.found_on_disk == 8, "what was computed is not counted as the cache's"
    stand_in.close()
    assert listing(tmp_path) == before


def test_it_sees_what_a_running_process_has_just_written(tmp_path: Path) -> None:
    keys, vectors = made(3)
    cache = opened(tmp_path)
    cache.write(space(), keys, vectors)
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size > 0
    names = set(listing(tmp_path))
    stand_in = known(tmp_path)
    assert hits(stand_in, keys) == [True] * 3
    stand_in.close()
    assert set(listing(tmp_path)) == names
    cache.write(space(), [b"x" * 16], vectors[:1])
    cache.close()
    assert hits(known(tmp_path), [b"x" * 16]) == [True]


def test_other_models_vectors_are_none(tmp_path: Path) -> None:
    keys, _ = filled(tmp_path)  # of 64 values
    assert not any(hits(known(tmp_path), keys))


@pytest.mark.parametrize("make", [lambda _: None, lambda folder: folder.mkdir()])
def test_without_a_cache_nothing_is_known_or_made(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "cache")
    before = sorted(tmp_path.rglob("*"))
    assert hits(known(tmp_path / "cache"), made(2)[0]) == [False, False]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("at", [0, 4096])
def test_a_damaged_cache_is_one_warning_and_empty(tmp_path: Path, at: int) -> None:
    keys, _ = made(20)
    filled(tmp_path, dim=16)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:at] + b"damage " * 40_000)
    lines: list[str] = []
    stand_in = known(tmp_path, warn=lines.append)
    assert hits(stand_in, keys) == hits(stand_in, keys) == [False] * 20
    [line] = lines
    assert "cannot be read" in line


def test_a_runs_own_memory_is_as_large_as_its_cache() -> None:
    keys, vectors = made(10)
    limit = 4 * 16 * 4  # bytes of four vectors
    memory, stand_in = MemoryCache(limit), known(None, limit=limit)
    for cache in (memory, stand_in):
        cache.write(space(), keys, vectors)
    real = memory.read(space(), keys, np.empty_like(vectors)).tolist()
    assert hits(stand_in, keys) == real == [False] * 6 + [True] * 4
    assert not stand_in.keeps_all
    assert known(None).keeps_all


def test_a_sample_does_not_depend_on_the_order() -> None:
    entries = [(bytes([i * 37 % 256]) * 16, f"text {i}") for i in range(200)]
    one, other = Sample(10), Sample(10)
    for key, text in entries:
        one.add(1, key, text)
    for key, text in reversed(entries):
        other.add(1, key, text)
    least = [text for _, text in sorted(entries)[:10]]
    assert one.texts(1) == other.texts(1) == least
    assert one.texts(0) == []


def test_totals_are_those_of_the_engine(plain: Engine) -> None:
    texts = ["the cat", "the dog", "the cat", "a " * 300, "", "tree water " * 30]
    real = Engine(plain.checkpoint, device="cpu", cache=MemoryCache())
    counting = CountingEngine(plain.checkpoint, known(None))
    for engine in (real, counting):
        engine.encode(texts, "query: ")
        engine.encode([*texts[:2], "new"], "query: ")
        engine.encode(texts[:2], "")
    fields = ("texts", "unique", "hits", "tokens")
    found = [{f: getattr(e.totals, f) for f in fields} for e in (real, counting)]
    assert found[0] == found[1]
    assert found[0]["tokens"] > plain.checkpoint.max_length
    assert counting.tokens.sum() == counting.totals.tokens
    assert counting.tokens.tolist()[1] > 0
    assert len(counting.tokens) == CLASSES
    assert "query: new" in counting.sample.texts(0)


def test_what_the_model_cannot_embed_is_found_without_it(instructor: Engine) -> None:
    counting = CountingEngine(instructor.checkpoint, known(None))
    with pytest.raises(ModelOutputError) as counted:
        counting.encode(["r"], "wate")
    with pytest.raises(ModelOutputError) as real:
        Engine(instructor.checkpoint, device="cpu").encode(["r"], "wate")
    assert str(counted.value) == str(real.value)
