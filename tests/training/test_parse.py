"""Files of training rows: both forms, row by row, and one line about what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.training import parse as parse_module
from instructor_eval.training.parse import Row, parse

GOOD: dict[str, Any] = {"query": ["Represent a: ", "a"], "pos": ["", "b"], "neg": ["x", "c"], "task_id": 3}


def read(path: Path, **options: Any) -> list[Row]:
    return list(parse(path, read=lambda _: None, **options))


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "rows.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def as_array(rows: list[Any]) -> str:
    return json.dumps(rows, indent=1)


def as_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("form", [as_array, as_lines])
def test_rows_of_both_forms(tmp_path: Path, form: Callable[[list[Any]], str]) -> None:
    second = {"query": ["", "q"], "pos": ["", "p\n"], "task_name": "nli"}
    path = written(tmp_path, "\ufeff \n" + form([GOOD, second]))
    assert read(path) == [
        Row("3", ("Represent a: ", "a"), ("", "b"), ("x", "c")),
        Row("nli", ("", "q"), ("", "p\n"), None),
    ]


texts = st.text(min_size=1).filter(str.strip)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=20), st.integers(1, 40), st.booleans())
def test_any_array_read_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[str, str, str]], size: int, indented: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    rows = [{"query": [a, b], "pos": ["", c], "task_id": "t"} for a, b, c in found]
    path.write_text(json.dumps(rows, indent=2 if indented else None), encoding="utf-8")
    before, parse_module._READ = parse_module._READ, size
    try:
        assert [(r.query, r.pos) for r in read(path)] == [((a, b), ("", c)) for a, b, c in found]
    finally:
        parse_module._READ = before


def test_a_lone_surrogate_becomes_a_character(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([{**GOOD, "query": ["", "a\ud800"]}]))
    assert read(path)[0].query == ("", "a\ufffd")


BAD_ROWS = [
    ({k: v for k, v in GOOD.items() if k != "query"}, "it has no 'query'"),
    ({**GOOD, "pos": None}, "it has no 'pos'"),
    ({**GOOD, "pos": ["only one"]}, "its 'pos' is not [instruction, text]"),
    ({**GOOD, "query": [None, "a"]}, "the instruction of its 'query' is null, not a string"),
    ({**GOOD, "neg": ["", 5]}, "the text of its 'neg' is int, not a string"),
    ({**GOOD, "pos": ["Represent: ", " \n"]}, "the text of its 'pos' is empty"),
    ({k: v for k, v in GOOD.items() if k != "task_id"}, "it names no task"),
    ([1, 2], "not a list"),
]


@pytest.mark.parametrize(("row", "why"), BAD_ROWS)
@pytest.mark.parametrize("form", [as_array, as_lines])
def test_a_bad_row_is_named(tmp_path: Path, form: Callable[[list[Any]], str], row: Any, why: str) -> None:
    path = written(tmp_path, form([GOOD, row, GOOD]))
    with pytest.raises(UserError) as error:
        read(path)
    place = "row 2" if form is as_array else "line 2"
    assert f"{path}, {place}: " in str(error.value)
    assert why in str(error.value)
    said: list[str] = []
    assert len(read(path, on_bad=said.append)) == 2
    assert len(said) == 1


WHOLE = as_array([GOOD] * 3)
BAD_FILES: list[tuple[str | bytes, str]] = [
    ("", "empty"),
    (WHOLE[: len(WHOLE) // 2], "it ends in the middle, at row 2: it was cut"),
    (WHOLE.rstrip().rstrip("]"), "it ends in the middle, at row 4: it was cut"),
    (as_lines([GOOD] * 3)[:-9], "it ends in the middle of line 3: it was cut"),
    (WHOLE.replace('"neg"', "neg", 1), "row 1: it is no JSON"),
    (WHOLE + " []", "something stands behind the array"),
    ("[,]", "',' where a row"),
    (f"[{json.dumps(GOOD)} {json.dumps(GOOD)}]", "row 2: '{' where a row or a comma"),
    (f"[{json.dumps(GOOD)},]", "']' where a row"),
    (b'[{"query": ["", "\xff"]}]', "it is not UTF-8"),
    ("[" * 100_000 + "]", "nested too deep"),
    ('{"a": 1}\n{"b"\n{}\n', "line 1"),
]


@pytest.mark.parametrize(("text", "why"), BAD_FILES)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=r"rows\.json") as error:
        read(path)
    assert why in str(error.value)


def test_a_value_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_module, "_LONGEST_ROW", 10_000)
    monkeypatch.setattr(parse_module, "_READ", 1000)
    path = written(tmp_path, '["' + "x" * 100_000 + '"]')
    with pytest.raises(UserError, match="no JSON within 10,000 characters"):
        read(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.json")
