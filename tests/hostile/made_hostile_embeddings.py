"""Servers of embeddings: failures on the wire, in the JSON, in the vectors, in the list of models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hostile_case import Case
from hostile_server import Failure, Request, good, reply, serving
from reply_failures import JSON, STATUSES, WIRE, WITHIN, Fields, after, edited, status, whole

KEY = "sk-Q7zR4mXw9LbT2vNc8HdK5gFyJ1pA6"
RUN = ("--task", "DemoSTS", "--limit", "4", "--results", "r", "--tries", "1", "--quiet")


def _first(reply: Fields, value: Any) -> None:
    reply["data"][0]["embedding"] = value


def _within(reply: Fields, value: Any) -> None:
    reply["data"][0]["embedding"][3] = value


def _numbered(reply: Fields, *numbers: Any) -> None:
    for entry, number in zip(reply["data"], numbers, strict=False):
        entry["index"] = number


def _models(count: int, name: str) -> Fields:
    return {"data": [{"id": f"{name} {i}"} for i in range(count)]}


def _shorter(reply: Fields, _key: str) -> None:
    for entry in reply["data"]:
        entry["embedding"] = [1.0]


VECTORS: dict[str, tuple[Failure, str]] = {
    "data: null": (edited(lambda r, k: {"data": None}), "no reply to /"),
    "data: a text": (edited(lambda r, k: {"data": k[:3]}), "no reply to /"),
    "data: a number": (edited(lambda r, k: {"data": 3}), "no reply to /"),
    "data: an object": (edited(lambda r, k: {"data": dict.fromkeys((k, "b", "c"), k)}), "no reply to /"),
    "data: nulls": (edited(lambda r, k: {"data": [None] * 3}), "no reply to /"),
    "data: texts": (edited(lambda r, k: {"data": [k] * 3}), "no reply to /"),
    "one fewer": (edited(lambda r, k: r["data"].pop() and None), "2 vectors for 3 texts"),
    "a thousand more": (edited(lambda r, k: r["data"].extend(r["data"][:1] * 1000)), "1003 vectors for 3 texts"),
    "no embedding": (edited(lambda r, k: {"data": [{k: k, "index": i} for i in range(3)]}), "no reply to /"),
    "embedding: null": (edited(lambda r, k: _first(r, None)), "values in one reply"),
    "embedding: empty": (edited(lambda r, k: _first(r, [])), "values in one reply"),
    "embedding: base64": (edited(lambda r, k: _first(r, k)), "vectors as text"),
    "embedding: an object": (edited(lambda r, k: _first(r, {k: 1})), "values in one reply"),
    "embedding: nested": (edited(lambda r, k: _within(r, [1.0, [k]])), "no number"),
    "embedding: a boolean": (edited(lambda r, k: _within(r, True)), "no number"),
    "embedding: a text in it": (edited(lambda r, k: _within(r, "0.5")), "no number"),
    "embedding: 1 MB of text in it": (edited(lambda r, k: _within(r, k * 32768)), "no number"),
    "embedding: 400 digits": (edited(lambda r, k: _within(r, 10**400)), "no number"),
    "embedding: 1e999": (whole(lambda k: b'{"data": [' + b",".join([b'{"embedding": [1e999]}'] * 3) + b"]}"), "NaN or"),
    "embedding: NaN": (edited(lambda r, k: _within(r, float("nan"))), "a NaN or infinite vector"),
    "embedding: Infinity": (edited(lambda r, k: _within(r, float("-inf"))), "a NaN or infinite vector"),
    "embedding: zeros": (edited(lambda r, k: _first(r, [0.0] * 16)), "an all-zero vector"),
    "embedding: 1e38s": (edited(lambda r, k: _first(r, [1e38] * 16)), "endlessly long"),
    "embedding: 1e-300s": (edited(lambda r, k: _first(r, [1e-300] * 16)), "endlessly long or short"),
    "embedding: ragged": (edited(lambda r, k: _first(r, [1.0] * 15)), "vectors of 15 and 16 values"),
    "embedding: 300,000 values": (edited(lambda r, k: _first(r, [1] * 300_000)), "vectors of 16 and 300000 values"),
    "index: 400 digits": (edited(lambda r, k: _numbered(r, 10**400, 0, 1)), "not numbered 0 to 2"),
    "index: fractions": (edited(lambda r, k: _numbered(r, 0.0, 1.0, 2.0)), "not numbered 0 to 2"),
    "index: a boolean": (edited(lambda r, k: _numbered(r, False, True, 2)), "not numbered 0 to 2"),
    "index: a list": (edited(lambda r, k: _numbered(r, [k], {k: k}, 2)), "not numbered 0 to 2"),
    "index: twice": (edited(lambda r, k: _numbered(r, 1, 1, 2)), "not numbered 0 to 2"),
    "index: negative": (edited(lambda r, k: _numbered(r, -1, -2, -3)), "not numbered 0 to 2"),
    "index: the key": (edited(lambda r, k: _numbered(r, k, k, k)), "not numbered 0 to 2"),
    "model: the key": (edited(lambda r, k: r.update(model=k)), "has the API key in it"),
    "model: a part of the key": (edited(lambda r, k: r.update(model=f"m-{k[5:14]}")), "has the API key in it"),
    "model: the key in capitals": (edited(lambda r, k: r.update(model=k.upper())), "has the API key in it"),
}

MODELS: dict[str, tuple[Failure, str]] = {
    "the key": (edited(lambda r, k: {"data": [{"id": k}]}), "has the API key in it"),
    "a part of the key": (edited(lambda r, k: {"data": [{"id": f"org/{k[8:17]}"}]}), "has the API key in it"),
    "the key in escapes": (
        whole(lambda k: b'{"data": [{"id": "' + "".join(f"\\u{ord(c):04x}" for c in k).encode() + b'"}]}'),
        "has the API key in it",
    ),
    "1 MB": (edited(lambda r, k: {"data": [{"id": "m" * 2**20}]}), "1,048,576 characters long"),
    "ESC": (edited(lambda r, k: {"data": [{"id": "m\x1b[2J\x1b]0;x\x07"}]}), "characters that no name has"),
    "U+009B": (edited(lambda r, k: {"data": [{"id": "m\x9b2J"}]}), "characters that no name has"),
    "right to left": (edited(lambda r, k: {"data": [{"id": "m\u202egnp.exe"}]}), "characters that no name has"),
    "newlines": (edited(lambda r, k: {"data": [{"id": "m\nevaluate: all is well"}]}), "characters that no name has"),
    "NUL": (edited(lambda r, k: {"data": [{"id": "m\0"}]}), "characters that no name has"),
    "half a character": (edited(lambda r, k: {"data": [{"id": "m\ud800"}]}), "characters that no name has"),
    "empty": (edited(lambda r, k: {"data": [{"id": ""}]}), "is empty"),
    "white space": (edited(lambda r, k: {"data": [{"id": " \u3000 "}]}), "is empty"),
    "a number": (edited(lambda r, k: {"data": [{"id": 5}]}), "no reply to /models"),
    "null": (edited(lambda r, k: {"data": [{"id": None}]}), "no reply to /models"),
    "no id": (edited(lambda r, k: {"data": [{k: k}]}), "no reply to /models"),
    "no data": (edited(lambda r, k: {k: k}), "no reply to /models"),
    "data: a text": (edited(lambda r, k: {"data": k}), "no reply to /models"),
    "none": (edited(lambda r, k: {"data": []}), "lists no model"),
    "10,000": (
        edited(lambda r, k: {"data": [{"id": f"{k} {i}\x1b\u202e"} for i in range(10_000)]}),
        "has 10,000 models",
    ),
    "100,000": (edited(lambda r, k: {"data": [{"id": f"{i}"} for i in range(100_000)]}), "has 100,000 models"),
}


def _case(name: str, failure: Failure, says: Sequence[str], spec: str = "#m", code: int = 2) -> Case:
    def make(_folder: Path) -> Sequence[str]:
        return ("--model", f"endpoint:{{url}}/v1{spec}", *RUN, "--timeout", "0.6" if WITHIN in says else "60")

    lines = None if code == 0 else 1
    environment = {"INSTRUCTOR_EVAL_API_KEY": KEY}
    return Case(name, make, says, code, lines, lambda: serving(failure), environment)


def _twice(request: Request) -> bytes:
    whole_reply = json.dumps(good(request))
    return reply(f'{{"data": null, "model": 5, {whole_reply[1:]}'.encode())


GOES_ON: dict[str, tuple[Failure, str]] = {
    "usage: 400 digits": (edited(lambda r, k: r.update(usage={"prompt_tokens": 10**400, k: k})), "#m"),
    "usage: NaN": (edited(lambda r, k: r.update(usage={"prompt_tokens": float("nan"), "total_tokens": -1})), "#m"),
    "usage: a text": (edited(lambda r, k: r.update(usage=k)), "#m"),
    "usage: the key's members": (edited(lambda r, k: r.update(usage={k: {k: [k]}}, created=k, id=k)), "#m"),
    "model: escapes": (edited(lambda r, k: r.update(model="other\x1b[2J\x9b\u202e\n" + "y" * 2**20)), "#m"),
    "model: half a character": (edited(lambda r, k: r.update(model="\ud800")), "#m"),
    "model: a list": (edited(lambda r, k: r.update(model=[k])), "#m"),
    "members twice": (lambda r: [_twice(r)], "#m"),
    "a name of dots": (edited(lambda r, k: None), "#../../../etc/passwd"),
    "a name with markup": (edited(lambda r, k: None), "#<img src=x onerror=alert(1)>|`=cmd`"),
}

CASES = [
    *(_case(f"{name}", failure, (says,)) for name, (failure, says) in (STATUSES | WIRE | JSON | VECTORS).items()),
    *(_case(f"models: {name}", failure, (says,), "") for name, (failure, says) in MODELS.items()),
    *(_case(f"goes on: {name}", failure, (), spec, 0) for name, (failure, spec) in GOES_ON.items()),
    _case("then 500", after(1, status("500")), ("HTTP 500", "DemoSTS")),
    _case("then another dimension", after(1, edited(_shorter)), ("vectors of 1 values, and of 16 before",)),
    _case("then another model", after(1, edited(lambda r, k: r.update(model="\x1b[2Jx"))), ("before: name the model",)),
    _case("then the key", after(1, edited(lambda r, k: r.update(model=k))), ("has the API key in it",)),
    _case("a given name: ESC", edited(lambda r, k: None), ("characters that no name has",), "#m\x1b[2J\u202e"),
    _case("a given name: 5,000 characters", edited(lambda r, k: None), ("5,000 characters long",), "#" + "m" * 5000),
]  # fmt: skip
