from __future__ import annotations

import re
from pathlib import Path

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.cards import own_cards, read_cards, select, shipped_cards

GOOD = "name: mine\ntype: STS\ndata: folder\n"


def write(tmp_path: Path, text: str | bytes, name: str = "card.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def error_of(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_cards(path)
    return str(error.value)


# A user's own


def test_an_own_card_with_its_defaults(tmp_path: Path) -> None:
    [card] = read_cards(write(tmp_path, GOOD))
    assert (card.name, card.benchmark, card.type, card.metric) == ("mine", "own", "STS", "cosine_spearman")
    assert (card.split, card.subset, card.data_id, card.part_of) == ("test", "default", None, None)
    assert card.folder == tmp_path / "folder"
    assert card.roles == ("text",)
    assert card.template_is_default
    assert card.template.instruction("text") == "Represent the sentence: "
    assert card.instructions == {}


def test_an_own_card_with_everything(tmp_path: Path) -> None:
    text = f"""
name: Ünïcode 日本
benchmark: ours
type: Retrieval
metric: recall_at_100
split: dev
subset: en
data: {{folder: {tmp_path}/data}}
template: {{domain: legal, query: question, document: [paragraph, retrieval]}}
instructions:
  query: "Represent: "
  document: {{org/model: "A", instructor: "B", default: ""}}
notes: ["one", "two"]
source: here
"""
    [card] = read_cards(write(tmp_path, text))
    assert (card.name, card.benchmark, card.metric) == ("Ünïcode 日本", "ours", "recall_at_100")
    assert (card.split, card.subset, card.folder) == ("dev", "en", tmp_path / "data")
    assert card.template.instruction("query") == "Represent the legal question: "
    assert not card.template_is_default
    assert card.instructions == {
        "query": {"default": "Represent: "},
        "document": {"org/model": "A", "instructor": "B", "default": ""},
    }
    assert (card.notes, card.source) == (("one", "two"), "here")


def test_data_by_id(tmp_path: Path) -> None:
    [card] = read_cards(write(tmp_path, "name: a\ntype: STS\ndata: {id: org/set, revision: abc}\n"))
    assert (card.data_id, card.data_revision, card.folder) == ("org/set", "abc", None)


def test_data_by_id_with_its_place_in_a_mirror(tmp_path: Path) -> None:
    [card] = read_cards(write(tmp_path, "name: a\ntype: STS\ndata: {id: org/set, mirror: other/place}\n"))
    assert (card.data_id, card.data_revision, card.data_mirror) == ("org/set", None, "other/place")


def test_an_own_prompt_retrieval_card(tmp_path: Path) -> None:
    text = "name: a\ntype: PromptRetrieval\ndata: x\noptions: {input: 'Of {text}:', labels: [good, bad], most: 3}\n"
    [card] = own_cards(str(write(tmp_path, text)))
    assert (card.metric, card.roles, card.folder) == ("rougeL", ("example",), tmp_path / "x")
    assert card.options == {"input": "Of {text}:", "labels": ["good", "bad"], "most": 3}
    assert card.template.instruction("example") == "Represent the example for retrieving examples: "


def test_options(tmp_path: Path) -> None:
    options = "{columns: {text: body}, samples_per_label: 8, n_experiments: 3}"
    [card] = read_cards(write(tmp_path, f"name: a\ntype: Classification\ndata: x\noptions: {options}"))
    assert card.options == {"columns": {"text": "body"}, "samples_per_label": 8, "n_experiments": 3}


def test_a_list_of_tasks_and_their_benchmarks(tmp_path: Path) -> None:
    text = (
        "benchmark: ours\nsource: s\ntasks:\n- {name: a, type: STS, data: x}\n"
        "- {name: b, type: STS, data: x, benchmark: theirs, source: t}\n"
    )
    found = read_cards(write(tmp_path, text))
    assert [(c.name, c.benchmark, c.source) for c in found] == [("a", "ours", "s"), ("b", "theirs", "t")]


BROKEN_TASKS = {
    "unknown key": (GOOD + "metrik: x", "metrik: unknown key: did you mean metric?"),
    "no type": ("name: mine\ndata: x", "type: it is missing: known are Retrieval, Reranking, Clustering,"),
    "unknown type": ("name: mine\ntype: Retreival\ndata: x", "'Retreival': did you mean Retrieval or PromptRetrieval?"),
    "type in a list": ("name: mine\ntype: [STS]\ndata: x", "type: unknown value ['STS']: did you mean STS?"),
    "metric of another type": (GOOD + "metric: ndcg_at_10", "metric: unknown value 'ndcg_at_10'"),
    "metric that none has": (GOOD + "metric: cosine_spearmann", "did you mean cosine_spearman or cosine_pearson?"),
    "split that is a number": (GOOD + "split: 2024", "split: expected a text, found int 2024: put it in quotes"),
    "subset that YAML takes for false": (GOOD + "subset: no", "subset: expected a text, found bool False"),
    "no data": ("name: mine\ntype: STS", "data: it is missing: expected a folder, or {id: ..., revision: ...}"),
    "data of both kinds": ("name: mine\ntype: STS\ndata: {id: a/b, folder: c}", "data: give either a folder or an id"),
    "folder with a mirror": ("name: mine\ntype: STS\ndata: {folder: x, mirror: y}", "data: a folder has no revision"),
    "data with an unknown key": ("name: mine\ntype: STS\ndata: {path: x}", "data.path: unknown key"),
    "empty folder": ("name: mine\ntype: STS\ndata: ''", "data: expected a text, it is empty"),
    "parts and data": (GOOD + "parts: [a]", "data: a task has either parts or data of its own"),
    "parts that are no list": ("name: mine\ntype: STS\nparts: a", "parts: expected a list, found str 'a'"),
    "template is no mapping": (GOOD + "template: sentence", "template: expected a mapping, found str"),
    "template of another role": (GOOD + "template: {query: x}", "template.query: unknown key"),
    "template of three words": (
        GOOD + "template: {text: [a, b, c]}",
        "template.text: expected at most 2 values, it has 3",
    ),
    "instructions are no mapping": (GOOD + "instructions: x", "instructions: expected a mapping, found str"),
    "instruction of another role": (GOOD + "instructions: {query: x}", "instructions.query: unknown key"),
    "instruction for no model": (
        GOOD + "instructions: {text: {instructor-large: x}}",
        "instructions.text.instructor-large: expected a model id (org/name), a family, or default",
    ),
    "instruction is no text": (
        GOOD + "instructions: {text: {default: [a]}}",
        "instructions.text.default: expected a text, found list",
    ),
    "instruction is nothing": (
        GOOD + "instructions: {text: }",
        "instructions.text: expected a text or a mapping, found nothing",
    ),
    "unknown option": (GOOD + "options: {colums: {}}", "options.colums: unknown key: did you mean columns?"),
    "option of another type": (GOOD + "options: {n_experiments: 3}", "options.n_experiments: unknown key"),
    "columns that are a list": (GOOD + "options: {columns: [score]}", "options.columns: expected a mapping"),
    "a column that is none": (
        GOOD + "options: {columns: {scroe: gold}}",
        "options.columns.scroe: unknown key: did you mean score?",
    ),
    "no draws": (
        "name: mine\ntype: Classification\ndata: x\noptions: {n_experiments: 0}",
        "options.n_experiments: 0 is not at least 1",
    ),
    "prompts of nothing": (
        "name: mine\ntype: PromptRetrieval\ndata: x",
        "options: it is missing",
    ),
    "prompts with an unknown option": (
        "name: mine\ntype: PromptRetrieval\ndata: x\noptions: {input: x, label: [a, b]}",
        "options.label: unknown key: did you mean labels?",
    ),
    "metric of another type in prompts": (
        "name: mine\ntype: PromptRetrieval\ndata: x\nmetric: accuracy\noptions: {input: x}",
        "metric: unknown value 'accuracy': known are rougeL",
    ),
    "notes are a text": (GOOD + "notes: x", "notes: expected a list, found str 'x'"),
}


@pytest.mark.parametrize("case", BROKEN_TASKS)
def test_a_broken_card_names_file_task_and_key(case: str, tmp_path: Path) -> None:
    text, message = BROKEN_TASKS[case]
    path = write(tmp_path, text)
    line = error_of(path)
    assert re.match(rf"{re.escape(str(path))}(, line [0-9]+)?: task 'mine': ", line)
    assert message in line
    # The same task in a list is the same error.
    body = text.replace("\n", "\n  ")
    if not case.startswith("benchmark"):
        again = error_of(write(tmp_path, f"tasks:\n- {body}"))
        assert _without_line(again) == _without_line(line)


def _without_line(message: str) -> str:
    return re.sub(r", line [0-9]+: ", ": ", message)


BROKEN_NAMES = {
    "none": ("type: STS\ndata: x", "name: it is missing"),
    "a number": ("name: 5\ntype: STS\ndata: x", "task '5': name: expected a text, found int 5"),
    "empty": ("name: ''\ntype: STS\ndata: x", "name: expected a text, it is empty"),
    "spaces": ("name: '  '\ntype: STS\ndata: x", "name: expected a text, it is empty"),
    "too long": (f"name: {'x' * 201}\ntype: STS\ndata: x", "name: expected at most 200 characters, it has 201"),
}


@pytest.mark.parametrize("case", BROKEN_NAMES)
def test_a_broken_name(case: str, tmp_path: Path) -> None:
    text, message = BROKEN_NAMES[case]
    assert message in error_of(write(tmp_path, text))


BROKEN_FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "expected a mapping with `name`, `type` and `data`"),
    "a comment": ("\n# nothing\n", "expected a mapping"),
    "a text": ("hello", "expected a mapping"),
    "not YAML": ("name: [a\n", "not readable as YAML"),
    "a tab": ("name: a\n\ttype: STS", "not readable as YAML"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe", "not readable as YAML"),
    "Latin-1": ("name: Größe".encode("latin-1"), "not readable as YAML"),
    "a null byte": (b"name: a\0b", "not readable as YAML"),
    "key twice": (GOOD + "name: other", "key 'name' is given twice"),
    "inner key twice": (GOOD + "instructions: {text: a, text: b}", "key 'text' is given twice"),
    "key that is a list": ("? [a, b]\n: c\n", "is not a plain value"),
    "unknown key beside tasks": ("tasks: [{}]\nbenchmarck: x", "benchmarck: unknown key: did you mean benchmark?"),
    "no tasks": ("tasks: []", "tasks: expected a list, it is empty"),
    "tasks are a mapping": ("tasks: {a: b}", "tasks: expected a list, found dict {'a': 'b'}"),
    "a task is a text": ("tasks: [a]", "tasks.0: expected a mapping, found str 'a'"),
    "name twice": ("tasks:\n- {name: a, type: STS, data: x}\n- {name: a, type: STS, data: y}", "'a': name: used twice"),
    "bad date": (GOOD + "notes: [2024-99-99]", "not readable as YAML"),
    "bad int": ("name: !!int abc", "not readable as YAML"),
    "a number of 5,000 digits": (f"name: {'1' * 5000}", "not readable as YAML"),
    "contains itself": ("&a {name: *a}", "not readable as YAML"),
    "unknown alias": ("name: *nobody", "not readable as YAML"),
    "200,000 brackets": (f"name: {'[' * 200_000}", "not readable as YAML"),
    "1,000 closed brackets": (f"name: {'[' * 1000}{']' * 1000}", "nested too deeply"),
}


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_a_broken_file_is_named(case: str, tmp_path: Path) -> None:
    content, message = BROKEN_FILES[case]
    path = write(tmp_path, content)
    line = error_of(path)
    assert _without_line(line).startswith(f"{path}: ")
    assert message in line


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir [pwned]", "!!python/object/new:os.mkdir [pwned]", "!!python/name:os.mkdir"]
)
def test_yaml_tags_are_never_executed(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "not readable as YAML" in error_of(write(tmp_path, f"name: {tag}\n"))
    assert [p.name for p in tmp_path.iterdir()] == ["card.yaml"]


@pytest.mark.parametrize("key", ["name", "notes", "split", "? *a30\n: x\nname"])
def test_aliases_of_aliases_do_not_unfold(key: str, tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 31))
    line = error_of(write(tmp_path, f"{bomb}{key}: *a30\n"))
    assert "more than 100,000 values" in line
    assert len(line) < 500


