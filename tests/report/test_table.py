"""The page's columns and cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import made_results
import pytest
from made_pages import MODEL, Made, with_ends

from instructor_eval.analysis.board import text
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Mean, Row
from instructor_eval.report.lines import Line, lines
from instructor_eval.report.table import Cell, Column, cells, columns, groups, places
from instructor_eval.results.published import Published, published
from instructor_eval.results.score import Score, key_of
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import shipped_cards

TASKS = {t: made_results.TASKS[t] for t in ("SciFact", "STS12", "TwitterURLCorpus", "mscoco", "RTE", "SummEval")}


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def names(found: Sequence[Column]) -> list[str]:
    return [column.name for column in found]


def of(made: Made, **fields: Any) -> tuple[Board, list[Line], list[Column], dict[Line, list[Cell]]]:
    board = made.board(**fields)
    found, shown = lines(board, made.evidence), columns(board)
    return board, found, shown, cells(board, found, shown)


# Columns


def test_columns_by_benchmark_and_type_each_mean_before_its_own(made: Made) -> None:
    made.add("RTE", "Amazon", "STS13", "SummEval", "cnndm", "mscoco", "STS12", "SciFact", "ArguAna", "Mine", "Own")
    assert names(columns(made.board())) == [
        "Nine-category", "MTEB-56", "Retrieval", "ArguAna", "SciFact", "STS", "STS12", "STS13", "SummEval",
        "Billboard", "mscoco", "cnndm", "PromptRetrieval", "RTE", "Amazon", "own", "Mine", "Own",
    ]  # fmt: skip


def test_a_mean_of_one_column_is_left_out(made: Made) -> None:
    made.add("SciFact", "STS12")
    assert names(columns(made.board())) == ["MTEB-56", "SciFact", "STS12"]
    made.add("STS13")
    assert names(columns(made.board())) == ["MTEB-56", "SciFact", "STS", "STS12", "STS13"]


def test_one_task_alone_needs_no_mean(made: Made) -> None:
    made.add("mscoco")
    assert names(columns(made.board())) == ["mscoco"]


def test_columns_know_their_place_and_their_section(made: Made) -> None:
    made.add("SciFact", "STS12", "my own: task")
    found = columns(made.board())
    assert [column.index for column in found] == list(range(len(found)))
    ids = [column.id for column in found if column.is_task]
    assert ids[:2] == ["t-SciFact", "t-STS12"]
    assert len(set(ids)) == 3
    assert all(not set(i) & set(" :<>\"'&") for i in ids)
    assert {column.id for column in found if not column.is_task} == {""}
    assert places(found) == {c.name: found.index(c) for c in found if c.is_task}
    assert set(places(found)) == {"SciFact", "STS12", "my own: task"}


def test_tasks_of_the_users_own_stand_last_by_their_type(made: Made) -> None:
    made.add("Zebra", type="Retrieval", metric="cosine_spearman")
    made.add("Ant", type="Odd kind")
    made.add("Bee", "SciFact")
    found = columns(made.board())
    assert [(c.name, c.benchmark, c.type) for c in found if c.benchmark == "own"] == [
        ("own", "own", ""), ("Zebra", "own", "Retrieval"), ("Bee", "own", "STS"), ("Ant", "own", "Odd kind"),
    ]  # fmt: skip
    assert found[0].name == "SciFact"


def test_a_task_that_only_failed_has_a_column(made: Made) -> None:
    made.add("SciFact")
    made.fail("Mine", "OSError: gone", type="Odd kind")
    assert [(c.name, c.type) for c in columns(made.board())] == [("SciFact", "Retrieval"), ("Mine", "Odd kind")]


def test_the_demo_is_a_benchmark_of_its_own(made: Made) -> None:
    demo = [card.name for card in shipped_cards().values() if card.benchmark == "demo"]
    made.add(*demo, "SciFact")
    found = columns(made.board())
    assert [c.benchmark for c in found] == ["mteb", *["demo"] * (len(demo) + 1)]
    assert found[1].name == "demo"


def test_groups_count_neighbours(made: Made) -> None:
    made.add("SciFact", "ArguAna", "STS12", "mscoco", "Mine")
    found = columns(made.board())
    by_benchmark, by_type = groups(found, by_type=False), groups(found, by_type=True)
    assert [(g.name, g.size) for g in by_benchmark] == [("mteb", 5), ("billboard", 1), ("own", 1)]
    assert [(g.benchmark, g.name, g.size) for g in by_type] == [
        ("mteb", "", 1), ("mteb", "Retrieval", 3), ("mteb", "STS", 1), ("billboard", "TextEvaluation", 1),
        ("own", "STS", 1),
    ]  # fmt: skip
    assert sum(g.size for g in by_benchmark) == sum(g.size for g in by_type) == len(found)


def test_all_of_the_papers_columns_keep_the_papers_order() -> None:
    """The published rows have all of MTEB: its types one behind the other, each with its mean in front."""
    whole = [c for c in shipped_cards().values() if c.part_of is None and c.benchmark == "mteb"]
    one = Published("a", tasks={c.name: 0.5 for c in whole})
    board = build([], [one], protocol=protocol.parse([]), only=whole)
    found = columns(board)
    types = list(dict.fromkeys(c.type for c in found if c.type))
    assert types == ["Retrieval", "Reranking", "Clustering", "PairClassification", "Classification", "STS",
                     "Summarization"]  # fmt: skip
    assert names(found)[:2] == ["Nine-category", "MTEB-56"]
    assert [c.name for c in found if not c.is_task][2:] == types[:-1]  # one task of Summarization
    for kind in types[:-1]:
        assert next(c for c in found if c.type == kind).name == kind


# Cells


@pytest.fixture
def results(tmp_path: Path, make_score: Callable[..., Score]) -> Store:
    """Two models, a variant, a second set, weak intervals, a failed task."""
    root = tmp_path / "results"
    made_results.file(root, make_score, tasks=TASKS, n=60)
    made_results.file(root, make_score, tasks=TASKS, n=60, variant="int8", change=made_results.lowered(0.6, 0.3))
    made_results.file(root, make_score, tasks=TASKS, n=60, instructions="none", seed=2)
    some = {t: TASKS[t] for t in ("SciFact", "STS12", "RTE")}
    store = made_results.file(root, make_score, tasks=some, n=60, model="org/other", seed=7)
    made_results.file(root, make_score, tasks={"Own task": TASKS["STS12"]}, n=8, model="org/other")
    same = {"model": "org/other", "fingerprint": "fp32".ljust(16, "0")}
    store.write(make_score("mscoco", None, type="TextEvaluation", identity="7" * 16, error="gone", **same))
    return store


def markdown(out: str) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the first table."""
    table = [line for line in out.split("\n\n")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return rows[0], rows[2:]


@pytest.mark.parametrize(("with_baseline", "intervals"), [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("others", [True, False])
def test_every_cell_is_the_terminals(
    with_baseline: bool, intervals: bool, others: bool, results: Store, cli: Callable[..., Any]
) -> None:
    base = next(s for s in results.scores() if s.model.name == "org/other")
    board = build(
        results.scores(),
        published().values() if others else (),
        protocol=protocol.parse([]),
        items=results.items if intervals else None,
        baseline=key_of(base) if with_baseline else None,
    )
    flags = [*([] if others else ["--no-published"]), *([] if intervals else ["--no-intervals"])]
    flags += ["--baseline", "org/other"] if with_baseline else []
    headers, printed = markdown(cli("leaderboard", "--results", results.root, "--format", "md", *flags).out)
    found, shown = lines(board, Evidence(results.items if intervals else None)), columns(board)
    made = cells(board, found, shown)
    assert len(printed) == len(found) == len(made)
    filled = 0
    for line in found:
        for column, cell in zip(shown, made[line], strict=True):
            ours = cell.main + cell.rest
            by_hand = (
                text.cell(line.row, column.name, "table")
                if column.is_task
                else text.mean_cell(line.row, column.name, board, "table")
            )
            assert ours == (by_hand or "") == printed[line.index][headers.index(column.name)].replace("**", "")
            filled += bool(ours)
    assert filled > 25
    assert any(cell.main == "failed" for row in made.values() for cell in row)
    assert any("±" in cell.rest for row in made.values() for cell in row) == intervals


def test_a_score_is_large_and_what_follows_it_small(made: Made) -> None:
    made.add("SciFact", "STS12", n=200)
    made.add("SciFact", n=200, variant="int8", seed=1)
    items = dict(made.items(made.scores[0]))
    made.add("SciFact", model="org/weak", items=items | {"ndcg_at_10": [v / 2 for v in items["ndcg_at_10"]]})
    _, found, shown, all_cells = of(made)
    head = next(line for line in found if line.row.name == MODEL)
    by_name = dict(zip(names(shown), all_cells[head], strict=True))
    assert by_name["SciFact"].main == f"{100 * head.row.tasks['SciFact']:.2f}"
    assert by_name["SciFact"].rest.startswith(" ±")
    mean = by_name["MTEB-56"]
    assert mean.main == f"{50 * sum(head.row.tasks.values()):.2f}"
    assert mean.rest.startswith(" ±")
    assert mean.rest.endswith(" (2/56)")


def test_a_mark_stands_with_the_score(made: Made) -> None:
    made.add("SciFact", n=200)
    items = dict(made.items(made.scores[0]))
    made.add(variant="int8", items=items | {"ndcg_at_10": [v / 2 for v in items["ndcg_at_10"]]})
    _, found, _, all_cells = of(made)
    [cell] = all_cells[found[1]]
    d = found[1].delta["SciFact"]
    assert cell.main == f"▼ {100 * found[1].row.tasks['SciFact']:.2f}"
    assert (cell.delta, cell.verdict) == (with_ends(d.delta, d.low, d.high), "worse")


def test_only_lines_below_another_have_differences(made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("SciFact", instructions="none", seed=2)
    _, found, shown, all_cells = of(made)
    place = names(shown).index
    assert {cell.delta for cell in all_cells[found[0]]} == {""}
    below = all_cells[found[1]]
    assert below[place("SciFact")].delta
    assert below[place("STS12")] == Cell()
    assert below[place("MTEB-56")].delta == ""
    assert below[place("SciFact")].verdict in ("better", "worse", "same")


def test_a_failed_cell_says_so(made: Made) -> None:
    made.add("SciFact")
    made.fail("SciFact", "OSError: gone", model="org/other")
    _, found, _, all_cells = of(made)
    by_name = {line.row.name: all_cells[line][0] for line in found}
    assert by_name["org/other"] == Cell("failed", failed=True)
    assert by_name["org/other"].classes == "x"


# Shades


def shades(values: Sequence[float]) -> list[int]:
    rows = [Row(f"m{i}", "paper", "measured", tasks={"SciFact": v}, name=f"m{i}") for i, v in enumerate(values)]
    board = Board(rows, ["SciFact"], [])
    found = lines(board, Evidence(None))
    made = cells(board, found, columns(board))
    return [made[line][0].heat for line in sorted(found, key=lambda line: line.index)]


def test_the_lowest_has_no_shade_and_the_highest_the_darkest() -> None:
    assert shades([0.2, 0.6, 0.4]) == [0, 8, 4]
    assert shades([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]) == list(range(9))
    assert shades([-0.5, 0.5]) == [0, 8]


def test_columns_of_one_value_have_no_shade() -> None:
    assert shades([0.5]) == [0]
    assert shades([0.5, 0.5, 0.5]) == [0, 0, 0]


def test_shades_are_letters() -> None:
    assert [Cell("1", heat=n).classes for n in range(9)] == ["", *"abcdefgh"]


def test_an_incomplete_mean_is_not_shaded() -> None:
    means = {"a": Mean(0.2, 56, 56), "b": Mean(0.4, 56, 56), "c": Mean(0.9, 2, 56), "d": Mean(0.3, 56, 56)}
    rows = [
        Row(name, "paper", "measured", tasks={"SciFact": 0.5, "STS12": 0.5}, means={"MTEB-56": mean}, name=name)
        for name, mean in means.items()
    ]
    board = Board(rows, ["SciFact", "STS12"], ["MTEB-56"])
    found = lines(board, Evidence(None))
    made = cells(board, found, columns(board))
    assert {line.row.name: made[line][0].heat for line in found} == {"a": 0, "b": 8, "c": 0, "d": 4}
    assert next(made[line][0].rest for line in found if line.row.name == "c") == " (2/56)"


def test_failed_cells_shade_no_other(made: Made) -> None:
    made.add("SciFact", seed=1)
    made.add("SciFact", seed=2, model="org/b")
    made.fail("SciFact", "gone", model="org/c")
    _, found, _, all_cells = of(made)
    assert sorted(all_cells[line][0].heat for line in found) == [0, 0, 8]
