"""Read the user's YAML files: safe types only, no key twice, every error one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import read_text, why

_DEEPEST = 50
_MOST_NODES = 100_000
_LONGEST_NUMBER = 400
"""Characters: Python makes no text of some that are longer, and takes hours over `1:1:1:1:...`."""


def read_yaml(file: Path, missing: str) -> Any:
    """The one document of a YAML file.

    Raises:
        UserError: the file is missing (`missing` says what it should be), or is not plain YAML.
    """
    try:
        text = read_text(file)
        _check_size(text)
        return yaml.load(text, Loader=_SafeUniqueLoader)  # noqa: S506 - a safe loader
    except FileNotFoundError as e:
        raise UserError(f"{file}: {missing}") from e
    except (yaml.YAMLError, OSError, ValueError, LookupError, AttributeError, ArithmeticError, TypeError) as e:
        # The last five are what yaml's own constructors raise for `!!int abc`, `!!bool abc`, `!!timestamp abc`.
        raise UserError(f"{file}: not readable as YAML ({why(e)})") from e


class _SafeUniqueLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # a base chosen at run time
    """YAML's safe loader, in C where it is built in; a key given twice is an error, not a silent overwrite."""


def _check_size(text: str) -> None:
    """Refuse what would unfold to more than fits: nested too deeply, or aliases of aliases of aliases."""
    depth = total = 0
    sizes: dict[str | None, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_SafeUniqueLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in open_anchors):
                raise ValueError(f"*{str(event.anchor)[:60]} stands in what it names")
            total += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append((event.anchor, total))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_anchors.pop()
            sizes[anchor] = 1 + total - before
        if depth > _DEEPEST or total > _MOST_NODES:
            raise ValueError("nested too deeply" if depth > _DEEPEST else f"more than {_MOST_NODES:,} values")


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
