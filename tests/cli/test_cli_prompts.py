"""Prompt retrieval from the command line: selections, readers, what is stored, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_lm

from instructor_eval.readers.transformers import HfReader
from instructor_eval.results.store import read_items

Run = Callable[..., Any]
KINDS = ("apple", "bread", "cheese")
DEMO = ("--task", "DemoPrompts", "--device", "cpu")
OPTIONS = "{input: 'Of what? {text} ', embed: '{text}', labels: [apple, bread, cheese], most: 3}"
CARD = f"""
name: Mine
type: PromptRetrieval
data: data
options: {OPTIONS}
notes: [Made up for a test., Not to be compared with anything.]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("tiny") / "minute")


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm.build_gpt2(tmp_path_factory.mktemp("lm") / "tiny-lm", positions=256)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """An own task: 12 texts in the pool, 5 to test."""
    (tmp_path / "data").mkdir()
    for name, n in (("pool", 12), ("test", 5)):
        rows = [{"text": f"{name} {i} has {KINDS[i % 3]} in it", "label": KINDS[i % 3]} for i in range(n)]
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    card = tmp_path / "mine.yaml"
    card.write_text(CARD)
    return card


def scores(folder: Path) -> dict[str, dict[str, Any]]:
    """The stored scores by the name of the model, or of the baseline, and the reader."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "scores").rglob("*.json")]
    by_row = {f"{Path(s['model']['name']).name}, {s['reader'].get('name', '')[:7]}": s for s in found}
    assert len(by_row) == len(found)
    return by_row


def rows(done: Any) -> dict[str, dict[str, Any]]:
    return {Path(row["model"]).name: row for row in json.loads(done.out)}


# Selections


def test_every_selection_is_a_row_and_a_second_run_keeps_them(cli: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("--model", model, *DEMO, "--selection", "similar", "--selection", "random", "--selection", "bm25")
    done = cli(*arguments)
    assert done.code == 0, done.err
    assert "3 run, 0 reused, 0 failed" in done.out
    assert "bm25 demonstrations: no model, the same for all of them" in done.out
    assert "Prompt retrieval: answers by nearest." in done.out
    found = scores(tmp_path / "results")
    assert {name: s["reader"]["selection"] for name, s in found.items()} == {
        "minute, nearest": "similar",
        "bm25 demonstrations, nearest": "bm25",
        "random demonstrations, nearest": "random",
    }
    # Without a model the same texts are seen, and none is embedded.
    assert len({s["data"]["hash"] for s in found.values()}) == len({s["data"]["key"] for s in found.values()}) == 1
    assert [s["counts"]["texts"] for s in found.values() if s["reader"]["selection"] != "similar"] == [0, 0]
    assert found["minute, nearest"]["counts"]["texts"] == 210
    assert {(s["metric"], s["n_items"], s["instructions"]["set"]) for s in found.values()} == {("rougeL", 60, "none")}
    board = rows(cli("leaderboard", "--format", "json"))
    assert set(board) == {"minute", "bm25 demonstrations", "random demonstrations"}
    assert {row["rank"] for row in board.values()} == {1, 2, 3}
    # Sets of instructions are no matter of the baselines: still three.
    again = cli(*arguments, "--instructions", "paper", "--instructions", "none")
    assert "0 run, 3 reused, 0 failed" in again.out
    assert again.out.count("reused from an earlier run") == 3
    assert scores(tmp_path / "results") == found


def test_baselines_alone_need_no_model(cli: Run, tmp_path: Path) -> None:
    done = cli(*DEMO, "--selection", "bm25", "--selection", "random:3", "--selection", "bm25")
    assert done.code == 0, done.err
    assert "2 run, 0 reused" in done.out
    found = scores(tmp_path / "results")
    assert set(found) == {"bm25 demonstrations, nearest", "random:3 demonstrations, nearest"}
    by_words, by_lot = found.values() if "bm25" in next(iter(found)) else reversed(found.values())
    assert by_words["score"] > by_lot["score"] + 0.2


def test_the_seed_of_random_is_part_of_the_row(cli: Run, mine: Path, tmp_path: Path) -> None:
    seeds = ("random", "random:0", "random:1", "random:2")
    done = cli("--task", mine, *(word for seed in seeds for word in ("--selection", seed)))
    assert "3 run, 0 reused" in done.out, done.err
    found = scores(tmp_path / "results")
    assert set(found) == {f"{name} demonstrations, nearest" for name in ("random", "random:1", "random:2")}
    shown = [read_items(p)["demonstrations"] for p in (tmp_path / "results").rglob("*.parquet")]
    assert shown[0] != shown[1] != shown[2] != shown[0]


def test_baselines_still_need_a_model_for_other_tasks(cli: Run, model: Path, tmp_path: Path) -> None:
    done = cli("--model", model, *DEMO, "--task", "DemoSTS", "--selection", "bm25")
    assert "2 run, 0 reused" in done.out, done.err
    found = {(s["task"], Path(s["model"]["name"]).name) for s in scores(tmp_path / "results").values()}
    assert found == {("DemoSTS", "minute"), ("DemoPrompts", "bm25 demonstrations")}


# Readers


def test_a_language_model_answers_once(
    cli: Run, model: Path, lm: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--model", model, "--task", mine, "--device", "cpu", "--reader", f"hf:{lm}")
    done = cli(*asked, "--results", "cold")
    assert done.code == 0, done.err
    assert f"Prompt retrieval: answers by hf:{lm}." in done.out.replace("\n", " ")
    [cold] = scores(tmp_path / "cold").values()
    reader = HfReader(str(lm), device="cpu")
    assert cold["reader"] == {**reader.describe(), "selection": "similar"}
    assert (cold["reader"]["name"], cold["reader"]["dtype"]) == (f"hf:{lm}", "float32")
    assert (cold["metrics"]["asked"], cold["metrics"]["answers_cached"]) == (5.0, 0.0)
    assert cold["notes"] == ["Made up for a test.", "Not to be compared with anything."]
    [path] = (tmp_path / "cold").rglob("*.parquet")
    items = read_items(path)
    for losses, prediction, gold, value in zip(
        items["losses"], items["prediction"], items["gold"], items["value"], strict=True
    ):
        assert len(losses) == len(KINDS)
        assert prediction == KINDS[losses.index(min(losses))]
        assert value == float(prediction == gold)

    def never(*_: object) -> None:
        raise AssertionError("the reader was loaded")

    monkeypatch.setattr(HfReader, "_load", never)
    assert cli(*asked, "--results", "warm").code == 0
    [warm] = scores(tmp_path / "warm").values()
    assert (warm["metrics"]["asked"], warm["metrics"]["answers_cached"]) == (0.0, 5.0)
    assert (warm["identity"], warm["score"], warm["reader"]) == (cold["identity"], cold["score"], cold["reader"])
    [path] = (tmp_path / "warm").rglob("*.parquet")
    assert read_items(path) == items
    # Without the cache of answers it would have to be asked again.
    again = cli(*asked, "--results", "none", "--no-cache")
    assert again.code == 2
    assert "the reader was loaded" in again.out


def test_readers_stand_apart(cli: Run, model: Path, lm: Path, mine: Path, tmp_path: Path) -> None:
    asked = ("--model", model, "--task", mine, "--device", "cpu", "--selection", "similar", "--selection", "bm25")
    assert "2 run, 0 reused" in cli(*asked).out
    done = cli(*asked, "--reader", f"hf:{lm}")
    assert "2 run, 0 reused" in done.out
    done = cli(*asked, "--reader", f"hf:{lm}", "--reader-dtype", "bfloat16")
    assert "2 run, 0 reused" in done.out, "another numeric form gives other answers"
    stored = list((tmp_path / "results").rglob("*.json"))
    assert len([p for p in stored if p.parent.name == "none"]) == 6
    default = cli("leaderboard", "--format", "json")
    assert default.out == cli("leaderboard", "--reader", "nearest", "--format", "json").out
    assert set(rows(default)) == {"minute", "bm25 demonstrations"}
    assert rows(default)["bm25 demonstrations"]["tasks"] == {"Mine": 1.0}
    assert "4 results of another --protocol, --limit or --reader left out" in cli("leaderboard").err
    by_lm = cli("leaderboard", "--reader", f"hf:{lm}")
    assert "4 results of another --protocol, --limit or --reader left out" in by_lm.err
    assert f"answers by hf:{lm}." in by_lm.out.replace("\n", " ")
    half = cli("leaderboard", "--reader", f"hf:{lm} (bfloat16)")
    assert f"answers by hf:{lm} (bfloat16)." in half.out.replace("\n", " ")
    prints = {
        s["reader"]["fingerprint"] for s in (json.loads(p.read_text()) for p in stored if p.parent.name == "none")
    }
    assert len(prints) == 3
    for fingerprint in prints:
        assert cli("leaderboard", "--reader", fingerprint).code == 0
    message = cli("leaderboard", "--reader", "hf:other").error
    assert message.startswith("evaluate: --reader hf:other: no prompt-retrieval result was answered by it: there are ")
    assert all(f"{name} (" in message for name in (f"hf:{lm}", f"hf:{lm} (bfloat16)", "nearest"))
    assert all(f"({fingerprint})" in message for fingerprint in prints)


def test_a_reader_under_another_spelling_shows_the_same_result(
    cli: Run, model: Path, lm: Path, mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(lm)
    asked = ("--model", model, "--task", mine, "--device", "cpu")
    first, second = cli(*asked, "--reader", f"hf:{lm}"), cli(*asked, "--reader", "hf:./link")
    assert "1 run, 0 reused" in first.out
    assert "0 run, 1 reused" in second.out
    [table], [again] = ([b for b in out.split("\n\n") if "\n---" in b] for out in (first.out, second.out))
    assert table == again


def test_the_default_reader_is_one_of_those_that_are_shown(cli: Run, model: Path, lm: Path, mine: Path) -> None:
    asked = ("--model", model, "--task", mine, "--device", "cpu")
    assert cli(*asked, "--limit", 3).code == 0  # nearest, but not whole
    assert cli(*asked, "--reader", f"hf:{lm}").code == 0
    assert f"answers by hf:{lm}." in cli("leaderboard").out.replace("\n", " ")
    assert "answers by nearest." in cli("leaderboard", "--limit", 3).out.replace("\n", " ")


def test_a_failing_reader_fails_its_task_alone(cli: Run, model: Path, mine: Path, tmp_path: Path) -> None:
    short = tiny_lm.build_gpt2(tmp_path / "short-lm", positions=16)
    done = cli("--model", model, "--task", mine, "--task", "DemoSTS", "--device", "cpu", "--reader", f"hf:{short}")
    assert done.code == 2
    assert f"Mine    [none] FAILED: reader hf:{short} reads 16 tokens" in done.out
    assert "1 run, 0 reused, 1 failed" in done.out


# Errors

NOT_HERE = "is for prompt-retrieval tasks, and no --task or --benchmark names one"
ERRORS = {
    "reader for other tasks": (["--task", "DemoSTS", "--reader", "nearest"], f"--reader {NOT_HERE}"),
    "selection for other tasks": (["--task", "DemoSTS", "--selection", "bm25"], f"--selection {NOT_HERE}"),
    "unknown reader": (["--task", "DemoPrompts", "--reader", "neares"], "unknown reader 'neares': did you mean near"),
    "unlike any reader": (
        ["--task", "DemoPrompts", "--reader", "zzz"],
        "unknown reader 'zzz': known are nearest, paper, hf:MODEL, endpoint:URL",
    ),
    "no model of a reader": (
        ["--task", "DemoPrompts", "--reader", "hf:./no-such"],
        "reader hf:./no-such: no model folder at './no-such'",
    ),
    "no name of a reader": (["--task", "DemoPrompts", "--reader", "hf:"], "reader 'hf:': give a model, hf:org/name or"),
    "no url of a reader": (["--task", "DemoPrompts", "--reader", "endpoint:"], "reader 'endpoint:': give a URL"),
    "form for other tasks": (["--task", "DemoSTS", "--reader-dtype", "float16"], f"--reader-dtype {NOT_HERE}"),
    "unknown selection": (["--task", "DemoPrompts", "--selection", "bm52"], "unknown --selection 'bm52': did you mean"),
    "empty selection": (["--task", "DemoPrompts", "--selection", ""], "unknown --selection '': known are similar,"),
    "seed of what has none": (["--task", "DemoPrompts", "--selection", "bm25:1"], "--selection bm25:1: only random"),
    "seed that is no number": (["--task", "DemoPrompts", "--selection", "random:x"], "--selection random:x: only"),
    "unknown dtype": (
        ["--task", "DemoPrompts", "--reader-dtype", "int8"],
        "argument --reader-dtype: invalid choice: 'int8'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_before_anything_is_computed(case: str, cli: Run, tmp_path: Path) -> None:
    arguments, message = ERRORS[case]
    done = cli("--model", "minilm", *arguments)
    assert done.error.startswith(f"evaluate: {message}")
    assert done.out == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "selection", [[], ["--selection", "similar"], ["--selection", "bm25", "--selection", "similar"]]
)
def test_similar_demonstrations_need_a_model(selection: list[str], cli: Run) -> None:
    assert cli(*DEMO, *selection).error.startswith("evaluate: no --model given")


def test_no_task_is_left_out_for_want_of_a_model(cli: Run) -> None:
    done = cli("--selection", "bm25", "--benchmark", "demo")
    assert done.error == (
        "evaluate: no --model given: DemoRetrieval needs one: a hub id, a folder, or minilm (the embedded model)"
    )


def test_a_model_that_is_not_used_is_named(cli: Run) -> None:
    done = cli("--model", "./nowhere", *DEMO, "--selection", "bm25", "--selection", "random")
    assert done.code == 0
    assert done.out.startswith("no model is used: --selection bm25 random chooses without one\n")


# Cards


def test_validate_an_own_card(cli: Run, mine: Path, tmp_path: Path) -> None:
    done = cli("validate", "mine.yaml", "--format", "json")
    assert done.code == 0
    [row] = json.loads(done.out)
    assert row["verdict"] == (
        "ok: 12 examples in the pool, 5 test items; no instruction of its own: the unified template is used"
    )
    for old, new, message in (
        (
            "cheese], most",
            "chese], most",
            "example pool/2 has the unknown label 'cheese': known are apple, bread, chese",
        ),
        ("'Of what? {text} '", "'{body}'", "pool.jsonl, line 1: no 'body': it has text, label"),
        ("most: 3", "most: 0", "task 'Mine': options.most: 0 is not at least 1"),
        ("most: 3", "top: 3", "task 'Mine': options.top: unknown key"),
        ("data: data", "data: nowhere", "nowhere: no such folder"),
    ):
        mine.write_text(CARD.replace(old, new))
        done = cli("validate", "mine.yaml", "--format", "json")
        assert done.code == 2
        [row] = json.loads(done.out)
        assert row["verdict"].startswith("ERROR ")
        assert message in row["verdict"]


def test_an_own_tasks_instruction_is_used(cli: Run, mine: Path, tmp_path: Path) -> None:
    folder = tiny.build_instructor(tmp_path / "taught")
    (folder / "README.md").write_text("# hkunlp/instructor-large\n")
    mine.write_text(f"{CARD}instructions: {{example: 'Represent the meal; Input: '}}\n")
    asked = ("--model", folder, "--task", mine, "--device", "cpu", "--instructions", "paper", "--instructions", "none")
    done = cli(*asked, "--selection", "similar", "--selection", "bm25")
    assert "3 run, 0 reused" in done.out, done.err
    assert "Mine example: 'Represent the meal; Input: ' (card: default)" in done.out
    found = [json.loads(p.read_text()) for p in (tmp_path / "results" / "scores").rglob("*.json")]
    texts = {(s["model"]["name"][:4], s["instructions"]["set"]): s["instructions"]["roles"]["example"] for s in found}
    assert texts["bm25", "none"] == {"text": "", "rule": "no model: nothing is embedded"}
    assert sorted(t["text"] for t in texts.values()) == ["", "", "Represent the meal; Input: "]


@pytest.mark.parametrize("name", ["GeoQuery", "MultiWOZ"])
def test_a_card_says_that_the_papers_reader_is_retired(name: str, cli: Run) -> None:
    note = "The paper's language model is retired: its number cannot be had again, and no number here is comparable"
    assert f"  note    {note}" in cli("tasks", name).out
    card = json.loads(cli("tasks", name, "--format", "json").out)
    assert card["options"]["retired_reader"] is True
    assert any(text.startswith(note) for text in card["notes"])
    assert "retired" not in cli("tasks", "RTE").out


def test_a_score_says_what_its_card_says(cli: Run, tmp_path: Path) -> None:
    """GeoQuery on a made-up database in the original's layout."""
    folder = tmp_path / "hub" / "datasets" / "prompt_retrieval" / "geoquery"
    folder.mkdir(parents=True)
    for name, n in (("train", 391), ("eval", 344)):
        rows_of = [
            {"question": f"how long is river {i} of {name} ?", "query": f"SELECT length FROM river WHERE id = {i} ;",
             "seq_in": f"how long is river {i} of {name} ? | river : id , length", "db_table_names": ["river"],
             "db_column_names": [{"table_id": 0, "column_name": c} for c in ("id", "length")],
             "db_column_types": ["number", "number"]}
            for i in range(n)
        ]  # fmt: skip
        (folder / f"geoquery_{name}.json").write_text(json.dumps(rows_of))
    done = cli("--task", "GeoQuery", "--selection", "bm25", "--hub", tmp_path / "hub", "--limit", "3")
    assert done.code == 0, done.err
    assert "GeoQuery: the paper's reader is retired" in done.out.replace("\n", " ")
    [score] = scores(tmp_path / "results").values()
    assert score["notes"] == json.loads(cli("tasks", "GeoQuery", "--format", "json").out)["notes"]
    assert score["n_items"] == 3
