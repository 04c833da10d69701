"""The progress of a task as shown: a bar on a terminal, a quiet line every half minute elsewhere."""

from __future__ import annotations

import io
import re
import sys
import time
import types
from collections.abc import Callable

import pytest

from instructor_eval.core import output
from instructor_eval.core.progress import Progress, doing


class Clock:
    """Stands in for `time.monotonic`; time passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


class Stream(io.StringIO):
    """An error stream that may be a terminal."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal

    def screens(self) -> list[str]:
        """Every state of the bar, in order."""
        return [part.strip() for part in re.split(r"[\r\n]", self.getvalue()) if part.strip()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(Progress, "enabled", True)
    return clock


Show = Callable[..., Stream]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Show:
    """`shown()`: what goes to the error stream from here on (pytest puts its own there after the fixtures)."""

    def start(*, terminal: bool = False) -> Stream:
        stream = Stream()
        stream.terminal = terminal
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "120")
        return stream

    return start


def test_a_quiet_line_every_half_minute(clock: Clock, shown: Show) -> None:
    plain = shown()
    with Progress("STS12") as progress:
        progress.expect(4000, 100_000)
        clock.passes(29)
        progress.advance(1000, 50_000, 40_000)
        assert plain.getvalue() == ""
        clock.passes(1)
        progress.advance(500, 10_000, 10_000)
        # 1,500 texts and 60,000 tokens in 30 s; half of the characters are left.
        assert plain.getvalue() == "  STS12: 1,500 of 4,000 texts, 50.0 texts/s, 2,000 tokens/s, 30 s left\n"
        clock.passes(29.5)
        progress.advance(500, 10_000, 10_000)
        assert plain.getvalue().count("\n") == 1
        clock.passes(10.5)
        progress.advance(2000, 10_000, 40_000)
    last = plain.getvalue().splitlines()[-1]
    assert last == "  STS12: 4,000 of 4,000 texts, 57.1 texts/s, 1,143 tokens/s"  # nothing is left


def test_another_unit_without_tokens(clock: Clock, shown: Show) -> None:
    plain = shown()
    progress = Progress("SST2", unit="questions")
    progress.expect(40, 400)
    clock.passes(30)
    progress.advance(15, 0, 150)
    assert plain.getvalue() == "  SST2: 15 of 40 questions, 0.5 questions/s, 50 s left\n"
    terminal = shown(terminal=True)
    progress.expect(0, 0)
    assert re.fullmatch(r"SST2:  38%\|.*\| 15/40 questions, 0\.5 questions/s, 50 s left", terminal.screens()[-1])
    progress.close()


