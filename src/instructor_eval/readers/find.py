"""Find the reader that `--reader` names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.readers.contract import PAPER_READER, Reader
from instructor_eval.readers.nearest import NearestReader

KINDS = ("nearest", "paper", "hf:MODEL", "endpoint:URL")
_BUILT_IN = ("nearest", "paper", "hf", "endpoint")
_CONTRACT = ("name", "fingerprint", "is_cheap", "describe", "read", "close")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def load_reader(
    text: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
    patience: Mapping[str, Any] = MappingProxyType({}),
) -> Reader:
    """Return the reader of a name: nearest, paper (GPT-J, the paper's), hf:MODEL, endpoint:URL[#MODEL], or a plugin's.

    Its files are found here; it is loaded for the first question.

    Args:
        text: As for `--reader`.
        device: The device of a model.
        dtype: The numeric form of a model.
        offline: Never use the network.
        patience: `timeout` and `tries` for a server; empty: the reader's own.

    Raises:
        UserError: there is no such reader, or it cannot be had.
    """
    kind, colon, rest = (PAPER_READER if text == "paper" else text).partition(":")
    if (kind, colon) == ("nearest", ""):
        return NearestReader()
    if kind in ("hf", "endpoint") and not rest:
        raise UserError(f"reader '{text}': give {'a model, hf:org/name or hf:FOLDER' if kind == 'hf' else 'a URL'}")
    if kind == "hf":
        from instructor_eval.readers.transformers import HfReader

        return HfReader(rest, device=device, dtype=dtype, offline=offline)
    if kind == "endpoint":
        from instructor_eval.readers.openai import EndpointReader

        return EndpointReader(rest, **patience)
    others = {name: p for name, p in plugins.found(plugins.READERS).items() if name not in _BUILT_IN}
    if kind in others:
        return _of_plugin(others[kind], rest, device=device, dtype=dtype, offline=offline)
    known = [*KINDS, *(f"{name}:..." for name in others)]
    hint = did_you_mean(kind, (*_BUILT_IN, *others)) or f": known are {', '.join(known)}"
    raise UserError(f"unknown reader '{text[:200]}'{hint}")


def _of_plugin(plugin: plugins.Plugin, rest: str, **how: str | bool) -> Reader:
    """Make a package's reader, and check that its name and fingerprint belong to its kind.

    Raises:
        UserError: it cannot be loaded or made, or does not follow the contract.
    """
    factory = plugin.load(callable, "function that makes a reader")
    reader: Reader = plugin.run(lambda: factory(rest, **how), f"makes no reader of '{rest[:100]}'")
    lacking = plugin.run(lambda: [part for part in _CONTRACT if not hasattr(reader, part)], "cannot be used")
    if lacking:
        parts = ", ".join(lacking)
        raise UserError(f"{plugin.what}: its reader has no {parts} (readers.contract.Reader): fix or uninstall it")
    description = plugin.run(reader.describe, "cannot describe itself")
    name, fingerprint = reader.name, reader.fingerprint
    if not isinstance(name, str) or name.partition(":")[0] != plugin.name or not name.isprintable():
        raise UserError(f"{plugin.what}: its reader is called {name!r:.80}: a name must start with '{plugin.name}:'")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise UserError(f"{plugin.what}: its reader's fingerprint is {fingerprint!r:.80}: give 16 hex digits")
    given = description if isinstance(description, dict) else {}
    if (given.get("name"), given.get("fingerprint")) != (name, fingerprint):
        raise UserError(f"{plugin.what}: its reader's describe() lacks its name or fingerprint: fix or uninstall it")
    return reader
