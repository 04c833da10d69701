"""The engine around a model that is no checkpoint: batches, halves, checks, the cache, and what tells of a change."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import DIM, hashed

from instructor_eval.cache.vectors import MemoryCache, VectorCache
from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models.served import kinds
from instructor_eval.models.served.asking import RefusedTextError
from instructor_eval.models.served.contract import Limits, ServedModel, Serving, TooMuchError
from instructor_eval.models.served.engine import PROBES, ServedEngine, check_form, describe, request_batches
from instructor_eval.run.counting import CountingServed, KnownKeys

TEXTS = [f"text {i} " + "word " * (i % 7) for i in range(50)]


class Made(ServedModel):
    """A plugin's model: a name, what its vectors depend on, and vectors; it fails where a test says so."""

    name = "made:model"
    identity: Mapping[str, Any] = {"kind": "made", "version": 1}
    limits = Limits(texts=8, tokens=64, concurrency=3)

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.most = 10**9
        self.fails: set[str] = set()
        self.shift = 0.0
        self.dim = DIM
        self.stopped = 0
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        with self._lock:
            self.asked.append(list(texts))
        if len(texts) > self.most:
            raise TooMuchError("made:model: too many texts")
        if self.fails & set(texts):
            raise UserError("made:model: does not like it")
        return hashed([instruction + t for t in texts], dim=self.dim) + np.float32(self.shift)

    def totals(self) -> dict[str, float]:
        with self._lock:
            return {"requests": len(self.asked), "tokens": sum(len(t.split()) for texts in self.asked for t in texts)}

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[VectorCache]:
    found = VectorCache(tmp_path / "cache", warn=pytest.fail)
    yield found
    found.close()


def engine_of(model: ServedModel, cache: Any = None) -> ServedEngine:
    return ServedEngine(describe(model), cache)


def asked_after_the_probe(model: Made) -> list[str]:
    return [text for texts in model.asked for text in texts if text not in PROBES]


def test_vectors_in_order_and_each_text_asked_once(cache: VectorCache) -> None:
    model = Made()
    engine = engine_of(model, cache)
    twice = [*TEXTS, *TEXTS[::-1]]
    np.testing.assert_array_equal(engine.encode(twice, "in: "), hashed([f"in: {t}" for t in twice]))
    assert sorted(asked_after_the_probe(model)) == sorted(TEXTS)
    assert (engine.totals.texts, engine.totals.unique, engine.totals.hits) == (100, 50, 0)
    assert engine.totals.tokens == sum(len(t.split()) for t in TEXTS)
    again = engine_of(Made(), cache)
    np.testing.assert_array_equal(again.encode(TEXTS, "in: "), engine.encode(TEXTS, "in: "))
    assert again.totals.hits == 50
    assert not asked_after_the_probe(again.source)  # type: ignore[arg-type]  # it has one


def test_batches_are_bounded_in_texts_and_in_estimated_tokens() -> None:
    model = Made()
    engine_of(model).encode(TEXTS, "")
    assert max(map(len, model.asked)) <= 8
    sizes = [4, 400, 8, 12, 8, 8]  # in bytes; a token is four of them
    texts = ["x" * n for n in sizes]
    assert request_batches(texts, "", 3, 6) == [[1], [3, 2], [4, 5, 0]]
    assert request_batches(texts, "", 2, 10**9) == [[1, 3], [2, 4], [5, 0]]
    assert request_batches(["é" * 4, "e" * 4], "", 9, 2) == [[0], [1]], "bytes count, not characters"
    assert request_batches(["a", "b"], "i" * 40, 9, 12) == [[0], [1]], "the instruction is sent with each text"


def test_a_refused_request_is_halved_and_lowers_the_limit() -> None:
    model = Made()
    engine = engine_of(model)
    model.most = 3
    np.testing.assert_array_equal(engine.encode(TEXTS, ""), hashed(TEXTS))
    before = len(model.asked)
    np.testing.assert_array_equal(engine.encode([f"new {t}" for t in TEXTS], ""), hashed([f"new {t}" for t in TEXTS]))
    assert max(map(len, model.asked[before:])) <= 3
    model.most = 0
    with pytest.raises(RefusedTextError, match=r"refuses a text even alone \(5 characters, 'three'\): too many texts"):
        engine.encode(["one", "two", "three"], "")


