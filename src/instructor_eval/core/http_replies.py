"""Replies of servers that refuse: the reason, whether it may pass, how long to wait."""

from __future__ import annotations

import json
import math
import re
import time
from email.utils import parsedate_to_datetime

TOO_LONG = re.compile(
    r"too (long|large|big) (to process|for (the|this|our|a) )|longer than|larger than|physical batch size"
    r"|context[ _-]?(length|size|window)"
    r"|(tokens?|length|limit|size)\b.{0,60}\bexceed|exceed.{0,60}\b(tokens?|length|limit|size|maximum)"
    r"|max(imum)?[ _-]?((input|sequence|model|batch|request|allowed|token|text)s?)[ _-]?(length|size|len|tokens)?"
    r"|(input|prompt|text|sequence|batch|payload|body|content|entity|document|request)s?\b.{0,60}\btoo (long|large|big)"
    r"|too many (input|text|token|character|sequence|item|element|word)|must have less than|at most \d",
    re.IGNORECASE | re.DOTALL,
)
"""Words of servers for a request that is too large, whatever its status."""
_BUSY = re.compile(r"rate.?limit|per (min|sec|hour|day)|quota|too many requests|overload|capacity|queue", re.IGNORECASE)


def may_pass(code: int) -> bool:
    """Return whether a status is one of those that may be over at the next try."""
    return code in (408, 429) or code >= 500


def is_too_much(code: int, said: str) -> bool:
    """Return whether a server says, with whatever status, that a request is too long or too large for it."""
    return code == 413 or bool(TOO_LONG.search(said) and not (may_pass(code) and _BUSY.search(said)))


def message_of(content: bytes) -> str:
    """Return a server's message of an error, in whichever field it stands."""
    text = content.decode("utf-8", "replace").strip()
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text  # a proxy's page helps nobody
    for name in ("error", "message", "detail"):
        said = reply.get(name) if isinstance(reply, dict) else None
        said = said.get("message") if isinstance(said, dict) else said
        if isinstance(said, str):
            return said
    return text


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds that a `Retry-After` asks for, in either of its forms; None of neither, and of a past date."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
        return date if date > 0 else None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
