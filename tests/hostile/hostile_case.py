"""What a hostile input is, and the rule for what a command does with it."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    """

    name: str
    make: Callable[[Path], Sequence[str]]
    says: Sequence[str] = ()
    code: int = 2
    lines: int | None = 1
    serve: Callable[[], contextlib.AbstractContextManager[str]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def check(case: Case, folder: Path, forks: Forks) -> Ended:
    """Run a case in an empty folder and hold what happens against the rule."""
    __tracebackhide__ = True
    arguments = list(case.make(folder))
    before = sorted(_files(folder))
    with case.serve() if case.serve else contextlib.nullcontext("") as url:
        arguments = [a.replace("{url}", url) for a in arguments]
        ended = forks.run(arguments, folder, environment=case.environment)
    out, err = ended.out.decode(), ended.err.decode()
    how = f"\ncode {ended.code} after {ended.seconds:.1f} s, {ended.megabytes:.0f} MB"
    told = f"{how}\n{out[-1000:]}\n{err[:300]} ... {err[-1200:]}"
    assert "Traceback" not in out + err, told
    assert ended.code == case.code, told
    assert ended.seconds < SECONDS, told
    assert ended.megabytes < MEGABYTES, told
    for text in (out, err):
        raw = {c for c in text if not c.isprintable()} - {"\n"}
        assert not raw, f"raw characters {raw}{told}"
    lines = err.splitlines()
    assert max(map(len, lines), default=0) <= LONGEST, told
    if case.lines is not None and case.code:
        assert len(lines) == case.lines, told
        assert lines[-1].startswith("evaluate: "), told
    for word in case.says:
        assert word in err, f"no {word!r} in stderr{told}"
    lost = set(before) - set(_files(folder))
    assert not lost, f"lost: {lost}{told}"
    half = [f for f in _files(folder) if f not in before and Path(f).name.startswith(".")]
    assert not half, f"left behind: {half}{told}"
    return ended


def _files(folder: Path) -> Iterator[str]:
    """Names of files below a folder, those that cannot be looked into left out."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if stat.S_ISDIR(path.lstat().st_mode):
                yield from _files(path)
            else:
                yield str(path)
