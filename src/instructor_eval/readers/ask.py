"""Ask a reader: equal questions once, no question with a known answer, and each answer stored at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instructor_eval.core.progress import Progress
from instructor_eval.readers.answers import AnswerCache
from instructor_eval.readers.contract import Answer, Question, Reader, RefusedPromptError


@dataclass(frozen=True)
class Answers:
    """The answers to all questions. `asked` and `hits` together are the number of different questions."""

    answers: list[Answer]
    """In the order of the questions."""
    asked: int
    """Different questions that the reader answered."""
    hits: int
    """Different questions whose answers were in the cache."""


def ask(reader: Reader, questions: Sequence[Question], cache: AnswerCache | None = None, *, label: str = "") -> Answers:
    """Ask `reader` every question without an answer in `cache`.

    Args:
        reader: A cheap one is asked everything, without the cache.
        questions: Equal ones are asked once.
        cache: Has all answers so far, whatever ends the reading.
        label: Name of the progress bar; empty: none is shown.

    Raises:
        UserError: the reader cannot be had, or cannot read these questions.
        RuntimeError: the reader does not answer each question exactly once.
    """
    different = list(dict.fromkeys(questions))
    if reader.is_cheap:
        cache = None
    with Progress(label, unit="questions") as progress:
        progress.expect(len(different), _size(different))
        known = {} if cache is None else cache.find(reader.fingerprint, different)
        progress.found(len(known), _size(different[place] for place in known))
        missing = [place for place in range(len(different)) if place not in known]
        try:
            read = _read(reader, [different[place] for place in missing], cache, progress)
        except RefusedPromptError as e:
            if e.place is None:
                raise
            row = questions.index(different[missing[e.place]])
            raise e.of(f" of question {row + 1:,} of {len(questions):,}") from None
    answer_of = {different[place]: answer for place, answer in known.items()}
    answer_of |= {different[missing[place]]: answer for place, answer in read.items()}
    return Answers([answer_of[question] for question in questions], asked=len(read), hits=len(known))


def _read(
    reader: Reader, questions: Sequence[Question], cache: AnswerCache | None, progress: Progress
) -> dict[int, Answer]:
    """Return the reader's answers by place, and store each when it arrives."""
    read: dict[int, Answer] = {}
    if not questions:
        return read
    progress.resume()
    answers = reader.read(questions)
    try:
        for place, answer in answers:
            if place in read or place not in range(len(questions)):
                again = "answered twice" if place in read else f"none of {len(questions)}"
                raise RuntimeError(f"reader {reader.name}: question {place} is {again}")
            if cache is not None:
                cache.keep(reader.fingerprint, reader.name, questions[place], answer)
            read[place] = answer
            progress.advance(1, 0, _size([questions[place]]))
    finally:
        close = getattr(answers, "close", None)
        if close is not None:  # a generator releases its memory now, not when the error is gone
            close()
    if len(read) < len(questions):
        raise RuntimeError(f"reader {reader.name} answered {len(read)} of {len(questions)} questions")
    return read


def _size(questions: Iterable[Question]) -> int:
    """Return the characters of questions, for the estimate of the time left."""
    return sum(len(q.prompt) + sum(map(len, q.options)) for q in questions)