def test_vectors_before_an_error_are_stored(cache: VectorCache) -> None:
    model = Made()
    model.fails = {min(TEXTS, key=lambda t: (len(t), -TEXTS.index(t)))}  # in the last batch
    with pytest.raises(UserError, match="does not like it"):
        engine_of(model, cache).encode(TEXTS, "")
    assert model.stopped >= 2, "after the probe, and after the error"
    again = engine_of(Made(), cache)
    np.testing.assert_array_equal(again.encode(TEXTS, ""), hashed(TEXTS))
    assert 0 < len(asked_after_the_probe(again.source)) < 25  # type: ignore[arg-type]  # it has one


def test_wrong_arrays_are_errors() -> None:
    model = Made()
    engine = engine_of(model)
    model.dim = 8
    with pytest.raises(ModelOutputError, match=r"gives an array \(1, 8\) for 1 texts, not vectors of 16 values"):
        engine.encode(["a"], "")
    model.dim, model.shift = DIM, float("nan")
    with pytest.raises(ModelOutputError, match="a NaN or infinite vector for the text 'a'"):
        engine.encode(["a"], "")
    with pytest.raises(ModelOutputError, match="not finite"):
        describe(model)


def test_a_changed_model_is_an_error_if_the_cache_has_its_probe(cache: VectorCache) -> None:
    engine_of(Made(), cache).encode(TEXTS[:5], "")
    noisy, changed = Made(), Made()
    noisy.shift, changed.shift = 1e-4, 0.05
    np.testing.assert_array_equal(engine_of(noisy, cache).encode(TEXTS[:5], ""), hashed(TEXTS[:5]))
    with pytest.raises(UserError, match=r"no longer those in the cache \(1 - cosine up to 0\.\d+\).*--label TEXT"):
        engine_of(changed, cache)
    engine_of(changed, None)  # nothing to compare with
    engine_of(changed, MemoryCache())
    changed.identity = {**changed.identity, "label": "new"}
    engine_of(changed, cache)


def test_fingerprints_tell_models_dimensions_and_variants_apart() -> None:
    plain, wider, labelled = Made(), Made(), Made()
    wider.dim = 32
    labelled.identity = {**plain.identity, "label": "x"}
    prints = {describe(model).fingerprint for model in (plain, wider, labelled, Made())}
    assert len(prints) == 3
    served = describe(plain)
    assert served.describe()["dim"] == DIM
    assert served.describe()["base_fingerprint"] == served.fingerprint
    assert served.normalize
    plain.shift = 1.0
    assert not describe(plain).normalize
    assert describe(plain).fingerprint == served.fingerprint, "vectors are no part of it: see the probe"


def test_vectors_may_depend_on_task_and_role(cache: VectorCache) -> None:
    class ByRole(Made):
        def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
            return f"{task} {role}: "

    engine = engine_of(ByRole(), cache)
    scopes = [engine.scope("", task, "STS", role) for task, role in (("A", "query"), ("A", "text"), ("B", "query"))]
    rows = [engine.encode(["same"], scope) for scope in scopes]
    np.testing.assert_array_equal(np.concatenate(rows), hashed([f"{scope}same" for scope in scopes]))
    assert engine.totals.hits == 0


def test_a_dry_run_asks_for_nothing(tmp_path: Path, cache: VectorCache) -> None:
    engine_of(Made(), cache).encode(TEXTS[:20], "")
    model = Made()
    known = KnownKeys(tmp_path / "cache", warn=pytest.fail)
    counting = CountingServed(describe(model), known)
    counting.encode(TEXTS, "")
    counting.encode(TEXTS, "")
    assert (counting.totals.unique, counting.totals.hits, known.found_on_disk) == (100, 70, 40)
    assert not asked_after_the_probe(model)
    known.close()


def test_lengths_cannot_be_counted() -> None:
    with pytest.raises(UserError, match="clustering_256=on needs"):
        engine_of(Made()).input_lengths(["a"], "b")


def test_only_one_form() -> None:
    check_form(["fp32"], "made:model")
    with pytest.raises(UserError, match="variant bf16: made:model is served in the one form it has"):
        check_form(["fp32", "bf16"], "made:model")


def test_a_kind_is_a_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.KINDS, "made", f"{__name__}:factory")
    assert kinds.kind_of("made:model") == "made"
    assert [kinds.kind_of(text) for text in ("org/name", "./made:model", "other:x", "minilm", "made")] == [None] * 5
    assert kinds.load("made:it", Serving()).name == "made:it"


def factory(rest: str, how: Serving) -> ServedModel:
    model = Made()
    model.name = f"made:{rest}"
    return model
