"""Rows stored once in Arrow come back as they were."""

from __future__ import annotations

import hashlib
from pathlib import Path

import made_rows
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.training import data
from instructor_eval.training.data import load_rows
from instructor_eval.training.parse import parse


@pytest.mark.parametrize("lines", [False, True])
def test_rows_come_back(tmp_path: Path, lines: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_ROWS", 10)  # several pieces
    made = made_rows.rows(57, tasks=4)
    del made[3]["neg"]
    path = made_rows.write(tmp_path / "rows.json", made, lines=lines)
    rows = load_rows(path, tmp_path / "arrow")
    assert [rows.get(i) for i in range(57)] == list(parse(path, read=lambda _: None))
    assert rows.about.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows.about.tasks == ("0", "1", "2", "3")
    assert rows.about.instructions == (made_rows.ASK, made_rows.SAY)
    parts = [row[part] for row in made for part in ("query", "pos", "neg") if part in row and row is made[5]]
    assert rows.characters[5] == sum(len(text) for part in parts for text in part)
    assert sum(len(texts) for _, texts in rows.texts()) == 3 * 57 - 1


def test_a_file_is_parsed_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    path = made_rows.write(tmp_path / "rows.json", made_rows.rows(8))
    said: list[str] = []
    for _ in range(2):
        load_rows(path, tmp_path / "arrow", say=said.append)
    assert len(said) == 1
    made_rows.write(path, made_rows.rows(9))
    assert len(load_rows(path, tmp_path / "arrow", say=said.append)) == 9
    assert len(load_rows(path, tmp_path / "arrow", most=4)) == 4


def test_a_bad_file_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"query": ["", "a"], "pos": ["", "b"], "task_id": 1}, {"que')
    for text in (path.read_text(), "[]"):
        path.write_text(text)
        with pytest.raises(UserError):
            load_rows(path, tmp_path / "arrow")
        assert list((tmp_path / "arrow").iterdir()) == []


def test_a_missing_file_and_a_folder_that_is_none_are_lines_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nope\.json: there is no such file of rows: give another$"):
        load_rows(tmp_path / "nope.json", tmp_path / "arrow")
    rows = made_rows.write(tmp_path / "rows.json", made_rows.rows(5))
    (tmp_path / "arrow").write_text("no folder")
    with pytest.raises(UserError, match=r"stored in .*arrow: [a-z ]+: see that both can be used$"):
        load_rows(rows, tmp_path / "arrow")
