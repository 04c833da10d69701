"""The folder of the clients' environment."""

from __future__ import annotations

from servers.conftest import environments

__all__ = ["environments"]
