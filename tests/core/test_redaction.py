"""Secrets are taken out of foreign text, whole and in parts, however they are spelled."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core import hub
from instructor_eval.core.errors import UserError
from instructor_eval.core.redaction import HIDDEN, PART, Secrets, environment_secrets, without_secrets

KEY = "sk-Q7z/4mXw9+bT2vNc8HdK5gFyJ1=A6"
WORDS = "The model of 384 values says: nothing of interest, request 5f1e-77"


def spelled() -> list[str]:
    tokens = [f"{'x' * n}Bearer {KEY}" for n in range(3)]
    return [
        KEY, KEY.upper(), KEY.swapcase(), KEY[::-1], quote(KEY, safe=""), quote(KEY), KEY.encode().hex(),
        *(base64.b64encode(token.encode()).decode() for token in tokens),
        *(base64.urlsafe_b64encode(token.encode()).decode() for token in tokens),
        "".join(f"\\u{ord(c):04x}" for c in KEY), "".join(f"%{ord(c):02X}" for c in KEY),
    ]  # fmt: skip


@pytest.mark.parametrize("text", spelled())
def test_every_spelling_is_found_alone_and_within(text: str) -> None:
    secrets = Secrets([KEY])
    for around in ("", " ", "quite a long text that stands before it, and then some more of it: "):
        cleaned = secrets.out_of(f"{around}{text}{around}")
        assert HIDDEN in cleaned
        lowered = cleaned.lower()
        middle = text[len(text) // 4 : -len(text) // 4].lower()
        assert not any(middle[at : at + 8] in lowered for at in range(len(middle) - 7))


def test_parts_count_from_eight_characters_on() -> None:
    for start in range(len(KEY) - PART + 1):
        assert without_secrets(f"a {KEY[start : start + PART]} b", [KEY]) == f"a {HIDDEN} b"
        assert without_secrets(f"a {KEY[start : start + PART - 1]} b", [KEY]) == f"a {KEY[start : start + PART - 1]} b"


def test_what_is_no_secret_stays() -> None:
    secrets = Secrets([KEY, "", "abc"])
    assert secrets.out_of(WORDS) == WORDS
    assert secrets.out_of("abc") == "abc"
    assert Secrets([]).out_of_all({KEY: [KEY]}) == {KEY: [KEY]}
    assert without_secrets("EMPTY is the key", ["EMPTY"]) == f"{HIDDEN} is the key"


def test_decoded_json_is_clean_names_included() -> None:
    reply = {"data": [{"id": KEY, KEY: [1, 2.5, [KEY[3:12]]]}], "n": 5, "none": None, "vector": [0.25] * 3}
    cleaned = Secrets([KEY]).out_of_all(reply)
    assert cleaned == {
        "data": [{"id": HIDDEN, HIDDEN: [1, 2.5, [HIDDEN]]}], "n": 5, "none": None, "vector": [0.25] * 3,
    }  # fmt: skip
    assert Secrets(["1234567890123456"]).out_of_all({"usage": 1234567890123456, "n": 12345}) == {
        "usage": None,
        "n": 12345,
    }
    with pytest.raises(ValueError, match="more members"):
        Secrets([KEY]).out_of_all([["x"]] * 600_000)


@given(st.text(), st.text(), st.integers(0, len(KEY) - PART), st.integers(PART, len(KEY)))
def test_nothing_is_left_whatever_is_around(before: str, after: str, start: int, size: int) -> None:
    part = KEY[start : start + size]
    cleaned = without_secrets(f"{before}{part}{after}", [KEY])
    assert not any(part[at : at + PART] in cleaned for at in range(len(part) - PART + 1))
    assert json.dumps(cleaned)


def test_variables_named_as_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "MILVUS_TOKEN": "root:Milvus-1", "MY_SECRET": "hush-hush", "DB_PASSWORD": "pass-word-1", "A_KEY": "short",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path), "PLAIN": "nothing-to-hide",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = environment_secrets()
    assert {"root:Milvus-1", "hush-hush", "pass-word-1"} <= set(found)
    assert not {"short", str(tmp_path), "nothing-to-hide"} & set(found)


def test_the_hubs_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx quotes a status line that is none, and a hub may put there what it was sent."""
    monkeypatch.setenv("HF_TOKEN", KEY)
    for kind in (hub._transport_error(), OSError):
        with pytest.raises(UserError) as caught, hub._hub_errors("model x", None, "model", ""):
            raise kind(f"illegal status line: {KEY} {KEY[5:15]}")
        assert "illegal status line: *** ***" in str(caught.value)


def test_a_stores_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from instructor_eval.search.store import Guard

    monkeypatch.setenv("MILVUS_TOKEN", KEY)
    with pytest.raises(UserError) as caught, Guard("milvus:http://x", "opening it"):
        raise RuntimeError(f"<MilvusException: (code=1, message=auth check failure, {KEY})>" + "x" * 10**6)
    assert "auth check failure, ***)" in str(caught.value)
