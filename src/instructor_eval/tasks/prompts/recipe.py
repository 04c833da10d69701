"""The recipe in a prompt-retrieval card's `options`: the files of its examples, their draw, and its prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from instructor_eval.core.errors import UserError
from instructor_eval.core.schema import Document, WrongValue
from instructor_eval.tasks.labels import canonical
from instructor_eval.tasks.prompts.layouts import layout_of
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import cut, is_nan, name_of

Row = Mapping[str, Any]
_FIELD = re.compile(r"\{(\w+)(?:\.(\d{1,6}))?\}")
SEED = 0
"""The authors' seed for the draws of pool and test items."""

Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
_GENERATING = ("end", "starts", "stop", "max_tokens")
_OUTPUT = "{output}"


class RecipeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `options` of a prompt-retrieval card."""

    input: str
    """The part of an example that the reader sees, before the answer."""
    embed: str = ""
    """The part of an example that is embedded: never the answer; `input` if it is missing."""
    output: str = _OUTPUT
    """The answer, if the task has neither labels nor choices."""
    labels: list[str] | dict[Any, str] | None = None
    """Label tasks: the data's label -> the word shown and chosen, or a list of words that are the labels. The order is
    the order of the options."""
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
    max_tokens: Count = 64
    stop: Text | Annotated[list[Text], Meta(min_length=1)] | None = None
    centre: Literal["both", "pool", "none"] = "both"
    """The mean that is subtracted from vectors: each side's own, the pool's from the pool only, or none."""
    budget: Count = 1000
    """GPT-2 tokens of demonstrations and test item together."""
    example_budget: Count | None = None
    """A longer example is skipped."""
    most: Count | None = None
    """Only this many nearest examples may be chosen."""
    overlong: Literal["error", "zero-shot"] = "error"
    """A test item that alone exceeds the budget: `error`, or `zero-shot` as in the authors' code."""
    one_line: str | None = None
    """A field whose line breaks are removed."""
    retired_reader: bool = False
    """The paper's reader for this task no longer exists, so no score can be compared with the paper's."""
    layout: Text | Annotated[list[Text], Meta(min_length=1)] = "rows"
    pool_split: str = "pool"
    sampling: str = "splits"
    pool: Count | None = None
    """Pool examples that are drawn; None: all."""
    test: Count | None = None

    def __post_init__(self) -> None:
        defaults = {f.name: f.default for f in msgspec.structs.fields(self)}
        answers = [key for key in ("labels", "choices", "output") if getattr(self, key) != defaults[key]]
        if len(answers) > 1:
            raise WrongValue(answers[1], "a task has labels, choices or an output, not two of them")
        if self.labels is not None:
            _check_labels(self.labels)
        idle = [key for key in _GENERATING if getattr(self, key) != defaults[key]]
        if idle and self.has_options:
            raise WrongValue(idle[0], f"it is for answers that are generated: this task has {answers[0]}")
        shown = {"label"} if self.has_options else _fields(self.output)
        for key in ("input", "embed", "query", "preamble"):
            if revealed := shown & _fields(getattr(self, key)):
                raise WrongValue(key, f"it shows the answer: leave {{{min(revealed)}}} out")
        for key, values, known in _names(self):
            for value in values:
                if value not in known:
                    raise WrongValue(key, f"unknown value '{value}': known are {', '.join(known)}")

    @property
    def has_options(self) -> bool:
        """True if the reader chooses among options; otherwise it generates."""
        return self.labels is not None or self.choices is not None

    @property
    def words(self) -> dict[str, str]:
        """Return `labels` as label -> word; in a list, labels are their own words."""
        return _words(self.labels or [])

    @property
    def layouts(self) -> tuple[str, ...]:
        """Return `layout` as a list."""
        return _list(self.layout)

    @property
    def stops(self) -> tuple[str, ...]:
        """Return `stop` as a list."""
        return _list(self.stop or ())


def _names(options: RecipeOptions) -> list[tuple[str, tuple[str, ...], Iterable[str]]]:
    from instructor_eval.tasks.prompts.layouts import LAYOUTS
    from instructor_eval.tasks.prompts.sampling import KINDS

    return [("layout", options.layouts, LAYOUTS), ("sampling", (options.sampling,), KINDS)]


def _list(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _fields(template: str) -> set[str]:
    return {match[1] for match in _FIELD.finditer(template)}


def _check_labels(labels: list[str] | dict[Any, str]) -> None:
    words = _words(labels)
    if any(isinstance(label, bool) for label in labels):
        raise WrongValue("labels", "a label is yes, no, true or false: put it in quotes")
    if len(set(map(canonical, words))) < len(labels):
        raise WrongValue("labels", "a label is there twice: give each once, as a text")
    if not all(word.strip() for word in words.values()):
        raise WrongValue("labels", "a word is empty: expected a list of labels, or label: word for each")
    if len(words) < 2 or len({word.strip() for word in words.values()}) < len(words):
        raise WrongValue("labels", "expected two or more, each with a word of its own")


def _words(labels: list[str] | dict[Any, str]) -> dict[str, str]:
    if isinstance(labels, list):
        return {label: label for label in labels}
    return {str(label): word for label, word in labels.items()}


class Recipe(RecipeOptions, frozen=True, kw_only=True):
    """The recipe of one task's prompts (paper, section 4.1; the authors' code, `evaluation/prompt_retrieval`).

    Texts are templates: `{field}` is replaced by a field of the example, `{field.0}` by the first of a list, and
    nothing else is replaced.
    """

    task: str

    def __post_init__(self) -> None:
        """Check nothing: a card's options were checked where they were read."""

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
            return tuple(self.words.values())
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
            same = canonical(label)
            for known, word in self.words.items():
                if label == known or same == canonical(known):
                    return word
            raise UserError(
                f"task {self.task}: example {example} has the unknown label {cut(label)}: known are "
                f"{', '.join(self.words)[:200]}"
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


def recipe_of(card: Card) -> Recipe:
    """Return the recipe of a card's options.

    Raises:
        UserError: one is missing, has a wrong type, or does not go with the others.
    """
    document = Document(card.file or Path(), {"options": card.options})
    options = document.parse(RecipeOptions, ("options",), subject=f"task '{card.name}': ")
    return Recipe(**{**msgspec.structs.asdict(options), "embed": options.embed or options.input, "task": card.name})


def files_of(card: Card) -> str:
    """Return the names of a task's files, in each of its layouts."""
    recipe = recipe_of(card)
    found = []
    for layout in recipe.layouts:
        how = layout_of(layout)
        splits = ["instances"] if how.one_set else ["pool" if layout == "rows" else recipe.pool_split, card.split]
        found.append(", ".join(dict.fromkeys(how.patterns(card.subset, split)[0] for split in splits)))
    return " or ".join(found)
