from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from made_scores import edited

from instructor_eval.core.paths import shipped
from instructor_eval.results.published import CATEGORIES, published, why_not
from instructor_eval.results.score import Data, Score
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.protocol import CHOICES, PAPER, parse, relevant

TASKS = {c.name for c in shipped_cards().values() if c.benchmark == "mteb"}
WHOLE = {n for n in TASKS if shipped_cards()[n].part_of is None}


def with_tasks() -> dict[str, dict[str, float]]:
    return {name: entry.tasks for name, entry in published().items() if entry.tasks}


def test_twelve_models_on_sixty_eight_tasks() -> None:
    found = with_tasks()
    assert len(found) == 12
    assert len(TASKS) == 68
    assert all(set(tasks) == TASKS for tasks in found.values())
    assert all(0 < score < 1 for tasks in found.values() for score in tasks.values())


def test_each_model_and_task_once_in_the_file() -> None:
    with (shipped("results/reference") / "mteb_published.csv").open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 12 * 68
    assert max(Counter((r["model"], r["task"]) for r in rows).values()) == 1
    assert all(r["source_path"].endswith(f"/{r['task']}.json") for r in rows)
    assert all(r["source_path"].startswith(r["model"].replace("/", "__") + "/") for r in rows)
    assert {r["task"]: r["type"] for r in rows if r["task"] in WHOLE} == {n: shipped_cards()[n].type for n in WHOLE}
    # Half of the result files call MSMARCO's dev split validation.
    other = {(r["task"], r["split"]) for r in rows if r["split"] != shipped_cards()[r["task"]].split}
    assert other == {("MSMARCO", "validation")}


def test_the_papers_table_with_its_source() -> None:
    entries = {n: e for n, e in published().items() if e.categories}
    assert len(entries) == 10
    assert all(tuple(e.categories) == CATEGORIES for e in entries.values())
    large = entries["hkunlp/instructor-large"]
    # Version 3 of the paper (36.9), not version 1 (38.7).
    assert large.categories["Billboard"] == pytest.approx(0.369)
    assert large.sources == ["embeddings-benchmark/results@2d8f542", "arXiv:2212.09741v3, Table 2"]
    assert published()["SimCSE (110M)"].sources == ["arXiv:2212.09741v3, Table 2"]
    assert published()["sentence-transformers/all-MiniLM-L6-v2"].sources == ["embeddings-benchmark/results@2d8f542"]
    assert all(e.sources and e.model == name for name, e in published().items())


def test_the_printed_means_are_those_of_the_printed_columns() -> None:
    """A check of the transcription: the paper's own averages against its nine columns."""
    with (shipped("results/reference") / "paper_table2.csv").open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 20
    off = {
        (r["model"], r["version"])
        for r in rows
        if abs(sum(float(r[c]) for c in CATEGORIES) / 9 - float(r["mean_of_nine"])) > 0.051
    }
    assert off == set()


def test_published_categories_are_means_of_their_tasks() -> None:
    """Table 2 of version 3 is rounded to one place; its MTEB columns come from the same scores."""
    entry = published()["hkunlp/instructor-large"]
    for category in CATEGORIES[:7]:
        values = [entry.tasks[n] for n in WHOLE if shipped_cards()[n].type == category]
        assert 100 * sum(values) / len(values) == pytest.approx(100 * entry.categories[category], abs=0.06)


@pytest.mark.realdata
def test_means_equal_the_reference(reference: Path) -> None:
    with (reference / "published_category_averages.csv").open(encoding="utf-8", newline="") as f:
        rows = {r["model"]: r for r in csv.DictReader(f)}
    assert set(rows) == set(with_tasks())
    for model, tasks in with_tasks().items():
        assert 100 * sum(tasks[n] for n in WHOLE) / 56 == pytest.approx(float(rows[model]["Average56"]), abs=0.01)
        for category in CATEGORIES[:7]:
            values = [tasks[n] for n in WHOLE if shipped_cards()[n].type == category]
            mean = 100 * sum(values) / len(values)
            assert mean == pytest.approx(float(rows[model][category]), abs=0.01), (model, category)


@pytest.mark.realdata
def test_scores_equal_the_reference(reference: Path) -> None:
    with (reference / "published_main_scores.csv").open(encoding="utf-8", newline="") as f:
        scores = {(r["model"], r["task"]): float(r["main_score"]) for r in csv.DictReader(f)}
    ours = {(m, t): s for m, tasks in with_tasks().items() for t, s in tasks.items()}
    assert set(ours) <= set(scores)
    assert max(abs(ours[key] - scores[key]) for key in ours) < 5e-6


@pytest.mark.parametrize("task", sorted(TASKS))
def test_whole_tasks_by_known_protocols_stand_beside_published(task: str, make_score: Callable[..., Score]) -> None:
    card = shipped_cards()[task]
    data = {"revision": card.data_revision, "split": card.split, "subset": card.subset}
    for name in ("mteb", "paper"):
        score = make_score(task, type=card.type, data=data, protocol=relevant(parse([name]), card.type, task))
        assert why_not(score) is None
        assert why_not(dataclasses.replace(score, data=Data())) is None  # of an earlier version
        for other in ({"limit": 1}, {"data": data | {"revision": "x"}}, {"data": data | {"split": "x"}},
                      {"data": data | {"subset": "x"}}):  # fmt: skip
            assert why_not(edited(score, **other)), other


def test_a_choice_of_neither_is_another_protocol(make_score: Callable[..., Score]) -> None:
    others = {n: [v for v in values if v not in (values[0], PAPER.get(n))] for n, values in CHOICES.items()}
    assert {n: values for n, values in others.items() if values} == {"summeval": ["v2"], "empty_text": ["error"]}
    score = make_score("SummEval", type="Summarization", protocol={"summeval": "v2", "empty_text": "error"})
    assert why_not(score) == "published scores are of mteb's protocol or the paper's, this result of summeval=v2"
    assert why_not(make_score("Mine")) == "published scores are of the shipped tasks, this is another"
