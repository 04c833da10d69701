"""The verdict of a gate, read from its `gate.json`: the page's first line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval.analysis.format import p_cell
from instructor_eval.analysis.gate.files import SCHEMA_VERSION
from instructor_eval.analysis.gate.quality import ORDER
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import why
from instructor_eval.core.stored_files import read_json
from instructor_eval.report.pairs import Pair, pair

_MOST_NOTES = 20


@dataclass(frozen=True)
class Verdict:
    """A gate's outcome."""

    verdict: str
    headline: str
    """One line, without the verdict."""
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Verdict and words of every gate, where several ran."""
    judged: list[Pair] = field(default_factory=list)
    """The quality gate's tasks, drawn, one a baseline."""
    notes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    sentence: str = ""


def read_verdict(path: Path, columns: Mapping[str, int]) -> Verdict:
    """Read a gate's file.

    Args:
        path: The `gate.json`.
        columns: Task -> its column on the page.

    Raises:
        UserError: it cannot be read, is of another schema version, or is not whole.
    """
    again = "run `evaluate gate` again, or leave it out with --no-gate"
    try:
        raw = read_json(path)
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: {why(e) if isinstance(e, OSError) else f'not readable ({e})'}: {again}") from e
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {version!r} is not {SCHEMA_VERSION}: another version wrote it: {again}"
        )
    try:
        return _verdict(raw, columns)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as e:
        raise UserError(f"{path}: not a whole gate.json ({e!r}): {again}") from e


def _verdict(raw: Mapping[str, Any], columns: Mapping[str, int]) -> Verdict:
    plain = [p for gate in ("drift", "speed") for p in raw.get(gate, [])]
    parts = [part for found in plain for part in found["parts"]]
    verdict, headline, gates = raw["verdict"], raw["headline"], raw["gates"]
    _check_known([verdict, *gates.values(), *(part["verdict"] for part in parts)])
    notes = [": ".join(_texts([part["name"], part["verdict"], part["message"]])) for part in parts]
    notes += [note for found in plain for note in _texts(found["notes"])]
    for found in raw["quality"]:
        left_out = _texts(found["left_out"])
        notes += [f"left out, only on one side: {', '.join(left_out)}"] if left_out else []
    sentences = _texts([found["sentence"] for found in raw["quality"]])
    sentences += _texts([a["sentence"] for found in raw["quality"] if (a := found.get("adjustment"))])
    [headline] = _texts([headline])
    return Verdict(
        verdict,
        headline.removeprefix(f"{verdict}: "),
        [(v, f"{gate} gate") for gate, v in gates.items()] if len(gates) > 1 else [],
        [_judged(found, columns) for found in raw["quality"]],
        notes[:_MOST_NOTES],
        _texts(raw["command"]),
        " ".join(dict.fromkeys(sentences)),
    )


def _check_known(verdicts: Iterable[object]) -> None:
    for verdict in verdicts:
        if verdict not in ORDER:
            raise ValueError(f"unknown verdict {str(verdict)[:80]!r}")


def _judged(raw: Mapping[str, Any], columns: Mapping[str, int]) -> Pair:
    """Return one judgement of the quality gate, drawn."""
    tasks = dict(zip(_texts([t["name"] for t in raw["tasks"]]), raw["tasks"], strict=True))
    macro = raw["macro"]
    every = {**tasks, **({"": macro} if macro else {})}
    _check_known([t["verdict"] for t in every.values()])

    def side(which: str) -> dict[str, float]:
        return {name: v for name, t in tasks.items() if (v := _number(t[which])) is not None}

    candidate, baseline = _texts([raw["candidate"]["label"], raw["baseline"]["label"]])
    return pair(
        candidate,
        baseline,
        {name: d for name, t in tasks.items() if (d := _difference(t["difference"]))},
        (side("candidate"), side("baseline")),
        columns=columns,
        macro=_difference(macro["difference"]) if macro else None,
        not_comparable={name: str(t["message"]) for name, t in tasks.items() if not t["difference"]},
        words={name: (str(t["verdict"]), _note(t)) for name, t in every.items()},
    )


def _note(task: Mapping[str, Any]) -> str:
    """Return `p 0.012, margin 1.00`."""
    p, margin = _number(task["p_adjusted"]), _number(task["margin"])
    parts = [] if p is None else [f"p {p_cell(p)}"]
    return ", ".join([*parts, *([] if margin is None else [f"margin {100 * margin:.2f}"])])


def _difference(raw: Mapping[str, Any] | None) -> Difference | None:
    delta = None if raw is None else _number(raw["delta"])
    if raw is None or delta is None:
        return None
    return Difference(delta, _number(raw["low"]), _number(raw["high"]), n=int(raw["n"]))


def _number(value: object) -> float | None:
    """Return a finite number, or None where the file has none.

    Raises:
        ValueError, OverflowError: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _texts(values: object) -> list[str]:
    """Return a list of texts.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{str(values)[:80]!r} is no list of texts")
    return values
