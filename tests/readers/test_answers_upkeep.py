"""Show, check and drop answers: by reader, beside a process that uses them, and whatever damage there is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from instructor_eval.cache.upkeep import Verdict
from instructor_eval.core.errors import UserError
from instructor_eval.readers import answers_upkeep as upkeep
from instructor_eval.readers.answers import ANSWERS, AnswerCache
from instructor_eval.readers.answers_upkeep import ReaderInfo
from instructor_eval.readers.contract import Answer, Question

FILE_NAME = ANSWERS.file
A, B = "hf:org/a", "endpoint:http://b:1/v1#b"
QUESTIONS = [Question(f"Question {i}", ("yes", "no")) for i in range(60)]


def _right(question: Question) -> Answer:
    number = int(question.prompt.split()[1])
    return Answer(f"answer {number} {'x' * (number * 13 % 300)}", (number / 3, number / 7))


def _keep(cache: AnswerCache, name: str, questions: list[Question]) -> None:
    for question in questions:
        cache.keep(name[-1] * 16, name, question, _right(question))


def _fill(folder: Path, **numbers: int) -> None:
    with AnswerCache(folder, warn=pytest.fail) as cache:
        for name, n in numbers.items():
            _keep(cache, {"a": A, "b": B}[name], QUESTIONS[:n])


def _found(folder: Path, name: str = A) -> int:
    """How many answers a run has, all of them right; it can keep all others."""
    with AnswerCache(folder, warn=pytest.fail) as cache:
        found = cache.find(name[-1] * 16, QUESTIONS)
        assert all(answer == _right(QUESTIONS[place]) for place, answer in found.items())
        _keep(cache, name, QUESTIONS)
        assert len(cache.find(name[-1] * 16, QUESTIONS)) == len(QUESTIONS)
    return len(found)


def _change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_info_is_by_reader(tmp_path: Path) -> None:
    assert upkeep.info(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    _fill(tmp_path)
    assert upkeep.info(tmp_path) == []
    _fill(tmp_path, a=2, b=1)
    # ["answer 0 ", [0.0, 0.0]] and ["answer 1 x...", [0.333..., 0.142...]]
    first, second = 25, 16 + 13 + 18 + 19 + 4
    assert upkeep.info(tmp_path) == [ReaderInfo(B, 1, first), ReaderInfo(A, 2, first + second - 1)]


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, warn=pytest.fail) as cache:
        _keep(cache, "hf:\udcff a", QUESTIONS[:1])
    assert upkeep.info(tmp_path)[0].reader == "hf:\\udcff a"
    assert upkeep.prune(tmp_path, "hf:\\udcff a").rows == 1


def test_info_of_damaged_rows(tmp_path: Path) -> None:
    _fill(tmp_path, a=4)
    values = ["NULL", "17", "x'ff'", "CAST(x'ff80' AS TEXT)"]
    _change(tmp_path, *(f"UPDATE answers SET reader = {v}, value = {v} WHERE rowid = {i + 1}"
                        for i, v in enumerate(values)))  # fmt: skip
    assert [(found.reader, found.bytes) for found in upkeep.info(tmp_path)] == [
        ("", 0), ("17", 2), ("\ufffd", 1), ("\ufffd\ufffd", 2)
    ]  # fmt: skip
    assert upkeep.verify(tmp_path) == Verdict(rows=4, wrong=4)


def test_prune_drops_one_readers(tmp_path: Path) -> None:
    _fill(tmp_path, a=60, b=3)
    before = (tmp_path / FILE_NAME).stat().st_size
    assert upkeep.prune(tmp_path, A).rows == 60
    assert (tmp_path / FILE_NAME).stat().st_size <= before / 2
    assert [found.reader for found in upkeep.info(tmp_path)] == [B]
    assert _found(tmp_path, B) == 3


def test_prune_beside_a_process_that_keeps(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, warn=pytest.fail) as cache:
        _keep(cache, A, QUESTIONS[:20])
        _keep(cache, B, QUESTIONS[:10])
        assert upkeep.prune(tmp_path, A).rows == 20
        _keep(cache, A, QUESTIONS[:5])
    assert (_found(tmp_path, A), _found(tmp_path, B)) == (5, 10)


def test_clear_drops_all_answers(tmp_path: Path) -> None:
    _fill(tmp_path, a=60)
    size = (tmp_path / FILE_NAME).stat().st_size
    dropped = upkeep.clear(tmp_path)
    assert dropped.rows == 60
    assert dropped.freed >= size / 2
    assert upkeep.info(tmp_path) == []
    assert _found(tmp_path) == 0


def test_clear_beside_a_process_that_keeps(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, warn=pytest.fail) as cache:
        _keep(cache, A, QUESTIONS)
        assert upkeep.clear(tmp_path).rows == 60
        assert cache.find("a" * 16, QUESTIONS) == {}
        _keep(cache, A, QUESTIONS[:5])
    assert _found(tmp_path) == 5


def test_verify_drops_rows_that_are_not_whole(tmp_path: Path) -> None:
    _fill(tmp_path, a=60)
    assert upkeep.verify(tmp_path) == Verdict(60)
    changes = ["key = x'00'", "reader = 'hf:org/b'", "value = x'00'", "checksum = NULL"]
    _change(tmp_path, *(f"UPDATE answers SET {change} WHERE rowid = {i * 15 + 1}" for i, change in enumerate(changes)))
    assert upkeep.verify(tmp_path) == Verdict(rows=60, wrong=4)
    assert upkeep.verify(tmp_path) == Verdict(56)
    assert _found(tmp_path) == 56


def test_verify_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert upkeep.verify(tmp_path) == Verdict()
    assert upkeep.info(tmp_path) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("PRAGMA user_version = 7", "its version 7 is not 1"),
        ("DROP TABLE answers", "no such table: answers"),
        ("ALTER TABLE answers DROP COLUMN reader", "no such column: reader"),
    ],
)
def test_a_damaged_database_is_set_aside(tmp_path: Path, statement: str, problem: str) -> None:
    _fill(tmp_path, a=60)
    _change(tmp_path, statement)
    with pytest.raises(UserError) as failure:
        upkeep.info(tmp_path)
    assert str(failure.value) == f"cache of answers {tmp_path}: {problem}: `evaluate cache verify` sets it aside"
    verdict = upkeep.verify(tmp_path)
    assert verdict == Verdict(set_aside=verdict.set_aside)
    [aside] = tmp_path.glob("answers.v1.damaged-*.sqlite3")
    step = f"set aside as {aside.name}, all answers are computed again"
    assert verdict.set_aside == f"cache of answers {tmp_path} is damaged ({problem}): {step}"
    assert upkeep.verify(tmp_path) == Verdict()
    assert _found(tmp_path) == 0
