"""Probes: taken fresh, filed once, read only when whole, named by the scores they belong to."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from instructor_eval.cache.vectors import MemoryCache, VectorCache
from instructor_eval.core.errors import DamagedFileError, UserError
from instructor_eval.core.sample_texts import INSTRUCTION, sample
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.results import probe as probe_module
from instructor_eval.results.probe import COUNT, Probe, Prober, find, newest, read, take, write
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run import execute
from instructor_eval.run.plan import Request
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import select, shipped_cards
from instructor_eval.tasks.instructions import parse_set
from instructor_eval.tasks.task import RunSettings

MakeScore = Callable[..., Score]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("plain") / "tiny plain")


@pytest.fixture(scope="module")
def checkpoint(plain: Path) -> Checkpoint:
    return locate(ModelSpec.parse(str(plain)), offline=True, known=[])


@pytest.fixture
def probe() -> Probe:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    return Probe("org/model", "main", "fp32", "a" * 16, "I: ", 1, {"torch": "2.0"}, {"cores": 2}, "2026", vectors)


# Taking one


def test_it_is_computed_and_not_looked_up(checkpoint: Checkpoint) -> None:
    """A cache full of other vectors, as another version of the code might have left them, has no part in it."""
    engine = Engine(checkpoint, device="cpu", cache=MemoryCache())
    truth = engine.uncached().encode(sample(COUNT), "")
    from instructor_eval.cache.vectors import keys_of

    wrong = np.ones((COUNT, engine.dim), dtype=np.float32)
    assert engine.cache is not None
    engine.cache.write(engine.space, keys_of(engine.space.fingerprint, "", sample(COUNT)), wrong)
    assert (engine.encode(sample(COUNT), "") == wrong).all(), "the engine itself is served from the cache"
    before = dataclasses.replace(engine.totals)
    taken = take(engine)
    assert taken.vectors.tobytes() == truth.tobytes()
    assert engine.totals == before
    assert taken.fingerprint == checkpoint.fingerprint
    assert taken.versions["torch"]
    assert taken.versions["mteb"]
    assert taken.machine["device"] == "cpu"
    assert taken.machine["usable"] >= 1
    assert taken.vectors.shape == (COUNT, checkpoint.dim)


def test_plain_models_are_given_no_instruction(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tiny.build_instructor(tmp_path / "instructor", include_prompt_key=True)
    instructor = locate(ModelSpec.parse(str(folder)), offline=True, known=[])
    assert take(Engine(checkpoint, device="cpu")).instruction == ""
    taken = take(Engine(instructor, device="cpu"))
    assert taken.instruction == INSTRUCTION
    bare = Engine(instructor, device="cpu").encode(sample(COUNT), "")
    assert not np.allclose(taken.vectors, bare)


def test_two_probes_of_the_same_are_the_same(checkpoint: Checkpoint, tmp_path: Path) -> None:
    one, two = (take(Engine(checkpoint, device="cpu")) for _ in range(2))
    two = dataclasses.replace(two, created="later")
    assert one.name == two.name
    path = write(tmp_path, one)
    before = path.stat().st_mtime_ns
    assert write(tmp_path, two) == path
    assert path.stat().st_mtime_ns == before
    assert take(Engine(checkpoint, device="cpu", batch_tokens=64)).name != one.name, "made otherwise"


def test_what_the_digest_is_of(probe: Probe) -> None:
    nudged = probe.vectors.copy()
    nudged[2, 1] = np.nextafter(nudged[2, 1], np.float32(9))
    for other in (
        {"vectors": nudged}, {"vectors": probe.vectors.reshape(3, 4)}, {"versions": {"torch": "2.1"}},
        {"machine": {"cores": 4}}, {"instruction": ""}, {"sample_version": 2},
    ):  # fmt: skip
        assert dataclasses.replace(probe, **other).digest != probe.digest, other
    assert dataclasses.replace(probe, created="later").digest == probe.digest


# Filing and finding


def test_it_comes_back_as_it_was(probe: Probe, tmp_path: Path, make_score: MakeScore) -> None:
    path = write(tmp_path, probe)
    assert path == tmp_path / "probes" / "org__model" / f"{'a' * 16}.{probe.digest}.npz"
    again = read(path)
    assert again.about == probe.about
    assert again.vectors.tobytes() == probe.vectors.tobytes()
    score = make_score(environment={"probe": probe.name})
    assert find(tmp_path, score) == path
    assert find(tmp_path / "none", score) is None
    copied = tmp_path / "baseline.npz"
    copied.write_bytes(path.read_bytes())
    assert read(copied).name == probe.name


@pytest.mark.parametrize("name", [7, "", "../../x", f"{'a' * 16}.{'b' * 15}/", f"{'a' * 16}.{'B' * 16}"])
def test_a_name_that_leads_elsewhere_is_refused(name: Any, make_score: MakeScore) -> None:
    with pytest.raises(ValueError, match=r"environment\.probe"):
        make_score(environment={"probe": name})


def test_a_score_without_a_probe_leads_nowhere(tmp_path: Path, make_score: MakeScore) -> None:
    (tmp_path / "x.npz").write_bytes(b"")
    assert find(tmp_path, make_score()) is None


def test_the_newest_that_is_there(probe: Probe, tmp_path: Path, make_score: MakeScore) -> None:
    later = dataclasses.replace(probe, machine={"cores": 4})
    scores = [
        make_score("A", created="2026-01-02", environment={"probe": later.name}),
        make_score("B", created="2026-01-01", environment={"probe": probe.name}),
        make_score("C", created="2026-01-03", environment={"probe": f"{'c' * 16}.{'c' * 16}"}),
        make_score("D", created="2026-01-04"),
    ]
    assert newest(tmp_path, scores) is None
    first = write(tmp_path, probe)
    assert newest(tmp_path, scores) == first
    assert newest(tmp_path, scores) != write(tmp_path, later) == newest(tmp_path, scores[:2])


def _written(path: Path, about: object, **arrays: Any) -> None:
    data = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with path.open("wb") as f:
        np.savez(f, about=data, **arrays)


def test_damaged_ones_are_refused_in_one_line(probe: Probe, tmp_path: Path) -> None:
    path = write(tmp_path, probe)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(DamagedFileError, match=r"not a readable probe .*run a task again with --no-cache"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(DamagedFileError, match="not a readable probe"):
        read(path)
    with pytest.raises(DamagedFileError, match="not a readable probe"):
        read(tmp_path / "none.npz")
    for about, vectors in (
        (probe.about | {"machine": []}, probe.vectors),
        (probe.about | {"model": 7}, probe.vectors),
        (probe.about | {"sample_version": "1"}, probe.vectors),
        ({k: v for k, v in probe.about.items() if k != "form"}, probe.vectors),
        (probe.about, probe.vectors.astype(np.float64)),
        (probe.about, probe.vectors[0]),
        (probe.about, probe.vectors * np.float32(np.nan)),
        (probe.about, probe.vectors * 0),
    ):
        _written(tmp_path / "copy.npz", about, vectors=vectors)
        with pytest.raises(DamagedFileError, match="not a whole probe"):
            read(tmp_path / "copy.npz")
    _written(tmp_path / "copy.npz", [], vectors=probe.vectors)
    with pytest.raises(DamagedFileError, match="no description"):
        read(tmp_path / "copy.npz")
    _written(tmp_path / "copy.npz", probe.about | {"schema_version": 2}, vectors=probe.vectors)
    with pytest.raises(UserError, match="schema version 2 is not 1"):
        read(tmp_path / "copy.npz")


def test_one_that_was_edited_no_longer_has_its_name(probe: Probe, tmp_path: Path) -> None:
    path = write(tmp_path, probe)
    _written(path, probe.about, vectors=probe.vectors + np.float32(1))
    with pytest.raises(DamagedFileError, match="its name is not that of its content"):
        read(path)


def test_nothing_in_it_is_unpickled(probe: Probe, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "sprung").touch, ())

    _written(tmp_path / "trap.npz", probe.about, vectors=np.array([[Trap()]], dtype=object))
    with pytest.raises(DamagedFileError):
        read(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_bomb_is_not_unpacked(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.npy", bytes(2_000_000))
    monkeypatch.setattr(probe_module, "_LARGEST", 1_000_000)
    with pytest.raises(DamagedFileError, match="too large"):
        read(tmp_path / "bomb.npz")


# In a run


def run(plain: Path, tmp_path: Path, results: str, **more: Any) -> tuple[list[Score], list[str]]:
    lines: list[str] = []
    cards = select(["DemoSTS", "DemoBillboard"], [])
    request = Request(
        models=[str(plain)],
        cards=cards,
        instruction_sets=[parse_set("paper", {c.name for c in cards} | set(shipped_cards()))],
        settings=RunSettings(protocol=protocol.parse([]), limit=10, offline=True),
        store=Store(tmp_path / results),
        device="cpu",
        cost="off",
        **more,
    )
    return execute.execute(request, lines.append).scores, lines


def test_every_score_of_a_run_names_the_one_probe_of_its_form(plain: Path, tmp_path: Path) -> None:
    scores, _ = run(plain, tmp_path, "one", variants=["fp32", "fp32@8", "bf16"], cache=MemoryCache())
    files = sorted((tmp_path / "one" / "probes").rglob("*.npz"))
    assert len(files) == 2
    by_variant = {s.model.variant: find(tmp_path / "one", s) for s in scores}
    assert set(by_variant.values()) == set(files)
    assert by_variant["fp32"] == by_variant["fp32@8"] != by_variant["bf16"]
    assert all(s.environment.fresh for s in scores), "what one run keeps in memory it has computed"
    stored = list(Store(tmp_path / "one").scores())
    assert {s.environment.probe for s in stored} == {s.environment.probe for s in scores}
    again, _ = run(plain, tmp_path, "two", variants=["fp32", "bf16"])
    assert {s.environment.probe for s in again} == {s.environment.probe for s in scores}, "deterministic"


def test_vectors_from_the_cache_load_no_network_for_a_probe(plain: Path, tmp_path: Path) -> None:
    for results in ("one", "two"):
        cache = VectorCache(tmp_path / "cache", warn=pytest.fail)
        scores, lines = run(plain, tmp_path, results, cache=cache)
        cache.close()
        assert not [line for line in lines if "probe" in line]
        cold = results == "one"
        assert [s.environment.fresh for s in scores] == [cold, cold]
        assert [s.environment.probe is not None for s in scores] == [cold, cold]
        assert (tmp_path / results / "probes").exists() == cold
    reused, _ = run(plain, tmp_path, "one", cache=None)
    assert all(s.environment.probe for s in reused)


@pytest.mark.parametrize("error", [UserError("no space"), RuntimeError("no\nspace")])
def test_an_error_costs_no_score(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_engine: Engine) -> Probe:
        raise error

    monkeypatch.setattr(probe_module, "take", fails)
    scores, lines = run(plain, tmp_path, "one")
    assert [s.status for s in scores] == ["ok", "ok"]
    assert [s.environment.probe for s in scores] == [None, None]
    [line] = [line for line in lines if "probe" in line]
    assert line.startswith("  no probe taken, the drift gate will miss it: ")
    assert "no space" in line
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            run(plain, tmp_path, "two", debug=True)


def test_without_a_model_there_is_none(tmp_path: Path) -> None:
    assert Prober(None, tmp_path, pytest.fail).name() is None
