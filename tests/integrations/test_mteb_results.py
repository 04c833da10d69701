"""mteb's own loaders and leaderboard read what we export, and what they read we take in again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mteb
import pytest
import tiny
from made_up import MIRRORS
from mteb.cache import ResultCache

import instructor_eval as ie
from instructor_eval.results.imported import imported_in
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards

TASKS = ("SciFact", "BIOSSES", "TwitterSemEval2015", "MTOPDomainClassification")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported")
    folder = tiny.build_instructor(place / "tiny")
    for task in TASKS:
        MIRRORS[task](place / "hub")
    options: dict[str, Any] = {"family": "instructor", "hub": place / "hub", "offline": True}
    ie.evaluate(folder, TASKS, results=place / "results", **options)
    ie.evaluate(folder, "BIOSSES", instructions="none", variants="int8", results=place / "results", **options)
    ie.evaluate(folder, "DemoSTS", results=place / "results", **options)
    ie.evaluate(folder, "BIOSSES", limit=5, results=place / "results", **options)
    return place / "results"


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from instructor_eval.cli.main import main

    out = tmp_path_factory.mktemp("out")
    assert main(["export", "--format", "mteb", "--results", str(results), "--output", str(out)]) == 0
    return out


def main_scores(results: Path) -> dict[str, float]:
    found = [s for s in ie.load_results(results).scores if s.instructions.set == "paper" and s.limit is None]
    return {s.task: s.score for s in found if s.task in TASKS and s.score is not None}


def test_mtebs_cache_reads_our_scores(results: Path, exported: Path) -> None:
    [loaded] = ResultCache(exported).load_results().model_results
    assert loaded.model_name == "local/tiny"
    assert {r.task_name: r.get_score() for r in loaded.task_results} == pytest.approx(main_scores(results), abs=1e-12)
    [biosses] = [r for r in loaded.task_results if r.task_name == "BIOSSES"]
    assert biosses.mteb_version == mteb.__version__
    assert biosses.languages == ["eng"]
    assert biosses.date is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mteb_load_results_reads_them(results: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTEB_CACHE", str(exported))
    frame = mteb.load_results(download_latest=False).to_dataframe()
    found = dict(zip(frame["task_name"], frame["local/tiny"], strict=True))
    ours = main_scores(results)
    del ours["MTOPDomainClassification"]  # this loader wants every language
    assert found == pytest.approx(ours, abs=1e-12)


@pytest.mark.slow
def test_mtebs_leaderboard_takes_them(results: Path, exported: Path, tmp_path: Path) -> None:
    """It shows models of mteb's registry alone, so that the model has to be called like one."""
    shutil.copytree(exported / "results" / "local__tiny", tmp_path / "results" / "intfloat__e5-small-v2")
    for meta in tmp_path.rglob("model_meta.json"):
        meta.write_text(meta.read_text().replace("local/tiny", "intfloat/e5-small-v2"))
    benchmark = mteb.get_benchmark("MTEB(eng, v1)")
    loaded = ResultCache(tmp_path).load_results(tasks=benchmark)
    [row] = loaded.get_benchmark_result().to_dict("records")
    ours = main_scores(results)
    assert row["Retrieval"] == pytest.approx(ours["SciFact"], abs=1e-6)
    assert row["Classification"] == pytest.approx(ours["MTOPDomainClassification"], abs=1e-6)
    assert row["Mean (Task)"] == pytest.approx(sum(ours.values()) / 4, abs=1e-6)


def test_other_rows_are_experiments_with_their_instructions(results: Path, exported: Path) -> None:
    loaded = ResultCache(exported).load_results(load_experiments="match_name").model_results
    [other] = [m for m in loaded if m.experiment_name]
    assert other.experiment_name == "instructions_none__variant_int8"
    [folder] = exported.glob("results/local__tiny/*")
    settings = [json.loads(line) for line in (folder / "run_settings.jsonl").read_text().splitlines()]
    [biosses] = [entry for entry in settings if entry["task"] == "BIOSSES"]
    instruction = shipped_cards()["BIOSSES"].instructions["text"]["instructor"]
    assert biosses["encode_kwargs"]["instructions"] == {"text": instruction}
    assert biosses["encode_kwargs"]["variant"] == "fp32"
    assert biosses["version"]["mteb"] == mteb.__version__


def test_what_is_exported_is_imported_with_the_same_scores(
    results: Path, exported: Path, cli: Any, tmp_path: Path
) -> None:
    done = cli("import", exported, "--source", "our export", "--results", "here")
    assert done.code == 0
    assert "local/tiny: 4 scores imported, revision " in done.out
    main, other = sorted(imported_in(tmp_path / "here"), key=lambda one: one.experiment)
    assert {s.task: s.score for s in main.scores} == main_scores(results)
    assert other.label == "local/tiny (instructions_none__variant_int8)"
    assert [s.task for s in other.scores] == ["BIOSSES"]
    assert {s.mteb_version for s in main.scores} == {mteb.__version__}


def test_names_that_are_no_places() -> None:
    from instructor_eval.integrations.mteb_results import mteb_name

    assert mteb_name("intfloat/e5-small-v2") == "intfloat/e5-small-v2"
    assert mteb_name("/home/me/model") == "local/model"
    for name in ("../..", "..", "", "a/b/c", "a\0b/c", "org/..", "x" * 500, "org/" + "y" * 2000):
        organisation, _, rest = mteb_name(name).partition("/")
        assert organisation
        assert rest
        assert rest not in (".", "..")
        assert len(rest) < 200
        assert not set("\0/\\") & set(rest)


def test_a_time_that_is_none_is_left_out(make_score: Any, cli: Any, tmp_path: Path) -> None:
    Store(tmp_path / "results").write(make_score("BIOSSES", created="some day"), {"id": ["0"]})
    assert cli("export", "--format", "mteb", "--output", "out").code == 0
    [file] = Path("out").rglob("BIOSSES.json")
    assert json.loads(file.read_text())["date"] is None
