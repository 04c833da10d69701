"""Progress of a task's encoding: a bar on a terminal and in a notebook, a quiet line every half minute elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar

from instructor_eval.core.errors import fitted, one_line
from instructor_eval.core.output import columns, pass_by, warn

_LONGEST = 100
"""Characters of a label: a bar has one line for itself."""
_QUIET_SECONDS = 30.0
_TICK = 0.25
_WIDE = 100
"""Columns of a terminal that has room for tokens a second too."""
_doing: list[threading.Event] = []
"""The work that goes on, the innermost last; each ends when its event is set."""


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Show on a terminal what goes on, with its seconds, as one line that is gone at the end; elsewhere do nothing.

    Of several, one in the other, the innermost is shown; while there is a bar, beside it.
    """
    if not Progress.enabled or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    began, ended = time.monotonic(), threading.Event()

    def draw() -> None:
        if _doing[-1] is ended and not Progress.bars:
            seconds = int(time.monotonic() - began)
            pass_by(f"{what} ...{f' {_clock(seconds)}' if seconds else ''}")

    def go_on() -> None:
        while not ended.wait(_TICK):
            draw()

    _doing.append(ended)
    if Progress.bars:
        Progress.bars[-1].say_beside(what)
    draw()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _doing.remove(ended)
        if not Progress.bars:
            pass_by("")


class Progress:
    """One task's texts: how many are known of, found in the cache, computed. Without a label it shows nothing.

    The time left is judged by characters, since the longest texts come first. What is not a text has another `unit`.
    """

    enabled = True
    """Switched off by `--quiet`."""
    bars: ClassVar[list[Progress]] = []
    """Those whose bars are drawn now."""

    def __init__(self, label: str, *, unit: str = "texts") -> None:
        self.label = fitted(one_line(label), _LONGEST)
        self.unit = unit
        self.total = self.done = self.hits = self.tokens = 0
        self.work = self.worked = 0
        """Characters to be computed, and computed."""
        self.last = self.last_call = time.monotonic()
        self.busy = 0.0
        """Seconds spent on the texts computed, time between calls not counted."""
        self._bar: Any = None

    @property
    def shown(self) -> bool:
        """Return whether anything is printed."""
        return bool(self.label) and self.enabled

    def expect(self, texts: int, characters: int) -> None:
        """So many texts more are asked for."""
        self.resume()
        if not self.total:
            self.last = self.last_call  # reading the task's data was no part of this
        self.total += texts
        self.work += characters
        if self.total and self.shown and _draws_bars():
            if self._bar is None:
                from tqdm.auto import tqdm  # not needed by reading commands

                form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} " + self.unit + "{postfix}"
                pass_by("")
                Progress.bars.append(self)
                self._bar = tqdm(
                    total=self.total,
                    initial=self.done,
                    desc=self.label,
                    bar_format=form,
                    leave=False,
                    dynamic_ncols=True,
                )
            self._bar.total = self.total
            self._bar.set_postfix_str(self._beside())

    def resume(self) -> None:
        """Computing goes on from here: what has passed since the last text (a model was loaded) does not count."""
        self.last_call = time.monotonic()

    def found(self, texts: int, characters: int) -> None:
        """So many of them were in the cache."""
        self.resume()  # looking up is no computing
        self.hits += texts
        self.done += texts
        self.work -= characters
        self._show(texts)

    def advance(self, texts: int, tokens: int, characters: int) -> None:
        """So many of them are computed, of `tokens` tokens together."""
        now = time.monotonic()
        self.busy += now - self.last_call
        self.last_call = now
        self.done += texts
        self.tokens += tokens
        self.worked += characters
        self._show(texts)

    def _show(self, texts: int) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(self._beside(), refresh=False)
            self._bar.update(texts)
        elif self.shown and time.monotonic() - self.last >= _QUIET_SECONDS:
            self.last = time.monotonic()
            parts = [f"{self.done:,} of {self.total:,} {self.unit}", self.rates()]
            warn(f"  {self.label}: {', '.join(p for p in parts if p)}")

    def say_beside(self, text: str) -> None:
        """Show a text beside the bar until it moves."""
        if self._bar is not None:
            self._bar.set_postfix_str(fitted(one_line(text), max(20, columns() - len(self.label) - 40)))

    def _beside(self) -> str:
        """Return what stands beside a bar: on a narrow terminal less, so that the bar is seen to move."""
        return self.rates(tokens=columns() >= _WIDE)

    def rates(self, *, tokens: bool = True) -> str:
        """Units and tokens computed a second, share of hits, time left: as far as they are known."""
        parts = []
        computed, left = self.done - self.hits, self.work - self.worked
        if computed and self.busy > 0:
            parts.append(f"{computed / self.busy:,.1f} {self.unit}/s")
            if self.tokens and tokens:  # not everything is counted in tokens
                parts.append(f"{self.tokens / self.busy:,.0f} tokens/s")
        if self.hits:
            parts.append(f"{100 * self.hits / self.done:.0f} % from the cache")
        if left > 0 and self.worked and self.busy > 0:
            parts.append(f"{_clock(left * self.busy / self.worked)} left")
        return ", ".join(parts)

    def note(self, line: str) -> None:
        """Print a line that the user should see, beside a bar or without one."""
        if self._bar is not None:
            self._bar.write(f"  {one_line(line)}", file=sys.stderr)
        elif self.enabled:
            warn(f"  {line}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            Progress.bars.remove(self)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _draws_bars() -> bool:
    """Return whether a line can be drawn again: on a terminal, and in a notebook, where `tqdm.auto` shows a widget."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
