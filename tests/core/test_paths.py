from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.paths import file_sha256, folder_sha256, shipped, slug

# Any text, lone surrogates too, and names made of the characters that slugs are made of.
ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)
CLOSE = st.text(st.sampled_from("a_/-.A!\\0\n"), max_size=8)


@given(ANY | CLOSE)
def test_a_slug_is_one_path_component(name: str) -> None:
    made = slug(name)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", made)
    folder = Path("/results/scores")
    assert (folder / made).parent == folder
    assert Path(os.path.normpath(folder / made)) == folder / made


@given(st.lists(CLOSE | ANY, max_size=20, unique=True))
def test_different_names_have_different_slugs(names: list[str]) -> None:
    assert len({slug(n) for n in names}) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        ["a/b", "a__b", "a_/_b", "a_/b", "a/_b", "a___b", "a//b"],
        ["", ".", "..", "...", "/", "\0", "-"],
        ["a", ".a", "..a", "a.", "a..", "a ", " a", "a\n"],
        ["é", "e\u0301", "e", "日本", "中国", "\ud800", "\udc00"],
        ["x" * 80, "x" * 81, "x" * 82, "x" * 5000],
        ["x!", slug("x!"), slug(slug("x!")), "x?"],
        ["x" * 81, slug("x" * 81)],
    ],
)
def test_names_that_look_alike(names: list[str]) -> None:
    assert len({slug(n) for n in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hkunlp/instructor-large", "hkunlp__instructor-large"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("paper", "paper"),
        ("my_model.v2", "my_model.v2"),
    ],
)
def test_ordinary_names_stay_readable(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_nothing_leads_out_of_the_folder() -> None:
    assert slug("../../etc/passwd").startswith("__..__etc__passwd-")
    assert slug("..").startswith("-")


def test_a_checkout_ships_data_from_the_top_of_the_repository() -> None:
    root = Path(__file__).resolve().parents[2]
    assert shipped("tasks") == root / "tasks"
    assert shipped("results/reference") == root / "results" / "reference"
    with pytest.raises(FileNotFoundError, match="no-such is missing from this installation"):
        shipped("no-such")


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc\r\n")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc\r\n").hexdigest()


def test_a_folders_hash_changes_with_content_and_names_alone(tmp_path: Path) -> None:
    def make(name: str, files: dict[str, str]) -> str:
        for relative, content in files.items():
            path = tmp_path / name / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return folder_sha256(tmp_path / name)

    base = make("base", {"a": "1", "sub/b": "2"})
    assert make("elsewhere", {"sub/b": "2", "a": "1"}) == base
    assert make("hidden", {"a": "1", "sub/b": "2", ".git/x": "3", ".DS_Store": "4"}) == base
    (tmp_path / "base" / "empty").mkdir()
    os.utime(tmp_path / "base" / "a", (0, 0))
    assert folder_sha256(tmp_path / "base") == base
    others = [
        make("content", {"a": "1", "sub/b": "3"}),
        make("renamed", {"a": "1", "sub/c": "2"}),
        make("moved", {"a": "1", "b": "2"}),
        make("more", {"a": "1", "sub/b": "2", "c": ""}),
        make("less", {"a": "1"}),
        make("swapped", {"a": "2", "sub/b": "1"}),
        make("case", {"A": "1", "sub/b": "2"}),
    ]
    assert len({base, *others}) == 8


def test_a_file_name_that_is_not_unicode(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("1")
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    one = folder_sha256(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("2")
    assert folder_sha256(tmp_path) != one
