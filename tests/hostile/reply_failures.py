"""Errors that a server may make on the wire and in JSON, by name; each repeats the key wherever it can.

Each failure comes with what the one line must say of it.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hostile_server import VERSION, Failure, Request, good, of, reply

Fields = dict[str, Any]


def leak(request: Request) -> str:
    """The key, or what stands for one."""
    return request.key or "no-key-was-sent"


def status(code: str, *headers: str, message: str = "") -> Failure:
    """A refusal that quotes the key in every member, header and the reason."""

    def failure(request: Request) -> Iterator[bytes]:
        key = leak(request)
        body = {"error": {"message": f"{message} {key}", key: key}, "detail": key, "usage": {key: key}}
        lines = (header.replace("KEY", key) for header in headers)
        yield reply(json.dumps(body).encode(), f"{code} {key}", f"X-Key: {key}", f"{key}: {key}", *lines)

    return failure


def raw(make: Callable[[str], bytes | Iterable[bytes | None]]) -> Failure:
    """Send what `make` gives for a key, then end the connection."""

    def failure(request: Request) -> Iterator[bytes | None]:
        made = make(leak(request))
        yield from [made] if isinstance(made, bytes) else made
        yield b""

    return failure


def sent(make: Callable[[str], bytes]) -> Failure:
    """The same, and the connection stays."""
    return lambda request: [make(leak(request))]


def whole(make: Callable[[str], bytes], *headers: str) -> Failure:
    """A good reply around the bytes that `make` gives."""
    return lambda request: [reply(make(leak(request)), "200 OK", *headers)]


def edited(edit: Callable[[Fields, str], Any]) -> Failure:
    """The reply that was asked for, changed; what `edit` returns takes its place, unless that is None."""

    def failure(request: Request) -> Iterator[bytes]:
        fields, other = good(request), None
        with contextlib.suppress(LookupError):  # of a reply to another question
            other = edit(fields, leak(request))
        yield of(fields if other is None else other)

    return failure


def drip(before: bytes, piece: bytes = b" ") -> Failure:
    """A beginning, and then a byte every now and then, for as long as somebody listens."""

    def failure(_request: Request) -> Iterator[bytes]:
        yield before
        while True:
            time.sleep(0.05)
            yield piece

    return failure


def flood(before: bytes, piece: bytes) -> Failure:
    """A beginning, and then the same piece as fast as it goes."""

    def failure(_request: Request) -> Iterator[bytes]:
        if before:
            yield before
        while True:
            yield piece * max(1, 2**16 // len(piece))

    return failure


def silent(before: bytes) -> Failure:
    """A beginning, and nothing more for a minute."""

    def failure(_request: Request) -> Iterator[bytes]:
        if before:
            yield before
        time.sleep(60)

    return failure


def after(count: int, failure: Failure) -> Failure:
    """`count` good replies, then the failure."""
    return lambda request: [of(good(request))] if request.number < count else failure(request)


HEAD = f"{VERSION} 200 OK\r\nContent-Type: application/json\r\n".encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDED = "the connection ended before the reply did"
NO_HTTP = "the reply is not HTTP"
NO_JSON = "the reply is not JSON"
WITHIN = " within "  # of silence or of a whole reply: which one comes first, a busy machine decides
ALONE = "even alone"
LONG = "input (3002 tokens) is too large to process. increase the physical batch size (current batch size: 512)"


def _escaped(text: str, form: str) -> bytes:
    return "".join(form.format(ord(c)) for c in text).encode()


@functools.cache
def _bomb(_key: str) -> bytes:
    return gzip.compress(bytes(64 * 2**20), 6)


STATUSES: dict[str, tuple[Failure, str]] = {
    "400": (status("400"), f"{ALONE}"),
    "401": (status("401", "WWW-Authenticate: Bearer realm=KEY"), "check the key in INSTRUCTOR_EVAL_API_KEY"),
    "402": (status("402"), "HTTP 402"),
    "403": (status("403"), "check the key in INSTRUCTOR_EVAL_API_KEY"),
    "404": (status("404"), "check the URL"),
    "405": (status("405"), "HTTP 405"),
    "407": (status("407"), "HTTP 407"),
    "408": (status("408"), "HTTP 408"),
    "409": (status("409"), ALONE),
    "413": (status("413"), ALONE),
    "418": (status("418"), ALONE),
    "422 of a maximum": (status("422", message="batch size exceeds maximum"), "cut that text"),
    "429 and an hour": (status("429", "Retry-After: 99999999999999999999"), "HTTP 429"),
    "429 and the key": (status("429", "Retry-After: KEY"), "HTTP 429"),
    "429 and no date": (status("429", "Retry-After: Mon, 99 Foo 99999999 99:99:99 +9999999"), "HTTP 429"),
    "500": (status("500"), "HTTP 500"),
    "500 of a long text": (status("500", message=LONG), "cut that text"),
    "502 and a page": (sent(lambda k: reply(f"<html>{k}</html>".encode(), "502 Bad")), "HTTP 502"),
    "503": (status("503", "Retry-After: -5"), "HTTP 503"),
    "600": (status("600"), "HTTP 600"),
    "999": (status("999"), "HTTP 999"),
    "status 0": (status("000"), NO_HTTP),
    "status of five digits": (status("20000"), NO_HTTP),
    "204": (status("204"), NO_JSON),
    "304": (status("304"), "redirects to nowhere"),
    "103": (status("103"), "HTTP 103"),
    "101": (status("101"), "HTTP 101"),
    "300": (status("300", "Location: /KEY"), "which is not followed"),
    "302": (status("302", "Location: http://KEY.example/KEY?key=KEY"), "which is not followed"),
    "307 to itself": (status("307", "Location: /v1/embeddings"), "which is not followed"),
    "308 and no UTF-8": (
        lambda r: [reply(b"", "308 Go", b"Location: http://\xff\xfe\x80/" + leak(r).encode())],
        "which is not followed",
    ),
    "301 to no URL": (status("301", "Location: http://[::1:99999999/"), "which is not followed"),
    "301 and escapes": (status("301", "Location: \x1b[31m\x9b1mKEY"), "which is not followed"),
    "301 and 60 kB": (status("301", f"Location: /{'x' * 60000}KEY"), "which is not followed"),
    "500 and a reason of bytes": (
        lambda r: [reply(b"\xff" + leak(r).encode(), "500 \xff\x9b\x1b[1m")],
        "HTTP 500",
    ),
    "400 and a message of 1 MB": (status("400", message="\x1b[2J\u202e" + "m" * 2**20), ALONE),
    "400 and a list": (
        sent(lambda k: reply(json.dumps([[k] * 99, {k: [k]}]).encode(), "400 Bad")), ALONE),
    "400 in base64": (
        sent(lambda k: reply(json.dumps({"error": base64.b64encode(f"Bearer {k}".encode()).decode()})
                            .encode(), "400 Bad")), ALONE),
    "400 in capitals, backwards, in hex": (
        sent(lambda k: reply(f"{k.swapcase()} {k[::-1]} {k.encode().hex()}".encode(), "400 No")),
        ALONE,
    ),
    "400 in escapes": (
        sent(lambda k: reply(b" ".join(_escaped(k, form) for form in ("\\u{:04x}", "%{:02x}", "%{:02X}")), "400 No")),
        ALONE,
    ),
}  # fmt: skip

WIRE: dict[str, tuple[Failure, str]] = {
    "closes at once": (raw(lambda k: []), ENDED),
    "resets at once": (raw(lambda k: [None]), "connection"),
    "ends in the status line": (raw(lambda k: b"HTTP/1."), NO_HTTP),
    "ends in a header": (raw(lambda k: HEAD + f"X-Key: {k}".encode()), NO_JSON),
    "ends in the body": (raw(lambda k: reply(k.encode(), length=5000)), ENDED),
    "resets in the body": (raw(lambda k: [reply(k.encode(), length=5000), None]), "connection"),
    "ends in a chunk": (raw(lambda k: CHUNKED + b"ff\r\n" + k.encode()), ENDED),
    "a chunk of no size": (raw(lambda k: CHUNKED + k.encode() + b"\r\n\r\n"), ENDED),
    "a chunk of -5": (raw(lambda k: CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n"), "the reply"),
    "a chunk of 10^30": (raw(lambda k: CHUNKED + b"f" * 26 + b"\r\n{}\r\n0\r\n\r\n"), "the reply"),
    "a chunk's endless line": (flood(CHUNKED, b"1"), "the reply"),
    "endless trailers": (flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n"), "a reply of more than 4 MB"),
    "an endless body": (flood(HEAD + b"\r\n", b"[[],"), "a reply of more than 4 MB"),
    "an endless body in chunks": (flood(CHUNKED, b"1\r\n \r\n"), "a reply of more than 4 MB"),
    "endless interim replies": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "a reply of more than 4 MB"),
    "endless headers": (flood(HEAD, b"X-A: b\r\n"), ENDED),
    "a status line of 1 MB": (raw(lambda k: b"HTTP/1.1 200 " + k.encode() * 32768), NO_HTTP),
    "a header of 1 MB": (raw(lambda k: HEAD + b"X: " + k.encode() * 32768 + b"\r\n\r\n{}"), NO_HTTP),
    "drips the status line": (drip(b"H", b"T"), WITHIN),
    "drips a header": (drip(HEAD + b"X-A: ", b"b"), WITHIN),
    "drips the body": (drip(reply(b"{", length=10**6)), WITHIN),
    "drips chunks": (drip(CHUNKED, b"1\r\n \r\n"), WITHIN),
    "drips trailers": (drip(CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", b"b"), WITHIN),
    "says nothing": (silent(b""), WITHIN),
    "says nothing after the headers": (silent(reply(b"", length=10)), WITHIN),
    "HTTP/0.9": (raw(lambda k: json.dumps({"data": k}).encode()), NO_HTTP),
    "TLS": (raw(lambda k: b"\x15\x03\x01\x00\x02\x02\x16" + k.encode()), NO_HTTP),
    "SSH": (raw(lambda k: f"SSH-2.0-OpenSSH_9.9 {k}\r\n".encode()), NO_HTTP),
    "HTTP/9.9": (raw(lambda k: f"HTTP/9.9 200 {k}\r\n\r\n{{}}".encode()), "the reply"),
    "a header without a colon": (raw(lambda k: HEAD + f"{k}\r\n{k}: {k}\r\n\r\n{{}}".encode()), "no reply to /"),
    "a header with NUL": (raw(lambda k: HEAD + f"X\0: {k}\0\r\n{k}\r\n folded\r\n\r\n{{}}".encode()), "no reply to /"),
    "a length of -1": (raw(lambda k: reply(k.encode(), length=-1)), NO_JSON),
    "a length that is none": (raw(lambda k: reply(k.encode(), length=k)), NO_JSON),
    "a length of 10^30": (raw(lambda k: reply(k.encode(), length=10**30)), ENDED),
    "two lengths": (raw(lambda k: reply(b"{}", "200 OK", "Content-Length: 1")), "the reply"),
    "too short a length": (raw(lambda k: reply(b'{"data": [', length=5)), NO_JSON),
    "cookies": (
        raw(lambda k: reply(b"{}", "200 OK", f"Set-Cookie: {k}={k}; expires={k}; max-age=9{'9' * 400}",
                            "Set-Cookie2: =;;=; version=x; port=\"")),
        "no reply to /",
    ),
    "a gzip bomb": (whole(_bomb, "Content-Encoding: gzip"), "a reply of more than 4 MB"),
    "a deflate bomb": (whole(lambda k: zlib.compress(_bomb(k)), "Content-Encoding: deflate, gzip"), "the reply"),
    "nested gzip": (whole(lambda k: b"x", f"Content-Encoding: {', '.join(['gzip'] * 50)}"), "the reply"),
    "no gzip": (whole(lambda k: k.encode(), "Content-Encoding: gzip"), "the reply"),
    "an unknown packing": (whole(lambda k: k.encode(), "Content-Encoding: x-key"), NO_JSON),
}  # fmt: skip

JSON: dict[str, tuple[Failure, str]] = {
    "nothing": (whole(lambda k: b""), NO_JSON),
    "a page": (whole(lambda k: f"<html>{k}".encode()), NO_JSON),
    "NULs": (whole(lambda k: bytes(1000)), NO_JSON),
    "no UTF-8": (whole(lambda k: b'{"data": "\xff\xfe' + k.encode() + b'"}'), NO_JSON),
    "100,000 lists in each other": (whole(lambda k: b"[" * 100_000), NO_JSON),
    "900 lists in each other": (whole(lambda k: b"[" * 900 + json.dumps(k).encode() + b"]" * 900), ""),
    "objects in each other": (whole(lambda k: f'{{"{k}":'.encode() * 5000), NO_JSON),
    "300,000 lists": (whole(lambda k: b"[" + b"[]," * 300_000 + b"[]]"), "no reply to /"),
    "null": (whole(lambda k: b"null"), "no reply to /"),
    "a number of 5,000 digits": (whole(lambda k: b"9" * 5000), NO_JSON),
    "a text": (whole(lambda k: json.dumps(k).encode()), "no reply to /"),
    "a list": (whole(lambda k: json.dumps([k, {k: k}]).encode()), "no reply to /"),
    "an empty object": (whole(lambda k: b"{}"), "no reply to /"),
    "an error with 200": (whole(lambda k: json.dumps({"error": {"message": k}}).encode()), "no reply to /"),
    "UTF-16": (whole(lambda k: json.dumps({k: k}).encode("utf-16")), "no reply to /"),
}
