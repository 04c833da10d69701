"""The data that a large page packs: standard tools read it, and so does the page's own script."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsed_page import parts_of

from instructor_eval.report import pack
from instructor_eval.report.pack import columns_of, packed

SCRIPT = Path(pack.__file__).parent / "assets" / "report.js"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_content_comes_back(content: dict[str, Any]) -> None:
    text = packed(content)
    assert unpacked(text) == content
    assert html.escape(text) == text
    assert packed(content) == text


def test_half_a_surrogate_is_no_error() -> None:
    assert unpacked(packed({"a": "x\ud800y"})) == {"a": "x?y"}


MARKUP = st.text("<>ab/= 0123.,-ä\n").map(lambda text: f"<p>{text}</p>")


@given(st.dictionaries(st.from_regex(r"[cp]-\d{1,3}", fullmatch=True), MARKUP, max_size=8))
def test_pieces_come_back_from_columns(parts: dict[str, str]) -> None:
    assert parts_of({"parts": columns_of(parts)}) == parts


def test_alike_pieces_share_what_is_the_same() -> None:
    parts = {f"c-{i}": f"<p>median {i}.5 of <b>200</b> items</p>" for i in range(1000)}
    [group] = columns_of(parts)
    assert len([place for place in group["places"] if isinstance(place, list)]) == 1


HARNESS = """
const { readFileSync } = require("fs");
%s
unpack(readFileSync(0, "utf8")).then((found) => {
  const parts = Object.fromEntries(Object.entries(found.parts).map(([key, part]) => [key, part()]));
  process.stdout.write(JSON.stringify({ ...found, parts }));
});
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_of_the_page_reads_the_same(tmp_path: Path) -> None:
    parts = {f"c-{i}": f'<p title="{chr(i + 200)}">ä日😀 {i // 2}</p>' for i in range(2000)}
    content = {"parts": columns_of(parts), "values": ["1\x7f", "a\x7fb"]}
    function = re.search(r"^  async function unpack\(.*?^  }\n", SCRIPT.read_text(encoding="utf-8"), re.S | re.M)
    assert function is not None
    program = tmp_path / "read.js"
    program.write_text(HARNESS % function[0], encoding="utf-8")
    node = [str(shutil.which("node")), str(program)]
    done = subprocess.run(node, input=packed(content), capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"parts": parts, "values": [["1", ""], ["a", "b"]]}
