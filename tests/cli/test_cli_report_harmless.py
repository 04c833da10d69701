"""`evaluate report` and names that mean harm: on the page they are texts, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest
from made_scores import edited
from parsed_page import Page, read

from instructor_eval.report import page as pages
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
MakeScore = Callable[..., Score]

FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
PLAIN = "harmless"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)',
    "bare attribute": "x onmouseover=alert(1) ' onload='alert(1)",
    "end of a script": "</script><img src=x onerror=alert(1)>",
    "end of a style": "</style></title></textarea><!--",
    "entity": "&lt;b&gt; &amp; &#60;i&#62;",
    "template": "{{ 7 * 7 }} {% raw %} ${1}",
    "turned": "safe\u202egnp.exe",
    "arabic": "نموذج التضمين",
    "long": "x" * 300,
    "control": "nul\x00 bell\x07 esc\x1b[31m del\x7f two\nlines\ttab",
    "surrogate": "half\ud800",
    "address": "javascript:alert(1)//http://x.example/",
}
ROLES = {"text": {"text": PLAIN, "rule": PLAIN}}
COST = {"baseline": "fp32", "device": PLAIN, "file_bytes": 90_000_000, "size_ratio": 1.0, "texts_per_second": 50.0,
        "speed_ratio": 1.0}  # fmt: skip


def put(value: Any, text: str) -> Any:
    """`value` with `text` in the place of every PLAIN."""
    if isinstance(value, dict):
        return {k: put(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [put(v, text) for v in value]
    return value.replace(PLAIN, text) if isinstance(value, str) else value


def name_is_broken(text: str) -> bool:
    """Return whether no Parquet file can hold it."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def fill(root: Path, make_score: MakeScore, text: str) -> None:
    """Results in which every name, instruction and message is this text; items only where a file can hold it."""
    store = Store(root)
    items = {"id": [f"{text} {i}" for i in range(30)], "ndcg_at_10": [i / 30 for i in range(30)]}
    rows = [(text, "fp32", 0.4), (text, "int8", 0.3), ("none", "fp32", 0.2)]
    for n, (instructions, variant, value) in enumerate(rows):
        for m, task in enumerate((text, "SciFact")):
            type_, metric = ("Retrieval", "ndcg_at_10") if m else (text, text)
            of = {**items, "ndcg_at_10": [v + n / 100 for v in items["ndcg_at_10"]]} if m else None
            score = make_score(
                task, round(sum(of["ndcg_at_10"]) / 30, 5) if of else value, type=type_, metric=metric, model=text,
                variant=variant, fingerprint=f"{variant}{text}", instructions=instructions, identity=f"{n}{m}" * 8,
                n_items=30, cost=put(COST, text) | {"texts_per_second": 50.0 + 9 * n},
                environment=put({"versions": {"torch": PLAIN}, "hardware": {"device": PLAIN}}, text),
                command=["evaluate", "--model", text, "--task", text], notes=[text],
                data={"id": text, "revision": text, "hash": text, "key": text}, timings={"total": 1.0},
            )  # fmt: skip
            model = {"family": text, "family_rule": text, "revision": text, "dim": 8}
            score = edited(score, model=model, instructions={"roles": put(ROLES, text)})
            store.write(score, None if name_is_broken(text) else of)
    failed = make_score(f"{text}-2", None, type=text, model=text, fingerprint=f"fp32{text}", instructions=text,
                        identity="5" * 16, error=f"OSError: {text}", command=[text, text])  # fmt: skip
    failed = edited(failed, model={"family": text, "revision": text})
    store.write(failed)


def write_gate(path: Path, whole: dict[str, Any], text: str) -> None:
    """The files of a real gate with the text in the place of names and words."""
    found = json.loads(json.dumps(whole))
    [quality] = found["quality"]
    quality["baseline"]["label"] = quality["candidate"]["label"] = quality["sentence"] = text
    for task in quality["tasks"]:
        task |= {"name": f"{text} {task['name']}", "message": text}
    quality["left_out"] = [text]
    quality["tasks"][-1]["difference"] = None
    found |= {"headline": text, "command": ["evaluate", text]}
    found["drift"] = [{"parts": [{"name": text, "verdict": "OK", "message": text}], "notes": [text]}]
    found["gates"] = {"quality": "REGRESSED", text: "OK"}
    path.write_text(json.dumps(found))


