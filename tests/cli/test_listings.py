"""Commands that read: `tasks`, `models` and `leaderboard` in every format, without a library that computes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards

Run = Callable[..., Any]
Environment = Callable[[Path], dict[str, str]]

MakeScore = Callable[..., Score]
HEAVY = (
    "torch", "mteb", "transformers", "datasets", "pandas", "sklearn", "tokenizers", "huggingface_hub", "scipy.stats"
)  # fmt: skip
LISTINGS = [["tasks"], ["tasks", "ArguAna"], ["models"], ["validate"]]


@pytest.fixture
def results(tmp_path: Path, make_score: MakeScore) -> Path:
    """A results folder with two models."""
    store = Store(tmp_path / "results")
    for model, value in (("org/good", 0.75), ("org/bad", 0.25)):
        store.write(make_score("STSBenchmark", value, model=model), {"id": ["a"], "gold": [1.0], "cosine": [value]})
        store.write(make_score("STS12", value / 2, model=model))
    store.write(make_score("STS12", 0.9, model="org/good", limit=5, identity="1" * 16))
    return store.root


def test_reading_imports_nothing_heavy(results: Path, bare_environment: Environment) -> None:
    commands = [
        [], ["--help"], ["--version"], ["tasks"], ["tasks", "ArguAna"], ["models"], ["leaderboard"],
        ["leaderboard", "--format", "md"], ["validate"], ["tasks", "--help"], ["tasks", "ArguAn"],
    ]  # fmt: skip
    program = (
        "import sys\nfrom instructor_eval.cli.main import main\n"
        f"for arguments in {commands!r}:\n"
        "    try: main(arguments)\n    except SystemExit: pass\n"
        f"    found = sorted(m for m in {HEAVY!r} if m in sys.modules)\n"
        "    if found: sys.exit(f'{arguments} imports {found}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=results.parent,
        env=bare_environment(results.parent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: evaluate") == 3
    assert done.stderr.count("unknown task 'ArguAn'") == 1


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("arguments", LISTINGS, ids=" ".join)
def test_every_listing_in_every_format(arguments: list[str], form: str, cli: Run) -> None:
    done = cli(*arguments, "--format", form)
    assert (done.code, done.err) == (0, "")
    if form == "json":
        assert json.loads(done.out)
    elif form == "csv":
        table = list(csv.reader(io.StringIO(done.out)))
        assert len(table) > 1
        assert len({len(row) for row in table}) == 1
    else:
        assert len(done.out.splitlines()) > 3
    assert cli(*arguments).out == cli(*arguments, "--format", "table").out


def test_tasks(cli: Run) -> None:
    assert cli("tasks").out.splitlines()[-1] == (
        "56 mteb, 3 billboard, 11 prompt-retrieval, 4 demo, 1 probe, 3 demo-pictures, 20 parts of another task"
    )
    found = json.loads(cli("tasks", "--format", "json").out)
    assert [t["task"] for t in found] == list(shipped_cards())
    assert found[0] == {
        "task": "ArguAna", "benchmark": "mteb", "type": "Retrieval", "domain": "social",
        "metric": "ndcg_at_10", "split": "test",
        "roles": "query document", "data": "mteb/arguana", "part of": None,
    }  # fmt: skip
    by_name = {t["task"]: t for t in found}
    assert by_name["CQADupstackRetrieval"]["data"] == "12 tasks"
    assert by_name["DemoSTS"]["data"] == "shipped"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--benchmark", "billboard"], ["mscoco", "cnndm", "wmt20-zh-en"]),
        (["--type", "Summarization"], ["SummEval"]),
        (["--search", "ARGU"], ["ArguAna"]),
        (["--benchmark", "demo", "--type", "STS"], ["DemoSTS"]),
        (["--search", "nothing-like-it"], []),
    ],
)
def test_tasks_filtered(arguments: list[str], names: list[str], cli: Run) -> None:
    found = json.loads(cli("tasks", *arguments, "--format", "json").out)
    assert [t["task"] for t in found] == names
    table = cli("tasks", *arguments)
    assert table.code == 0
    assert all(n in table.out for n in names or ["no task"])


def test_one_card(cli: Run) -> None:
    out = cli("tasks", "ArguAna").out
    assert "ArguAna: Retrieval, benchmark mteb" in out
    assert "mteb/arguana at c22ab2a51041ffd869aaddef7af8d8215647e41a" in out
    assert "'Represent a Counter-argument: ' (instructor-large)" in out
    found = json.loads(cli("tasks", "ArguAna", "--format", "json").out)
    assert (found["name"], found["metric"]) == ("ArguAna", "ndcg_at_10")
    assert len(found["instructions"]) == 6
    found = json.loads(cli("tasks", "ArguAna", "--format", "json", "--model", "hkunlp/instructor-xl").out)
    assert [r["instruction"] for r in found["instructions"]] == [
        "Represent Debating conversations to retrieve a counter-argument: ",
        "Represent counter-arguments: ",
    ]
    rows = list(csv.DictReader(io.StringIO(cli("tasks", "ArguAna", "--format", "csv").out)))
    assert {r["role"] for r in rows} == {"query", "document"}


def test_every_shipped_card_can_be_shown(cli: Run) -> None:
    for name in shipped_cards():
        assert cli("tasks", name).out.startswith(f"{name}: ")


def test_an_own_card_can_be_shown(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ntype: STS\ndata: x\n")
    assert "mine: STS, benchmark own" in cli("tasks", "mine.yaml").out


def test_models(cli: Run, results: Path) -> None:
    found = {r["model"]: r for r in json.loads(cli("models", "--format", "json").out)}
    large = found["hkunlp/instructor-large"]
    assert (large["family"], large["instructions"]) == ("instructor", "paper, template")
    assert large["published MTEB-56"] == 61.59
    assert found["org/good"]["results here"] == 3
    assert found["org/bad"]["results here"] == 2
    assert found["sentence-transformers/all-MiniLM-L6-v2"]["published MTEB-56"] == 56.1
    assert "56.10" in cli("models").out
    assert "org/good" not in cli("models", "--results", "elsewhere").out


def test_a_published_model_with_results_is_listed_once(cli: Run, tmp_path: Path, make_score: MakeScore) -> None:
    Store(tmp_path / "results").write(make_score(model="hkunlp/instructor-large"))
    found = [r for r in json.loads(cli("models", "--format", "json").out) if r["model"] == "hkunlp/instructor-large"]
    assert [r["results here"] for r in found] == [1]


@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex"])
def test_the_leaderboard_in_every_format(form: str, cli: Run, results: Path) -> None:
    done = cli("leaderboard", "--format", form)
    assert done.code == 0
    organisations = ("", "") if form == "table" else ("org/", "hkunlp/")  # a terminal shows short names
    places = [done.out.index(name) for name in (f"{organisations[0]}good", f"{organisations[0]}bad",
                                                f"{organisations[1]}instructor-")]  # fmt: skip
    assert places == sorted(places)
    assert done.err == ("" if form != "table" else (
        "\n1 result of another --protocol, --limit or --reader left out: give the same flags to see them\n"
    ))  # fmt: skip


def test_leaderboard_flags(cli: Run, results: Path) -> None:
    def found(*arguments: str) -> dict[str, dict[str, float]]:
        return {r["model"]: r["tasks"] for r in json.loads(cli("leaderboard", *arguments, "--format", "json").out)}

    alone = found("--no-published")
    assert alone == {
        "org/good": {"STS12": 0.375, "STSBenchmark": 0.75},
        "org/bad": {"STS12": 0.125, "STSBenchmark": 0.25},
    }
    assert found("--no-published", "--limit", "5") == {"org/good": {"STS12": 0.9}}
    assert found("--no-published", "--task", "STS12") == {"org/good": {"STS12": 0.375}, "org/bad": {"STS12": 0.125}}
    assert found("--no-published", "--protocol", "paper") == alone
    assert found("--no-published", "--protocol", "empty_text=error") == {}
    assert found("--no-published", "--benchmark", "demo") == {}
    assert len(found()) == 14
    assert cli("leaderboard", "--results", str(results)).out == cli("leaderboard").out


def test_reading_changes_nothing(cli: Run, results: Path) -> None:
    def state() -> dict[str, float]:
        return {str(p): p.stat().st_mtime_ns for p in results.parent.rglob("*")}

    before = state()
    for arguments in (*LISTINGS, ["leaderboard"]):
        cli(*arguments)
    assert state() == before


def test_columns_and_digits_of_the_leaderboard(cli: Run, results: Path) -> None:
    done = cli("leaderboard", "--format", "md", "--columns", "STSBenchmark,rank", "--precision", "1", "--no-published")
    assert done.code == 0
    head, _, first, *_ = done.out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["model", "STSBenchmark", "rank"]
    assert re.search(r"\d\d\.\d\b", first)
    for flags, said in (
        (("--columns", "STSBenchmark"), "--columns is of --format md and latex"),
        (("--precision", "1", "--format", "csv"), "--precision is of --format md and latex"),
        (("--precision", "9", "--format", "md"), "--precision"),
        (("--columns", "STSBenchmark,", "--format", "md"), "empty part"),
        (("--columns", "Nope", "--format", "latex"), "--columns Nope: there is no such column"),
    ):
        assert said in cli("leaderboard", *flags).error
