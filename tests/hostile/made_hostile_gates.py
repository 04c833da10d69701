"""Gate files, baselines, statistics, costs and probes that anyone may have made."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hostile_case import Case
from hostile_results import DEEP, ENDLESS, HUGE, JUST_DEEP, change, literal, put, results
from made_hostile_names import ESCAPES, HTML
from made_hostile_results import WRONG_FILES

from instructor_eval.analysis.compare import baselines, find_side
from instructor_eval.tasks import protocol

REPORT = ("report", "-o", "page.html")
_FILES = ("a FIFO", "/dev/zero", "a folder", "of a terabyte", "empty", "lists 100,000 deep", "a number of 4,500 digits",
          "a link to itself", "not UTF-8")  # fmt: skip
GATE: dict[str, Any] = {
    "schema_version": 1, "verdict": "OK", "exit_code": 0, "headline": "OK: all is well", "gates": {"quality": "OK"},
    "quality": [
        {
            "verdict": "OK", "baseline": {"label": "a", "source": "x"}, "candidate": {"label": "b", "source": "y"},
            "macro": None, "types": {}, "adjustment": {"sentence": "s"}, "left_out": [], "sentence": "t",
            "tasks": [
                {"name": "SciFact", "verdict": "OK", "message": "m", "margin": 0.01, "p": 0.5, "p_adjusted": 0.5,
                 "difference": {"delta": 0.0, "low": -0.1, "high": 0.1, "lower": -0.1, "upper": 0.1, "se": 0.05,
                                "df": 9.0, "n": 10, "method": "t", "weak": False},
                 "baseline": 0.5, "candidate": 0.5, "minimum_detectable": 0.1, "needed": 5, "same_model": False,
                 "not_comparable": None}
            ],
        }
    ],
    "drift": [], "speed": [], "command": ["evaluate", "gate"], "report": None,
}  # fmt: skip


def _gate(edit: Callable[[Any], None]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        file = results(folder) / "gate" / "gate.json"
        file.parent.mkdir()
        file.write_text(json.dumps(GATE))
        change(file, edit)
        return REPORT

    return make


def _file(name: str, harm: Callable[[Path], object], *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        file = results(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        harm(file)
        return command

    return make


_TASK = ("quality", 0, "tasks", 0)
GATES = [
    *(
        Case(
            f"report: gate.json is {kind}",
            _file("gate/gate.json", WRONG_FILES[kind][0], *REPORT),
            ("gate.json", "--no-gate"),
        )
        for kind in _FILES
    ),
    *(
        Case(
            f"report: of a gate {'.'.join(map(str, place))} is {what}",
            _gate(put(*place, value=value)),
            ("gate.json", "run `evaluate gate` again"),
        )
        for place, what, value in (
            (("verdict",), "a list", []),
            (("verdict",), "escapes", ESCAPES),
            (("headline",), "an object", {}),
            (("gates",), "a text", "x"),
            (("quality",), "a text", "x"),
            (("quality",), "a number", 7),
            (("drift",), "texts", ["x"]),
            (("command",), "a text", "x"),
            ((*_TASK, "margin"), "400 digits", literal(HUGE)),
            ((*_TASK, "difference", "low"), "NaN", literal("NaN")),
            ((*_TASK, "difference"), "a list", []),
            ((*_TASK, "baseline"), "4,500 digits", literal(ENDLESS)),
            ((*_TASK, "name"), "an object", {}),
            (("schema_version",), "400 digits", literal(HUGE)),
            (("quality", 0, "left_out"), "a number", 1),
            (("quality", 0, "sentence"), "lists 800 deep", literal(JUST_DEEP)),
        )
    ),
    *(
        Case(
            f"report: {what} in a gate's {'.'.join(map(str, place))}",
            _gate(put(*place, value=value)),
            code=0,
            writes=["page.html"],
            not_shown=("<script>alert", "<img src"),
        )
        for what, value in (("escapes", ESCAPES), ("HTML", HTML))
        for place in (("headline",), (*_TASK, "name"), ("quality", 0, "sentence"), ("quality", 0, "baseline", "label"))
    ),
]


def _baseline(folder: Path) -> Path:
    """Set the results as a baseline; its path."""
    root = results(folder)
    side = find_side.resolve("minilm@fp32", results=root, protocol=protocol.parse([]))
    return baselines.set_baseline(side, folder=root / "baselines")[0]


def _of_baseline(harm: Callable[[Path], object], *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        harm(_baseline(folder))
        return command

    return make


def _sealed(edit: Callable[[Any], None]) -> Callable[[Path], None]:
    """An edit whose author knows how the checksum is made."""

    def harm(path: Path) -> None:
        raw = json.loads(path.read_bytes())
        edit(raw)
        path.write_text(json.dumps(raw))
        seal_baseline(path)

    return harm


def seal_baseline(path: Path) -> None:
    """Give a manifest the checksum of what is in it."""
    from instructor_eval.analysis.compare.baseline_files import _checksum

    raw = json.loads(path.read_bytes())
    raw.pop("checksum", None)
    path.write_text(json.dumps(raw | {"checksum": _checksum(raw)}))


def _items(harm: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: harm(sorted((path.parent / "items").glob("SciFact.*"))[0])


COMPARE = ("compare", "baseline:main", "minilm@int8")
SHOW = ("baseline", "show")
_ENTRY = ("tasks", "SciFact")
BASELINES = [
    *(
        Case(f"{command[0]}: a baseline is {kind}", _of_baseline(WRONG_FILES[kind][0], *command), ("last.json",))
        for i, kind in enumerate(_FILES)
        for command in [(COMPARE, SHOW, ("baseline", "pin"), ("gate", "--candidate", "minilm@int8"))[i % 4]]
        if kind not in ("a FIFO", "/dev/zero", "a folder", "a link to itself")
    ),
    *(
        Case(
            f"{command[0]}: of a baseline {'.'.join(place)} is {what}",
            _of_baseline(_sealed(put(*place, value=value)), *command),
            ("last.json", "not a whole baseline"),
        )
        for i, (place, what, value) in enumerate(
            (
                (("tasks",), "a list", []),
                (("tasks",), "empty", {}),
                (("model",), "a text", "x"),
                (_ENTRY, "a text", "x"),
                ((*_ENTRY, "score"), "a text", "x"),
                ((*_ENTRY, "score"), "1e300", 1e300),
                ((*_ENTRY, "n_items"), "a list", []),
                ((*_ENTRY, "items"), "a text", "x"),
                ((*_ENTRY, "items", "file"), "a way out", "../../../../etc/passwd"),
                ((*_ENTRY, "items", "file"), "a NUL", "a\0"),
                ((*_ENTRY, "identity"), "a NUL", "a\0b"),
                ((*_ENTRY, "reader"), "a text", "x"),
                ((*_ENTRY, "protocol"), "a list", []),
                ((*_ENTRY, "limit"), "a text", "x"),
                ((*_ENTRY, "created"), "a number", 5),
                ((*_ENTRY, "instructions"), "a list", []),
            )
        )
        for command in [(COMPARE, SHOW)[i % 2]]
    ),
    *(
        Case(
            f"compare: a baseline's items are {kind}",
            _of_baseline(_items(WRONG_FILES[kind][0]), *COMPARE),
            ("items of SciFact",),
        )
        for kind in ("a FIFO", "/dev/zero", "a folder", "a dangling link", "empty")
    ),
    *(
        Case(
            f"{' '.join(command)}: escapes in a baseline's {'.'.join(place)}",
            _of_baseline(_sealed(put(*place, value=ESCAPES)), *command),
            code=0,
        )
        for place in (("note",), ("label",), ("created",), ("model", "name"))
        for command in (SHOW, (*SHOW, "--format", "json"), COMPARE)
    ),
]
STATISTICS = [
    Case(
        f"leaderboard: the statistics are {kind}",
        _file("statistics/board.v2", WRONG_FILES[kind][0], "leaderboard"),
        code=0,
    )
    for kind in _FILES
]
OTHERS = [
    *(
        Case(
            f"gate: its folder's {name} is {what}",
            _file(f"gate/{name}", harm, "gate", "--baseline", "minilm", "--candidate", "minilm@int8"),
            says,
            code=code,
        )
        for name, what, harm, says, code in (
            ("gate.json", "a folder", WRONG_FILES["a folder"][0], ("gate", "cannot write"), 2),
            ("gate.json", "a FIFO", WRONG_FILES["a FIFO"][0], (), 0),
            ("junit.xml", "a link to /dev/zero", WRONG_FILES["/dev/zero"][0], (), 0),
        )
    ),
    Case(
        "gate: thresholds 100,000 deep",
        lambda folder: (
            (results(folder), (folder / "t").write_text(DEEP))[:0]
            or ("gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--thresholds", "t")
        ),
        ("t", "nested too deeply"),
    ),
]
CASES = [*GATES, *BASELINES, *STATISTICS, *OTHERS]
