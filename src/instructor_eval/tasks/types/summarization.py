"""Summarization: does the similarity of machine and human summaries follow the human grades?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from instructor_eval.core.mteb import choose_summarization_evaluator
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.rows import first_with, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import COSINE, Filed
from instructor_eval.tasks.types.mteb_type import MtebType


class Summarization(MtebType):
    """Articles with summaries, each with a grade; its items are the articles."""

    name = category = "Summarization"
    wording: ClassVar = {"text": ("summary", "retrieval")}
    metrics = ("cosine_spearman",)
    choices = ("summeval", "summeval_machine_instruction")
    may_be_own = False
    further = ("summeval_v1", "summeval_v2")
    bounds: ClassVar = {"rho": (-1.0, 1.0), "p": (0.0, 1.0)}

    def chosen_metric(self, card: Card, protocol: Mapping[str, str]) -> str:
        """Return the mean of the protocol's version."""
        return f"summeval_{protocol['summeval']}"

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        table = data.table(card.split)
        human, machine = task.human_summaries_column_name, task.machine_summaries_column_name
        found = table.texts(human, machine, lists=True)
        table.filled(human, machine)
        table.numbers(task.relevancy_column_name)
        table.same_lengths(machine, task.relevancy_column_name)
        return found

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first `n` articles; mteb leaves out one whose grades are all equal, so another is among them."""
        has_score = [len(set(grades)) > 1 for grades in rows[task.relevancy_column_name]]
        return rows.select(first_with(has_score, n))

    def prepare(self, task: Any, protocol: Mapping[str, str], caught: dict[str, Any]) -> None:
        """Let mteb score in the protocol's version, and leave its predictions in `caught`."""
        super().prepare(task, protocol, caught)
        choose_summarization_evaluator(task, protocol["summeval"])

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return the model in mteb's form; the machines' summaries, its second call, may have no instruction."""
        bridge = super().bridge(task, card, encoder, settings)
        if settings.protocol["summeval_machine_instruction"] == "off":
            bridge.bare_from_call = 1
        return bridge

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        from instructor_eval.metrics.correlation import article_correlation

        predictions = caught["predictions"]
        cosines = [[float(x) for x in row] for row in predictions["cosine_scores"]]
        gold = [[float(x) for x in row] for row in predictions["human_scores"]]
        ids = _scored_articles(task, split_of(task, card), gold)
        pairs = [article_correlation(c, g) for c, g in zip(cosines, gold, strict=True)]
        rho, p = ([pair[k] for pair in pairs] for k in (0, 1))
        return {"id": ids, "gold": gold, "cosine": cosines, "rho": rho, "p": p}, zip(ids, gold, strict=True)

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that every article's correlation is that of its grades and cosines."""
        from instructor_eval.metrics.correlation import article_correlation
        from instructor_eval.tasks.types.item_checks import equal, numbers, report

        grades, cosines = items["gold"], items["cosine"]
        bad = [len(a) != len(b) for a, b in zip(grades, cosines, strict=True)]
        yield from report(items, bad, lambda i: f"{len(grades[i])} grades, {len(cosines[i])} cosines")
        if any(bad):
            return
        found = [article_correlation(c, g) for c, g in zip(cosines, grades, strict=True)]
        for name, values in zip(("rho", "p"), zip(*found, strict=True), strict=True):
            yield from equal(items, numbers(items[name]), numbers(values), name, "its grades and cosines give")
        for i, row in enumerate(cosines):
            outside = [c for c in row if not COSINE[0] <= c <= COSINE[1]]
            if outside:
                yield f"item {items['id'][i]}: cosine is {outside[0]:.7g}, it must be between -1 and 1"
                return


def _scored_articles(task: Any, rows: Any, gold: list[list[float]]) -> list[str]:
    """Return the places of the articles that mteb scored: those whose grades, and similarities, are not all equal."""
    ids: list[str] = []
    for i, grades in enumerate(rows[task.relevancy_column_name]):
        scaled = [(grade - task.min_score) / (task.max_score - task.min_score) for grade in grades]
        if len(ids) < len(gold) and scaled == gold[len(ids)]:
            ids.append(str(i))
    return ids
