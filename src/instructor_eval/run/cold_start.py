"""Measure a form in a fresh process: its start to the first vector, and its memory. No torch here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from instructor_eval.core.errors import UserError
from instructor_eval.models.images.model import ImageModel
from instructor_eval.results.costs import Cold
from instructor_eval.run.samples import Loadable

# -P: a file of the current folder must not stand in for a library's.
_COMMAND = [sys.executable, "-P", "-m", "instructor_eval.run.child"]
_TIMEOUT = 3600.0
_AGAIN = "what is measured is filed, `evaluate measure` tries this again"


def cold_start(
    checkpoint: Loadable,
    *,
    device: str,
    instruction: str,
    texts: int,
    batch_tokens: int | None = None,
    trust_remote_code: bool = False,
    compiled: bool = False,
) -> Cold:
    """Start a process, load the form of `checkpoint` in it and encode the sample's first `texts` texts or pictures.

    Raises:
        UserError: that process failed, or was killed; in one line.
    """
    order = {
        "folder": "" if isinstance(checkpoint, ImageModel) else os.fspath(checkpoint.folder),
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "family": checkpoint.family,
        "form": checkpoint.form,
        "fingerprint": checkpoint.fingerprint,
        "device": device,
        "instruction": instruction,
        "texts": texts,
        "batch_tokens": batch_tokens,
        "trust_remote_code": trust_remote_code,
        "compiled": compiled,
        "started": time.monotonic(),  # the same clock in all processes of a machine
    }
    who = f"variant {checkpoint.form} of {checkpoint.name}, in a process of its own,"
    try:
        done = subprocess.run(  # noqa: S603 # our own module; what the user gave goes through standard input
            _COMMAND,
            input=json.dumps(order),
            env={**os.environ, "HF_HUB_OFFLINE": "1"},  # the files are here
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise UserError(f"{who} could not be measured ({e}): {_AGAIN}") from e
    if done.returncode < 0:
        raise UserError(f"{who} {_killed(-done.returncode)}: {_AGAIN}")
    try:
        if done.returncode:
            raise ValueError(_last_line(done.stderr) or f"exit code {done.returncode}")
        return Cold(**json.loads(done.stdout))
    except (ValueError, TypeError) as e:
        raise UserError(f"{who} failed: {str(e)[:500]}: {_AGAIN}") from e


def _killed(number: int) -> str:
    if number == signal.SIGKILL:
        return "was killed, as systems do when memory runs out; close other programs, or use a smaller model"
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"was ended by signal {number}"


def _last_line(text: str) -> str:
    """The last line of a traceback, or of what a library had to say: the error itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
