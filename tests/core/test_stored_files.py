from __future__ import annotations

import os
from pathlib import Path

import pytest

from instructor_eval.core.errors import DamagedFileError, UserError
from instructor_eval.core.stored_files import files_below, parse_json, read_record


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, "x", null, true, {}]}', "123456789012345678", "-999999999999999999"])
def test_json_that_is_taken(text: str) -> None:
    import json

    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1" * 19, "a number of 19 digits"),
        ("-" + "1" * 5000, "a number of 5,000 digits"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "'c' is there twice"),
        ("[" * 42 + "]" * 42, "nested too deeply"),
        ('{"a":' * 42 + "1" + "}" * 42, "nested too deeply"),
        ("[" * 200_000, "nested too deeply"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_is_not_taken(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)
    with pytest.raises(ValueError, match=r".*"):
        parse_json(b"\xff")


def test_files_below_are_those_of_every_folder_but_linked_ones(tmp_path: Path) -> None:
    for name in ("b/c/2.json", "b/1.json", "a.json", "b/c/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "again").symlink_to("b")
    (tmp_path / "d.json").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, ".json")]
    assert names == ["a.json", "b/1.json", "b/c/2.json", "d.json"]
    assert files_below(tmp_path / "nowhere", ".json") == []


def test_a_folder_that_cannot_be_looked_into_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: object) -> None:
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="permission denied: let this user read it"):
        files_below(tmp_path)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b'{"schema_version": 1', DamagedFileError, r"not a readable thing \(.*\): delete it and make it again$"),
        (b"[1]", UserError, "schema version None is not 2: .*, or delete it and make it again$"),
        (b'{"schema_version": 3}', UserError, "schema version 3 is not 2: "),
        (b'{"schema_version": true}', UserError, "schema version True is not 2: "),
        (b'{"schema_version": 1.0}', UserError, "schema version 1.0 is not 2: "),
    ],
)
def test_a_record_of_another_kind_is_one_line(
    tmp_path: Path, content: bytes, error: type[UserError], said: str
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(error, match=said) as caught:
        read_record(path, "thing", (1, 2), "make it again")
    assert type(caught.value) is error


def test_a_record_of_either_version(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for version in (1, 2):
        path.write_text(f'{{"schema_version": {version}}}')
        assert read_record(path, "thing", (1, 2), "make it again") == (path.read_bytes(), {"schema_version": version})
