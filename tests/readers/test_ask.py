"""Asking a reader: equal questions once, known ones never, in any order, and nothing lost when it breaks off."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tqdm.std

from instructor_eval.core.errors import UserError
from instructor_eval.core.progress import Progress
from instructor_eval.readers.answers import AnswerCache
from instructor_eval.readers.ask import Answers, ask
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.nearest import NearestReader

QUESTIONS = [Question(f"Question {i}", stop=("\n",)) for i in range(6)]


def right(question: Question) -> Answer:
    return Answer(f"{question.prompt}: {question.most_similar}", (len(question.prompt) / 3,))


class Reader:
    """Answers as `script` says: places, or what is raised; without one, all places from the last to the first."""

    name = "scripted"
    fingerprint = "a" * 16
    is_cheap = False

    def __init__(self, *script: int | BaseException) -> None:
        self.script = script
        self.asked: list[list[Question]] = []
        self.closed = 0

    def describe(self) -> dict[str, Any]:
        return {}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        self.asked.append(list(questions))
        try:
            for step in self.script or reversed(range(len(questions))):
                if isinstance(step, BaseException):
                    raise step
                yield step, right(questions[step]) if step < len(questions) else Answer("nobody asked")
        finally:
            self.closed += 1

    def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    """On disk; any warning is a failure."""
    return AnswerCache(tmp_path, warn=pytest.fail)


@pytest.mark.parametrize("cached", [False, True])
def test_answers_come_in_the_order_of_the_questions(cache: AnswerCache, cached: bool) -> None:
    reader = Reader()
    came = ask(reader, QUESTIONS, cache if cached else None)
    assert came == Answers([right(q) for q in QUESTIONS], asked=6, hits=0)
    assert (reader.asked, reader.closed) == ([QUESTIONS], 1)


def test_equal_questions_are_asked_once(cache: AnswerCache) -> None:
    a, b = QUESTIONS[:2]
    near = Question(a.prompt, stop=a.stop, most_similar="x")  # differs in what only `nearest` sees
    reader = Reader()
    came = ask(reader, [a, b, a, near, b, Question("Question 0", stop=("\n",))])
    assert came == Answers([right(q) for q in (a, b, a, near, b, a)], asked=3, hits=0)
    assert reader.asked == [[a, b, near]]


def test_what_is_known_is_not_asked_again(cache: AnswerCache) -> None:
    ask(Reader(), QUESTIONS[1:4], cache)
    reader = Reader()
    came = ask(reader, [*QUESTIONS, QUESTIONS[2]], cache)
    assert came == Answers([right(q) for q in [*QUESTIONS, QUESTIONS[2]]], asked=3, hits=3)
    assert reader.asked == [[QUESTIONS[0], QUESTIONS[4], QUESTIONS[5]]]
    reader = Reader()
    assert ask(reader, QUESTIONS, cache) == Answers([right(q) for q in QUESTIONS], asked=0, hits=6)
    assert reader.asked == [], "a reader that has nothing to do is not even begun"


def test_another_reader_is_asked_again(cache: AnswerCache) -> None:
    ask(Reader(), QUESTIONS, cache)
    reader = Reader()
    reader.fingerprint = "b" * 16
    assert ask(reader, QUESTIONS, cache).asked == 6


def test_a_cheap_reader_needs_no_cache(cache: AnswerCache) -> None:
    questions = [Question("What?", most_similar=word) for word in ("this", "that", "this")]
    for _ in range(2):
        came = ask(NearestReader(), questions, cache)
        assert came == Answers([Answer("this"), Answer("that"), Answer("this")], asked=2, hits=0)
    assert cache.find(NearestReader.fingerprint, questions) == {}


def test_no_questions(cache: AnswerCache) -> None:
    reader = Reader(UserError("never"))
    assert ask(reader, [], cache) == Answers([], asked=0, hits=0)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ((0, 1, 2, 3, 4), "reader scripted answered 5 of 6 questions"),
        ((0, 1, 0), "reader scripted: question 0 is answered twice"),
        ((0, 1, 2, 3, 4, 5, 3), "reader scripted: question 3 is answered twice"),
        ((0, 1, 6), "reader scripted: question 6 is none of 6"),
        ((0, 1, -1), "reader scripted: question -1 is none of 6"),
    ],
)
def test_a_reader_that_does_not_keep_to_the_contract(cache: AnswerCache, script: tuple[int, ...], message: str) -> None:
    reader = Reader(*script)
    with pytest.raises(RuntimeError) as failure:
        ask(reader, QUESTIONS, cache)
    assert str(failure.value) == message
    assert reader.closed == 1
    places = {place for place in script if place in range(6)}
    assert cache.find(reader.fingerprint, QUESTIONS) == {place: right(QUESTIONS[place]) for place in places}


@pytest.mark.parametrize("error", [UserError("the endpoint is gone"), KeyboardInterrupt(), ValueError("an error")])
def test_what_came_before_an_error_is_stored(cache: AnswerCache, error: BaseException) -> None:
    with pytest.raises(type(error)) as failure:
        ask(Reader(4, 1, error), QUESTIONS, cache)
    assert failure.value is error
    reader = Reader()
    assert ask(reader, QUESTIONS, cache) == Answers([right(q) for q in QUESTIONS], asked=4, hits=2)
    assert reader.asked == [[QUESTIONS[i] for i in (0, 2, 3, 5)]]


def test_each_answer_is_stored_before_the_next_is_read(tmp_path: Path, cache: AnswerCache) -> None:
    seen = []

    class Watching(Reader):
        def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
            for place, question in enumerate(questions):
                with AnswerCache(tmp_path, warn=pytest.fail) as other:
                    seen.append(len(other.find(self.fingerprint, questions)))
                yield place, right(question)

    ask(Watching(), QUESTIONS, cache)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_an_interrupt_between_two_answers_closes_the_reading(
    cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, keep = Reader(), cache.keep

    def interrupted(fingerprint: str, name: str, question: Question, answer: Answer) -> None:
        keep(fingerprint, name, question, answer)
        if question == QUESTIONS[4]:
            raise KeyboardInterrupt

    monkeypatch.setattr(cache, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt) as failure:
        ask(reader, QUESTIONS, cache)
    assert reader.closed == 1, failure.traceback  # the traceback still holds the generator: nothing else closes it
    assert sorted(cache.find(reader.fingerprint, QUESTIONS)) == [4, 5]


def test_a_reading_that_is_no_generator() -> None:
    class Plain(Reader):
        def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
            return iter([(place, right(question)) for place, question in enumerate(questions)])

    assert ask(Plain(), QUESTIONS) == Answers([right(q) for q in QUESTIONS], asked=6, hits=0)


# Progress


class Slow(Reader):
    """Takes 20 s for an answer, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(tqdm.std, "time", lambda: self.now)
        monkeypatch.setattr(Progress, "enabled", True)

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        for place, question in enumerate(questions):
            self.now += 20
            yield place, right(question)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_quiet_line_every_half_minute(cache: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(Reader(), QUESTIONS[:2], cache)
    reader, stream = Slow(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    ask(reader, QUESTIONS, cache, label="SST2")
    assert stream.getvalue().splitlines() == [
        "  SST2: 4 of 6 questions, 0.1 questions/s, 50 % from the cache, 40 s left",
        "  SST2: 6 of 6 questions, 0.1 questions/s, 33 % from the cache",
    ]


def test_time_left_goes_by_what_is_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, stream = Slow(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    long = [Question("x" * 60, ("y" * 20, "z" * 20)), Question("x" * 100), Question("x" * 10, ("y" * 30, "z" * 10))]
    ask(reader, long, label="XSum")  # after two, 200 characters took 40 s, and 50 are left
    assert stream.getvalue().splitlines() == ["  XSum: 2 of 3 questions, 0.1 questions/s, 10 s left"]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, stream = Slow(monkeypatch), Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    ask(reader, QUESTIONS, label="SST2")
    screens = stream.getvalue().split("\r")
    assert any(
        s.startswith("SST2:  50%|") and "| 3/6 questions, 0.1 questions/s, 1 min 00 s left" in s for s in screens
    )
    assert (screens[-1], screens[-2].strip()) == ("", "")
    assert "token" not in stream.getvalue()


def test_nothing_is_shown_without_a_label(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ask(Slow(monkeypatch), QUESTIONS)
    assert capsys.readouterr() == ("", "")


def test_the_bar_goes_when_the_reader_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(Progress, "enabled", True)
    with pytest.raises(UserError):
        ask(Reader(0, UserError("gone")), QUESTIONS, label="SST2")
    assert "SST2" in stream.getvalue()
    assert stream.getvalue().endswith("\r")
