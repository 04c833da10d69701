"""Ask a reader: equal questions once, nothing that is known already, and each answer kept as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instructor_eval.core.progress import Progress
from instructor_eval.readers.answers import AnswerCache
from instructor_eval.readers.contract import Answer, Question, Reader, RefusedPromptError


@dataclass(frozen=True)
class Answers:
    """What came of asking. `asked` and `hits` together are the number of different questions."""

    answers: list[Answer]
    """In the order of the questions."""
    asked: int
    """Different questions that the reader answered."""
    hits: int
    """Different questions whose answers were in the cache."""


def ask(reader: Reader, questions: Sequence[Question], cache: AnswerCache | None = None, *, label: str = "") -> Answers:
    """Ask `reader` what `cache` does not know.

    Args:
        reader: A cheap one is asked everything, and nothing is kept.
        questions: Equal ones are asked once.
        cache: Has all answers that came, whatever ends the reading.
        label: Whose progress is shown; without it nothing is.

    Raises:
        UserError: the reader cannot be had, or cannot read these questions.
        RuntimeError: the reader does not answer each question just once.
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
    """The reader's answers by place, each kept when it comes."""
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
        if close is not None:  # a generator lets go of what it holds now, not when the error is forgotten
            close()
    if len(read) < len(questions):
        raise RuntimeError(f"reader {reader.name} answered {len(read)} of {len(questions)} questions")
    return read


def _size(questions: Iterable[Question]) -> int:
    """Characters to be read, for judging the time left."""
    return sum(len(q.prompt) + sum(map(len, q.options)) for q in questions)
