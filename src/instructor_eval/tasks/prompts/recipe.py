"""The recipe in a prompt-retrieval card's `options`: the files of its examples, their draw, and its prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.labels import canonical
from instructor_eval.tasks.prompts.layouts import layout_of
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import cut, is_nan, name_of

Row = Mapping[str, Any]
Fail = Callable[[str, str], UserError]
_FIELD = re.compile(r"\{(\w+)(?:\.(\d{1,6}))?\}")
CENTRES = ("both", "pool", "none")
OVERLONG = ("error", "zero-shot")
SEED = 0
"""The authors' seed for the draws of pool and test items."""


@dataclass(frozen=True)
class Recipe:
    """The recipe of one task's prompts (paper, section 4.1; the authors' code, `evaluation/prompt_retrieval`).

    Texts are templates: `{field}` is replaced by a field of the example, `{field.0}` by the first of a list, and
    nothing else is replaced.
    """

    task: str
    input: str
    """The part of an example that the reader sees, before the answer."""
    embed: str
    """The part of an example that is embedded: never the answer."""
    output: str = "{output}"
    """The answer, if the task has neither labels nor choices."""
    labels: Mapping[str, str] | None = None
    """Label tasks: the data's label -> the word shown and chosen. The order is the order of the options."""
    choices: str | None = None
    """Multiple choice: the field with an example's options; its `label` is the right one's place."""
    query: str = ""
    """The part of the test item that the reader sees, if it is not `input`."""
    end: str = ""
    """The end of a demonstration, for generated answers."""
    preamble: str = ""
    """The text before the demonstrations, filled from the test item."""
    starts: str = ""
    """The beginning of a generated answer that the query already has ("SELECT")."""
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    centre: str = "both"
    """The mean that is subtracted from vectors: each side's own, the pool's from the pool only, or none."""
    budget: int = 1000
    """GPT-2 tokens of demonstrations and test item together."""
    example_budget: int | None = None
    """A longer example is skipped."""
    most: int | None = None
    """Only this many nearest examples may be chosen."""
    overlong: str = "error"
    """A test item that alone exceeds the budget: `error`, or `zero-shot` as in the authors' code."""
    one_line: str | None = None
    """A field whose line breaks are removed."""
    retired_reader: bool = False
    """The paper's reader for this task no longer exists, so no score can be compared with the paper's."""
    layout: tuple[str, ...] = ("rows",)
    pool_split: str = "pool"
    sampling: str = "splits"
    pool: int | None = None
    """Pool examples that are drawn; None: all."""
    test: int | None = None

    @property
    def has_options(self) -> bool:
        """True if the reader chooses among options; otherwise it generates."""
        return self.labels is not None or self.choices is not None

    def text(self, template: str, row: Row, example: str) -> str:
        """Fill a template.

        Raises:
            UserError: the example has no such field.
        """

        def value(match: re.Match[str]) -> str:
            field = match[1]
            if field not in row:
                raise UserError(
                    f"task {self.task}: example {example} has no field '{field}': it has {', '.join(map(str, row))}"
                )
            found = row[field]
            if match[2] is not None:
                if not isinstance(found, list) or int(match[2]) >= len(found):
                    raise UserError(f"task {self.task}: example {example}: '{field}' has no place {match[2]}")
                found = found[int(match[2])]
            if not isinstance(found, str | int | float) or isinstance(found, bool) or is_nan(found):
                name = match[0][1:-1]
                raise UserError(
                    f"task {self.task}: example {example}: {name_of(found)} in '{name}': it should be a text"
                )
            text = str(found)
            return text.replace("\n", "") if field == self.one_line else text

        return _FIELD.sub(value, template)

    def options(self, row: Row, example: str) -> tuple[str, ...]:
        """Return the options to choose from; none for generated answers."""
        if self.labels is not None:
            return tuple(self.labels.values())
        if self.choices is None:
            return ()
        found = row.get(self.choices)
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) < 2:
            raise UserError(f"task {self.task}: example {example}: '{self.choices}' should be a list of two or more")
        for option in found:
            if not isinstance(option, str | int | float) or isinstance(option, bool) or is_nan(option):
                raise UserError(
                    f"task {self.task}: example {example}: {name_of(option)} in '{self.choices}': it should be a text"
                )
        return tuple(str(option) for option in found)

    def answer(self, row: Row, example: str) -> str:
        """Return the example's right answer as the reader sees it.

        Raises:
            UserError: its label is not one of the card's.
        """
        if not self.has_options:
            return self.text(self.output, row, example)
        if row.get("label") is None:
            raise UserError(f"task {self.task}: example {example} has no label: it has {', '.join(map(str, row))}")
        label = str(row.get("label"))
        if self.labels is not None:
            same = canonical(label.lower() if isinstance(row.get("label"), bool) else label)
            for known, word in self.labels.items():
                if label == known or same == canonical(known):
                    return word
            raise UserError(
                f"task {self.task}: example {example} has the unknown label {cut(label)}: known are "
                f"{', '.join(self.labels)[:200]}"
            )
        options, label = self.options(row, example), canonical(label)
        if not label.isdecimal() or len(label) > 6 or int(label) >= len(options):
            raise UserError(
                f"task {self.task}: example {example}: 'label' should be 0 to {len(options) - 1}, found '{label}'"
            )
        return options[int(label)]


