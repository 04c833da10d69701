"""PromptRetrieval: does the embedder find good in-context examples?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from instructor_eval.core.values import Items
from instructor_eval.tasks.prompts.recipe import SEED, RecipeOptions, files_of, recipe_of
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import Filed, ItemCheck, TaskType


class PromptRetrieval(TaskType):
    """Examples to solve with demonstrations from a pool of solved ones; its items are the examples to solve."""

    name = category = "PromptRetrieval"
    wording: ClassVar = {"example": ("example", "retrieving examples")}
    metrics = ("rougeL",)
    choices = ("rouge",)
    is_prompted = True

    def options(self) -> type[RecipeOptions]:
        """Return the record of a recipe."""
        return RecipeOptions

    def card_lines(self, card: Card) -> list[str]:
        """Return what the card asks, and of how many."""
        recipe = recipe_of(card)
        how = "one of " + ", ".join(map(repr, recipe.words.values())) if recipe.labels else "generated"
        asked = (
            "20 reviewers x 50 test items" if recipe.sampling == "reviewers" else f"{recipe.test or 'all'} test items"
        )
        drawn = [f"pool of {recipe.pool:,}" if recipe.pool else "the whole pool", asked]
        return [
            f"  files   {files_of(card)}",
            f"  embeds  {recipe.embed!r}",
            *([f"  first   {recipe.preamble!r}"] if recipe.preamble else []),
            f"  shown   {recipe.input!r}",
            *([f"  asked   {recipe.query!r}"] if recipe.query else []),
            f"  answer  {f'one of the field {recipe.choices}' if recipe.choices else how}",
            f"  drawn   {', '.join(drawn)} ({recipe.sampling}); prompts of {recipe.budget:,} GPT-2 tokens",
        ]

    def choices_of(self, task: str) -> tuple[str, ...]:
        """Return the choices; only the items of Amazon have groups."""
        return (*self.choices, "amazon") if task == "Amazon" else self.choices

    def seed_of(self, seed: int) -> int:
        """Return the authors' seed."""
        return SEED

    def chosen_metric(self, card: Card, protocol: Mapping[str, str]) -> str:
        """Return the mean or the median of resamples, over all items or one group of Amazon's."""
        groups = "_third_worst_group" if card.name == "Amazon" and protocol["amazon"] == "third-worst" else ""
        return f"rougeL{groups}{'_bootstrap' if protocol['rouge'] == 'bootstrap' else ''}"

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """Return the pinned revision on the hub, or a hash of the local folder's files."""
        from instructor_eval.tasks.prompts import adapter

        return adapter.data_key(card, settings)

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        """Read and check the data; return a summary of it, and the warnings. Of own data, prompts are made too."""
        from instructor_eval.tasks.prompts import adapter

        return adapter.describe(card, with_prompts=not shipped)

    def count_items(self, card: Card, limit: int | None) -> int:
        """Return the number of test items."""
        from instructor_eval.tasks.prompts import adapter

        return len(adapter.load(card, recipe_of(card), RunSettings(protocol={}, offline=True)).test[:limit])

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Draw, embed, choose, ask, score."""
        from instructor_eval.tasks.prompts import adapter

        return adapter.run(card, encoder, settings, self.metric_of(card, settings.protocol))

    def item_checks(self) -> tuple[ItemCheck, ...]:
        """Return the checks of answers and demonstrations."""
        from instructor_eval.tasks.types.item_checks import bounds, zero_or_one

        return bounds(value=(0.0, 1.0)), zero_or_one("correct"), _answers


def _answers(filed: Filed, items: Items) -> Iterator[str]:
    """Check that right answers count as right, and that no demonstration is shown twice."""
    import numpy as np

    from instructor_eval.tasks.types.item_checks import beside, equal, numbers, report

    right = numbers([float(p == g) for p, g in zip(items["prediction"], items["gold"], strict=True)])
    yield from equal(items, numbers(items["correct"]), right, "correct", "prediction = gold")
    if filed.card is not None and recipe_of(filed.card).labels is not None:
        yield from equal(items, numbers(items["value"]), right, "value", "on a label task prediction = gold")
    shown, near = items["demonstrations"], items["similarities"]
    lengths, others = (np.array([len(row) for row in rows]) for rows in (shown, near))
    yield from report(items, lengths != others, lambda i: f"{lengths[i]} demonstrations, {others[i]} similarities")
    distinct = np.array([len(set(row)) for row in shown])
    yield from report(items, distinct != lengths, lambda i: f"{lengths[i]} demonstrations, {distinct[i]} different")
    for name in ("accuracy", "exact_match"):
        yield from beside(filed, name, float(np.mean(items["correct"])), "mean correct")