@pytest.fixture
def whole_gate(cli: Run, tmp_path: Path, make_score: MakeScore) -> dict[str, Any]:
    made_results.file(tmp_path / "r", make_score, tasks=FEW, n=40)
    made_results.file(tmp_path / "r", make_score, tasks=FEW, n=40, variant="int8", change=made_results.lowered(1, 0.3))
    cli("gate", "--results", "r", "--baseline", "minilm@fp32", "--candidate", "minilm@int8", "--output", "g")
    return json.loads((tmp_path / "g" / "gate.json").read_bytes())


def made_of(text: str, name: str, cli: Run, make_score: MakeScore, gate: dict[str, Any]) -> Page:
    root = Path(f"results-{name}")
    fill(root, make_score, text)
    write_gate(Path("gate.json"), gate, text)
    done = cli("report", "--results", root, "-o", f"{name}.html", "--gate", "gate.json", "--title", text)
    assert (done.code, done.err) == (0, "")
    return read(f"{name}.html")


def cleaned(text: str) -> str:
    """Show characters that are no text as such."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_is_nothing_but_text(
    name: str, cli: Run, make_score: MakeScore, whole_gate: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "INLINE", 10**9)
    text = HOSTILE[name]
    page = made_of(text, "hostile", cli, make_score, whole_gate)
    assert_harmless(page, "hostile.html")
    if not name_is_broken(text):  # there are items in both
        plain = made_of(PLAIN, "plain", cli, make_score, whole_gate)
        assert page.shape == plain.shape
        # All but those that are cut short for a chart, put on one line, or quoted for a shell.
        assert 0.6 * plain.text.count(PLAIN) < page.text.count(cleaned(text)) <= plain.text.count(PLAIN)
    assert cleaned(text) in page.text


def assert_harmless(page: Page, name: str) -> None:
    """Only the page's own script and style run, and nothing is asked for from anywhere."""
    assert [a.get("type", "") for a in page.of("script")] == ["application/octet-stream", ""]
    assert len(page.of("style")) == 1
    assert not {"img", "iframe", "object", "embed", "base", "b2", "textarea", "frame"} & {t for t, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [a for a in attributes if a.startswith("on")], (tag, attributes)
        for attribute in ("src", "href", "action", "formaction", "srcset", "data"):
            assert re.match(r"#|data:,$|$", attributes.get(attribute, "")), (tag, attributes)
    assert not [a for tag, a in page.elements if tag != "path" and "style" in a]
    [policy] = [a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, content in (("script-src", page.raw["script"][1]), ("style-src", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    source = Path(name).read_text("utf-8")
    assert not [c for c in source if not c.isprintable() and c not in "\n\xa0"]


@pytest.mark.parametrize("name", ["script", "attribute", "end of a script", "entity", "control", "surrogate"])
def test_packed_texts_are_nothing_but_text(
    name: str, cli: Run, make_score: MakeScore, whole_gate: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script puts the parts into the page as HTML: each of them is looked at alone."""
    monkeypatch.setattr(pages, "INLINE", 0)
    page = made_of(HOSTILE[name], "hostile", cli, make_score, whole_gate)
    assert_harmless(page, "hostile.html")
    parts = list(page.packed["parts"].items())
    assert len(parts) > 6
    for _, part in parts:
        found = Page(part.encode())
        assert not {"script", "style", "img", "iframe"} & {tag for tag, _ in found.elements}
        assert not [a for _, attributes in found.elements for a in attributes if a.startswith("on")]
        assert {a["href"][0] for a in found.of("a")} <= {"#"}


def test_a_harmless_page_is_harmless(cli: Run, tmp_path: Path, make_score: MakeScore) -> None:
    made_results.file(tmp_path / "results", make_score, tasks=FEW, n=40)
    made_results.file(tmp_path / "results", make_score, tasks=FEW, n=40, variant="int8")
    assert cli("report", "--baseline", "minilm@fp32:paper").code == 0
    assert_harmless(read(), "report.html")
