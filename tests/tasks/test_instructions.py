from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Template
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.instructions import (
    InstructionSet,
    ModelRule,
    check_roles,
    effective_name,
    parse_set,
    resolve,
    resolve_all,
)
from instructor_eval.tasks.task import Card

PAPER = InstructionSet("paper", "paper")
LARGE = ModelRule("hkunlp/instructor-large", "instructor")
PREFIX = ModelRule("org/e5", "prefix", {"query": "query: ", "*": "passage: "}, "prompts of its configuration")
PLAIN = ModelRule("org/minilm", "plain")
NAMES = {"ArguAna", "STS12", "mine"}


def card(**fields: object) -> Card:
    roles = {"query": ("question", "retrieving answers"), "document": ("answer", "retrieval")}
    given = {"template": Template("legal", roles), **fields}
    return Card("mine", "own", "Retrieval", "ndcg_at_10", **given)  # type: ignore[arg-type]  # fields by name


FULL = {
    "query": {"org/exact": "exact", "instructor": "family", "default": "default"},
    "document": {"default": "only default"},
}


def file_set(tmp_path: Path, text: str, name: str = "my-set.yaml") -> InstructionSet:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return parse_set(str(path), NAMES)


# The order


def test_the_exact_model_then_its_family_then_the_default() -> None:
    found = resolve(card(instructions=FULL), "query", PAPER, ModelRule("org/exact", "instructor"))
    assert (found.text, found.rule) == ("exact", "card: org/exact")
    found = resolve(card(instructions=FULL), "query", PAPER, ModelRule("org/other", "instructor"))
    assert (found.text, found.rule) == ("family", "card: family instructor")
    found = resolve(card(instructions=FULL), "document", PAPER, ModelRule("org/exact", "instructor"))
    assert (found.text, found.rule) == ("only default", "card: default")


def test_no_entry_that_fits_is_an_error_naming_task_and_role() -> None:
    only_another = card(instructions={"query": {"org/exact": "x"}})
    for role in ("query", "document"):
        with pytest.raises(UserError) as error:
            resolve(only_another, role, PAPER, LARGE)
        assert str(error.value) == (
            f"task mine: no instruction for the role '{role}': add it to the card or give --instructions FILE"
        )


def test_no_role_is_ever_left_out_silently() -> None:
    with pytest.raises(UserError, match="no instruction for the role 'document'"):
        resolve_all(card(instructions={"query": {"default": "x"}}), PAPER, LARGE)
    with pytest.raises(UserError, match="no template for the role 'text'"):
        resolve(card(), "text", InstructionSet("template", "template"), LARGE)
    with pytest.raises(UserError, match="no instruction for the role 'query'"):
        resolve(card(template=Template()), "query", PAPER, LARGE)


def test_an_empty_instruction_only_where_the_card_says_so() -> None:
    found = resolve(shipped_cards()["DBpedia-14"], "example", PAPER, LARGE)
    assert (found.text, found.rule) == ("", "card: default")


def test_a_card_without_instructions_uses_the_template() -> None:
    found = resolve(card(), "query", PAPER, LARGE)
    assert found.text == "Represent the legal question for retrieving answers: "
    assert found.rule == "no instruction in the card: unified template"
    found = resolve(card(template_is_default=True), "document", PAPER, LARGE)
    assert found.rule == "no instruction in the card: unified template (general wording of its type)"


def test_a_file_comes_before_the_card(tmp_path: Path) -> None:
    chosen = file_set(tmp_path, "mine: {query: from file}\n")
    given = card(instructions=FULL)
    assert resolve(given, "query", chosen, ModelRule("org/exact", "instructor")).text == "from file"
    assert resolve(given, "query", chosen, LARGE).rule == "file my-set: mine"
    # What the file does not name falls through to the card.
    assert resolve(given, "document", chosen, LARGE).rule == "card: default"
    assert resolve(replace(given, name="STS12"), "query", chosen, LARGE).text == "family"


