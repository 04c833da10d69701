"""Read the user's YAML files: safe types only, no key twice, every error one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import read_text, why
from instructor_eval.core.schema import Document, Keys

_DEEPEST = 50
_MOST_NODES = 100_000
_LONGEST_NUMBER = 400
"""Characters: Python makes no text of some that are longer, and takes hours over `1:1:1:1:...`."""


def read_yaml(file: Path, missing: str) -> Document:
    """Return the one document of a YAML file.

    Raises:
        UserError: the file is missing (`missing` says what it should be), or is not plain YAML.
    """
    try:
        text = read_text(file)
        lines = _lines(text)
        return Document(file, yaml.load(text, Loader=_SafeUniqueLoader), lines)  # noqa: S506 - a safe loader
    except FileNotFoundError as e:
        raise UserError(f"{file}: {missing}") from e
    except (yaml.YAMLError, OSError, ValueError, LookupError, AttributeError, ArithmeticError, TypeError) as e:
        # The last five are what yaml's own constructors raise for `!!int abc`, `!!bool abc`, `!!timestamp abc`.
        raise UserError(f"{file}: not readable as YAML ({why(e)})") from e


class _SafeUniqueLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # a base chosen at run time
    """YAML's safe loader, in C where it is built in; a key given twice is an error, not a silent overwrite."""


@dataclass
class _Open:
    """A collection whose end has not come: the way to it, its anchor, and how many values came before it."""

    keys: Keys
    anchor: str | None
    before: int
    is_mapping: bool
    n: int = 0
    key: str = ""

    def next(self, event: yaml.NodeEvent) -> Keys:
        """Return the way to the key or value that begins here."""
        if self.is_mapping and self.n % 2 == 0:
            self.key = event.value if isinstance(event, yaml.ScalarEvent) else "?"
        self.n += 1
        return (*self.keys, self.key if self.is_mapping else str(self.n - 1))


def _lines(text: str) -> dict[Keys, int]:
    """Return the line of every key and list item.

    Raises:
        ValueError: the text would unfold to more than fits: nested too deeply, or aliases of aliases of aliases.
    """
    lines: dict[Keys, int] = {}
    total = 0
    sizes: dict[str | None, int] = {}
    opened: list[_Open] = []
    for event in yaml.parse(text, Loader=_SafeUniqueLoader):
        keys: Keys = ()
        if isinstance(event, yaml.NodeEvent) and opened:
            keys = opened[-1].next(event)
            lines.setdefault(keys, event.start_mark.line + 1)  # type: ignore[union-attr] # a text's marks are there
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == o.anchor for o in opened):
                raise ValueError(f"*{str(event.anchor)[:60]} stands in what it names")
            total += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append(_Open(keys, event.anchor, total, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = opened.pop()
            sizes[ended.anchor] = 1 + total - ended.before
        if len(opened) > _DEEPEST or total > _MOST_NODES:
            raise ValueError("nested too deeply" if len(opened) > _DEEPEST else f"more than {_MOST_NODES:,} values")
    return lines


def _unique_mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(k, deep=True) for k, _ in node.value]
    seen = set()
    for key in keys:
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not a plain value", node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
        seen.add(key)
    return {k: loader.construct_object(v, deep=True) for k, (_, v) in zip(keys, node.value, strict=True)}


def _short(construct: Callable[[Any, Any], Any], loader: Any, node: yaml.ScalarNode) -> Any:
    if len(node.value) > _LONGEST_NUMBER:
        what = f"a number of {len(node.value):,} characters"
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
    return construct(loader, node)


for _kind in ("int", "float"):
    _construct = getattr(yaml.constructor.SafeConstructor, f"construct_yaml_{_kind}")
    _SafeUniqueLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", partial(_short, _construct))
_SafeUniqueLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
