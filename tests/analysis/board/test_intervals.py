from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_scores import edited
from scipy.stats import sem, t

from instructor_eval import metrics
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board
from instructor_eval.analysis.statistics.score_intervals import of_mean
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import shipped_cards

MakeScore = Callable[..., Score]
FORUMS = shipped_cards()["CQADupstackRetrieval"].parts
TASKS = ("SciFact", "ArguAna", "NFCorpus")


class Made:
    """Scores with items, of models that share what is hard and what is easy."""

    def __init__(self, make_score: MakeScore) -> None:
        self._make = make_score
        self.scores: list[Score] = []
        self.stored: dict[str, Items] = {}

    def add(self, model: str, task: str = "SciFact", *, shift: float = 0.0, noise: float = 0.0, n: int = 60,
            items: Items | None = None, metric: str = "ndcg_at_10", **fields: Any) -> Score:  # fmt: skip
        """A score; its items are the task's, shifted, with noise of the model's own."""
        common = np.random.default_rng(sum(map(ord, task))).random(n) * 0.5 + 0.25
        own = np.random.default_rng(sum(map(ord, task + model)))
        values = common + shift + noise * own.normal(size=n)
        items = items or {"id": [f"q{i:03}" for i in range(n)], metric: values.tolist()}
        given = {"type": "Retrieval", "metric": metric, "identity": f"{model}-{task}-{fields.get('variant')}",
                 "model": model, "n_items": n, "fingerprint": model} | fields  # fmt: skip
        score = self._make(task, metrics.compute(metric, items), **given)
        self.scores.append(score)
        self.stored[score.identity] = items
        return score

    def items(self, score: Score) -> Items:
        if score.identity not in self.stored:
            raise UserError("items missing")
        return self.stored[score.identity]

    def board(self, **fields: Any) -> Board:
        return build(self.scores, **({"protocol": protocol.parse([]), "items": self.items} | fields))


@pytest.fixture
def made(make_score: MakeScore) -> Made:
    return Made(make_score)


@pytest.fixture
def three(made: Made) -> Made:
    """A good, a middling and a bad model; the first two differ by little, the last by much."""
    for task in TASKS:
        made.add("good", task, shift=0.05)
        made.add("fair", task, noise=0.1)
        made.add("poor", task, shift=-0.2)
    return made


def rows(text: str) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in json.loads(text)}


# Cells and means


def test_a_cell_has_the_interval_of_its_items(made: Made) -> None:
    score = made.add("a", noise=0.1)
    values = made.stored[score.identity]["ndcg_at_10"]
    low, high = of_mean(np.array(values))
    half, top = 50 * (high - low), high - float(np.mean(values))
    assert half == pytest.approx(100 * sem(values) * t.ppf(0.975, 59), rel=0.05)  # far from 0 and 1
    found = made.board()
    cell = f"{100 * (score.score or 0):.2f} ±{half:.1f}"
    text = format_board(found, "table")
    assert cell in text
    assert "±: half of the 95 % interval, for other items of this kind." in text
    assert "(±)" not in text
    row = rows(format_board(found, "json"))["a"]
    assert row["tasks"] == {"SciFact": score.score}
    interval = row["intervals"]["SciFact"]
    assert interval["high"] - interval["low"] == pytest.approx(2 * half / 100)
    assert (interval["method"], interval["n"], interval["weak"]) == ("t", 60, False)
    assert cell in format_board(found, "md")
    assert cell.replace("±", r"$\pm$") in format_board(found, "latex")
    [line] = csv.DictReader(io.StringIO(format_board(found, "csv")))
    assert line["SciFact"] == f"{100 * (score.score or 0):.2f}"
    assert float(line["SciFact_high"]) == pytest.approx(100 * ((score.score or 0) + top), abs=1e-4)


def test_too_few_items_are_named(made: Made) -> None:
    made.add("a", n=4)
    text = format_board(made.board(), "table")
    assert " (±" in text
    assert "(±): too few items to rely on it." in text


