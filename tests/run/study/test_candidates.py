from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.run.study.candidates import PATTERNS, candidates, read_candidates
from instructor_eval.tasks.cards import shipped_cards

CARD = shipped_cards()["ArguAna"]
PAPER = {"query": "Represent a Debate argument for retrieving a counter-argument: ",
         "document": "Represent a Counter-argument: "}  # fmt: skip


def tried(**fields):
    return candidates(CARD, PAPER, fields.pop("own", []), model="hkunlp/instructor-large", **{"others": 3} | fields)


def test_each_role_alone_and_both() -> None:
    found = {one.name: one.texts for one in tried()}
    assert found["paper"] == PAPER
    assert found["none"] == {"query": "", "document": ""}
    assert found["none (query only)"] == {**PAPER, "query": ""}
    assert found["none (document only)"] == {**PAPER, "document": ""}
    assert found["paper:instructor-xl"]["query"] == "Represent Debating conversations to retrieve a counter-argument: "
    assert len({tuple(sorted(texts.items())) for texts in found.values()}) == len(found)


def test_roles_narrow_it() -> None:
    assert {one.texts["document"] for one in tried(roles="query")} == {PAPER["document"]}
    assert not any("only" in one.name for one in tried(roles="both"))
    with pytest.raises(UserError, match="--roles text: ArguAna has query, document"):
        tried(roles="text")


def test_the_template_is_there_with_each_part_left_out_or_plain() -> None:
    names = {one.name for one in tried(roles="both")}
    for part in ("domain", "text type", "objective"):
        assert {f"template, {part} left out", f"template, {part} plain"} <= names
    texts = {one.name: one.texts["query"] for one in tried(roles="both")}
    assert (
        texts["template, objective left out"]
        == f"Represent the {' '.join((CARD.template.domain, CARD.template.roles['query'][0])).strip()}: "
    )


def test_a_template_with_no_word_left_is_not_tried() -> None:
    """Without a domain, leaving the text type out would leave "Represent the : "."""
    bare = dataclasses.replace(CARD, template=dataclasses.replace(CARD.template, domain=""))
    found = candidates(bare, PAPER, [], model="hkunlp/instructor-large", others=0, roles="both")
    assert "template, text type left out" not in {one.name for one in found}
    assert "template, objective left out" in {one.name for one in found}
    assert not any("the :" in text for one in found for text in one.texts.values())


def test_twenty_patterns_and_a_control() -> None:
    found = tried(roles="both")
    assert len(PATTERNS) == 20 == len(set(PATTERNS))
    assert sum(one.source == "pattern" for one in found) >= 19
    assert [one.is_control for one in found].count(True) == 3
    assert found != tried(roles="both", seed=1)
    assert not any(one.is_control for one in tried(others=0))


def test_a_task_whose_text_is_tried_anyway_is_no_control() -> None:
    card = shipped_cards()["DemoSTS"]
    found = candidates(card, {"text": ""}, [], model="hkunlp/instructor-large", others=6)
    [*_, last] = [one.texts for one in found if one.is_control]
    assert [one.is_control for one in found].count(True) == 6
    others = candidates(card, {"text": ""}, [last], model="hkunlp/instructor-large", others=6)
    assert [one.is_control for one in others].count(True) == 6
    assert [one.texts for one in others].count(last) == 1


def test_own_candidates(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ArguAna: ['Find the reply: ', {query: 'Q: ', document: 'D: '}]\ndefault: ['x ']\n")
    own = read_candidates(path, [CARD])
    found = {one.name: one.texts for one in tried(own=own["ArguAna"])}
    assert found["yours 1"] == {"query": "Find the reply: ", "document": "Find the reply: "}
    assert found["yours 2 (document only)"] == {**PAPER, "document": "D: "}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no candidates"), ("{}", "it has no candidates"), ("ArguAna: []", "it has no candidates"),
        ("[a]", "it has no candidates"), ("SciFact: [a]", "'SciFact' is no task of this study"),
        ("ArguAna: a", "ArguAna"), ("ArguAna: [{nobody: a}]", "nobody"), ("ArguAna: [3]", "ArguAna"),
        ("ArguAna: [{text: a}]", r"line 1: ArguAna has no role 'text': it has query, document"),
        ("default: [{text: a}]", r"default has no role 'text': it has document, query"),
    ],
)  # fmt: skip
def test_a_file_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_candidates(path, [CARD])
