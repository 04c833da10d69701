"""Prompts: from chosen demonstrations to the reader's question, in the paper's two forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Question
from instructor_eval.tasks.prompts.budget import BudgetTokenizer
from instructor_eval.tasks.prompts.recipe import Recipe, Row

# MetaICL's "direct" form, which the authors' code uses for options (MetaICL/metaicl/data.py).
_BETWEEN = "\n\n\n"
_ANSWER = "\n"
_MOST_TOKENS = 1024
_MOST_OF_ONE = 256 - 2


@dataclass(frozen=True)
class Example:
    """One example, rendered."""

    id: str
    row: Row
    input: str
    answer: str
    tokens: int
    """GPT-2 tokens as a demonstration."""


def render(recipe: Recipe, rows: Sequence[tuple[str, Row]], tokenizer: BudgetTokenizer) -> list[Example]:
    """Render the pool and count its tokens.

    With options, input and answer are counted separately; with generated answers, the demonstration is counted as in
    the prompt. The authors' drivers do the same.

    Raises:
        UserError: an example lacks a field, or its label is unknown.
    """
    inputs = [recipe.text(recipe.input, row, name) for name, row in rows]
    answers = [recipe.answer(row, name) for name, row in rows]
    if recipe.has_options:
        lengths = [a + b for a, b in zip(tokenizer.counts(inputs), tokenizer.counts(answers), strict=True)]
    else:
        lengths = tokenizer.counts([f"{i}{a}{recipe.end}" for i, a in zip(inputs, answers, strict=True)])
    return [Example(name, row, i, a, n) for (name, row), i, a, n in zip(rows, inputs, answers, lengths, strict=True)]


@dataclass(frozen=True)
class Item:
    """One test item, rendered."""

    id: str
    row: Row
    query: str
    preamble: str
    options: tuple[str, ...]
    gold: str
    tokens: int
    """GPT-2 tokens of query and preamble, in full."""


def render_item(recipe: Recipe, name: str, row: Row, tokenizer: BudgetTokenizer) -> Item:
    """Render a test item.

    Raises:
        UserError: it lacks a field, its label is unknown, or it alone exceeds the budget.
    """
    query = recipe.text(recipe.query or recipe.input, row, name)
    preamble = recipe.text(recipe.preamble, row, name)
    tokens = tokenizer.count(query) + tokenizer.count(preamble)
    if tokens > recipe.budget and recipe.overlong == "error":
        raise UserError(
            f"task {recipe.task}: test item {name} alone takes {tokens:,} GPT-2 tokens of a budget of "
            f"{recipe.budget:,}: shorten it, raise options.budget in the card, or set options.overlong to zero-shot"
        )
    return Item(name, row, query, preamble, recipe.options(row, name), recipe.answer(row, name), tokens)


def question(recipe: Recipe, item: Item, demonstrations: Sequence[Example], tokenizer: BudgetTokenizer) -> Question:
    """Return the reader's question; the last demonstration is the most similar one."""
    nearest = demonstrations[-1].answer if demonstrations else ""
    if not item.options:
        shown = "".join(f"{d.input}{d.answer}{recipe.end}" for d in demonstrations)
        return Question(
            f"{item.preamble}{shown}{item.query}",
            most_similar=nearest.removeprefix(recipe.starts),
            max_tokens=recipe.max_tokens,
            stop=recipe.stops,
        )
    options = tuple(f"{_ANSWER}{option}" for option in item.options)
    longest = max(tokenizer.counts(options))
    if longest >= _MOST_OF_ONE:
        raise UserError(
            f"task {recipe.task}: test item {item.id}: an option takes {longest:,} GPT-2 tokens and leaves no room for "
            f"the question ({_MOST_OF_ONE} together): shorten it"
        )
    shown = _BETWEEN.join(f"{d.input}{_ANSWER}{d.answer}" for d in demonstrations)
    asked = tokenizer.head(f"{_BETWEEN}{item.query}", _MOST_OF_ONE - longest)
    prompt = tokenizer.tail(f"{item.preamble}{shown}{asked}", _MOST_TOKENS - longest)
    return Question(prompt, options, most_similar=nearest)
