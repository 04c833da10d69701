"""The library's results as a notebook shows them: results, one of them, a comparison.

pandas, and what a board or a comparison needs, are imported where they are asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score, key_of
from instructor_eval.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from instructor_eval.analysis.compare.compare import Comparison


class Results(Sequence["Result"]):
    """Scores of one run, or of a results folder, a `Result` each.

    `results["SciFact"]` narrows by task (the `Result` itself where only one is left), `results["minilm@int8"]` by row.
    """

    def __init__(self, scores: Sequence[Score], store: Store) -> None:
        self.scores, self.store = list(scores), store

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Result]:
        return (Result(score, self.store) for score in self.scores)

    def __getitem__(self, key: Any) -> Any:
        """Return one result by its number, those of a slice, of a task, or of a row.

        Raises:
            UserError: no task and no row is called so.
        """
        if isinstance(key, int):
            return Result(self.scores[key], self.store)
        if isinstance(key, slice):
            return Results(self.scores[key], self.store)
        found = [score for score in self.scores if score.task == key]
        if len(found) == 1:
            return Result(found[0], self.store)
        if not found:
            from instructor_eval.analysis.compare.find_side import choose

            found = list(choose(str(key), self.scores, self.store).scores.values())
        return Results(found, self.store)

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(dict.fromkeys(score.task for score in self.scores))

    @property
    def rows(self) -> list[str]:
        """The labels of its rows, as `minilm@int8:paper`."""
        from instructor_eval.analysis.compare.find_side import labels_of

        return labels_of(self.scores)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a data frame, a row a score: model, variant, instructions, task, score, its interval, n, seconds."""
        from instructor_eval.analysis.frames import of_scores

        return of_scores(self.scores, self.store)

    def to_markdown(self) -> str:
        """Return a table for a model card, with the literal instructions and the versions of the libraries below it."""
        from instructor_eval.analysis.card_text import card_text

        return card_text(self.scores)

    def __repr__(self) -> str:
        from instructor_eval.analysis.frames import board_text

        return board_text(self.scores, self.store) if self.scores else f"no results in {self.store.root}"

    def _repr_html_(self) -> str:
        return str(self.to_dataframe().to_html(index=False, escape=True, border=0, float_format="{:.4f}".format))


@dataclasses.dataclass(frozen=True, repr=False)
class Result:
    """One score, with what it was computed from."""

    score: Score
    store: Store

    @property
    def value(self) -> float | None:
        """The score itself, a fraction of 1; None where the task failed."""
        return self.score.score

    @property
    def instructions(self) -> dict[str, str]:
        """The literal instruction of each role."""
        return self.score.instructions.texts

    def items(self) -> pd.DataFrame:
        """Return the per-item evidence, a row an item.

        Raises:
            UserError: the task failed, or the file of items is missing or damaged.
        """
        import pandas as pd

        if self.score.items_file is None:
            raise UserError(f"{self.score.task} has no items: {self.score.error or 'none were filed'}")
        return pd.DataFrame(self.store.items(self.score))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a data frame of one row, as `Results.to_dataframe`."""
        return Results([self.score], self.store).to_dataframe()

    def __repr__(self) -> str:
        score = self.score
        if score.score is None:
            return f"{score.task}: failed: {score.error}"
        name, _, variant, instructions = key_of(score)
        about = f"{score.n_items:,} items; {name}, {variant}, {instructions}"
        return f"{score.task}: {score.metric} {100 * score.score:.2f} ({about})"


class Compared:
    """A candidate's scores less a baseline's, task by task."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def to_dataframe(self) -> pd.DataFrame:
        """Return a data frame, a row a task and one for the mean: delta, low, high, p, verdict."""
        from instructor_eval.analysis.frames import of_comparison

        return of_comparison(self.comparison)

    def __repr__(self) -> str:
        from instructor_eval.analysis.compare.text import format_comparisons

        return format_comparisons([self.comparison], "table", items=None)

    def _repr_html_(self) -> str:
        return str(self.to_dataframe().to_html(index=False, escape=True, border=0, float_format="{:.4f}".format))
