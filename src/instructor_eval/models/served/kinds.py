"""Find the served model of `--model KIND:REST`. A kind's library is imported only for a model of that kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.models.served.contract import ServedModel, Serving
from instructor_eval.models.served.engine import Served, describe

Factory: TypeAlias = Callable[[str, Serving], ServedModel]
"""Makes a model from the text after `KIND:` and its settings; raises UserError if there is no such model."""

KINDS: dict[str, str] = {
    "endpoint": "instructor_eval.models.served.openai:EndpointModel",
    "hosted": "instructor_eval.models.served.litellm:HostedModel",
    "mteb": "instructor_eval.models.served.mteb:RegistryModel",
}
"""Kind -> `module:factory`."""


def kind_of(text: str) -> str | None:
    """Return the kind that a `--model` starts with; None for a checkpoint (`./endpoint:x` is a folder)."""
    kind, colon, _ = text.partition(":")
    return kind if colon and (kind in KINDS or kind in plugins.found(plugins.MODELS)) else None


def load(text: str, how: Serving) -> Served:
    """Return the served model that a `--model` names, after a first request.

    Raises:
        UserError: it cannot be had; the line says why.
    """
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        return describe(_of_plugin(plugins.found(plugins.MODELS)[kind], rest, how))
    module, _, name = KINDS[kind].partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return describe(factory(rest, how))


def _of_plugin(plugin: plugins.Plugin, rest: str, how: Serving) -> ServedModel:
    """Make a package's model, and check that its name starts with its kind.

    Raises:
        UserError: it cannot be loaded or made, or is not a `ServedModel`.
    """
    factory = plugin.load(callable, "function that makes a model")
    model = plugin.run(lambda: factory(rest, how), f"makes no model of '{rest[:100]}'")
    if not isinstance(model, ServedModel):
        raise UserError(f"{plugin.what}: it does not make a models.served.contract.ServedModel: fix or uninstall it")
    name, identity = plugin.run(lambda: (getattr(model, "name", None), getattr(model, "identity", None)), "fails")
    if not isinstance(name, str) or not name.startswith(f"{plugin.name}:") or not isinstance(identity, Mapping):
        raise UserError(f"{plugin.what}: its model's name must begin with '{plugin.name}:', and identity be a mapping")
    return model
