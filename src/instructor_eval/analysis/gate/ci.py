"""What a gate tells the CI system around it: one annotation, the job's summary, a link to the run.

GitHub Actions is known by its variables; elsewhere none of this does anything, and files and exit code say it all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from instructor_eval.analysis.gate.markdown import JOB_SUMMARY, summary
from instructor_eval.analysis.gate.outcome import Outcome, cut
from instructor_eval.analysis.gate.quality import INCONCLUSIVE, NOT_COMPARABLE, REGRESSED
from instructor_eval.core.errors import UserError, one_line

_LEVELS = {REGRESSED: "error", NOT_COMPARABLE: "error", INCONCLUSIVE: "warning"}
_ANNOTATION, _TITLE, _URL = 1000, 100, 2000


def report_url(given: str | None, env: Mapping[str, str]) -> str | None:
    """Where a report can be seen: `--report`, else the page of this run of GitHub Actions, else nowhere.

    Raises:
        UserError: `given` is not an http or https address.
    """
    if given is not None:
        if not _is_address(given):
            raise UserError(
                f"--report {cut(given, 100)}: not an address: give one that begins with https:// or http://"
            )
        return given
    parts = [env.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    url = f"{parts[0].rstrip('/')}/{parts[1]}/actions/runs/{parts[2]}"
    return url if all(parts) and env.get("GITHUB_ACTIONS") and _is_address(url) else None


def annotation(outcome: Outcome, env: Mapping[str, str]) -> str | None:
    """The one line that GitHub shows at the top of a run; None elsewhere, and where all is well.

    Only ten are shown a step, so there is one, for the whole.
    """
    level = _LEVELS.get(outcome.verdict)
    if not env.get("GITHUB_ACTIONS") or level is None:
        return None
    title = f"evaluate gate: {outcome.verdict}"
    said = cut(outcome.headline.removeprefix(f"{outcome.verdict}: "), _ANNOTATION)
    return f"::{level} title={_escaped(cut(title, _TITLE), value=True)}::{_escaped(said, value=False)}"


def warning(text: str, env: Mapping[str, str]) -> list[str]:
    """An annotation, on GitHub, for a gate that passes without having tested; else nothing."""
    if not env.get("GITHUB_ACTIONS"):
        return []
    return [f"::warning title={_escaped('evaluate gate: not tested', value=True)}::{_escaped(text, value=False)}"]


def append_summary(outcome: Outcome, env: Mapping[str, str]) -> str | None:
    """Append the Markdown to the file that GITHUB_STEP_SUMMARY names, if it does, within what still fits in.

    Returns:
        None, or one line that says why nothing or less was added: a summary is not worth the verdict.
    """
    name = env.get("GITHUB_STEP_SUMMARY", "")
    if not name:
        return None
    path = Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        text = summary(outcome, max(0, JOB_SUMMARY - there - 2))
        if not text:
            return f"the job's summary is full ({there:,} bytes): nothing was added, see summary.md"
        # Of a FIFO that nobody reads this is an error, and no waiting.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644), "ab") as f:
            f.write(f"{chr(10) if there else ''}{text}\n".encode("utf-8", "replace"))
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        return one_line(f"the job's summary {path} cannot be written ({reason.lower()}): see summary.md")
    return None


def _is_address(url: str) -> bool:
    if len(url) > _URL or not url.isascii() or not url.isprintable() or any(c in ' <>"`\\' for c in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _escaped(text: str, *, value: bool) -> str:
    """A workflow command's text; the value of a property may not hold `:` and `,` either."""
    escapes = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if value else [])]
    for character, escape in escapes:
        text = text.replace(character, escape)
    return text
