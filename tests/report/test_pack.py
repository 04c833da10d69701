from __future__ import annotations

import base64
import html
import itertools
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import instructor_eval.report
from instructor_eval.report.pack import BETWEEN, columns_of, packed

SCRIPT = Path(instructor_eval.report.__file__).parent / "assets" / "report.js"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;,=.?@^_`{|}~"
"""RFC 1924's, with `, . /` where these have `< > &`."""


def bytes85(text: str) -> bytes:
    left = -len(text) % 5
    whole = text + "~" * left
    found = bytearray()
    for i in range(0, len(whole), 5):
        word = 0
        for digit in whole[i : i + 5]:
            word = word * 85 + DIGITS.index(digit)
        found += word.to_bytes(4, "big")
    return bytes(found[: len(found) - left])


def pieces(groups: list[dict[str, Any]]) -> dict[str, str]:
    """The parts from their columns; a text that is empty is the one before it."""
    parts = {}
    for group in groups:
        columns = []
        for place in group["places"]:
            texts = place[0].split("\x7f") if isinstance(place, list) else place
            if isinstance(texts, list):
                for i, text in enumerate(texts):
                    texts[i] = text or texts[i - 1]
            columns.append(texts)
        for i, key in enumerate(group["keys"].split("\x7f")):
            parts[key] = "".join(c[i] if isinstance(c, list) else c for c in columns)
    return parts


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(bytes85(text), wbits=-15).decode("utf-8"))


clean = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BETWEEN))
html_like = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<b ", 'title="', '">', "12", "3.5", "1,234.5", "٣", "²", "&lt;", "ä", "a", " ", ""]
    )
).map("".join)
part = st.one_of(clean, html_like)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BETWEEN), max_size=8)
alike = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1).map(lambda v: f"{v:.2f}"))).map(
    lambda rows: {f"c-{i}": f"<p>item {a}: <b>{b}</b> of {a}</p>" for i, (a, b) in enumerate(rows)}
)


@given(st.one_of(st.dictionaries(keys, part), alike))
def test_parts_come_back_exactly(parts: dict[str, str]) -> None:
    groups = columns_of(parts)
    assert pieces(groups) == parts
    content = {"parts": groups}
    assert pieces(unpacked(packed(content))["parts"]) == parts


@given(st.one_of(st.dictionaries(keys, part), alike))
def test_a_place_is_kept_once_where_it_is_the_same_in_all(parts: dict[str, str]) -> None:
    for group in columns_of(parts):
        n = len(group["keys"].split(BETWEEN))
        for place in group["places"]:
            if isinstance(place, list):
                texts = place[0].split(BETWEEN)
                assert len(place) == 1
                assert len(texts) == n
                assert texts[0] and any(texts[1:])  # a second text at least
        plain = [isinstance(place, str) for place in group["places"]]
        assert not any(a and b for a, b in itertools.pairwise(plain))  # these stand together


def test_alike_pieces_by_hand() -> None:
    parts = {"a": "<p>n 1.5 of 7</p>", "b": "<p>n 1.5 of 8</p>", "c": "<p>n 22 of 8</p>", "d": "no tag"}
    assert columns_of(parts) == [
        {"keys": "a\x7fb\x7fc", "places": ["<p>n ", ["1.5\x7f\x7f22"], " of ", ["7\x7f8\x7f"], "</p>"]},
        {"keys": "d", "places": ["no tag"]},
    ]


def test_no_parts_and_an_empty_one() -> None:
    assert columns_of({}) == []
    assert pieces(columns_of({"a": "", "b": "", "c": "1"})) == {"a": "", "b": "", "c": "1"}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | clean,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(clean, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(clean, values, max_size=5))
def test_content_comes_back(content: dict[str, Any]) -> None:
    text = packed(content)
    assert unpacked(text) == content
    assert set(text) <= set(DIGITS)
    assert html.escape(text, quote=False) == text  # no < > &


@pytest.mark.parametrize("length", range(12))
def test_every_length_of_the_last_word(length: int) -> None:
    raw = bytes(range(250, 250 - length, -1))
    text = base64.b85encode(raw).decode().translate(str.maketrans("<>&", ",./"))
    assert bytes85(text) == raw


def test_all_digits_are_one_of_a_kind() -> None:
    assert len(set(DIGITS)) == 85
    assert not set(DIGITS) & set("<>&\"'\\")
    [said] = re.findall(r'const digits = "(.*)";', SCRIPT.read_text(encoding="utf-8"))
    assert said == DIGITS


def test_half_a_surrogate_is_no_error() -> None:
    assert unpacked(packed({"a": "x\ud800y"})) == {"a": "x?y"}


def test_the_same_content_gives_the_same_bytes() -> None:
    assert packed({"a": [1, 2], "b": "x"}) == packed({"a": [1, 2], "b": "x"})


def test_alike_pieces_take_little_room() -> None:
    parts = {f"c-{i}": f"<article><h3>row {i}</h3><p>nDCG@10 of {i % 7}.{i % 10} <b>±1.2</b></p></article>" * 3
             for i in range(2000)}  # fmt: skip
    assert len(packed({"parts": columns_of(parts)})) < sum(map(len, parts.values())) / 20


# The page's own script

HARNESS = """
const { readFileSync } = require("fs");
%s
(async () => {
  const found = [];
  for (const text of JSON.parse(readFileSync(0, "utf8"))) {
    const { parts, values, ...rest } = await unpack(text);
    const made = Object.entries(parts).map(([key, made]) => [key, made()]);
    found.push({ parts: made, values, rest });
  }
  process.stdout.write(JSON.stringify(found));
})();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_of_the_page_reads_the_same(tmp_path: Path) -> None:
    taken: list[dict[str, str]] = []

    @settings(max_examples=60)
    @given(st.one_of(st.dictionaries(keys.filter(lambda k: k != "__proto__"), part), alike))
    def collect(parts: dict[str, str]) -> None:
        taken.append(parts)

    collect()
    columns = [["1", "", "ä"], ["", "2.5", "<x>"]]
    given_values = [BETWEEN.join(column) for column in columns]
    sent = [packed({"parts": columns_of(parts), "values": given_values, "tasks": [n]}) for n, parts in enumerate(taken)]
    script = SCRIPT.read_text(encoding="utf-8")
    functions = re.search(r"^  async function unpack\(.*?^  }\n  function bytes85\(.*?^  }\n", script, re.S | re.M)
    assert functions is not None
    program = tmp_path / "read.js"
    program.write_text(HARNESS % functions[0], encoding="utf-8")
    node = [str(shutil.which("node")), str(program)]
    done = subprocess.run(node, input=json.dumps(sent), capture_output=True, text=True, encoding="utf-8", timeout=600)
    if "DecompressionStream" in done.stderr or "deflate-raw" in done.stderr:
        pytest.skip("node is too old to know raw DEFLATE")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [dict(one["parts"]) for one in found] == taken
    assert all(one["values"] == columns for one in found)
    assert [one["rest"] for one in found] == [{"tasks": [n]} for n in range(len(taken))]
