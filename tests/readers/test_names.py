"""The names of readers: labels, the one shown unasked, what `--reader` finds and refuses."""

from __future__ import annotations

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.results.readers import Readers, default_reader, find_reader, reader_label
from instructor_eval.results.score import Reader

KNOWN: Readers = {
    "j1": Reader("hf:EleutherAI/gpt-j-6b", "j1", dtype="float32"),
    "j2": Reader("hf:EleutherAI/gpt-j-6b", "j2", dtype="bfloat16"),
    "e1": Reader("endpoint:http://host/v1#big", "e1"),
    "n1": Reader("nearest", "n1"),
}


def test_the_one_shown_unasked() -> None:
    assert default_reader(KNOWN) == "n1"
    assert default_reader({k: v for k, v in KNOWN.items() if k != "n1"}) == "e1"
    assert default_reader({}) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nearest", "n1"), ("paper", "j1"), ("hf:EleutherAI/gpt-j-6b (bfloat16)", "j2"), ("j2", "j2"),
        ("endpoint:http://host/v1", "e1"), ("endpoint:http://host/v1#big", "e1"),
    ],
)  # fmt: skip
def test_what_a_name_finds(text: str, found: str) -> None:
    assert find_reader(text, KNOWN) == found
    assert find_reader(reader_label(KNOWN[found]), KNOWN) == found


def test_none_and_several_are_errors() -> None:
    twins: Readers = {"a": Reader("hf:org/gpt", "a"), "b": Reader("hf:org/gpt", "b")}
    with pytest.raises(UserError, match=r"go by that name, hf:org/gpt \(a\), hf:org/gpt \(b\): give the fingerprint"):
        find_reader("hf:org/gpt", twins)
    with pytest.raises(UserError, match=r"answered by it: there are hf:org/gpt \(a\), hf:org/gpt \(b\)"):
        find_reader("other", twins)
    with pytest.raises(UserError, match="there are no such results yet"):
        find_reader("nearest", {})
