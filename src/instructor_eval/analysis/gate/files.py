"""The files a gate leaves: gate.json for programs, junit.xml for dashboards, summary.md and comment.md for people.

They hold no time of day: the same results, thresholds and command give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from instructor_eval.analysis.gate.junit import junit
from instructor_eval.analysis.gate.markdown import COMMENT, summary
from instructor_eval.analysis.gate.outcome import Outcome, Plain, ordered, repeat_command
from instructor_eval.analysis.gate.quality import Judgement, TaskVerdict
from instructor_eval.analysis.gate.reasons import Adjustment
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.analysis.statistics.matching import Moved
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.checksums import json_bytes

SCHEMA_VERSION = 1
FILES = ("gate.json", "junit.xml", "summary.md", "comment.md")
_ITEMS_IN_COMMENT = 5


def prepare(folder: Path) -> None:
    """Make the folder, and delete what an earlier gate left in it: no one may take that for this one's.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as e:
        raise _not_written(folder, e) from e


def write(folder: Path, outcome: Outcome) -> list[Path]:
    """Write all files, each whole or not at all.

    Returns:
        Their paths, gate.json first.

    Raises:
        UserError: the folder cannot be written.
    """
    comment = summary(outcome, COMMENT, items=_ITEMS_IN_COMMENT)
    contents = {
        "gate.json": json_bytes(as_json(outcome)),
        "junit.xml": junit(outcome),
        "summary.md": summary(outcome).encode("utf-8", "replace"),
        "comment.md": comment.encode("utf-8", "replace"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            atomic_write(folder / name, lambda f, content=content: f.write(content))
    except OSError as e:
        raise _not_written(folder, e) from e
    return [folder / name for name in contents]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything that was decided, and why; scores, differences and margins are fractions of 1.

    The thresholds are in the units of their file.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": outcome.verdict,
        "exit_code": outcome.exit_code,
        "headline": outcome.headline,
        "gates": outcome.verdicts,
        "quality": [_quality(j) for j in outcome.judgements],
        **{gate: [_plain(p) for p in outcome.plain if p.gate == gate] for gate in ("drift", "speed")},
        "thresholds": outcome.thresholds.as_json(),
        "fail_on_inconclusive": outcome.fail_on_inconclusive,
        "version": VERSION,
        "command": list(outcome.command),
        "report": outcome.report,
    }


def _quality(judgement: Judgement) -> dict[str, Any]:
    comparison = judgement.comparison
    return {
        "verdict": judgement.verdict,
        "baseline": {"label": comparison.baseline, "source": comparison.baseline_source},
        "candidate": {"label": comparison.candidate, "source": comparison.candidate_source},
        "macro": _verdict(judgement.macro, comparison.macro_chance) if judgement.macro else None,
        "types": {kind: _difference(difference) for kind, difference in comparison.types.items()},
        "adjustment": _adjustment(judgement.adjustment),
        "tasks": [_task(row) for row in ordered(judgement) if row is not judgement.macro],
        "left_out": list(comparison.left_out),
        "sentence": judgement.sentence,
    }


def _adjustment(found: Adjustment) -> dict[str, Any]:
    """What `p_adjusted` is adjusted for."""
    return {
        "method": "holm" if found.tasks > 1 else "none",
        "alpha": found.alpha,
        "tasks": found.tasks,
        "task_weight": found.task_weight,
        "mean_weight": found.mean_weight,
        "sentence": found.sentence,
    }


def _plain(found: Plain) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "baseline": {"label": found.baseline},
        "candidate": {"label": found.candidate},
        "line": found.line,
        "parts": [{"name": p.name, "verdict": p.verdict, "message": p.message} for p in found.parts],
        "notes": list(found.notes),
        "details": dict(found.raw),
    }


def _task(row: TaskVerdict) -> dict[str, Any]:
    task = row.comparison
    if task is None:
        return _verdict(row, None)
    return {
        **_verdict(row, task.chance),
        "type": task.type,
        "metric": task.metric,
        "unit": task.unit,
        "baseline": task.baseline,
        "candidate": task.candidate,
        "p_t": task.p_t,
        "items": task.n,
        "wins": task.wins,
        "ties": task.ties,
        "losses": task.losses,
        "changed": task.changed,
        "lost": [_moved(m) for m in task.lost],
        "gained": [_moved(m) for m in task.gained],
        "not_comparable": task.not_comparable,
        "notes": list(task.notes),
        "command": list(task.command),
        "repeat": repeat_command(row),
    }


def _verdict(row: TaskVerdict, chance: Chance | None) -> dict[str, Any]:
    """What a task and the mean have in common."""
    return {
        "name": row.name,
        "verdict": row.verdict,
        "message": row.message,
        "margin": row.margin,
        "difference": _difference(row.difference) if row.difference else None,
        "p": chance.loss if chance else None,
        "p_gain": chance.gain if chance else None,
        "p_method": chance.method if chance else None,
        "p_exact": chance.exact if chance else None,
        "resamples": chance.resamples if chance else None,
        "p_adjusted": row.p_adjusted,
        "p_adjusted_gain": row.p_adjusted_gain,
        "minimum_detectable": row.minimum_detectable,
        "needed": row.needed,
        "same_model": row.same_model,
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "delta": found.delta,
        "low": found.low,
        "high": found.high,
        "lower": found.lower,
        "upper": found.upper,
        "se": found.se,
        "df": found.df,
        "n": found.n,
        "method": found.method,
        "weak": found.weak,
    }


def _moved(item: Moved) -> dict[str, Any]:
    return {"id": item.id, "baseline": item.baseline, "candidate": item.candidate, "delta": item.delta}


def _not_written(folder: Path, e: OSError) -> UserError:
    return UserError(f"cannot write the gate's files to {folder}: {reason(e)}: choose another folder with --output")
