"""Commands that people type out of habit: verbs, lists with commas, patterns, near names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.cli.main import main, root_parser
from instructor_eval.core.errors import UserError
from instructor_eval.models.find import ModelSpec
from instructor_eval.tasks.cards import select

Run = Callable[..., Any]


def chosen(*arguments: str) -> list[str]:
    options = root_parser().parse_args(arguments)
    return [card.name for card in select(options.task, options.benchmark, options.type, options.domain)]


def test_a_list_with_commas_is_the_flag_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("--task", "STS12,STS13") == chosen("--task", "STS12", "--task", "STS13") == ["STS12", "STS13"]
    parse = root_parser().parse_args
    assert parse(["--model", "a/b, c/d", "--model", "e"]).model == ["a/b", "c/d", "e"]
    assert parse(["--instructions", "paper,none"]).instructions == ["paper", "none"]
    assert parse(["--selection", "bm25,random"]).selection == ["bm25", "random"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model,one").mkdir()
    assert parse(["--model", "model,one", "--model", "endpoint:http://host/v1#a,b"]).model == [
        "model,one", "endpoint:http://host/v1#a,b",
    ]  # fmt: skip
    with pytest.raises(UserError, match="has an empty part"):
        parse(["--task", "STS12,,STS13"])


def test_a_pattern_names_every_task_that_it_matches() -> None:
    assert chosen("--task", "STS1?") == ["STS12", "STS13", "STS14", "STS15", "STS16", "STS17"]
    assert "STSBenchmark" in chosen("--task", "STS*")
    with pytest.raises(UserError, match=r"unknown task 'sts\[99\]': no name matches"):
        chosen("--task", "sts[99]")


def test_a_type_filters_or_stands_alone() -> None:
    alone = chosen("--type", "STS")
    assert len(alone) == 10  # the paper's
    assert not [name for name in alone if name.startswith("Demo")]
    assert chosen("--type", "STS", "--benchmark", "demo") == ["DemoSTS"]
    assert chosen("--type", "STS,Retrieval", "--task", "Demo*") == ["DemoRetrieval", "DemoSTS"]
    with pytest.raises(UserError, match="unknown task type 'Retreival': did you mean Retrieval"):
        chosen("--type", "Retreival")
    with pytest.raises(UserError, match="none of these tasks is of type STS"):
        chosen("--type", "STS", "--task", "SciFact")


def test_a_domain_filters_or_stands_alone() -> None:
    alone = chosen("--domain", "medical")
    assert alone == ["NFCorpus", "TRECCOVID", "BIOSSES"]  # the paper's
    assert chosen("--domain", "medical,financial", "--type", "STS") == ["BIOSSES"]
    assert chosen("--task", "Demo*", "--domain", "other") == chosen("--task", "Demo*")  # these say none
    with pytest.raises(UserError, match="unknown domain 'medicla': did you mean medical"):
        chosen("--domain", "medicla")
    with pytest.raises(UserError, match="none of these tasks is of type STS and of domain medical"):
        chosen("--domain", "medical", "--type", "STS", "--task", "STS12,NFCorpus")


def test_parts_go_with_their_whole_into_its_domain() -> None:
    of_web = chosen("--domain", "web")
    assert of_web.count("CQADupstackRetrieval") == 1
    assert len([name for name in of_web if name.startswith("CQADupstack")]) == 13
    assert not [name for name in chosen("--domain", "programming") if name.startswith("CQADupstack")]
    assert chosen("--task", "CQADupstackGisRetrieval", "--domain", "programming") == ["CQADupstackGisRetrieval"]


def test_own_tasks_have_their_own_domains(tmp_path: Path) -> None:
    card = tmp_path / "own.yaml"
    card.write_text("name: mine\ntype: STS\ndata: x\ndomain: plumbing\n")
    assert chosen("--task", str(card), "--domain", "plumbing") == ["mine"]


@pytest.mark.parametrize("flags", [("--type", "STS,Retrieval"), ("--type", "STS", "--type", "Retrieval")])
def test_the_list_of_tasks_takes_lists_too(cli: Run, flags: tuple[str, ...]) -> None:
    found = json.loads(cli("tasks", *flags, "--domain", "medical", "--format", "json").out)
    assert [task["task"] for task in found] == ["NFCorpus", "TRECCOVID", "BIOSSES"]


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "all-minilm-l6-v2", "MiniLM"])
def test_the_embedded_model_has_the_names_that_people_know(name: str) -> None:
    assert ModelSpec.parse(name) == ModelSpec("minilm")


def test_help_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, whose in ((["help"], "usage: evaluate [options]"), (["help", "gate"], "usage: evaluate gate")):
        with pytest.raises(SystemExit) as e:
            main(arguments)
        assert e.value.code == 0
        assert capsys.readouterr().out.startswith(whose)


def test_an_unknown_flag_names_the_near_one(cli: Run) -> None:
    assert ": did you mean --task" in cli("run", "--model", "minilm", "--taks", "STS12").error
    assert "did you mean" not in cli("run", "--zzzz").error


def test_a_command_behind_its_flags_is_said_to_come_first(cli: Run) -> None:
    error = "evaluate: unrecognized arguments: leaderboard: a command comes before its flags, evaluate leaderboard ..."
    assert cli("--quiet", "leaderboard").error == f"{error} (see evaluate --help)"
    assert "comes before" not in cli("--quiet", "--zzzz", "leaderboard").error
    assert "comes before" not in cli("leaderboard", "report").error


def test_run_is_the_bare_command(cli: Run) -> None:
    bare, verb = (cli(*words, "--model", "minilm") for words in ((), ("run",)))
    assert (
        bare.error
        == verb.error
        == "evaluate: no --task, --benchmark, --type or --domain given: `evaluate tasks` lists them"
    )


@pytest.mark.parametrize(("files", "type_"), [
    ({"corpus.jsonl": '{"_id": "d", "text": "b"}', "queries.jsonl": '{"_id": "q", "text": "a"}',
      "qrels/dev.tsv": "query-id\tcorpus-id\tscore\nq\td\t1"}, "Retrieval"),
    ({"test.csv": "sentence1,sentence2,score\na,b,1\nc,d,0\n"}, "STS"),
    ({"test.tsv": "sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t0\n"}, "PairClassification"),
    ({"test.csv": "text,label\na,x\nb,y\n", "train.csv": "text,label\na,x\nb,y\n"}, "Classification"),
    ({"test.csv": "text,label\na,x\nb,y\n"}, "Clustering"),
    ({"test.jsonl": '{"query": "a", "positive": ["b"], "negative": ["c"]}'}, "Reranking"),
    ({"x_references.jsonl": "{}", "x_THumB-1.0.jsonl": "{}"}, "TextEvaluation"),
])  # fmt: skip
def test_data_in_place_of_a_card(cli: Run, tmp_path: Path, files: dict[str, str], type_: str) -> None:
    for name, content in files.items():
        file = tmp_path / "my tickets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    [card] = select([str(tmp_path / "my tickets")])
    assert (card.name, card.type, card.split) == ("my-tickets", type_, "dev" if type_ == "Retrieval" else "test")
    done = cli("init", "my tickets")
    assert done.code == 0
    [written] = select([str(tmp_path / "my tickets.yaml")])
    assert (written.name, written.type, written.split) == (card.name, card.type, card.split)
    assert written.folder is not None
    assert written.folder.resolve() == (tmp_path / "my tickets").resolve()
    assert "choose another -o FILE, or --force" in cli("init", "my tickets").error
    assert cli("init", "my tickets", "-o", "no folder/x.yaml").error == (
        "evaluate: cannot write the card to no folder/x.yaml: no such file or directory: choose another file with -o"
    )


def test_data_that_are_no_tasks(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("left,right\na,b\n")
    assert "its columns are left, right" in cli("init", "table.csv").error
    assert "its columns are left, right" in cli("--model", "minilm", "--task", "table.csv").error
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv: it is empty" in cli("init", "empty.csv").error
    (tmp_path / "folder").mkdir()
    assert "expected test.jsonl, test.tsv or test.csv" in cli("init", "folder").error
    (tmp_path / "folder" / "pool.csv").write_text("text,label\na,x\n")
    assert "PromptRetrieval" in cli("init", "folder").error
    assert "give the path of your data" in cli("init", "nowhere").error
    (tmp_path / "spaced.csv").write_text("sentence1, sentence2, score\na, b, 1\n")
    assert "no 'sentence2': the header has spaces: ' sentence2'" in cli("validate", "spaced.csv").out


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "instructor_eval", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("instructor-eval ")
