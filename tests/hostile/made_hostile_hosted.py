"""A provider that litellm asks, at an address of the user's choosing: the same failures, by its own connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hostile_case import Case
from hostile_server import Failure, serving
from made_hostile_embeddings import KEY, RUN, VECTORS
from reply_failures import JSON, STATUSES, WIRE, WITHIN

SAID = {
    "400": "even alone",
    "401": "set or check the provider's key",
    "404": "HTTP 404",
    "422 of a maximum": "cut that text",
    "429 and an hour": "HTTP 429",
    "500": "HTTP 500",
    "500 of a long text": "cut that text",
    "502 and a page": "asked once",
    "302": "hosted:openai/m",
    "308 and no UTF-8": "hosted:openai/m",
    "400 and a message of 1 MB": "even alone",
    "400 in base64": "even alone",
    "closes at once": "asked once",
    "ends in the body": "asked once",
    "drips a header": WITHIN,
    "drips the body": WITHIN,
    "HTTP/0.9": "asked once",
    "a gzip bomb": "a reply of more than 64 MB",
    "an endless body": "a reply of more than 64 MB",
    "100,000 lists in each other": "asked once",
    "a list": "asked once",
    "an error with 200": "even alone",
    "data: null": "asked once",
    "embedding: 400 digits": "asked once",
    "embedding: 1 MB of text in it": "asked once",
    "index: twice": "not numbered 0 to 2",
}


def _case(name: str, failure: Failure, says: str) -> Case:
    def make(_folder: Path) -> Sequence[str]:
        return ("--model", "hosted:openai/m", *RUN, "--timeout", "0.6" if says == WITHIN else "60")

    @contextlib.contextmanager
    def serve() -> Iterator[str]:
        with serving(failure) as url:
            environment["OPENAI_API_BASE"] = f"{url}/v1"
            yield url

    environment = {"OPENAI_API_KEY": KEY}
    return Case(name, make, (says,), 2, 1, serve, environment)


EVERY = STATUSES | WIRE | JSON | VECTORS
CASES = [_case(name, EVERY[name][0], says) for name, says in SAID.items()]
