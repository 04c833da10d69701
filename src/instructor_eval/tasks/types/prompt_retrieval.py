"""PromptRetrieval: does the embedder find good in-context examples?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from instructor_eval.core.values import Items
from instructor_eval.tasks.prompts.recipe import SEED, RecipeOptions, files_of, recipe_of
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import Filed, TaskType


class PromptRetrieval(TaskType):
    """Examples to solve with demonstrations from a pool of solved ones; its items are the examples to solve."""

    name = category = "PromptRetrieval"
    wording: ClassVar = {"example": ("example", "retrieving examples")}
    metrics = ("rougeL",)
    choices = ("rouge",)
    is_prompted = True
    bounds: ClassVar = {"value": (0.0, 1.0)}
    flags = ("correct",)

    def options(self) -> type[RecipeOptions]:
        """Return the record of a recipe."""
        return RecipeOptions

    def card_lines(self, card: Card) -> list[str]:
        """Return what the card asks, and of how many."""
        recipe = recipe_of(card)
        how = "one of " + ", ".join(map(repr, recipe.words.values())) if recipe.labels else "generated"
        asked = "20 reviewers x 50" if recipe.sampling == "reviewers" else recipe.test or "all"
        drawn = [f"pool of {recipe.pool:,}" if recipe.pool else "the whole pool", f"{asked} test items"]
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
        from instructor_eval.tasks.prompts import adapter

        return adapter.data_key(card, settings)

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        from instructor_eval.tasks.prompts import adapter

        return adapter.describe(card, with_prompts=not shipped)

    def count_items(self, card: Card, limit: int | None) -> int:
        from instructor_eval.tasks.prompts import adapter

        return len(adapter.load(card, recipe_of(card), RunSettings(protocol={}, offline=True)).test[:limit])

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        from instructor_eval.tasks.prompts import adapter

        return adapter.run(card, encoder, settings, self.metric_of(card, settings.protocol))

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that right answers count as right, and that no demonstration is shown twice."""
        from instructor_eval.tasks.types.item_checks import beside, equal, numbers, report

        right = numbers([float(p == g) for p, g in zip(items["prediction"], items["gold"], strict=True)])
        yield from equal(items, numbers(items["correct"]), right, "correct", "prediction = gold")
        if filed.card is not None and recipe_of(filed.card).labels is not None:
            yield from equal(items, numbers(items["value"]), right, "value", "on a label task prediction = gold")
        n, others = ([len(row) for row in items[name]] for name in ("demonstrations", "similarities"))
        bad = [a != b for a, b in zip(n, others, strict=True)]
        yield from report(items, bad, lambda i: f"{n[i]} demonstrations, {others[i]} similarities")
        distinct = [len(set(row)) for row in items["demonstrations"]]
        bad = [a != b for a, b in zip(n, distinct, strict=True)]
        yield from report(items, bad, lambda i: f"{n[i]} demonstrations, {distinct[i]} different")
        for name in ("accuracy", "exact_match"):
            yield from beside(filed, name, numbers(items["correct"]).mean(), "mean correct")