def fields_of(template: str) -> list[tuple[str, int | None]]:
    """Return a template's fields, each with its place in a list if it has one."""
    return [(m[1], None if m[2] is None else int(m[2])) for m in _FIELD.finditer(template)]


_TEXTS = ("input", "embed", "output", "choices", "query", "end", "preamble", "starts", "one_line", "pool_split")
_NUMBERS = ("budget", "example_budget", "most", "max_tokens", "pool", "test")
_CHOICES = {"centre": CENTRES, "overlong": OVERLONG, "retired_reader": (True, False)}
_GENERATING = ("end", "starts", "stop", "max_tokens")
OPTIONS = (*_TEXTS, *_NUMBERS, *_CHOICES, "labels", "stop", "layout", "sampling")
"""The keys a card's `options` may have."""


def recipe_of(card: Card) -> Recipe:
    """Read and check a card's options.

    Raises:
        UserError: one is missing, has a wrong type, or does not go with the others.
    """
    raw = card.options

    def fail(key: str, message: str) -> UserError:
        return UserError(f"{card.file}: task '{card.name}': options.{key}: {message}")

    known = _plain(raw, fail) | _lists(raw, fail)
    if "input" not in known:
        raise fail("input", "it is missing: give the text of an example for the reader, with {field} for its fields")
    known.setdefault("embed", known["input"])
    answers = [key for key in ("labels", "choices", "output") if key in raw]
    if len(answers) > 1:
        raise fail(answers[1], "a task has labels, choices or an output, not two of them")
    if "labels" in raw:
        known["labels"] = _labels(raw["labels"], fail)
    idle = [key for key in _GENERATING if key in raw and answers in (["labels"], ["choices"])]
    if idle:
        raise fail(idle[0], f"it is for answers that are generated: this task has {answers[0]}")
    recipe = Recipe(task=card.name, **known)
    shown = {"label"} if recipe.has_options else {match[1] for match in _FIELD.finditer(recipe.output)}
    for key in ("input", "embed", "query", "preamble"):
        if revealed := shown & {match[1] for match in _FIELD.finditer(getattr(recipe, key))}:
            raise fail(key, f"it shows the answer: leave {{{min(revealed)}}} out")
    return recipe


def _plain(raw: Mapping[str, Any], fail: Fail) -> dict[str, Any]:
    """Return the options that are texts, numbers or choices, checked."""
    found: dict[str, Any] = {}
    for key in raw:
        value = raw[key]
        if key in _TEXTS:
            if not isinstance(value, str):
                raise fail(key, f"expected a text, found {type(value).__name__}")
        elif key in _NUMBERS:
            if type(value) is not int or value < 1:
                raise fail(key, "expected a whole number of at least 1")
        elif key in _CHOICES:
            if value not in _CHOICES[key]:
                raise fail(key, f"unknown value '{value}': known are {', '.join(map(str, _CHOICES[key]))}")
        else:
            continue
        found[key] = value
    return found


def _labels(given: Any, fail: Fail) -> dict[str, str]:
    """Return `labels` as label -> word; in a list, labels are their own words."""
    if isinstance(given, list) and all(isinstance(x, str) for x in given) and len(set(given)) == len(given):
        given = {label: label for label in given}
    if isinstance(given, list):
        raise fail("labels", "expected different texts: put yes, no and numbers in quotes")
    if not isinstance(given, dict) or not all(isinstance(word, str) and word.strip() for word in given.values()):
        raise fail("labels", "expected a list of labels, or label: word for each; put yes, no and numbers in quotes")
    if any(isinstance(label, bool) for label in given):
        raise fail("labels", "a label is yes, no, true or false: put it in quotes")
    labels = {str(label): word for label, word in given.items()}
    if len(labels) < len(given):
        raise fail("labels", "a label is there twice, as a number and as a text")
    if len(labels) < 2 or len({word.strip() for word in labels.values()}) < len(labels):
        raise fail("labels", "expected two or more, each with a word of its own")
    return labels


def _lists(raw: Mapping[str, Any], fail: Fail) -> dict[str, Any]:
    from instructor_eval.tasks.prompts.layouts import LAYOUTS
    from instructor_eval.tasks.prompts.sampling import KINDS

    found: dict[str, Any] = {}
    for key in ("stop", "layout"):
        if key in raw:
            values = [raw[key]] if isinstance(raw[key], str) else raw[key]
            if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
                raise fail(key, "expected a text or a list of texts")
            found[key] = tuple(values)
    if "sampling" in raw:
        found["sampling"] = raw["sampling"]
    for key, values, known in (
        ("layout", found.get("layout", ()), LAYOUTS),
        ("sampling", [found["sampling"]] if "sampling" in raw else [], KINDS),
    ):
        for value in values:
            if not isinstance(value, str) or value not in known:
                raise fail(key, f"unknown value '{value}': known are {', '.join(known)}")
    return found


def files_of(card: Card) -> str:
    """Return the names of a task's files, in each of its layouts."""
    recipe = recipe_of(card)
    found = []
    for layout in recipe.layout:
        how = layout_of(layout)
        splits = ["instances"] if how.one_set else ["pool" if layout == "rows" else recipe.pool_split, card.split]
        found.append(", ".join(dict.fromkeys(how.patterns(card.subset, split)[0] for split in splits)))
    return " or ".join(found)
