"""A hostile input, and the rule for what a command does with it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forks import MEGABYTES, SECONDS, Ended, Forks

LONGEST = 500
"""Characters of an error's line."""


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Args:
        name: What it is, in a few words: `weights: a FIFO`.
        make: Writes it below an empty folder and gives the command's arguments, paths relative to that folder.
        says: What the error's line must have in it, letter by letter: the thing, the reason, the next step.
        code: The exit code. 0: a usual end, whose output may have anything but raw control characters.
        lines: Lines on stderr, where the command goes on to other things; None: any number.
        serve: A context that answers requests and gives the URL that stands for `{url}` in the arguments.
        environment: Variables set.
        user: The number of the user who runs it; None: the one who runs the tests, root perhaps, who may read all.
        tells: What standard output must have in it, where the command goes on to other things.
        not_shown: What nothing that is printed or written may have in it.
        writes: Files that the command leaves, where `not_shown` is looked for too.
    """

    name: str
    make: Callable[[Path], Sequence[str]]
    says: Sequence[str] = ()
    code: int = 2
    lines: int | None = 1
    serve: Callable[[], contextlib.AbstractContextManager[str]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None
    tells: Sequence[str] = ()
    not_shown: Sequence[str] = ()
    writes: Sequence[str] = ()


def check(case: Case, folder: Path, forks: Forks) -> Ended:
    """Run a case in an empty folder and hold what happens against the rule."""
    __tracebackhide__ = True
    if case.user is not None and os.geteuid():
        pytest.skip("only root can be another user")
    arguments = list(case.make(folder))
    before = sorted(_files(folder))
    with case.serve() if case.serve else contextlib.nullcontext("") as url:
        arguments = [a.replace("{url}", url) for a in arguments]
        ended = forks.run(arguments, folder, environment=case.environment, user=case.user)
    details = hold(ended)
    out, err = ended.out.decode(), ended.err.decode()
    assert ended.code == case.code, details
    lines = err.splitlines()
    if case.lines is not None and case.code:
        assert len(lines) == case.lines, details
        assert all(line.startswith("evaluate: ") for line in lines[-1:]), details
    for word in case.says:
        assert word in err, f"no {word!r} in stderr{details}"
    for word in case.tells:
        assert word in out, f"no {word!r} in stdout{details}"
    shown = [out, err, *((folder / name).read_text(encoding="utf-8") for name in case.writes)]
    for word in case.not_shown:
        assert not any(word in text for text in shown), f"{word!r} is shown{details}"
    lost = set(before) - set(_files(folder))
    assert not lost, f"lost: {lost}{details}"
    half = [
        f for f in _files(folder) if f not in before and Path(f).name.startswith(".") and Path(f).name != ".gitignore"
    ]
    assert not half, f"left behind: {half}{details}"
    return ended


def hold(ended: Ended) -> str:
    """Hold how a command ended against what is true of every one; what a failure says of it."""
    __tracebackhide__ = True
    out, err = ended.out.decode(), ended.err.decode()
    how = f"\ncode {ended.code} after {ended.seconds:.1f} s, {ended.megabytes:.0f} MB"
    details = f"{how}\n{out[-1000:]}\n{err[:300]} ... {err[-1200:]}"
    assert "Traceback" not in out + err, details
    assert ended.code >= 0, details
    assert ended.seconds < SECONDS, details
    assert ended.megabytes < MEGABYTES, details
    for text in (out, err):
        raw = {c for c in text if not c.isprintable()} - {"\n"}
        assert not raw, f"raw characters {raw}{details}"
    assert max(map(len, err.splitlines()), default=0) <= LONGEST, details
    return details


def _files(folder: Path) -> Iterator[str]:
    """Names of files below a folder, those that cannot be looked into left out."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if stat.S_ISDIR(path.lstat().st_mode):
                yield from _files(path)
            else:
                yield str(path)
