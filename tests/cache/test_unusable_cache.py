"""A cache that is whole and cannot be written: no folder, a lock, no space."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from caches import filled, hits, made, opened, space

from instructor_eval.cache import database
from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import open_existing


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        lines: list[str] = []
        cache = opened(folder, warn=lines.append)
        keys, vectors = made(3)
        cache.write(space(), keys, vectors)
        assert not hits(cache, space(), keys, vectors).any()
        assert len(lines) == 1
        assert str(folder) in lines[0]
        cache.close()


def test_a_lock_of_another_process_stops_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, vectors = filled(tmp_path, blocks=1)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    with open_existing(tmp_path, VECTORS) as other:
        other.execute("BEGIN IMMEDIATE")
        cache.write(space(64), *made(3, 64, seed=5))
        assert hits(cache, space(64), keys, vectors).all()
        other.execute("ROLLBACK")
    [line] = lines
    assert "locked" in line


def test_a_full_database_costs_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, vectors = filled(tmp_path)
    real = database.connect

    def connect(path: Path, mode: str) -> sqlite3.Connection:
        connection = real(path, mode)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it what there is
        return connection

    monkeypatch.setattr(database, "connect", connect)
    lines: list[str] = []
    cache = opened(tmp_path, warn=lines.append)
    for seed in (5, 6):
        new = made(3000, 64, seed=seed)
        cache.write(space(64), *new)
        assert not hits(cache, space(64), *new).any()
    assert hits(cache, space(64), keys, vectors).all()
    [line] = lines
    assert "full" in line