def test_the_order_within_a_file(tmp_path: Path) -> None:
    chosen = file_set(tmp_path, "mine: {query: q, '*': other}\ndefault: {query: dq, document: dd}\nSTS12: whole\n")
    given = card()
    assert [r.text for r in resolve_all(given, chosen, LARGE).values()] == ["q", "other"]
    assert [r.text for r in resolve_all(replace(given, name="ArguAna"), chosen, LARGE).values()] == ["dq", "dd"]
    assert [r.text for r in resolve_all(replace(given, name="STS12"), chosen, LARGE).values()] == ["whole", "whole"]
    assert resolve(replace(given, name="ArguAna"), "query", chosen, LARGE).rule == "file my-set: default"


def test_a_file_may_give_an_empty_instruction(tmp_path: Path) -> None:
    assert resolve(card(instructions=FULL), "query", file_set(tmp_path, "mine: ''"), LARGE).text == ""


def test_paper_of_another_model() -> None:
    chosen = parse_set("paper:hkunlp/instructor-xl", NAMES)
    assert (chosen.name, chosen.kind, chosen.table_of) == (
        "paper:hkunlp/instructor-xl", "paper", "hkunlp/instructor-xl",
    )  # fmt: skip
    argu_ana = shipped_cards()["ArguAna"]
    found = resolve(argu_ana, "query", chosen, ModelRule("me/mine", "instructor"))
    assert found.text == "Represent Debating conversations to retrieve a counter-argument: "
    assert found.rule == "card: hkunlp/instructor-xl"
    # Any model that is not named gets the large one's, as in the authors' code.
    assert resolve(argu_ana, "query", PAPER, ModelRule("me/mine", "instructor")) == resolve(
        argu_ana, "query", parse_set("paper:hkunlp/instructor-large", NAMES), LARGE
    )


def test_template_and_none() -> None:
    given = card(instructions=FULL)
    found = resolve(given, "document", parse_set("template", NAMES), LARGE)
    assert (found.text, found.rule) == ("Represent the legal answer for retrieval: ", "--instructions template")
    found = resolve(given, "document", parse_set("none", NAMES), LARGE)
    assert (found.text, found.rule) == ("", "--instructions none")


@pytest.mark.parametrize(
    ("domain", "words", "expected"),
    [
        ("legal", ("question", "retrieval"), "Represent the legal question for retrieval: "),
        ("", ("question", "retrieval"), "Represent the question for retrieval: "),
        ("legal", ("question", ""), "Represent the legal question: "),
        ("", ("question", ""), "Represent the question: "),
    ],
)
def test_template_wording(domain: str, words: tuple[str, str], expected: str) -> None:
    assert Template(domain, {"text": words}).instruction("text") == expected


# The other families


def test_a_prefix_model_takes_its_own_prompts() -> None:
    given = card(instructions=FULL)
    found = resolve(given, "query", PAPER, PREFIX)
    assert (found.text, found.rule) == ("query: ", "family prefix: prompts of its configuration")
    assert resolve(given, "document", PAPER, PREFIX).text == "passage: "
    only_query = replace(PREFIX, prompts={"query": "query: "})
    with pytest.raises(UserError) as error:
        resolve(given, "document", PAPER, only_query)
    assert "mine: org/e5 has no prompt for the role 'document': give one with --instructions FILE" in str(error.value)


def test_a_prefix_model_under_other_sets(tmp_path: Path) -> None:
    given = card(instructions=FULL)
    assert resolve(given, "query", InstructionSet("none", "none"), PREFIX).text == ""
    found = resolve(given, "query", InstructionSet("template", "template"), PREFIX)
    assert found.text == "Represent the legal question for retrieving answers: "
    assert resolve(given, "query", file_set(tmp_path, "mine: mine"), PREFIX).text == "mine"


def test_a_plain_model_takes_no_instruction_and_refuses_a_file(tmp_path: Path) -> None:
    for chosen in (PAPER, InstructionSet("none", "none"), InstructionSet("template", "template")):
        found = resolve(card(instructions=FULL), "query", chosen, PLAIN)
        assert (found.text, found.rule) == ("", "family plain: no instruction")
    with pytest.raises(UserError, match=r"org/minilm takes no instructions .*: add --family prefix"):
        resolve(card(), "query", file_set(tmp_path, "STS12: x"), PLAIN)


