"""How a model takes instructions: each sign, and which wins."""

import json
from pathlib import Path

import pytest
import tiny
from checkpoints import copy, edit_json, one_line, read

from instructor_eval.models.pooling import POOLED

T5, BERT = "tiny-t5", "tiny-bert"
INSTRUCTOR, PREFIX, PLAIN = "instructor", "prefix", "plain"


def write_readme(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(text, encoding="utf-8")


def name_classes(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    for module, kind in zip(modules, ("INSTRUCTOR_Transformer", "INSTRUCTOR_Pooling"), strict=False):
        module["type"] = f"InstructorEmbedding.instructor.{kind}"
    tiny.write_json(folder / "modules.json", modules)


def saved_by_1_0_1(folder: Path) -> None:
    """`INSTRUCTOR.save()` writes the name of the Python module that a class is in."""
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules[:2]:
        module["type"] = "InstructorEmbedding.instructor"
    tiny.write_json(folder / "modules.json", modules)


def set_prompts(folder: Path, default: str | None = None, **prompts: str) -> None:
    edit_json(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name=default)


E5_CARD = '# E5\n\nEach input text should start with "query: " or "passage: ".\n'
BASE_MODEL = "---\nlibrary_name: sentence-transformers\nbase_model: {}\n---\n# {}\n\nA model.\n"
SIGNS = {
    "modules.json names the classes": (T5, name_classes, INSTRUCTOR, "modules.json"),
    "InstructorEmbedding's own save()": (T5, saved_by_1_0_1, INSTRUCTOR, "modules.json"),
    "include_prompt false": (
        T5,
        lambda f: edit_json(f / "1_Pooling" / "config.json", include_prompt=False),
        INSTRUCTOR,
        "include_prompt false",
    ),
    "include_prompt false, no T5": (
        BERT,
        lambda f: edit_json(f / "1_Pooling" / "config.json", include_prompt=False),
        INSTRUCTOR,
        "include_prompt false",
    ),
    "include_prompt true": (
        T5,
        lambda f: edit_json(f / "1_Pooling" / "config.json", include_prompt=True),
        PLAIN,
        "--family instructor",
    ),
    "base_model": (
        T5,
        lambda f: write_readme(f, BASE_MODEL.format("hkunlp/instructor-base", "Mine")),
        INSTRUCTOR,
        "card",
    ),
    "another base_model": (
        T5,
        lambda f: write_readme(f, BASE_MODEL.format("google/t5-base", "Mine")),
        PLAIN,
        "no sign",
    ),
    "title": (T5, lambda f: write_readme(f, "---\nlicense: mit\n---\n\n# hkunlp/instructor-XL\n"), INSTRUCTOR, "title"),
    "title of another": (T5, lambda f: write_readme(f, "# my-instructors-baseline\n"), PLAIN, "no sign"),
    "only the card's text": (
        T5,
        lambda f: write_readme(f, "# GTR\n\nCompare hkunlp/instructor-large.\n"),
        PLAIN,
        "no sign",
    ),
    "_name_or_path": (
        T5,
        lambda f: edit_json(f / "config.json", _name_or_path="/data/instructor-large/checkpoint-500"),
        INSTRUCTOR,
        "_name_or_path",
    ),
    "_name_or_path, no T5": (
        BERT,
        lambda f: edit_json(f / "config.json", _name_or_path="x/instructor-large"),
        PLAIN,
        "no sign",
    ),
    "prompts": (
        BERT,
        lambda f: set_prompts(f, query="q: ", document="d: "),
        PREFIX,
        "config_sentence_transformers.json",
    ),
    "empty prompts": (BERT, lambda f: set_prompts(f, query="", document=""), PLAIN, "no sign"),
    "no prompts": (BERT, lambda f: set_prompts(f), PLAIN, "no sign"),
    "E5's model card": (BERT, lambda f: write_readme(f, E5_CARD), PREFIX, "model card"),
    "half of E5's model card": (BERT, lambda f: write_readme(f, '# A\n\nWrite "query: ".\n'), PLAIN, "no sign"),
    "plain": (BERT, lambda f: None, PLAIN, "no sign"),
    "GTR, whose modules are an INSTRUCTOR's": (T5, lambda f: None, PLAIN, "--family instructor"),
    "Dense on another": (T5, lambda f: edit_json(f / "config.json", model_type="bert"), PLAIN, "or prompts"),
    "no Dense": (T5, lambda f: tiny.write_modules(f, ["Transformer", "Pooling", "Normalize"]), PLAIN, "no sign"),
}


@pytest.fixture(scope="module")
def folders(instructor_folder: Path, plain_folder: Path) -> dict[str, Path]:
    return {T5: instructor_folder, BERT: plain_folder}


@pytest.mark.parametrize(("kind", "change", "family", "rule"), SIGNS.values(), ids=SIGNS)
def test_each_sign(tmp_path: Path, folders: dict[str, Path], kind: str, change, family: str, rule: str) -> None:
    folder = copy(folders[kind], tmp_path / "model")
    change(folder)
    checkpoint = read(folder)
    assert checkpoint.family == family
    assert rule in checkpoint.family_rule
    assert (checkpoint.prompt_rule == POOLED) is (family != INSTRUCTOR)
    assert checkpoint.describe()["family_rule"] == checkpoint.family_rule


@pytest.mark.parametrize("name", ["hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl"])
def test_the_hubs_own_ids(folders: dict[str, Path], name: str) -> None:
    assert read(folders[T5], name=name).family == INSTRUCTOR
    assert read(folders[BERT], name=name).family == PLAIN
    assert read(folders[T5], name=f"{name}-copy").family == PLAIN
    assert read(folders[T5], name=f"not{name}").family == PLAIN


@pytest.mark.parametrize("family", [INSTRUCTOR, PREFIX, PLAIN])
def test_the_users_word_is_the_last(tmp_path: Path, folders: dict[str, Path], family: str) -> None:
    folder = copy(folders[T5], tmp_path / "model")
    name_classes(folder)
    checkpoint = read(folder, family=family)
    assert (checkpoint.family, checkpoint.family_rule) == (family, "--family")


def test_an_instructor_with_prompts_is_an_instructor(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Newer sentence-transformers write prompts into INSTRUCTOR checkpoints too."""
    folder = copy(folders[T5], tmp_path / "model")
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    set_prompts(folder, query="Represent the question: ")
    assert read(folder).family == INSTRUCTOR


@pytest.mark.parametrize(
    ("default", "given", "prompts"),
    [
        (None, {"query": "q: ", "document": "d: "}, {"query": "q: ", "document": "d: ", "*": ""}),
        (None, {"query": "q: ", "passage": "p: "}, {"query": "q: ", "document": "p: ", "*": ""}),
        (None, {"query": "q: ", "corpus": "c: ", "passage": "p: "}, {"query": "q: ", "document": "p: ", "*": ""}),
        ("query", {"query": "q: ", "document": ""}, {"query": "q: ", "document": "", "*": "q: "}),
        ("sts", {"sts": "similar: "}, {"*": "similar: "}),
        (None, {"clustering": "topic: "}, {"*": ""}),
    ],
)
def test_prompts_by_role(
    tmp_path: Path, folders: dict[str, Path], default: str | None, given: dict[str, str], prompts: dict[str, str]
) -> None:
    folder = copy(folders[BERT], tmp_path / "model")
    set_prompts(folder, default, **given)
    checkpoint = read(folder)
    assert (checkpoint.family, checkpoint.prompts) == (PREFIX, prompts)


def test_prompts_of_e5(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = copy(folders[BERT], tmp_path / "model")
    write_readme(folder, E5_CARD)
    assert read(folder).prompts == {"document": "passage: ", "*": "query: "}
    # What the configuration names goes before what the card says.
    set_prompts(folder, query="ask: ")
    assert read(folder).prompts == {"query": "ask: ", "*": ""}


@pytest.mark.parametrize("content", ['{"prompts": {"query": 3}}', "{}"])
def test_an_odd_configuration_names_no_prompts(tmp_path: Path, folders: dict[str, Path], content: str) -> None:
    folder = copy(folders[BERT], tmp_path / "model")
    (folder / "config_sentence_transformers.json").write_text(content)
    checkpoint = read(folder)
    assert (checkpoint.family, checkpoint.prompts) == (PLAIN, {})


@pytest.mark.parametrize(
    "content",
    ["[]", "{", "", '{"prompts": ["a"]}', '{"prompts": {"query": "q: "}, "default_prompt_name": "absent"}'],
)
def test_a_configuration_that_sentence_transformers_refuses(
    tmp_path: Path, folders: dict[str, Path], content: str
) -> None:
    folder = copy(folders[BERT], tmp_path / "model")
    (folder / "config_sentence_transformers.json").write_text(content)
    with one_line("config_sentence_transformers.json"):
        read(folder)
