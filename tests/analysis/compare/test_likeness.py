"""The likeness of two results, by fingerprints and the vectors of probes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_scores import edited

from instructor_eval.analysis.compare.likeness import UNKNOWN, Likeness, likeness, of_all
from instructor_eval.analysis.compare.side import Side
from instructor_eval.results import probe
from instructor_eval.results.probe import Probe
from instructor_eval.results.score import Score

Make = Callable[..., Score]
VECTORS = np.random.default_rng(1).normal(size=(32, 8)).astype(np.float32)


def filed(root: Path, vectors: Any, *, fingerprint: str = "a" * 16, instruction: str = "") -> str:
    """A probe in a results folder; its name."""
    made = Probe("org/model", "main", "fp32", fingerprint, instruction, 1, {}, {}, "2026-01-01", vectors)
    probe.write(root, made)
    return made.name


def sides(root: Path) -> tuple[Side, Side]:
    both = (Side(name, {}, {}, None, name, {}, root) for name in ("candidate", "baseline"))
    return next(both), next(both)


def found(root: Path, mine: Score, theirs: Score) -> Likeness:
    return likeness(mine, theirs, *sides(root))


def score(make_score: Make, name: str | None = None, fingerprint: str = "a" * 16, **fields: Any) -> Score:
    environment = {"probe": name} if name else {}
    return make_score("SciFact", 0.5, fingerprint=fingerprint, environment=environment, model="org/model", **fields)


def test_one_fingerprint_is_one_model(make_score: Make, tmp_path: Path) -> None:
    assert found(tmp_path, score(make_score), score(make_score)) == Likeness(same_model=True)
    assert Likeness(same_model=True).is_same(0.0)


def test_another_checkpoint_with_the_same_vectors(make_score: Make, tmp_path: Path) -> None:
    near = VECTORS + np.float32(1e-4) * np.random.default_rng(2).normal(size=VECTORS.shape).astype(np.float32)
    names = [filed(tmp_path, v, fingerprint=f * 16) for v, f in ((VECTORS, "a"), (near, "b"))]
    alike = found(tmp_path, score(make_score, names[1], "b" * 16), score(make_score, names[0]))
    units = [v.astype(np.float64) / np.linalg.norm(v.astype(np.float64), axis=1)[:, None] for v in (VECTORS, near)]
    assert alike.cosine == pytest.approx(np.max(1 - np.sum(units[0] * units[1], axis=1)), abs=1e-12)
    assert (alike.same_model, alike.texts, alike.is_same(1e-4), alike.is_same(1e-12)) == (False, 32, True, False)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "fp32+binary"},  # the probe is of what the model gives, not of what the index keeps
        {"variant": "fp32@4"},
        {"search": {"backend": "lancedb"}},
        {"limit": 10},
        {"seed": 7},
        {"roles": {"query": {"text": "another"}}},
    ],
)
def test_what_else_changes_items_tells_nothing(make_score: Make, tmp_path: Path, change: dict[str, Any]) -> None:
    names = [filed(tmp_path, VECTORS, fingerprint=f * 16) for f in "ab"]
    assert found(tmp_path, score(make_score, names[1], "b" * 16), score(make_score, names[0])).cosine == 0
    roles, fields = change.get("roles", {}), {k: v for k, v in change.items() if k != "roles"}
    other = edited(score(make_score, names[1], "b" * 16, **fields), instructions={"roles": roles})
    assert found(tmp_path, other, score(make_score, names[0])) == UNKNOWN


def test_without_a_probe_or_of_other_texts_nothing_is_known(make_score: Make, tmp_path: Path) -> None:
    name = filed(tmp_path, VECTORS)
    other = filed(tmp_path, VECTORS, fingerprint="b" * 16, instruction="another")
    assert found(tmp_path, score(make_score, None, "b" * 16), score(make_score, name)) == UNKNOWN
    assert found(tmp_path, score(make_score, other, "b" * 16), score(make_score, name)) == UNKNOWN
    [damaged] = (tmp_path / "probes").rglob(f"{other}*")
    damaged.write_bytes(b"no probe")
    assert found(tmp_path, score(make_score, other, "b" * 16), score(make_score, name)) == UNKNOWN


def test_of_a_whole_every_part_must_be_known() -> None:
    same, near, far = Likeness(same_model=True), Likeness(cosine=1e-7, texts=32), Likeness(cosine=0.1, texts=32)
    assert of_all([same, same]) == same
    assert of_all([same, near, far]) == far
    assert of_all([near, UNKNOWN]) == of_all([]) == UNKNOWN
