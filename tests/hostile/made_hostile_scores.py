"""One field of a score is of another kind: every kind in every field, and numbers that no one reckons with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hostile_case import Case
from hostile_results import ENDLESS, HUGE, change, literal, put, results, score_file
from made_hostile_results import READERS, REPORT, VALIDATE

ESCAPE = "\x1b[31m\x9b2J\u202etxt\u200b"
"""Colours a terminal, clears it, turns what follows around."""
WRONG: dict[str, Any] = {
    "a list": [[]],
    "an object": {"x": {}},
    "a text": "x",
    "true": True,
    "null": None,
    "a number": 7,
    "-1": -1,
    "half": 0.5,
    "400 digits": literal(HUGE),
    "4,500 digits": literal(ENDLESS),
    "1e300": 1e300,
    "1e400": literal("1e400"),
    "NaN": literal("NaN"),
}
KINDS: dict[str, Sequence[str]] = {
    "text": ("a list", "an object", "true", "null", "400 digits", "half"),
    "number": ("a list", "an object", "a text", "true", "400 digits", "4,500 digits", "1e300", "-1"),
    "score": ("a list", "an object", "a text", "true", "400 digits", "4,500 digits", "1e300"),
    "figure": ("a list", "an object", "a text", "true", "400 digits", "1e300", "NaN", "1e400"),
    "mapping": ("a list", "a text", "true", "null", "a number", "400 digits"),
    "record": ("a list", "a text", "true", "a number", "400 digits"),  # or null: it does not apply
    "list": ("an object", "a text", "true", "null", "a number"),
}
FIELDS: dict[tuple[Any, ...], str] = {
    ("identity",): "text",
    ("status",): "text",
    ("task",): "text",
    ("benchmark",): "text",
    ("type",): "text",
    ("metric",): "text",
    ("created",): "text",
    ("metric_origin",): "text",
    ("protocol_version",): "text",
    ("model",): "mapping",
    ("model", "name"): "text",
    ("model", "family"): "text",
    ("model", "fingerprint"): "text",
    ("model", "variant"): "text",
    ("model", "revision"): "text",
    ("instructions",): "mapping",
    ("instructions", "set"): "text",
    ("instructions", "roles"): "mapping",
    ("instructions", "roles", "hardware"): "mapping",
    ("score",): "score",
    ("metrics",): "mapping",
    ("n_items",): "number",
    ("seed",): "number",
    ("limit",): "number",
    ("data",): "mapping",
    ("reader",): "record",
    ("search",): "record",
    ("embedding",): "record",
    ("cost",): "record",
    ("notes",): "list",
    ("protocol",): "mapping",
    ("counts",): "mapping",
    ("timings",): "mapping",
    ("timings", "total"): "figure",
    ("counts", "texts"): "figure",
    ("served",): "mapping",
    ("environment",): "mapping",
    ("environment", "hardware"): "record",
    ("command",): "list",
}
JSON = ("--format", "json")
COMMANDS = [*READERS.items(), ("validate", VALIDATE)]


def _make(command: Sequence[str], *places: tuple[tuple[Any, ...], Any]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        file = score_file(results(folder))
        for place, value in places:
            change(file, put(*place, value=value))
        return command

    return make


def _cases() -> list[Case]:
    """Three wrong kinds of each field, each with one command, in turn: all commands read through one function."""
    found, turn = [], 0
    for i, (place, kind) in enumerate(FIELDS.items()):
        for wrong in [(KINDS[kind] * 2)[(i + j) % len(KINDS[kind])] for j in (0, 2, 3)]:
            name, command = COMMANDS[turn % len(COMMANDS)]
            turn += 1
            said = (
                {"tells": ("SciFact", "ERROR"), "lines": 0}
                if name == "validate"
                else {"says": ("SciFact", "score file")}
            )
            at = ".".join(map(str, place))
            found.append(Case(f"{name}: {at} is {wrong}", _make(command, (place, WRONG[wrong])), **said))
    return found


def page_of(command: Sequence[str]) -> list[str]:
    """The files that a command writes."""
    return ["page.html"] if tuple(command) == REPORT else []


def _goes_on(name: str, *places: tuple[tuple[Any, ...], Any], code: int = 0, **more: Any) -> list[Case]:
    """Cases in which the file is all right: every command shows it, and nothing of it is raw."""
    return [
        Case(f"{command}: {name}", _make(arguments, *places), code=code, writes=page_of(arguments), **more)
        for command, arguments in COMMANDS[:3]
    ]


DEEP_PLACES: list[tuple[str, tuple[Any, ...], Any]] = [
    (f"{'.'.join(place)} is {wrong}", place, WRONG[wrong])
    for place in (
        ("cost", "file_bytes"), ("cost", "speed_ratio"), ("cost", "baseline"), ("embedding", "bytes_per_vector"),
        ("search", "recall"), ("data", "id"), ("data", "hash"), ("model", "dim"), ("environment", "versions", "torch"),
        ("environment", "hardware", "cpu"), ("environment", "probe"), ("metrics", "x"),
    )
    for wrong in ("a list", "an object", "1e300", "NaN")
]  # fmt: skip


def _deep(folder: Path, command: Sequence[str], place: tuple[Any, ...], value: Any) -> Sequence[str]:
    def edit(raw: Any) -> None:
        raw["environment"]["hardware"] = {}
        if place[0] == "search":
            raw["search"]["backend"] = "faiss:HNSW32"
        put(*place, value=value)(raw)

    root = results(folder)
    for variant in ("fp32", "int8"):
        change(score_file(root, variant=variant), edit)
    return command


_SHOWERS = (
    ("leaderboard", ("leaderboard",)),
    ("report", REPORT),
    ("leaderboard as JSON", (*READERS["leaderboard"], *JSON)),
)
FREE = [
    Case(
        f"{name}: {what}",
        lambda folder, command=command, place=place, value=value: _deep(folder, command, place, value),
        code=2 if is_refused else 0,
        writes=[] if is_refused else page_of(command),
    )
    for i, (what, place, value) in enumerate(DEEP_PLACES)
    for name, command in [_SHOWERS[i % 3]]
    # A NaN among the metrics stands for none; what the parser does not know is not read.
    for is_refused in [
        place != ("environment", "hardware", "cpu") and (place[0] != "metrics" or value != literal("NaN"))
    ]
]
CASES = [
    *_cases(),
    *FREE,
    *_goes_on("a NaN for a score", (("score",), literal("NaN"))),
    *_goes_on("1e400 for a score", (("score",), literal("1e400"))),
    *_goes_on("escapes in an error", (("status",), "failed"), (("error",), ESCAPE), not_shown=(ESCAPE,)),
]
