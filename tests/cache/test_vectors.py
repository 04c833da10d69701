"""The cache of vectors: exact keys, vectors bit for bit, its folder and its limit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from caches import Clock, filled, hits, made, opened, read, space, sql
from hypothesis import given, settings
from hypothesis import strategies as st

from instructor_eval.cache import blocks, upkeep
from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import FILE_NAME, open_existing
from instructor_eval.cache.vectors import BLOCK_BYTES, MemoryCache, default_folder, keys_of

# Keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("f", "a", "bc"), ("f", "ab", "c")),
        (("f", "", "abc"), ("f", "abc", "")),
        (("f", "a", "b"), ("f", "a ", "b")),
        (("f", "a", "b"), ("f", "a", "b ")),
        (("f", "a", "b"), ("f", "a", " b")),
        (("f", "a", "b"), ("f", "a", "B")),
        (("f", "a", "b"), ("g", "a", "b")),
        (("f", "a", "b\0"), ("f", "a", "b")),
        (("f", "a", "\ud800"), ("f", "a", "\ud801")),
        (("f", "a", "\ud800"), ("f", "a", "?")),
        (("f", "a", "é"), ("f", "a", "e\u0301")),
        (("f", "a", ""), ("f", "a", "\0")),
    ],
)
def test_keys_are_exact(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    [first], [second] = (keys_of(f, i, [t]) for f, i, t in (one, other))
    assert first != second
    assert len(first) == 16


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=8, unique=True))
def test_different_pairs_have_different_keys(pairs: list[tuple[str, str]]) -> None:
    assert len({keys_of("f", instruction, [text])[0] for instruction, text in pairs}) == len(pairs)


def test_keys_do_not_depend_on_their_neighbours() -> None:
    assert keys_of("f", "i", ["a", "b"]) == keys_of("f", "i", ["a"]) + keys_of("f", "i", ["b"])
    assert keys_of("f" * 16, "Represent: ", ["text"])[0].hex() == "300792b674c0545d7439408ac61850ec"


# Reading and writing


@pytest.mark.parametrize(("n", "dim"), [(1, 1), (7, 3), (5000, 16), (100, 1021), (3, 50_000)])
def test_vectors_come_back_bit_for_bit(tmp_path: Path, n: int, dim: int) -> None:
    keys, vectors = made(n, dim)
    assert dim < 50_000 or space(dim).row_bytes > BLOCK_BYTES
    cache = opened(tmp_path)
    assert not hits(cache, space(dim), keys, vectors).any()
    cache.write(space(dim), keys, vectors)
    assert hits(cache, space(dim), keys, vectors).all()
    cache.close()
    assert hits(opened(tmp_path), space(dim), keys, vectors).all()


def test_strange_numbers_come_back_too(tmp_path: Path) -> None:
    bits = np.array(
        [[0x7FC00001, 0x80000000, 1, 0x7F800000]], dtype=np.uint32
    )  # NaN with a payload, -0, subnormal, inf
    cache = opened(tmp_path)
    cache.write(space(4), [b"k" * 16], bits.view(np.float32))
    out = np.zeros((1, 4), dtype=np.float32)
    assert cache.read(space(4), [b"k" * 16], out).all()
    assert out.tobytes() == bits.tobytes()


def test_float16(tmp_path: Path) -> None:
    keys, vectors = made(300, 24)
    cache = opened(tmp_path)
    cache.write(space(24, "float16"), keys, vectors)
    assert hits(cache, space(24, "float16"), keys, vectors.astype(np.float16).astype(np.float32)).all()
    [(size,)] = sql(tmp_path, "SELECT SUM(LENGTH(vectors)) FROM blocks")
    assert size == 300 * 24 * 2


def test_any_order_and_partial_hits(tmp_path: Path) -> None:
    keys, vectors = made(3000)
    cache = opened(tmp_path)
    known = np.arange(3000) % 3 != 0
    cache.write(space(), [k for k, there in zip(keys, known, strict=True) if there], vectors[known])
    order = np.random.default_rng(1).permutation(3000)
    shuffled = [keys[i] for i in order]
    assert (hits(cache, space(), shuffled, vectors[order]) == known[order]).all()


def test_repeated_keys(tmp_path: Path) -> None:
    keys, vectors = made(4)
    places = [0, 1, 0, 2, 2, 2, 3, 0]
    for cache in (opened(tmp_path), MemoryCache()):
        cache.write(space(), [keys[i] for i in places[:6]], vectors[places[:6]])
        hit = hits(cache, space(), [keys[i] for i in places], vectors[places])
        assert hit.tolist() == [i != 3 for i in places]


def test_what_is_there_stays_and_is_stored_once(tmp_path: Path) -> None:
    keys, vectors = made(50)
    for cache in (opened(tmp_path), MemoryCache()):
        cache.write(space(), keys[:30], vectors[:30])
        cache.write(space(), keys, np.concatenate([vectors[:30] + 1, vectors[30:]]))
        assert hits(cache, space(), keys, vectors).all()
    assert sql(tmp_path, "SELECT SUM(texts), COUNT(*) FROM uses") == [(50, 2)]


def test_no_keys(tmp_path: Path) -> None:
    for cache in (opened(tmp_path), MemoryCache()):
        cache.write(space(), [], np.empty((0, 16), dtype=np.float32))
        assert read(cache, space(), [])[0].size == 0


def test_models_do_not_meet(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    both = []
    for seed, fingerprint, dim in ((1, "a" * 16, 8), (2, "b" * 16, 8), (3, "c" * 16, 12)):
        keys, vectors = made(40, dim, seed=seed, fingerprint=fingerprint)
        cache.write(space(dim, fingerprint=fingerprint), keys, vectors)
        both.append((space(dim, fingerprint=fingerprint), keys, vectors))
    for of, keys, vectors in both:
        assert hits(cache, of, keys, vectors).all()
    [a, _, c] = both
    assert not read(cache, c[0], a[1])[0].any()  # of another shape


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("rw"), st.lists(st.integers(0, 40), max_size=12), st.sampled_from("fg")), max_size=12
    )
)
def test_it_is_a_mapping(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int], str]]) -> None:
    folder = tmp_path_factory.mktemp("mapping")
    caches = [opened(folder), MemoryCache()]
    models: list[dict[bytes, np.ndarray]] = [{}, {}]
    for number, (what, ids, fingerprint) in enumerate(steps):
        keys = keys_of(fingerprint, "", [str(i) for i in ids])
        for cache, model in zip(caches, models, strict=True):
            if what == "w":
                rows = np.random.default_rng(number).standard_normal((len(ids), 5)).astype(np.float32)
                cache.write(space(5, fingerprint=fingerprint), keys, rows)
                for key, row in zip(keys, rows, strict=True):
                    model.setdefault(key, row)
            else:
                hit, out = read(cache, space(5, fingerprint=fingerprint), keys)
                assert hit.tolist() == [key in model for key in keys]
                assert all((model[keys[i]] == out[i]).all() for i in np.flatnonzero(hit))
    caches[0].close()  # type: ignore[union-attr]  # it has one
    shutil.rmtree(folder)


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUCTOR_EVAL_CACHE", str(tmp_path / "given"))
    assert default_folder() == tmp_path / "given"
    monkeypatch.delenv("INSTRUCTOR_EVAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "instructor-eval"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "instructor-eval"


def test_odd_folder_names(tmp_path: Path) -> None:
    keys, vectors = made(3)
    for name in ("a b?mode=ro#x%41", "ä/deep/er"):
        cache = opened(tmp_path / name)
        cache.write(space(), keys, vectors)
        cache.close()
        assert (tmp_path / name / FILE_NAME).is_file()
        assert hits(opened(tmp_path / name), space(), keys, vectors).all()


# Eviction


def test_the_limit_holds_and_the_least_recently_used_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    limit = 2 * 1024**2
    cache = opened(tmp_path, limit=limit)
    parts = [made(100, 256, seed=seed) for seed in range(60)]  # 100 KiB each
    for number, part in enumerate(parts):
        clock.now += 1000
        cache.write(space(256), *part)
        assert hits(cache, space(256), *part).all()
        if number:
            assert hits(cache, space(256), *parts[0]).all()  # asked for all the time: stays
        with open_existing(tmp_path, VECTORS) as connection:
            assert blocks.used_bytes(connection) <= limit + 200 * 1024
    there = [bool(hits(cache, space(256), *part).all()) for part in parts]
    first = there.index(True, 1)
    assert all(there[first:])
    assert not any(there[1:first])
    assert 8 < sum(there) < 25
    assert upkeep.verify(tmp_path).sound


def test_many_short_runs_keep_the_limit_too(tmp_path: Path) -> None:
    for seed in range(30):
        cache = opened(tmp_path, limit=1024**2)
        monkey = made(20, 1024, seed=seed)
        cache.write(space(1024), *monkey)
        cache.close()
    with open_existing(tmp_path, VECTORS) as connection:
        assert blocks.used_bytes(connection) <= 1024**2 + 100 * 1024


def test_a_lower_limit_is_met_by_the_next_write(tmp_path: Path) -> None:
    filled(tmp_path, blocks=100, dim=512)
    cache = opened(tmp_path, limit=1024**2)
    cache.write(space(512), *made(1, 512, seed=5))
    with open_existing(tmp_path, VECTORS) as connection:
        assert blocks.used_bytes(connection) <= 1024**2
    assert hits(cache, space(512), *made(1, 512, seed=5)).all()


def test_memory_is_bounded_and_the_oldest_go() -> None:
    cache = MemoryCache(limit=64 * 16 * 10)
    keys, vectors = made(25)
    for i in range(25):
        cache.write(space(), keys[i : i + 1], vectors[i : i + 1])
    cache.limit = 64 * 10
    cache.write(space(), *made(1, seed=7))
    assert hits(cache, space(), keys, vectors).tolist() == [i >= 16 for i in range(25)]
    vectors_before = vectors.copy()
    vectors[:] = 0  # the cache holds a copy
    hits(cache, space(), keys, vectors_before)
    big = MemoryCache(limit=10)
    big.write(space(), keys, vectors)
    assert not hits(big, space(), keys, vectors).any()
