"""Which reader's scores a table shows, and which cannot be compared with the paper's."""

from __future__ import annotations

import csv
import io

import pytest
from made_boards import MakeScore, board

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.results.published import published
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import select, shipped_cards


@pytest.fixture
def prompted(make_score: MakeScore) -> MakeScore:
    """A prompt-retrieval score, by `nearest` unless said otherwise."""

    def make(task: str = "RTE", value: float | None = 0.5, by: str = "nearest", **fields: object) -> Score:
        asked = {"name": by, "fingerprint": f"print-{by}", "selection": "similar"}
        given = {"type": "PromptRetrieval", "benchmark": "prompt-retrieval", "metric": "rougeL", "reader": asked}
        return make_score(task, value, **(given | fields))

    return make


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("readers", "asked", "shown"),
    [
        (["hf:z", "nearest", "endpoint:a"], None, "nearest"),
        (["hf:z", "hf:a", "paper"], None, "hf:a"),
        (["hf:z", "nearest"], "hf:z", "hf:z"),
        (["hf:z", "nearest"], "hf:gone", None),
    ],
)
def test_the_scores_of_one_reader(
    readers: list[str], asked: str | None, shown: str | None, order: int, prompted: MakeScore, make_score: MakeScore
) -> None:
    values = {name: 0.1 * (1 + i) for i, name in enumerate(readers)}
    scores = [prompted(value=values[name], by=name) for name in readers[::order]]
    found = board([*scores, make_score("STS12", 0.9)], reader=asked and f"print-{asked}")
    assert found.reader == shown
    [row] = found.rows
    assert row.tasks == {"STS12": 0.9} | ({"RTE": values[shown]} if shown else {})
    assert found.left_out == len(readers) - (shown is not None)
    assert (f"Prompt retrieval: answers by {shown}." in format_board(found, "table")) == (shown is not None)


@pytest.mark.parametrize("form", ["csv", "md", "latex", "json"])
def test_an_export_names_the_reader(form: str, prompted: MakeScore, make_score: MakeScore) -> None:
    assert "hf:z" in format_board(board([prompted(by="hf:z")]), form)
    assert ("reader" in format_board(board([make_score("STS12", 0.5)]), form)) == (form == "json")


def test_only_readers_of_the_columns_asked_for_count(prompted: MakeScore) -> None:
    scores = [prompted("RTE"), prompted("SST-5", by="hf:z"), prompted("SST-5", by="hf:y")]
    found = board(scores, only=select(["SST-5"]))
    assert (found.reader, found.rows[0].tasks, found.left_out) == ("hf:y", {"SST-5": 0.5}, 1)


def test_baselines_stand_beside_models(prompted: MakeScore) -> None:
    scores = [prompted(value=0.6, instructions=name) for name in ("paper", "none")]
    for name, value in (("bm25", 0.7), ("random", 0.3), ("random:1", 0.2)):
        fields = {"model": f"{name} demonstrations", "fingerprint": f"selection-{name}", "instructions": "none"}
        scores.append(prompted(value=value, **fields))
    assert [(r.rank, r.model, r.instructions, r.tasks["RTE"]) for r in board(scores).rows] == [
        (1, "bm25 demonstrations", "none", 0.7),
        (2, "org/model", "none", 0.6),
        (2, "org/model", "paper", 0.6),
        (4, "random demonstrations", "none", 0.3),
        (5, "random:1 demonstrations", "none", 0.2),
    ]


def test_published_prompt_retrieval_is_marked(prompted: MakeScore) -> None:
    names = {e.model for e in published().values() if "PromptRetrieval" in e.categories}
    assert len(names) == 10
    found = board([prompted()], published().values())
    assert {r.model for r in found.rows[1:]} == names
    assert found.means == ["PromptRetrieval"]
    text = format_board(found, "table")
    cells = {r["model"]: r["PromptRetrieval"] for r in csv.DictReader(io.StringIO(format_board(found, "csv")))}
    assert cells.pop("org/model") == "50.00 (1/11)"
    assert cells["hkunlp/instructor-large"] == "63.20*"
    assert all(cell.endswith("*") for cell in cells.values())
    assert "*: the paper's readers were GPT-J and, for GeoQuery and MultiWOZ, a model since retired." in text
    assert "is retired, its numbers" not in text
    # A task of the same kind from elsewhere has nothing to do with the paper's column, nor has one of MTEB.
    own = board([prompted("DemoPrompts", benchmark="demo")], published().values())
    assert [r.source for r in own.rows] == ["measured"]
    assert "*:" not in format_board(own, "table")


def test_the_mean_of_nine_is_marked_too_where_it_is_shown(prompted: MakeScore) -> None:
    names = [c.name for c in shipped_cards().values() if c.benchmark == "prompt-retrieval"]
    found = board([prompted(name, 0.25) for name in names], published().values())
    cells = {r["model"]: r["Nine-category"] for r in csv.DictReader(io.StringIO(format_board(found, "csv")))}
    assert cells["org/model"] == "25.00 (1/9)"
    assert cells["hkunlp/instructor-large"] == "58.37*"
    assert "GeoQuery and MultiWOZ: the paper's reader is retired" in format_board(found, "table")


@pytest.mark.parametrize(
    ("tasks", "note"),
    [
        (["RTE"], None),
        (["GeoQuery", "RTE"], "GeoQuery: the paper's reader is retired"),
        (["MultiWOZ", "GeoQuery"], "GeoQuery and MultiWOZ: the paper's reader is retired"),
    ],
)
def test_what_cannot_be_compared_is_said(tasks: list[str], note: str | None, prompted: MakeScore) -> None:
    text = format_board(board([prompted(t) for t in tasks], published().values()), "table")
    assert ("reader is retired" in text) == (note is not None)
    assert note is None or note in text
