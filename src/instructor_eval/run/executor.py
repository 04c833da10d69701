"""`--executor` and `--cost` as values. Light: the command line reads them before anything is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass

from instructor_eval.core.errors import UserError, did_you_mean

COSTS = ("auto", "full", "off")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Executor:
    """The place of encoding: `local` (this process), or `ray` with the address of a cluster."""

    kind: str = "local"
    address: str = ""
    """HOST:PORT, or `auto` for the cluster that this machine is part of; empty: one of our own, for this run."""

    @classmethod
    def parse(cls, text: str) -> Executor:
        """Read `local`, `ray`, `ray:auto` or `ray:HOST:PORT`.

        Raises:
            UserError: it is none of them.
        """
        kind, colon, address = text.partition(":")
        if kind not in ("local", "ray"):
            hint = did_you_mean(kind, ["local", "ray"]) or ": give local, ray, ray:auto or ray:HOST:PORT"
            raise UserError(f"unknown executor '{text[:100]}'{hint}")
        if not colon:
            return cls(kind)
        if kind == "local":
            raise UserError(f"executor '{text[:100]}': local takes no address (ray:HOST:PORT does)")
        if address == "auto":
            return cls(kind, address)
        found = _HOST_AND_PORT.fullmatch(address)
        if not found or not 0 < int(found[2]) < 65536:
            raise UserError(
                f"executor '{text[:100]}': '{address[:100]}' is no address of a cluster: give ray:HOST:PORT, as "
                "`ray start --head` prints it, or ray:auto"
            )
        return cls(kind, address)

    @property
    def host(self) -> str:
        """Of the address."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Of the address."""
        return int(self.address.rpartition(":")[2])


LOCAL = Executor()
