"""The details behind a cell."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest
from made_pages import MODEL, Made, with_ends
from made_scores import edited

from instructor_eval.report.details import Detail, Shared, counted, details
from instructor_eval.report.lines import lines
from instructor_eval.report.table import columns
from instructor_eval.results.score import Score

QUERY = {"text": "Represent the query:\n  “quoted” ", "rule": "card: hkunlp/instructor-large"}
DOCUMENT = {"text": "", "rule": "card: default"}
NONE = {"text": "", "rule": "--instructions none"}


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def behind(made: Made, shared: Shared | None = None) -> dict[tuple[str, str], Detail]:
    """By row and task."""
    board = made.board()
    found = details(lines(board, made.evidence), columns(board), shared or Shared(), made.evidence)
    return {(d.line.label, d.column.name): d for d in found}


def alone(made: Made, shared: Shared | None = None) -> Detail:
    [found] = behind(made, shared).values()
    return found


# Numbers


def test_score_interval_and_units(made: Made) -> None:
    made.add(n=300)
    row = made.board().rows[0]
    found, spread = alone(made), row.spreads["SciFact"]
    assert found.main == f"{100 * row.tasks['SciFact']:.2f}"
    assert found.interval == f"95 % interval {100 * spread.low:.1f} to {100 * spread.high:.1f} (t)"
    assert (found.unit, found.error, found.delta) == ("300 queries", "", "")


@pytest.mark.parametrize(
    ("task", "n", "unit"),
    [
        ("SciFact", 1300, "1,300 queries"),
        ("STS12", 40, "40 pairs"),
        ("TwitterURLCorpus", 30, "30 pairs"),
        ("SummEval", 30, "30 articles"),
        ("RTE", 30, "30 test examples"),
        ("mscoco", 60, "20 segments"),  # three systems a segment
        ("TwentyNewsgroupsClustering", 10, "10 splits"),
    ],
)
def test_what_the_statistics_resample(task: str, n: int, unit: str, made: Made) -> None:
    made.add(task, n=n)
    assert alone(made).unit == unit


def test_counts_in_words() -> None:
    assert [counted(n, "query") for n in (0, 1, 2, 12_345)] == ["0 queries", "1 query", "2 queries", "12,345 queries"]


def test_few_items_are_not_to_be_relied_on(made: Made) -> None:
    made.add(n=4)
    assert alone(made).interval.endswith("(t, too few items to rely on)")


def test_beside_the_line_above(made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("SciFact", instructions="none", seed=2)
    made.add("STS12", instructions="none", seed=2, data={"hash": "other"})
    found = behind(made)
    none = next(line for line in made.lines() if line.row.instructions == "none")
    d = none.delta["SciFact"]
    assert found[none.label, "SciFact"].delta == f"{with_ends(d.delta, d.low, d.high)} beside {MODEL} · paper"
    assert found[none.label, "STS12"].delta == f"cannot be compared with {MODEL} · paper: other data"
    assert found[f"{MODEL} · paper", "SciFact"].delta == ""


def test_the_ends_of_the_histogram(made: Made) -> None:
    values = [0.5] * 30 + [0.0, 0.125, 0.25, 1.0, 0.875, 0.75]
    names = [f"q{i}" for i in range(30)] + ["a", "b", "c", "x", "y", "z"]
    made.add(items={"id": names, "ndcg_at_10": values})
    found = alone(made)
    assert found.worst == [("a", "0.0"), ("b", "12.5"), ("c", "25.0")]
    assert found.best == [("x", "100.0"), ("y", "87.5"), ("z", "75.0")]
    assert found.axis == "the score of each, from 0.0 to 100.0; median 50.0"
    assert found.bars.startswith("M0 16V")
    assert found.bars.count("h1") == found.bins == 12


def test_of_a_correlation_the_histogram_says_what_it_is_of(made: Made) -> None:
    made.add("STS12")
    assert alone(made).axis.startswith("what each adds to the score, from ")


# Instructions


def test_the_literal_instruction_of_each_role_with_its_rule(made: Made) -> None:
    made.add(roles={"query": QUERY, "document": DOCUMENT})
    found = alone(made)
    facts = found.shared[0]
    assert facts.rows == [
        ("query", "“Represent the query:\n  “quoted” ”  [card: hkunlp/instructor-large]"),
        ("document", "(none)  [card: default]"),
    ]
    assert facts.literal
    assert (facts.id[0], found.bare) == ("i", "")


def test_no_text_had_an_instruction(made: Made) -> None:
    made.add(roles={"query": NONE, "document": NONE})
    found = alone(made)
    assert found.bare == "No text had an instruction (--instructions none)."
    assert [facts.id[0] for facts in found.shared] == ["d", "e"]


def test_nothing_filed_of_roles(made: Made) -> None:
    made.add()
    assert alone(made).bare == "No text had an instruction."


# What cells share


def test_shared_facts_are_shown_once(made: Made) -> None:
    roles = {"query": QUERY}
    for variant in ("fp32", "int8", "bf16"):
        made.add("SciFact", "STS12", variant=variant, roles=roles)
    made.add("SciFact", instructions="none", roles={"query": NONE})
    shared = Shared()
    found = behind(made, shared)
    assert len(found) == 7
    assert {task: [f.id[0] for f in facts] for task, facts in shared.by_task.items()} == {
        "SciFact": ["i", "d"], "STS12": ["i", "d"],
    }  # fmt: skip
    assert len(shared.machines) == 1
    ids = [facts.id for facts in (*shared.machines, *(f for group in shared.by_task.values() for f in group))]
    assert len(set(ids)) == len(ids) == 5
    used = {facts.id for detail in found.values() for facts in detail.shared}
    assert used == set(ids)


def test_other_instructions_data_and_machines_differ(made: Made) -> None:
    made.add(roles={"query": QUERY}, environment={"hardware": {"device": "cpu"}, "versions": {"torch": "2.1"}})
    made.add(
        instructions="mine", roles={"query": {"text": "Mine: ", "rule": "file mine.yaml"}},
        environment={"hardware": {"device": "cuda"}, "versions": {"torch": "2.1"}}, data={"hash": "other"},
    )  # fmt: skip
    shared = Shared()
    behind(made, shared)
    assert [facts.id[0] for facts in shared.by_task["SciFact"]] == ["i", "d", "i", "d"]
    assert [dict(facts.rows)["device"] for facts in shared.machines] == ["cpu", "cuda"]


def test_memory_of_a_run_is_not_of_the_machine(made: Made) -> None:
    for peak, name in ((512, "paper"), (900, "none")):
        hardware = {"device": "cpu", "peak_memory_mb": peak, "peak_gpu_memory_mb": peak}
        made.add(instructions=name, environment={"hardware": hardware, "versions": {"torch": "2.1", "mteb": "2"}})
    shared = Shared()
    behind(made, shared)
    [machine] = shared.machines
    assert machine.rows == [("device", "cpu"), ("versions", "torch 2.1, mteb 2")]


def test_a_machine_that_was_not_filed(made: Made) -> None:
    made.add()
    shared = Shared()
    alone(made, shared)
    assert [facts.rows for facts in shared.machines] == [[("machine", "was not filed")]]


def test_data_and_protocol(made: Made) -> None:
    data = {"id": "mteb/scifact", "revision": "abc", "key": "k", "hash": "h"}
    made.scores[-1] = edited(made.add(protocol_version="3", data=data), seed=11)
    rows = dict(alone(made).shared[0].rows)
    assert rows["data"] == "mteb/scifact"
    assert (rows["revision"], rows["content"], rows["texts and gold values"]) == ("abc", "k", "h")
    assert rows["protocol"].endswith("version 3, seed 11")
    assert not {"limit", "reader"} & set(rows)


def test_reader_of_prompt_retrieval(made: Made) -> None:
    made.add("RTE", reader={"name": "hf:org/gpt", "fingerprint": "r", "selection": "similar"})
    rows = dict(alone(made).shared[0].rows)
    assert rows["reader"] == "hf:org/gpt, demonstrations similar"


# What went wrong


def test_a_failed_score_has_its_error_and_no_number(made: Made) -> None:
    made.fail("SciFact", "OutOfMemoryError: no room\nfor a batch")
    found = alone(made)
    assert found.error == "OutOfMemoryError: no room for a batch"
    assert (found.main, found.interval, found.bars, found.took) == ("", "", "", "")
    assert found.command == f"evaluate --model {MODEL}@main --variant fp32 --task SciFact"


def test_a_score_that_is_no_number_failed(made: Made) -> None:
    made.scores[-1] = edited(made.add(), score=float("nan"))
    found = alone(made)
    assert found.error == "the score is not a number (NaN)"
    assert found.main == ""


def test_missing_items(made: Made) -> None:
    score = made.add(n=300)
    made.stored.clear()
    found = alone(made)
    assert found.main == f"{100 * score.score:.2f}"
    assert (found.unit, found.interval, found.bars, found.axis) == ("300 items", "", "", "")
    assert (found.worst, found.best) == ([], [])


def test_items_of_other_numbers(made: Made) -> None:
    score = made.add()
    made.stored[score.identity] = {"id": ["a", "b"], "ndcg_at_10": [float("nan"), 0.5]}
    found = alone(made)
    assert (found.bars, found.interval) == ("", "")


# What was done


def test_the_command_makes_this_score_alone(made: Made) -> None:
    command = ["evaluate", "--model", "org/other", "--model", MODEL, "--benchmark", "mteb", "--variant", "int8,fp32",
               "--results", "my results"]  # fmt: skip
    made.add("STS12", variant="int8", command=command)
    assert alone(made).command == f"evaluate --model {MODEL}@main --variant int8 --task STS12 --results 'my results'"


def test_words_that_a_shell_would_split_are_quoted(made: Made) -> None:
    made.add(model="it's; rm -rf $HOME")
    words = shlex.split(alone(made).command)
    assert words == ["evaluate", "--model", "it's; rm -rf $HOME@main", "--variant", "fp32", "--task", "SciFact"]


def test_no_command_is_known(made: Made) -> None:
    made.add(instructions="mine", command=["evaluate", "--task", "SciFact"])
    assert alone(made).command == ""


def test_how_long_it_took(made: Made) -> None:
    made.add(timings={"total": 1234.56}, counts={"texts": 5000, "hits": 1200})
    assert alone(made).took == "1,234.6 s, 5,000 texts, 1,200 of them from the cache"


def test_what_its_server_was_asked(made: Made) -> None:
    made.add(timings={"total": 2.0}, served={"requests": 1200, "retries": 0, "tokens": 5000, "usd": 0.00012345})
    assert alone(made).took == "2.0 s, 1,200 requests, 5,000 tokens, 0.00012 USD"


def test_time_was_not_filed(made: Made) -> None:
    made.add()
    assert alone(made).took == ""


# Places


def test_there_is_one_for_every_measured_cell_task_by_task(made: Made) -> None:
    for variant in ("fp32", "int8"):
        made.add("SciFact", "STS12", "RTE", variant=variant)
    made.fail("RTE", "gone", model="org/other")
    board = made.board()
    rows, shown = lines(board, made.evidence), columns(board)
    found = details(rows, shown, Shared(), made.evidence)
    assert [d.column.name for d in found] == ["SciFact"] * 2 + ["STS12"] * 2 + ["RTE"] * 3
    assert [d.key for d in found] == [f"c-{d.line.index}-{d.column.index}" for d in found]
    assert len({d.key for d in found}) == 7
    assert all(shown[d.column.index] is d.column and board.rows[d.line.index] is d.line.row for d in found)
