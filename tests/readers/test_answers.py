"""Answers on disk: exact, found by what they depend on alone, never wrong, and never in the way.

`answers_driver.py` kills, interrupts and starves processes, in a process of its own.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instructor_eval.readers.answers import ANSWERS, AnswerCache
from instructor_eval.readers.contract import Answer, Question

FILE_NAME = ANSWERS.file
FINGERPRINT, NAME = "f" * 16, "hf:org/lm"
TEXT = st.text(st.characters(exclude_categories=()))  # surrogates too
QUESTION = Question("Is it so?", (" yes", " no"), "yes", 10, ("\n", "."))
ANSWER = Answer(" yes", (0.1, 0.2))
DIFFERENT = {
    "prompt": ["Is it so? ", "is it so?", "", "Is it so?\x00"],
    "options": [(" no", " yes"), (" yes",), (" yes", " no", ""), (" yes, no",), (), (' yes", " no',)],
    "max_tokens": [11, 0, -10],
    "stop": [(".", "\n"), ("\n",), (), ("\n", ".", ""), ("\n.",)],
}


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    """On disk; any warning is a failure."""
    return AnswerCache(tmp_path, warn=pytest.fail)


def _questions(n: int) -> list[Question]:
    return [Question(f"Question {i}", ("yes", "no")) for i in range(n)]


def _right(question: Question) -> Answer:
    number = int(question.prompt.split()[1])
    return Answer(f"answer {number} {'x' * (number * 13 % 300)}", (number / 3, number / 7))


def _fill(folder: Path, questions: list[Question]) -> None:
    with AnswerCache(folder, warn=pytest.fail) as cache:
        for question in questions:
            cache.keep(FINGERPRINT, NAME, question, _right(question))


def _bits(answer: Answer) -> tuple[bytes, bytes]:
    return answer.text.encode("utf-32", "surrogatepass"), struct.pack(f"{len(answer.losses)}d", *answer.losses)


# What is stored, and found


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.builds(Question, TEXT, st.lists(TEXT, max_size=3).map(tuple), TEXT, st.integers(), st.just(())),
            st.builds(Answer, TEXT, st.lists(st.floats(allow_nan=False), max_size=4).map(tuple)),
        ),
        max_size=4,
        unique_by=lambda pair: replace(pair[0], most_similar=""),
    )
)
@example([(Question("\ud83c\udf0a"), Answer("two surrogates")), (Question("🌊"), Answer("one character"))])
@example([(Question("😀"), Answer("\ud83d\ude00 \udc80 \x00 \u2028", (-0.0, 5e-324, math.inf, 0.1 + 0.2)))])
def test_answers_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[Question, Answer]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with AnswerCache(folder, warn=pytest.fail) as cache:
        for question, answer in pairs:
            cache.keep(FINGERPRINT, NAME, question, answer)
    with AnswerCache(folder, warn=pytest.fail) as cache:
        found = cache.find(FINGERPRINT, [question for question, _ in pairs])
    assert sorted(found) == list(range(len(pairs)))
    for place, (_, answer) in enumerate(pairs):
        assert _bits(found[place]) == _bits(answer)
        assert type(found[place].losses) is tuple


def test_a_loss_that_is_no_number_and_one_of_numpy(cache: AnswerCache) -> None:
    import numpy as np

    small = np.float32(0.1)
    cache.keep(FINGERPRINT, NAME, QUESTION, Answer("a", (math.nan, small)))  # type: ignore[arg-type] # as a network gives it
    nan, stored = cache.find(FINGERPRINT, [QUESTION])[0].losses
    assert math.isnan(nan)
    assert (stored, type(stored)) == (float(small), float)


def test_every_field_of_a_question_is_looked_at() -> None:
    assert {f.name for f in fields(Question)} == {*DIFFERENT, "most_similar"}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in DIFFERENT.items() for v in values])
def test_another_question_is_a_miss(cache: AnswerCache, field: str, value: Any) -> None:
    cache.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
    other = replace(QUESTION, **{field: value})
    assert cache.find(FINGERPRINT, [other, QUESTION]) == {1: ANSWER}


def test_options_and_stops_are_not_mixed_up(cache: AnswerCache) -> None:
    cache.keep(FINGERPRINT, NAME, Question("a", ("b",), stop=()), ANSWER)
    assert cache.find(FINGERPRINT, [Question("a", (), stop=("b",)), Question('a", ["b"]', ())]) == {}


@pytest.mark.parametrize("other", ["e" * 16, "f" * 15, "", "F" * 16])
def test_another_reader_is_a_miss(cache: AnswerCache, other: str) -> None:
    cache.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
    assert cache.find(other, [QUESTION]) == {}
    assert cache.find(FINGERPRINT, [QUESTION]) == {0: ANSWER}


def test_what_is_most_similar_does_not_matter(cache: AnswerCache) -> None:
    cache.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
    assert cache.find(FINGERPRINT, [replace(QUESTION, most_similar="no")]) == {0: ANSWER}


def test_many_at_once_with_gaps_and_repetitions(cache: AnswerCache) -> None:
    many = _questions(1203)  # more than two look-ups
    for question in many[::2]:
        cache.keep(FINGERPRINT, NAME, question, _right(question))
    asked = many + many[:10]
    expected = {i: _right(q) for i, q in enumerate(asked) if q in set(many[::2])}
    assert len(expected) == 607
    assert cache.find(FINGERPRINT, asked) == expected
    assert cache.find(FINGERPRINT, []) == {}


def test_the_last_answer_stored_is_found(cache: AnswerCache) -> None:
    cache.keep(FINGERPRINT, NAME, QUESTION, Answer("first"))
    cache.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
    assert cache.find(FINGERPRINT, [QUESTION]) == {0: ANSWER}


def test_an_answer_is_there_for_others_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "on the way? 100 %"
    with AnswerCache(folder, warn=pytest.fail) as one, AnswerCache(folder, warn=pytest.fail) as other:
        one.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
        assert other.find(FINGERPRINT, [QUESTION]) == {0: ANSWER}
    assert [file.name for file in folder.iterdir()] == [FILE_NAME]


def test_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with AnswerCache(None, warn=pytest.fail) as one, AnswerCache(None, warn=pytest.fail) as other:
        one.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
        assert one.find(FINGERPRINT, [QUESTION]) == {0: ANSWER}
        assert other.find(FINGERPRINT, [QUESTION]) == {}
    assert one.find(FINGERPRINT, [QUESTION]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_closed_cache_opens_again(cache: AnswerCache) -> None:
    cache.keep(FINGERPRINT, NAME, QUESTION, ANSWER)
    cache.close()
    assert cache.find(FINGERPRINT, [QUESTION]) == {0: ANSWER}
    cache.close()


# Damage


def _use(folder: Path, questions: list[Question]) -> tuple[int, list[str]]:
    """Use a cache as a run does; how many answers it had, all of them right, and its warnings."""
    lines: list[str] = []
    with AnswerCache(folder, warn=lines.append) as cache:
        found = cache.find(FINGERPRINT, questions)
        for place, question in enumerate(questions):
            if place not in found:
                cache.keep(FINGERPRINT, NAME, question, _right(question))
        again = cache.find(FINGERPRINT, questions)
    for place, answer in [*found.items(), *again.items()]:
        assert answer == _right(questions[place])
    assert len(lines) <= 1
    assert all("\n" not in line and str(folder) in line for line in lines)
    return len(found), lines


@pytest.mark.slow
@pytest.mark.parametrize(("part", "flips"), [(FILE_NAME, 1000), (f"{FILE_NAME}-wal", 200)])
def test_flipped_bits_are_misses(tmp_path: Path, part: str, flips: int) -> None:
    """One byte after another over the whole file, or over the log that a killed process leaves beside it."""
    questions, dice, folder = _questions(60), random.Random(part), tmp_path / "damaged"
    with AnswerCache(tmp_path, warn=pytest.fail) as cache:
        for question in questions:
            cache.keep(FINGERPRINT, NAME, question, _right(question))
        files = {name: (tmp_path / name).read_bytes() for name in (FILE_NAME, f"{FILE_NAME}-wal")}
    if part == FILE_NAME:
        files = {part: (tmp_path / part).read_bytes()}  # closed: all is in the one file
    folder.mkdir()
    hits, warned = [], 0
    for at in [*range(100), *range(100, len(files[part]), len(files[part]) // flips)]:
        for old in folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        with (folder / part).open("r+b") as file:
            file.seek(at)
            file.write(bytes([files[part][at] ^ dice.randrange(1, 256)]))
        had, lines = _use(folder, questions)
        hits.append(had)
        warned += bool(lines)
        if lines:
            _use(folder, questions)  # the damage may be found by the last statement
            assert _use(folder, questions) == (60, [])
    if part == FILE_NAME:
        assert 0 < warned < len(hits) / 10
        assert sum(had >= 59 for had in hits) > 0.8 * len(hits), "other rows are as they were"
        assert hits.count(59) > 100, "answers themselves were met"
    else:
        assert warned == 0, "the log's own checksums end it where it is damaged"
        assert len(set(hits)) > 50, "what came before is there"


def test_a_row_that_is_not_whole_is_a_miss_and_replaced(tmp_path: Path) -> None:
    questions = _questions(8)
    _fill(tmp_path, questions)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        rows = connection.execute("SELECT rowid, value, checksum FROM answers ORDER BY rowid").fetchall()
        changes: dict[str, list[Any]] = {
            "value": [rows[0][1].replace(b"answer 0", b"answer 9"), None, 17, rows[3][1][:-1], "text"],
            "checksum": [rows[0][2], None],
        }
        damaged = [(column, value) for column, values in changes.items() for value in values]
        for (number, *_), (column, value) in zip(rows, damaged, strict=False):
            connection.execute(f"UPDATE answers SET {column} = ? WHERE rowid = ?", (value, number))
        # A text that is no UTF-8 where bytes should be.
        connection.execute("UPDATE answers SET value = CAST(x'ff80' AS TEXT) WHERE rowid = ?", (rows[1][0],))
    assert _use(tmp_path, questions) == (8 - len(damaged), [])
    assert _use(tmp_path, questions) == (8, [])


def test_an_answer_under_anothers_key_is_a_miss(tmp_path: Path) -> None:
    questions = _questions(2)
    _fill(tmp_path, questions)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        (key,), (other,) = connection.execute("SELECT key FROM answers").fetchall()
        connection.execute("DELETE FROM answers WHERE key = ?", (key,))
        connection.execute("UPDATE answers SET key = ? WHERE key = ?", (key, other))
    assert _use(tmp_path, questions) == (0, [])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "another version": lambda data: data[:60] + (7).to_bytes(4, "big") + data[64:],
    "no database": lambda data: b"This is not a database. " * 500,
    "short": lambda data: b"text",
    "cut": lambda data: data[:5000],
    "no table": lambda data: data.replace(b"TABLE answers", b"TABLE anxwers").replace(
        b"answersanswers", b"anxwersanxwers"
    ),
    "no text": lambda data: data.replace(b"CREATE TABLE answers", b"CREATE \xd5ABLE answers"),
    "no column": lambda data: data.replace(b"value BLOB", b"volue BLOB"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_set_aside(tmp_path: Path, kind: str) -> None:
    questions = _questions(60)
    _fill(tmp_path, questions)
    file = tmp_path / FILE_NAME
    before = file.read_bytes()
    file.write_bytes(DAMAGE[kind](before))
    damaged = file.read_bytes()
    assert damaged != before
    had, [line] = _use(tmp_path, questions)
    assert had == 0
    [aside] = tmp_path.glob("answers.v1.damaged-*.sqlite3")
    assert line.startswith(f"cache of answers {tmp_path} is damaged (")
    assert line.endswith(f"): set aside as {aside.name}, all answers are computed again")
    assert aside.read_bytes() == damaged
    assert _use(tmp_path, questions) == (60, [])


def test_an_empty_file_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert _use(tmp_path, _questions(3)) == (0, [])
    assert _use(tmp_path, _questions(3)) == (3, [])


# Processes


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of each scenario."""
    driver, folder = Path(__file__).with_name("answers_driver.py"), tmp_path_factory.mktemp("driven")
    scenarios = ["kills", "together", "interrupt", "full", "read_only"]
    done = subprocess.run(
        [sys.executable, str(driver), str(folder), *scenarios],
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_kill_loses_one_answer_at_most(driven: dict[str, Any]) -> None:
    kills, n = driven["kills"], driven["questions"]
    assert kills["kills"] >= 40
    assert any(r["log"] > n for r in kills["rounds"]), "some kills came while a question was being answered"
    for came in kills["rounds"]:
        assert n <= came["log"] <= n + came["killed"], "each question is asked once, and one more for each kill"
        assert (came["code"], came["wrong"], came["warnings"]) == (0, 0, [])
        assert came["asked"] + came["hits"] == n
    assert (kills["lost"], kills["errors"]) == (0, [])


def test_two_at_once_on_one_cache(driven: dict[str, Any]) -> None:
    together, n = driven["together"], driven["questions"]
    assert (together["codes"], together["errors"]) == ([0, 0, 0], [])
    assert [(r["wrong"], r["warnings"]) for r in together["reports"]] == [(0, [])] * 3
    assert sum(r["asked"] for r in together["reports"][:2]) > n, "they ran at the same time"
    assert (together["reports"][2]["asked"], together["reports"][2]["hits"]) == (0, n)


def test_an_interrupt_keeps_what_is_there(driven: dict[str, Any]) -> None:
    interrupt = driven["interrupt"]
    assert (interrupt["code"], interrupt["errors"]) == (130, [])
    assert 50 <= interrupt["begun"] < driven["questions"]
    assert interrupt["begun"] - 1 <= interrupt["stored"] <= interrupt["begun"]


def test_no_room_costs_one_warning(driven: dict[str, Any]) -> None:
    stored = []
    for room, came in driven["full"].items():
        assert (came["code"], came["wrong"], came["errors"]) == (0, 0, []), room
        [line] = came["warnings"]
        assert "cannot be" in line
        assert "\n" not in line
        stored.append(came["stored"])
    assert stored[0] == 0
    assert 0 < stored[-1] < driven["questions"]


@pytest.mark.parametrize(("name", "hits", "cannot"), [("some", 50, "written"), ("none", 0, "used")])
def test_a_read_only_folder_serves_what_it_has(driven: dict[str, Any], name: str, hits: int, cannot: str) -> None:
    came = driven["read_only"][name]
    assert (came["code"], came["wrong"], came["hits"]) == (0, 0, hits)
    [line] = came["warnings"]
    assert f"cannot be {cannot} (" in line
    assert came["files"] == (1 if hits else 0), "nothing is made there"
