"""Others' results folders: what can be read is, and each file that cannot is a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.results.imported import imported_in
from instructor_eval.tasks.cards import shipped_cards

Put = Callable[..., Path]


def content(task: str, score: Any, *, split: str = "test", subset: str = "default", **fields: Any) -> dict[str, Any]:
    """A file of mteb 2 as its own `to_disk` writes it."""
    entry = {"main_score": score, "hf_subset": subset, "languages": ["eng-Latn"]}
    return {
        "dataset_revision": shipped_cards()[task].data_revision if task in shipped_cards() else "r",
        "task_name": task,
        "mteb_version": "2.1.0",
        "scores": {split: [entry]},
        "evaluation_time": 3.1,
        "kg_co2_emissions": None,
        **fields,
    }


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(value: Any, name: str = "STS12.json", folder: str = "repo/results/org__model/abc") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


OLD = {"mteb_dataset_name": "STS12", "mteb_version": "1.0.2", "test": {"cos_sim": {"spearman": 0.8}}}
NAN = float("nan")
BAD: list[tuple[str, Any, str]] = [
    ("old", OLD, "of mteb 1.0.2, whose files before 1.11 have another layout"),
    ("older version", content("STS12", 0.5, mteb_version="1.2.9"), "of mteb 1.2.9, whose files before 1.11"),
    ("newer", content("STS12", 0.5, mteb_version="3.0.0"), "of mteb 3.0.0, which may have another layout"),
    ("nan", content("STS12", NAN), "the score of STS12 is nan, not a number"),
    ("infinite", content("STS12", float("inf")), "the score of STS12 is inf, not a number"),
    ("null", content("STS12", None), "the score of STS12 is None, not a number"),
    ("text", content("STS12", "0.5"), "the score of STS12 is 0.5, not a number"),
    ("true", content("STS12", True), "the score of STS12 is True, not a number"),
    ("hundredfold", content("STS12", 70.5), "the score of STS12 is 70.5, not a fraction of 1"),
    ("subset", content("STS12", 0.5, subset="de"), "subset default of STS12, split test, is missing"),
    ("split", content("STS12", 0.5, split="dev"), "split test of STS12 is missing"),
    ("no scores", content("STS12", 0.5, scores={}), "split test of STS12 is missing"),
    ("twice", content("STS12", 0.5, scores={"test": 2 * content("STS12", 0.5)["scores"]["test"]}), "is there 2 times"),
    ("a list of none", content("STS12", 0.5, scores={"test": [None, 3]}), "subset default of STS12"),
    ("another thing", {"name": "x"}, "no result of mteb's: it has no task_name and scores"),
    ("a list", [1], "no result of mteb's: not an object"),
    ("half", '{"task_name": "STS12"', "not readable as JSON"),
    ("deep", "[" * 60000, "not readable as JSON"),
    ("two keys", '{"task_name": "STS12", "task_name": "STS13"}', "is there twice"),
]


@pytest.mark.parametrize(("value", "why"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_file_is_a_line_and_the_rest_is_imported(
    value: Any, why: str, put: Put, cli: Any, tmp_path: Path
) -> None:
    put(value)
    put(content("STS13", 0.75), "STS13.json")
    done = cli("import", "repo")
    assert done.out == "org/model: 1 score imported, revision abc of repo\n"
    assert done.error.startswith("evaluate: left out: results/org__model/abc/STS12.json: ")
    assert why in done.error
    [imported] = imported_in(tmp_path / "results")
    assert [(s.task, s.score) for s in imported.scores] == [("STS13", 0.75)]


def test_the_description_of_a_model_says_its_name(put: Put, cli: Any, tmp_path: Path) -> None:
    put({"name": "Org/Model", "revision": "v2"}, "model_meta.json")
    put(content("STS12", 0.5))
    assert cli("import", "repo", "--source", "a friend").out == (
        "Org/Model: 1 score imported, revision v2 of a friend\n"
    )
    [imported] = imported_in(tmp_path / "results")
    [score] = imported.scores
    assert (score.mteb_version, score.split, score.subset, score.metric) == (
        "2.1.0", "test", "default", "cosine_spearman"
    )  # fmt: skip


@pytest.mark.parametrize("at", ["repo", "repo/results", "repo/results/org__model", "repo/results/org__model/abc"])
def test_any_folder_of_a_repository_can_be_given(at: str, put: Put, cli: Any, tmp_path: Path) -> None:
    put(content("STS12", 0.5))
    assert cli("import", tmp_path / at, "--source", "x").code == 0
    [imported] = imported_in(tmp_path / "results")
    assert (imported.model, imported.revision) == ("org/model", "abc")


def test_the_metric_of_the_card_counts_not_a_later_main_score(put: Put, cli: Any, tmp_path: Path) -> None:
    value = content("TwitterSemEval2015", 0.3)
    value["scores"]["test"][0] |= {"max_ap": 0.7, "cosine_ap": 0.6}
    put(value, "TwitterSemEval2015.json")
    assert cli("import", "repo").code == 0
    [imported] = imported_in(tmp_path / "results")
    assert [(s.metric, s.score) for s in imported.scores] == [("max_ap", 0.7)]


def test_tasks_without_a_card_and_other_data_are_said(put: Put, cli: Any) -> None:
    put(content("KlingonRetrieval", 0.5), "KlingonRetrieval.json")
    put(content("STS12", 0.5, dataset_revision="another"))
    done = cli("import", "repo")
    assert done.code == 0
    assert "left out, as there is no card of these tasks here: KlingonRetrieval\n" in done.out
    assert "of another revision of the data than the card's: STS12\n" in done.out


def test_experiments_are_rows_of_their_own(put: Put, cli: Any, tmp_path: Path) -> None:
    put(content("STS12", 0.5))
    put(content("STS12", 0.4), folder="repo/results/org__model/abc/experiments/dtype_int8")
    assert cli("import", "repo").code == 0
    labels = {one.label: one.scores[0].score for one in imported_in(tmp_path / "results")}
    assert labels == {"org/model": 0.5, "org/model (dtype_int8)": 0.4}


def test_a_task_twice_is_a_line(put: Put, cli: Any) -> None:
    put(content("STS12", 0.5))
    put(content("STS12", 0.6), "copy.json")
    assert "task STS12 of this model is in results/org__model/abc/STS12.json too" in cli("import", "repo").error


def test_folders_that_hold_nothing(put: Put, cli: Any, tmp_path: Path) -> None:
    assert "there is no such folder" in cli("import", "nowhere").error
    (tmp_path / "empty").mkdir()
    assert "no .json files in it" in cli("import", "empty").error
    put(content("Klingon", 0.5))
    done = cli("import", "repo")
    assert (done.code, done.err) == (2, "evaluate: repo: no score could be imported\n")
    assert not Path("results").exists()
    assert "--source is empty" in cli("import", "repo", "--source", " ").error


def test_a_fifo_is_a_line_and_is_not_waited_for(put: Put, cli: Any) -> None:
    os.mkfifo(put(content("STS13", 0.5), "STS13.json").with_name("STS12.json"))
    assert "it is a FIFO, no regular file" in cli("import", "repo").error


def test_a_name_that_would_drive_a_terminal(put: Put, cli: Any) -> None:
    put({"name": "org/\x1b[31mred\nline", "revision": "r"}, "model_meta.json")
    put(content("STS12", 0.5))
    assert cli("import", "repo").code == 0
    shown = cli("leaderboard")
    assert "\x1b" not in shown.out
    assert "org/" in shown.out
