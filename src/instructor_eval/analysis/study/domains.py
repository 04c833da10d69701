"""Domain fit: tasks grouped by the domain of their cards, with each model's mean and the difference of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from instructor_eval import metrics
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics import spreads
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.analysis.statistics.filed import spread_of
from instructor_eval.analysis.study.instructions import Gain, gain_of
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.tasks.task import Card


@dataclass(frozen=True)
class ModelMean:
    """A model's mean over the tasks of a domain, fractions of 1."""

    model: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Domain:
    """A domain: its tasks, the models' means, and of two models the second less the first."""

    name: str
    tasks: tuple[str, ...]
    means: tuple[ModelMean, ...]
    gain: Gain | None = None


def domains(
    cards: Sequence[Card], scores: Mapping[str, Sequence[Score]], items: Callable[[Score], Items]
) -> tuple[Domain, ...]:
    """Return the domains of some tasks, by name; a task that is a part counts through its whole.

    Args:
        cards: The tasks.
        scores: Model -> its scores of them, all of them there.
        items: Reads a score's items.

    Raises:
        UserError: two models' scores are not of the same items.
    """
    names = {card.name for card in cards}
    by_domain: dict[str, list[Card]] = {}
    for card in cards:
        if card.part_of not in names:
            by_domain.setdefault(card.domain_name, []).append(card)
    by_task = {model: {score.task: score for score in several} for model, several in scores.items()}
    return tuple(_domain(name, by_domain[name], by_task, items) for name in sorted(by_domain))


def _domain(
    name: str, cards: Sequence[Card], scores: Mapping[str, Mapping[str, Score]], items: Callable[[Score], Items]
) -> Domain:
    means = tuple(_mean(model, [found[card.name] for card in cards]) for model, found in scores.items())
    gain = None
    if len(scores) == 2:
        first, second = scores.values()
        gain = gain_of(stats.mean([_less(card, second, first, items) for card in cards]))
    return Domain(name, tuple(card.name for card in cards), means, gain)


def _mean(model: str, scores: Sequence[Score]) -> ModelMean:
    value = sum(score.score or 0.0 for score in scores) / len(scores)
    known = [spread_of(s, s.statistics, replicates=False) for s in scores if s.statistics is not None]
    found = spreads.mean(known) if len(known) == len(scores) else None
    return ModelMean(model, value) if found is None else ModelMean(model, value, found.low, found.high)


def _less(
    card: Card, mine: Mapping[str, Score], theirs: Mapping[str, Score], items: Callable[[Score], Items]
) -> Difference:
    """Return one task's difference; that of a mean of parts is the mean of its parts' differences."""
    a, b = mine[card.name], theirs[card.name]
    if metrics.is_of_parts(a.metric):
        return stats.mean([_paired(mine[part], theirs[part], items) for part in card.parts])
    return _paired(a, b, items)


def _paired(mine: Score, theirs: Score, items: Callable[[Score], Items]) -> Difference:
    try:
        return stats.paired(mine.metric, items(mine), items(theirs), seed_text=f"{mine.identity} {theirs.identity}")
    except NotComparableError as e:
        raise UserError(f"{mine.task}: the two models' scores are not of the same items ({e})") from e