def test_plain_anchors_work(tmp_path: Path) -> None:
    text = "name: a\ntype: Retrieval\ndata: x\ninstructions: {query: &i 'Represent: ', document: *i}\n"
    [card] = read_cards(write(tmp_path, text))
    assert card.instructions["document"] == {"default": "Represent: "}


def test_a_long_value_is_not_repeated_in_full(tmp_path: Path) -> None:
    line = error_of(write(tmp_path, f"name: mine\ntype: [{', '.join('abc' for _ in range(5000))}]\ndata: x"))
    assert "type: unknown value ['abc'" in line
    assert len(line) < 400


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.yaml").endswith("none.yaml: no such card: give the path of a YAML file")
    assert "not readable as YAML" in error_of(tmp_path)


# Choosing


def test_select_by_name_and_benchmark_each_once() -> None:
    assert [c.name for c in select(["STS12", "ArguAna", "STS12"])] == ["STS12", "ArguAna"]
    found = select(["mscoco", "ArguAna"], ["billboard", "demo"])
    assert [c.name for c in found] == [
        "mscoco", "cnndm", "wmt20-zh-en", "DemoRetrieval", "DemoSTS", "DemoBillboard", "DemoPrompts", "ArguAna",
    ]  # fmt: skip
    assert select([]) == []


