"""What a large page packs: standard tools read it, and so does the page's own script."""

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

from instructor_eval.report import page as pages
from instructor_eval.report.page import packed

SCRIPT = Path(pages.__file__).parent / "assets" / "report.js"
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


HARNESS = """
const { readFileSync } = require("fs");
%s
unpack(readFileSync(0, "utf8")).then((found) => process.stdout.write(JSON.stringify(found)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_of_the_page_reads_the_same(tmp_path: Path) -> None:
    content = {"parts": {f"c-{i}": f'<p title="{chr(i)}">ä日😀 {i}</p>' for i in range(2000)}, "values": [["1", ""]]}
    function = re.search(r"^  async function unpack\(.*?^  }\n", SCRIPT.read_text(encoding="utf-8"), re.S | re.M)
    assert function is not None
    program = tmp_path / "read.js"
    program.write_text(HARNESS % function[0], encoding="utf-8")
    node = [str(shutil.which("node")), str(program)]
    done = subprocess.run(node, input=packed(content), capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == content