def test_narrow_intervals_are_not_rounded_to_nothing(made: Made) -> None:
    values = [0.5, 0.5004] * 200
    made.add("a", items={"id": [f"{i:03}" for i in range(400)], "ndcg_at_10": values})
    assert "50.02 ±0.00" in format_board(made.board(), "table")
    made.scores.clear()
    made.add("a", items={"id": [f"{i:03}" for i in range(400)], "ndcg_at_10": [0.5, 0.506] * 200})
    assert "50.30 ±0.03" in format_board(made.board(), "table")


def test_a_mean_has_an_interval_where_every_task_in_it_has_one(three: Made) -> None:
    found = three.board()
    row = found.rows[0]
    se = np.sqrt(sum((row.spreads[task].se or 0) ** 2 for task in TASKS)) / 3
    assert row.mean_spreads["Retrieval"].se == pytest.approx(se)
    assert row.mean_spreads["Retrieval"].value == pytest.approx(row.means["Retrieval"].value)
    assert f"{100 * row.means['Retrieval'].value:.2f} ±" in format_board(found, "table")
    assert "(3/15)" in format_board(found, "table")
    del three.stored["good-ArguAna-None"]
    found = three.board()
    assert "Retrieval" not in found.rows[0].mean_spreads
    assert set(found.rows[0].spreads) == {"SciFact", "NFCorpus"}


def test_categories_have_an_interval_of_nine(made: Made, make_score: MakeScore) -> None:
    made.scores += [make_score(c.name, 0.5, type=c.type) for c in shipped_cards().values() if c.type == "Reranking"]
    for card in shipped_cards().values():
        if card.type == "Summarization" and card.benchmark == "mteb":
            items = {"id": [f"{i:03}" for i in range(30)], "rho": [0.1, 0.5, 0.3] * 10, "p": [0.2, 0.3, 0.5] * 10}
            made.add("org/model", card.name, items=items, metric="summeval_v1", type=card.type, fingerprint="f" * 16)
    found = made.board()
    assert found.rows[0].means["Nine-category"].n == 2
    assert set(found.rows[0].mean_spreads) == {"Summarization"}  # Reranking has no items
    made.scores = made.scores[-1:]
    [row] = made.board().rows
    assert row.mean_spreads["Nine-category"].se == row.mean_spreads["Summarization"].se


def test_a_mean_of_parts_has_the_interval_of_their_mean(made: Made) -> None:
    parts = [made.add("a", forum, noise=0.1, n=20 + i) for i, forum in enumerate(FORUMS)]
    items = {"id": list(FORUMS), "value": [s.score for s in parts]}
    made.add("a", "CQADupstackRetrieval", items=items, metric="mean_of_parts")
    [row] = made.board().rows
    spread = row.spreads["CQADupstackRetrieval"]
    errors = [sem(made.stored[s.identity]["ndcg_at_10"]) for s in parts]
    assert spread.se == pytest.approx(np.sqrt(np.sum(np.square(errors))) / len(FORUMS))
    assert spread.value == row.tasks["CQADupstackRetrieval"]
    assert spread.replicates is not None
    assert np.std(spread.replicates) == pytest.approx(spread.se, rel=0.1)
    for broken in ("part", "value"):
        again = Made(made._make)
        again.scores, again.stored = list(made.scores), dict(made.stored)
        if broken == "part":
            again.scores.pop(3)
        else:
            again.stored["a-CQADupstackRetrieval-None"] = items | {"value": [0.1] * len(FORUMS)}
            again.scores[3] = edited(again.scores[3], score=0.1)
        assert "CQADupstackRetrieval" not in again.board().rows[0].spreads
        assert again.board().without_items == ["CQADupstackRetrieval (a)"]


