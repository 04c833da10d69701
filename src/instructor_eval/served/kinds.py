"""From `--model KIND:REST` to a served model. Light: no library is imported before a model of its kind is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeAlias

from instructor_eval.encoder.served import Served, ServedModel, Serving, describe

Factory: TypeAlias = Callable[[str, Serving], ServedModel]
"""Given what stands after `KIND:`, and how it is to be asked. UserError where it names no model that can be had."""

KINDS: dict[str, str] = {
    "endpoint": "instructor_eval.served.endpoint:EndpointModel",
    "hosted": "instructor_eval.served.hosted:HostedModel",
    "mteb": "instructor_eval.served.mteb_models:RegistryModel",
}
"""Kind -> `module:factory`."""


def kind_of(text: str) -> str | None:
    """The kind that a `--model` begins with; None for a checkpoint (`./endpoint:x` is a folder)."""
    kind, colon, _ = text.partition(":")
    return kind if colon and kind in KINDS else None


def load(text: str, how: Serving) -> Served:
    """The served model that a `--model` names, as it answers now.

    Raises:
        UserError: it cannot be had; the line says why.
    """
    kind, _, rest = text.partition(":")
    module, _, name = KINDS[kind].partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return describe(factory(rest, how))
