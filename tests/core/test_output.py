from __future__ import annotations

import errno
import io
import sys

import pytest

from instructor_eval.core import output
from instructor_eval.core.errors import UserError


class Broken(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def write(self, _text: str, /) -> int:
        raise OSError(self.code, "No space left on device")


def test_nothing_drives_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.tell("a\x1b[31mb\u202e\nc\x9b")
    output.say("d\r\x07")
    output.warn("e\x1b]0;x\x07\nf")
    captured = capsys.readouterr()
    assert captured.out == "a\ufffd[31mb\ufffd\nc\ufffd\nd\ufffd\ufffd\n"
    assert captured.err == "e\ufffd]0;x\ufffd\nf\n"


def test_a_line_on_standard_error_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn("evaluate: " + "x" * 10**6 + ": delete it")
    err = capsys.readouterr().err
    assert len(err) <= 500
    assert err.startswith("evaluate: xxx")
    assert err.endswith("x: delete it\n")


def test_standard_error_never_ends_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, Broken(errno.ENOSPC)):
        monkeypatch.setattr(sys, "stderr", stream)
        output.warn("x")
        output.pass_by("x")


def test_standard_output_that_is_full_is_said_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    monkeypatch.setattr(output, "silence", lambda: None)
    output.say("a line of a run")
    with pytest.raises(UserError, match="cannot write to standard output: no space left on device: free some space"):
        output.tell("the table")


def test_prose_is_broken_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"  {'word ' * 30}end\n\n{'x' * 60} short"
    assert output.prose(text) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    lines = output.prose(text).split("\n")
    assert max(map(len, lines)) == 60  # a word is never cut
    assert all(line.startswith("    ") for line in lines[1:4])
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_verdicts_have_colours_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "✗ REGRESSED  task  ▼ 1.0\n▲ 2.0 REGRESSEDLY \x1b[31m"
    output.tell(text)
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.tell(text)
    assert capsys.readouterr().out == (
        "\x1b[31m✗ REGRESSED\x1b[0m  task  \x1b[31m▼\x1b[0m 1.0\n\x1b[32m▲\x1b[0m 2.0 REGRESSEDLY \ufffd[31m\n"
    )
    output.tell('{"verdict": "REGRESSED"}')
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        output.tell(text)
        monkeypatch.delenv(name)
    assert capsys.readouterr().out == '{"verdict": "REGRESSED"}\n' + 2 * plain
