"""Errors of parsed files name the line, the way to the key, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from instructor_eval.core.errors import UserError
from instructor_eval.core.schema import Document, WrongValue
from instructor_eval.core.yaml_file import read_yaml


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=9, description="inches")] = 1
    kind: Literal["small", "large"] = "small"


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=5)]
    inner: Inner = Inner()
    by_name: dict[str, Inner | str] = {}
    rows: list[dict[str, Annotated[float, Meta(ge=0.5)]]] = []

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise WrongValue(("inner", "kind"), "it does not go with a bad name")


CASES = {
    "name: 3": "line 1: name: expected a text, found int 3: put it in quotes",
    "inner: {}": "name: it is missing",
    "nam: x": "line 1: nam: unknown key: did you mean name or by_name?",
    "name: x\ninner:\n  size: 0": "line 3: inner.size: 0 is not from 1 to 9 (inches)",
    "name: x\ninner:\n  size: 1.5": "line 3: inner.size: expected a whole number, found float 1.5",
    "name: x\ninner:\n  kind: smal": "line 3: inner.kind: unknown value 'smal': did you mean small?",
    "name: x\nby_name:\n  a: b\n  c:\n    size: 12": "line 5: by_name.c.size: 12 is not from 1 to 9 (inches)",
    "name: x\nby_name:\n  a: b\n  7: b": "line 4: by_name.7: a key should be a text: put it in quotes",
    "name: x\nrows:\n- {a: 1}\n- {a: 2, b: 1e-1}": "line 4: rows.1.b: expected a number, found str '1e-1': write 0.1 "
    "without quotes",
    "name: x\nrows:\n- {a: 1}\n- {a: .nan}": "line 4: rows.1.a: nan is not at least 0.5",
    "name: longer": "line 1: name: expected at most 5 characters, it has 6",
    "name: bad\ninner:\n  kind: large": "line 3: inner.kind: it does not go with a bad name",
    "name: x\nby_name: &a\n  b: *a": "not readable as YAML (*a stands in what it names)",
    "": "expected a mapping, found nothing",
}


@pytest.mark.parametrize("text", CASES)
def test_an_error_names_its_place(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_yaml(file, "no such file").parse(Outer)
    said = str(error.value).removeprefix(f"{file}").removeprefix(", ").removeprefix(": ")
    assert said == CASES[text]


def test_what_stands_below_a_key(tmp_path: Path) -> None:
    document = Document(tmp_path, {"a": [{"size": 3}, {"size": "x"}]}, {("a",): 1, ("a", "1", "size"): 7})
    assert document.parse(Inner, ("a", "0")) == Inner(3)
    with pytest.raises(UserError, match=r", line 7: it: size: expected a whole number, found str 'x'"):
        document.parse(Inner, ("a", "1"), below=2, subject="it: ")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["x", "small"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "inner", "size", "kind", "by_name", "rows", "a"]) | st.integers(), inner
        )
    ),
    max_leaves=12,
)


@given(value=PLAIN)
def test_any_value_is_a_record_or_one_line(value: Any) -> None:
    try:
        assert isinstance(Document(Path("f"), value).parse(Outer), Outer)
    except UserError as e:
        assert str(e).startswith("f: ")


@given(value=PLAIN)
def test_lines_are_those_of_the_keys(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("lines") / "file.yaml"
    text = yaml.safe_dump(value, sort_keys=False)
    file.write_text(text)
    rows = text.split("\n")
    for keys, line in read_yaml(file, "").lines.items():
        assert keys[-1].isdecimal() or keys[-1][:3].strip("'\"\\ \n") in rows[line - 1] or not keys[-1].isascii()
