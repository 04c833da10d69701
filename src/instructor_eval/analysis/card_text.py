"""Scores as Markdown for a model card: the table, the literal instructions, the versions of the libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from instructor_eval.analysis.format import score_text
from instructor_eval.core.escapes import json_text, markdown
from instructor_eval.core.tables import render
from instructor_eval.results.score import Score, key_of

_HEADERS = ["model", "variant", "instructions", "task", "metric", "score", "95 %", "items"]


def card_text(scores: Sequence[Score]) -> str:
    """Return scores times 100 in a table, in their order, and below it what they were made with."""
    parts = [render(_HEADERS, [_row(score) for score in scores], "md", left=5), *_failures(scores)]
    instructions = list(dict.fromkeys(line for score in scores for line in _instructions(score)))
    if instructions:
        parts.append("\n".join(["Instructions, to the letter:", "", *instructions]))
    versions = dict.fromkeys(f"{name} {v}" for score in scores for name, v in score.environment.versions.items())
    if versions:
        parts.append(f"Made with {', '.join(markdown(name) for name in sorted(versions))}.")
    return "\n\n".join(parts)


def _row(score: Score) -> list[str | None]:
    name, _, variant, instructions = key_of(score)
    interval = None
    found = score.statistics.interval if score.statistics else None
    if found is not None and found.low is not None and found.high is not None:
        interval = f"[{100 * found.low:.2f}, {100 * found.high:.2f}]"
    # --limit N is another thing than the task.
    task = score.task if score.limit is None else f"{score.task} (the first {score.limit:,})"
    value = score_text(score.score) if score.status == "ok" else "failed"
    return [name, variant, instructions, task, score.metric, value, interval, f"{score.n_items:,}"]


def _failures(scores: Iterable[Score]) -> list[str]:
    lines = [f"- {markdown(f'{s.task}: {s.error}')}" for s in scores if s.status != "ok"]
    return ["\n".join(["Failed:", "", *lines])] if lines else []


def _instructions(score: Score) -> list[str]:
    """Return a line for each instruction that is not empty."""
    head = f"{score.instructions.set}, {score.task}"
    texts = score.instructions.texts.items()
    return [f"- {markdown(f'{head}, {role}')}: {_code(text)}" for role, text in texts if text]


def _code(text: str) -> str:
    """Return a text in quotes as code, in which nothing is markup."""
    quoted = json_text(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", quoted)), default=0))
    return f"{fence}{quoted}{fence}"
