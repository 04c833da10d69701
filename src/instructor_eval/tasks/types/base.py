"""The class of a task type, with what most types have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import Meta

from instructor_eval.core.schema import optional_record
from instructor_eval.core.values import Items
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder

LONGEST_NAME = 200
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Filed:
    """The facts about a filed score that the checks of its items need."""

    metric: str
    metrics: Mapping[str, float | None]
    card: Card | None
    """The shipped card of its task; None for the task of a user or a package."""


COSINE = (-1 - 1e-6, 1 + 1e-6)
"""Bounds of a cosine: a float32 one may exceed 1 by a millionth."""
ANY_LENGTH = (0.0, math.inf)
ItemCheck: TypeAlias = Callable[[Filed, Items], Iterator[str]]
"""Yields what is wrong with a result's items, with the numbers that disagree."""
FindPictures: TypeAlias = Callable[[Items, Collection[str]], dict[str, list[tuple[str, Path]]]]
"""Items, and the ids of some -> id -> the pictures behind it, each with the part it plays: wanted, found ..."""
Texts: TypeAlias = list[tuple[str, str]]
"""The texts behind an item, each with what it is: query, gold, found ..."""
FindTexts: TypeAlias = Callable[[Items, Collection[str]], dict[str, Texts]]
"""Items, and the ids of some -> id -> texts."""


class TaskType:
    """A task type; as it stands, a type that is not known: nothing concerns it, and it cannot run."""

    name: str = ""
    """MTEB's name."""
    wording: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Role -> its general wording, text type and objective, for cards without a template."""
    metrics: tuple[str, ...] = ()
    """The first is the default."""
    numbers: tuple[str, ...] = ()
    """Options of its cards that are whole numbers of at least 1."""
    columns: tuple[str, ...] = ()
    """Columns of own data that may have other names: the keys of a card's option `columns`."""
    choices: tuple[str, ...] = ()
    """Protocol choices that concern it, beside `empty_text`, which concerns all."""
    category: str = ""
    """Its column in the paper's Table 2."""
    purpose: str = ""
    """The use of its texts, for models that must know: classification, clustering, similarity."""
    unit: str = "item"
    """The things that `--limit` counts."""
    least: int = 1
    """Units that have a score: `--limit` leaves no fewer."""
    is_searched: bool = False
    """It searches a corpus, in a vector store if asked for one."""
    is_ranking: bool = False
    """Its items are queries, with the documents found for them."""
    is_cut: bool = False
    """Its documents are texts, which may be cut into chunks."""
    is_prompted: bool = False
    """A reader answers prompts with demonstrations that a model, or chance, chooses."""
    reads_pictures: bool = False
    """Its items are pictures, at least in part."""
    may_be_own: bool = True

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Column of its items -> the least and the greatest value."""
    flags: tuple[str, ...] = ()
    """Columns of its items whose values are 0 or 1."""

    # The card and the run's choices

    def options(self) -> type[msgspec.Struct]:
        """Return the record of its cards' options."""
        columns = (
            {"columns": optional_record(f"{self.name}Columns", dict.fromkeys(self.columns, Name))}
            if self.columns
            else {}
        )
        return optional_record(f"{self.name}Options", {**columns, **dict.fromkeys(self.numbers, Count)})

    def card_lines(self, card: Card) -> list[str]:
        """Return what `evaluate tasks` shows of a card's options."""
        return []

    def choices_of(self, task: str) -> tuple[str, ...]:
        """Return the protocol choices that concern a task of this type."""
        return self.choices

    def seed_of(self, seed: int) -> int:
        """Return the seed of its draws under the run's."""
        return seed

    def metric_of(self, card: Card, protocol: Mapping[str, str]) -> str:
        """Return the card's metric under the run's protocol choices, which do not affect a package's metric."""
        return self.chosen_metric(card, protocol) if card.metric in self.metrics else card.metric

    def chosen_metric(self, card: Card, protocol: Mapping[str, str]) -> str:
        """Return the card's metric, one of the type's own, under the run's protocol choices."""
        return card.metric

    # The data

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """Return a key of the data's content before it is loaded: a pinned revision, or a hash of local files.

        Raises:
            UserError: the data cannot be had.
        """
        raise NotImplementedError

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        """Read and check the data of a card with a folder; return a summary of it, and warnings for its owner.

        Raises:
            UserError: something is missing or broken; the line has file and line.
        """
        raise NotImplementedError

    def count_items(self, card: Card, limit: int | None) -> int:
        """Return the number of items that a run of a card with a folder has.

        Raises:
            UserError: the data is missing or broken.
        """
        raise NotImplementedError

    # The run

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Run a task: load its data, embed it, score it.

        Raises:
            UserError: the data cannot be had or is broken, or the model gives no usable vectors.
        """
        raise NotImplementedError

    # Its results

    def count(self, items: Items) -> int:
        """Return how many units of `--limit` the items are of."""
        return len(items["id"])

    def pictures_of(self, card: Card) -> FindPictures | None:
        """Read own data, and return what finds the pictures behind its items; None: they are texts.

        Raises:
            UserError: the data is missing or broken.
        """
        return None

    def texts_of(self, card: Card) -> FindTexts | None:
        """Read own data, and return what finds the texts behind the items of all of it; None: the type cannot say.

        Raises:
            UserError: the data is missing or broken.
        """
        return None

    def item_checks(self) -> tuple[ItemCheck, ...]:
        """Return the checks of its items beside `bounds` and `flags`, whatever the model."""
        return (self.check_items,)

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Yield what is wrong with a result's items, with the numbers that disagree."""
        yield from ()