def test_parts_come_before_the_whole() -> None:
    names = [c.name for c in select(["CQADupstackRetrieval"])]
    assert names[-1] == "CQADupstackRetrieval"
    assert tuple(names[:-1]) == shipped_cards()["CQADupstackRetrieval"].parts
    everything = [c.name for c in select([], ["mteb"])]
    assert sorted(everything) == sorted(n for n, c in shipped_cards().items() if c.benchmark == "mteb")
    assert everything.index("CQADupstackRetrieval") > max(everything.index(p) for p in names[:-1])


@pytest.mark.parametrize(
    ("tasks", "wanted", "message"),
    [
        (["ArguAn"], [], "unknown task 'ArguAn': did you mean ArguAna?"),
        (["stsbenchmark2"], [], "did you mean STSBenchmark?"),
        (["zzzz"], [], "unknown task 'zzzz': `evaluate tasks` lists them"),
        ([""], [], "unknown task ''"),
        ([], ["bilboard"], "unknown benchmark 'bilboard': did you mean billboard?"),
        ([], ["zzzz"], "unknown benchmark 'zzzz': known are mteb, billboard, prompt-retrieval, demo"),
        (["none.yaml"], [], "none.yaml: no such card"),
    ],
)
def test_select_unknown(tasks: list[str], wanted: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        select(tasks, wanted)
    assert message in str(error.value)


def test_select_own_cards(tmp_path: Path) -> None:
    path = write(tmp_path, "tasks:\n- {name: a, type: STS, data: x}\n- {name: b, type: STS, data: x}", "own.yml")
    assert [c.name for c in select(["STS12", str(path), str(path)])] == ["STS12", "a", "b"]


def test_one_name_in_two_own_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, GOOD, "one.yaml"), write(tmp_path, GOOD, "two.yaml")
    with pytest.raises(UserError, match=r"task 'mine' is in .*one\.yaml and in .*two\.yaml: rename one"):
        select([str(one), str(two)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: ArguAna\ntype: STS\ndata: x", "task 'ArguAna': name: it is the name of a shipped task"),
        ("name: a\ntype: Summarization\ndata: x", "task 'a': type: own tasks can be Retrieval,"),
        (
            "name: RTE\ntype: PromptRetrieval\ndata: x\noptions: {input: x}",
            "'RTE': name: it is the name of a shipped",
        ),
        ("name: a\ntype: STS\nparts: [STS12]", "task 'a': parts: own tasks have none"),
    ],
)
def test_what_an_own_card_cannot_be(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        own_cards(str(write(tmp_path, text)))
    assert message in str(error.value)