@pytest.mark.parametrize(
    ("given", "model", "name"),
    [
        ("paper", LARGE, "paper"),
        ("paper:hkunlp/instructor-xl", LARGE, "paper:hkunlp/instructor-xl"),
        ("template", LARGE, "template"),
        ("paper", PREFIX, "own"),
        ("template", PREFIX, "template"),
        ("none", PREFIX, "none"),
        ("paper", PLAIN, "none"),
        ("template", PLAIN, "none"),
    ],
)
def test_effective_name(given: str, model: ModelRule, name: str) -> None:
    assert effective_name(parse_set(given, NAMES), model) == name


def test_effective_name_of_a_file(tmp_path: Path) -> None:
    assert effective_name(file_set(tmp_path, "mine: x"), LARGE) == "my-set"
    assert effective_name(file_set(tmp_path, "mine: x"), PREFIX) == "my-set"


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("papr", "unknown instruction set 'papr': did you mean paper?"),
        ("missing.yaml", "unknown instruction set 'missing.yaml': give paper, template, none, paper:MODEL, or a YAML"),
        ("paper:", "unknown instruction set 'paper:'"),
        ("none:x", "unknown instruction set 'none:x'"),
        ("", "unknown instruction set ''"),
        ("Represent the question: " * 100, "unknown instruction set 'Represent"),
        (".", "unknown instruction set '.'"),
    ],
)
def test_unknown_sets(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_set(text, NAMES)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected `TASK: instruction`"),
        ("{}", "expected `TASK: instruction`"),
        ("- a", "expected `TASK: instruction`"),
        ("just text", "expected `TASK: instruction`"),
        ("mine: [", "not readable as YAML"),
        ("mine: a\nmine: b", "key 'mine' is given twice"),
        ("mine: {query: a, query: b}", "key 'query' is given twice"),
        ("mine: !!python/object/apply:os.getcwd []", "not readable as YAML"),
        ("mine: 2024-99-99", "not readable as YAML"),
        ("ArguAn: x", "unknown task 'ArguAn': did you mean ArguAna?"),
        ("5: x", "unknown task '5'"),
        ("mine: 5", "mine: expected a text or a mapping, found int 5"),
        ("mine: [a]", "mine: expected a text or a mapping"),
        ("mine: ", "mine: expected a text or a mapping"),
        ("mine: {querry: x}", "mine.querry: unknown key: did you mean query?"),
        ("mine: {query: 5}", "mine.query: expected a text, found int"),
        ("mine: {query: }", "mine.query: expected a text, found nothing"),
    ],
)
def test_errors_of_a_file(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        file_set(tmp_path, content)
    assert re.match(rf"{re.escape(str(tmp_path / 'my-set.yaml'))}(, line 1)?: ", str(error.value))
    assert message in str(error.value)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"mine: \xff\n")
    with pytest.raises(UserError, match=r"f\.yaml: not readable as YAML"):
        parse_set(str(tmp_path / "f.yaml"), NAMES)


@pytest.mark.parametrize("stem", ["paper", "template", "none", "own", "published"])
def test_a_file_cannot_pass_for_another_set(stem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{stem}' means a set: rename it"):
        file_set(tmp_path, "mine: x", f"{stem}.yaml")


def test_a_directory_named_like_a_set_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    assert parse_set("none", NAMES).kind == "none"


def test_a_mistyped_paper_model_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"unknown model 'hkunlp/instructor-x1'.*did you mean hkunlp/instructor-xl"):
        parse_set("paper:hkunlp/instructor-x1", NAMES)


def test_a_role_that_a_task_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("ArguAna: {query: q, documents: d}\ndefault: {text: t}\n")
    with pytest.raises(UserError):
        parse_set(str(path), NAMES)  # nowhere is there such a role
    path.write_text("ArguAna: {query: q, text: t}\nSTS12: {'*': any}\ndefault: {hypothesis: h}\n")
    chosen = parse_set(str(path), NAMES)
    check_roles(chosen, [shipped_cards()["STS12"]])
    with pytest.raises(UserError, match=r"f\.yaml: ArguAna has no role 'text': it has query, document"):
        check_roles(chosen, shipped_cards().values())