def test_a_notebook_has_a_bar(clock: Clock, shown: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error stream is no terminal."""
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    stream = shown()
    with Progress("STS12") as progress:
        progress.expect(10, 100)
        assert re.match(r"STS12:   0%\|.*\| 0/10 texts", stream.screens()[-1])


def test_time_left_goes_by_characters(clock: Clock, shown: Show) -> None:
    plain = shown()
    progress = Progress("Long first")
    progress.expect(100, 1_000_000)
    clock.passes(100)
    progress.advance(1, 200_000, 200_000)
    assert plain.getvalue() == "  Long first: 1 of 100 texts, 0.0 texts/s, 2,000 tokens/s, 6 min 40 s left\n"


@pytest.mark.parametrize(
    ("characters", "left"),
    [
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_the_clock(clock: Clock, characters: int, left: str) -> None:
    progress = Progress("task")
    progress.expect(20, 10 + characters)
    clock.passes(10)
    progress.advance(10, 10, 10)
    assert progress.rates() == f"1.0 texts/s, 1 tokens/s, {left} left"


def test_hits_are_a_share_and_no_work(clock: Clock, shown: Show) -> None:
    plain = shown()
    progress = Progress("ArguAna")
    progress.expect(1000, 50_000)
    clock.passes(20)  # looking up
    progress.found(750, 30_000)
    assert progress.rates() == "100 % from the cache"
    clock.passes(10)
    progress.advance(50, 5_000, 5_000)
    # 50 texts in the 10 s of computing; 15,000 of 20,000 characters are left.
    assert plain.getvalue() == (
        "  ArguAna: 800 of 1,000 texts, 5.0 texts/s, 500 tokens/s, 94 % from the cache, 30 s left\n"
    )


def test_everything_from_the_cache(clock: Clock, shown: Show) -> None:
    plain = shown()
    progress = Progress("task")
    progress.expect(1234, 5000)
    clock.passes(30)
    progress.found(1234, 5000)
    assert plain.getvalue() == "  task: 1,234 of 1,234 texts, 100 % from the cache\n"


def test_time_between_calls_is_not_counted(clock: Clock, shown: Show) -> None:
    plain = shown()
    progress = Progress("task")
    clock.passes(500)  # reading data
    progress.expect(10, 100)
    clock.passes(5)
    progress.advance(10, 100, 100)
    assert plain.getvalue() == ""
    clock.passes(1000)  # scoring
    progress.expect(30, 300)
    clock.passes(20)  # loading
    progress.resume()
    clock.passes(5)
    progress.advance(10, 100, 100)
    assert progress.busy == 10
    assert plain.getvalue() == "  task: 20 of 40 texts, 2.0 texts/s, 20 tokens/s, 10 s left\n"


def test_many_small_calls_are_shown_too(clock: Clock, shown: Show) -> None:
    """Each call is done in one batch, so that nothing is ever left when it reports."""
    plain = shown()
    progress = Progress("task")
    for _ in range(61):
        progress.expect(10, 100)
        clock.passes(1)
        progress.advance(10, 50, 100)
    assert plain.getvalue().splitlines() == [
        "  task: 300 of 300 texts, 10.0 texts/s, 50 tokens/s",
        "  task: 600 of 600 texts, 10.0 texts/s, 50 tokens/s",
    ]


def test_nothing_is_divided_by_zero(clock: Clock) -> None:
    progress = Progress("task")
    assert progress.rates() == ""
    progress.expect(0, 0)
    progress.found(0, 0)
    assert progress.rates() == ""
    progress.expect(3, 0)
    progress.advance(1, 1, 0)  # the clock stands still
    assert progress.rates() == ""
    clock.passes(1)
    progress.advance(1, 1, 0)  # empty texts alone
    assert progress.rates() == "2.0 texts/s, 2 tokens/s"
    progress.expect(1, 100)
    assert progress.rates() == "2.0 texts/s, 2 tokens/s"  # what 100 characters take is not known


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("kind", ["no label", "disabled"])
def test_nothing_is_shown(
    kind: str, terminal: bool, clock: Clock, shown: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = shown(terminal=terminal)
    monkeypatch.setattr(Progress, "enabled", kind != "disabled")
    with Progress("" if kind == "no label" else "task") as progress:
        progress.expect(10, 100)
        for _ in range(5):
            clock.passes(60)
            progress.found(1, 10)
            progress.advance(1, 10, 10)
    assert stream.getvalue() == ""
    assert (progress.done, progress.hits, progress.tokens) == (10, 5, 50)


def test_one_bar_whose_total_grows(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with Progress("STS12") as progress:
        progress.expect(0, 0)
        assert terminal.getvalue() == ""
        progress.expect(40, 400)
        bar = progress._bar
        assert (bar.n, bar.total) == (0, 40)
        assert re.fullmatch(r"STS12:   0%\|.*\| 0/40 texts", terminal.screens()[-1])
        progress.found(10, 100)
        clock.passes(10)
        progress.advance(10, 100, 100)
        assert (bar.n, bar.total) == (20, 40)
        progress.expect(60, 600)
        assert progress._bar is bar
        assert (bar.n, bar.total) == (20, 100)
        line = r"STS12:  20%\|.*\| 20/100 texts, 1\.0 texts/s, 10 tokens/s, 50 % from the cache, 1 min 20 s left"
        assert re.fullmatch(line, terminal.screens()[-1]), terminal.screens()[-1]
        clock.passes(100)
        progress.advance(20, 100, 100)
        assert "\n" not in terminal.getvalue()  # no quiet lines beside a bar
    assert progress._bar is None
    assert terminal.getvalue().endswith("\r")  # taken away
    assert terminal.getvalue().rsplit("\r", 2)[1].strip() == ""
    progress.close()


def test_a_bar_that_comes_back_goes_on(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    progress = Progress("task")
    progress.expect(10, 100)
    progress.advance(10, 100, 100)
    progress.close()
    progress.expect(10, 100)
    assert re.fullmatch(r"task:  50%\|.*\| 10/20 texts", terminal.screens()[-1])
    progress.close()


def test_the_bar_goes_when_the_task_fails(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with pytest.raises(ValueError, match="broken"), Progress("task") as progress:
        progress.expect(10, 100)
        raise ValueError("broken")
    assert progress._bar is None
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize("label", ["task", ""])
def test_a_note_without_a_bar(clock: Clock, shown: Show, monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    plain = shown()
    progress = Progress(label)
    progress.expect(10, 100)
    progress.note("memory is full")
    assert plain.getvalue() == "  memory is full\n"
    monkeypatch.setattr(Progress, "enabled", False)
    progress.note("memory is full again")
    assert plain.getvalue() == "  memory is full\n"


def test_a_note_beside_a_bar(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with Progress("task") as progress:
        progress.expect(10, 100)
        progress.advance(5, 50, 50)
        progress.note("memory is full")
        assert terminal.getvalue().count("  memory is full\n") == 1
        assert re.fullmatch(r"task:  50%\|.*\| 5/10 texts", terminal.screens()[-1]), "the bar goes on below"
    assert terminal.getvalue().count("\n") == 1


def test_what_goes_on_is_a_line_that_passes_by(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with doing("task"):
        assert terminal.getvalue() == "\r\x1b[Ktask ..."
        with doing("loading \x1b[31mmodel"):
            assert terminal.getvalue().endswith("\r\x1b[Kloading \ufffd[31mmodel ...")
        output.warn("a line")
        assert terminal.getvalue().endswith("\r\x1b[Ka line\n")  # and not behind what stood there
    assert terminal.getvalue().endswith(("\n", "\r\x1b[K"))


def test_its_seconds_move(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with doing("importing mteb"):
        clock.passes(75)
        while "1 min 15 s" not in terminal.getvalue():
            time.sleep(0.01)
    assert terminal.getvalue().endswith("importing mteb ... 1 min 15 s\r\x1b[K")


def test_what_goes_on_is_said_beside_a_bar(clock: Clock, shown: Show) -> None:
    terminal = shown(terminal=True)
    with Progress("STS12") as progress:
        progress.expect(10, 100)
        with doing("loading MiniLM"):
            pass
        assert terminal.screens()[-1].endswith("0/10 texts, loading MiniLM")
        assert "\x1b[K" not in terminal.getvalue()
    assert not Progress.bars


def test_elsewhere_and_quietly_nothing_is_said(clock: Clock, shown: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = shown()
    with doing("loading MiniLM"):
        pass
    terminal = shown(terminal=True)
    monkeypatch.setattr(Progress, "enabled", False)
    with doing("loading MiniLM"):
        pass
    assert plain.getvalue() + terminal.getvalue() == ""


def test_a_narrow_terminal_has_room_for_the_bar(clock: Clock, shown: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = shown(terminal=True)
    monkeypatch.setenv("COLUMNS", "80")
    with Progress("STS12") as progress:
        progress.expect(4000, 100_000)
        clock.passes(10)
        progress.advance(1000, 50_000, 40_000)
        progress.expect(0, 0)  # drawn again
        assert "100.0 texts/s" in terminal.screens()[-1]
        assert "tokens/s" not in terminal.screens()[-1]