@pytest.mark.parametrize("damage", ["missing", "no id", "no column", "text", "others", "nan"])
def test_items_that_are_not_whole_cost_the_interval_and_no_more(damage: str, three: Made) -> None:
    items = three.stored.pop("fair-SciFact-None")
    broken = {
        "no id": {"ndcg_at_10": items["ndcg_at_10"]},
        "no column": {"id": items["id"]},
        "text": items | {"ndcg_at_10": ["x"] * 60},
        "others": items | {"ndcg_at_10": [0.1] * 60},
        "nan": items | {"ndcg_at_10": [float("nan")] * 60},
    }
    if damage != "missing":
        three.stored["fair-SciFact-None"] = broken[damage]
    found = three.board()
    by_model = {row.model: row for row in found.rows}
    assert set(by_model["fair"].spreads) == {"ArguAna", "NFCorpus"}
    assert set(by_model["good"].spreads) == set(TASKS)
    assert found.without_items == ["SciFact (fair)"]
    assert by_model["fair"].rank_low is not None
    text = format_board(found, "table")
    assert "No ±, as items are not whole: SciFact (fair); ranks take the score." in text


def test_without_items_the_board_is_as_it_was(three: Made) -> None:
    found = three.board(items=None)
    for form in ("table", "md", "latex", "csv"):
        text = format_board(found, form)
        assert "±" not in text
        assert "pm$" not in text
        assert "[" not in text
        assert "_low" not in text
    row = rows(format_board(found, "json"))["good"]
    assert (row["rank"], row["rank_low"], row["rank_high"], row["intervals"]) == (1, None, None, {})
    assert found.without_items == []


# Ranks


def test_ranks_have_intervals(three: Made) -> None:
    found = three.board()
    by_model = {row.model: (row.rank, row.rank_low, row.rank_high) for row in found.rows}
    assert by_model == {"good": (1, 1, 1), "fair": (2, 2, 2), "poor": (3, 3, 3)}
    three.add("twin", shift=0.05)
    for task in TASKS[1:]:
        three.add("twin", task, shift=0.05)
    by_model = {row.model: (row.rank, row.rank_low, row.rank_high) for row in three.board().rows}
    assert by_model == {"good": (1, 1, 1), "twin": (1, 1, 1), "fair": (3, 3, 3), "poor": (4, 4, 4)}
    text = format_board(three.board(), "table")
    assert "\n3 [3, 3]  fair " in text
    assert "rank [a, b]: its 95 % interval, for other tasks and items of this kind." in text
    table = list(csv.DictReader(io.StringIO(format_board(three.board(), "csv"))))
    assert [(r["rank"], r["rank_low"], r["rank_high"]) for r in table][2] == ("3", "3", "3")


def test_rows_that_are_close_have_wide_ranks(made: Made) -> None:
    for model in "abcd":
        for task in TASKS:
            made.add(model, task, noise=0.1)
    found = made.board()
    assert all((row.rank_high or 0) - (row.rank_low or 0) >= 2 for row in found.rows)
    assert all((row.rank_low or 9) <= (row.rank or 0) <= (row.rank_high or 0) for row in found.rows)


def test_one_row_alone_has_no_rank_interval_and_variants_none(made: Made) -> None:
    made.add("a")
    made.add("a", variant="int8", fingerprint="a8", noise=0.1)
    assert [row.rank_low for row in made.board().rows] == [None, None]
    made.add("b", shift=-0.2)
    assert [(row.rank_low, row.rank_high) for row in made.board().rows] == [(1, 1), (None, None), (2, 2)]


# Marks


def key_of(found: Board, model: str) -> Any:
    return next(row.key for row in found.rows if row.model == model)


def test_cells_are_marked_against_the_baseline_row(three: Made) -> None:
    three.add("good", variant="int8", fingerprint="good8", shift=0.0)
    found = three.board(baseline=key_of(three.board(), "fair"))
    assert found.baseline is not None
    verdicts = {row.model: row.marks["SciFact"].verdict for row in found.rows if "SciFact" in row.marks}
    assert verdicts == {"good": "better", "poor": "worse", "good (int8)": "same"}
    text = format_board(found, "table")
    assert text.count("▲ ") >= 3
    assert "▲ ▼: better or worse than fair, the baseline row, by the paired 95 % interval, each task alone." in text
    table = {r["model"]: r for r in csv.DictReader(io.StringIO(format_board(found, "csv")))}
    assert [table[m]["SciFact_mark"] for m in ("good", "poor", "fair", "good (int8)")] == [
        "better",
        "worse",
        "",
        "same",
    ]
    by_model = rows(format_board(found, "json"))
    assert by_model["poor"]["baseline"] == "fair"
    assert by_model["poor"]["against_baseline"]["SciFact"]["verdict"] == "worse"
    assert by_model["fair"]["against_baseline"] == {}
    latex = format_board(found, "latex")
    assert " worse " in latex
    assert "▼" not in latex


def test_other_instructions_can_be_compared_with_the_baseline(made: Made) -> None:
    for model, text in (("a", "Represent:"), ("b", "Query:")):
        score = made.add(model, shift=0.1 * (model == "b"), instructions=model)
        made.scores[-1] = edited(score, instructions={"roles": {"query": {"text": text}}})
    found = made.board(baseline=key_of(made.board(), "a"))
    assert found.rows[0].marks["SciFact"].verdict == "better"


def test_what_cannot_be_compared_is_named_and_not_marked(three: Made) -> None:
    hashes = {"poor-SciFact-None": "x", "fair-SciFact-None": "y", "good-SciFact-None": "y"}
    three.scores = [edited(s, data={"hash": hashes.get(s.identity)}) for s in three.scores]
    items = three.stored["good-ArguAna-None"]
    three.stored["good-ArguAna-None"] = items | {"id": [f"other {i}" for i in range(60)]}
    del three.stored["good-NFCorpus-None"]
    found = three.board(baseline=key_of(three.board(), "fair"))
    assert sorted(found.unmarked) == [
        "ArguAna (good: other items)", "NFCorpus (good: items are missing or damaged)", "SciFact (poor: other data)",
    ]  # fmt: skip
    assert "Not compared with the baseline row: " in format_board(found, "table")


def test_without_a_difference_the_board_says_so(made: Made) -> None:
    for model in "ab":
        made.add(model)
    text = format_board(made.board(baseline=key_of(made.board(), "a")), "table")
    assert "No score differs from that of a, the baseline row, beyond its interval." in text
    assert "▲" not in text


def test_without_a_baseline_variants_are_marked_against_theirs(made: Made) -> None:
    made.add("a")
    made.add("a", variant="int8", fingerprint="a8", shift=-0.1)
    made.add("b", shift=0.2)
    found = made.board()
    assert {row.model: set(row.marks) for row in found.rows} == {"a": set(), "b": set(), "a (int8)": {"SciFact"}}
    text = format_board(found, "table")
    assert "▼ " in text.partition("Variants of")[0]
    assert "better or worse than the variant's baseline, by the paired" in text
    assert "SciFact_mark" not in format_board(found, "csv")


# On the command line


@pytest.fixture
def results(three: Made, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for score in three.scores:
        Store(folder).write(score, three.stored[score.identity])
    return folder


def test_the_flag_names_a_row(results: Path, cli: Any) -> None:
    for label in ("fair", "fair@fp32", "fair@fp32:paper", "fair:paper"):
        done = cli("leaderboard", "--results", results, "--no-published", "--baseline", label)
        assert (done.code, done.err) == (0, "")
        assert "better or worse than fair, the baseline row" in done.out


def test_bad_baselines(results: Path, cli: Any, three: Made) -> None:
    def error(*flags: str) -> str:
        return str(cli("leaderboard", "--results", results, *flags).error)

    assert "gone" in error("--baseline", "gone")
    assert "published:all-MiniLM-L6-v2: it has no stored scores to compare with" in error(
        "--baseline", "published:all-MiniLM-L6-v2"
    )
    assert "leave --no-intervals out" in error("--baseline", "fair", "--no-intervals")
    Store(results).write(three.add("late", "STS12"), {"id": ["a"]})
    assert "that row is not on this board" in error("--baseline", "late", "--task", "SciFact")


def test_without_intervals_nothing_but_scores_is_read_or_written(results: Path, cli: Any) -> None:
    for path in results.rglob("*.parquet"):
        path.unlink()
    done = cli("leaderboard", "--results", results, "--no-published", "--no-intervals")
    assert (done.code, done.err) == (0, "")
    assert "±" not in done.out
    assert "No ±" not in done.out
    assert not (results / "statistics").exists()
    assert "No ±, as items are not whole" in cli("leaderboard", "--results", results, "--no-published").out
