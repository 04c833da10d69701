from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.cli.main import root_parser
from instructor_eval.results.repeat import single_score, single_task
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import shipped_cards

EMBEDDED = "sentence-transformers/all-MiniLM-L6-v2"


def words(text: str) -> list[str]:
    return ["evaluate", *text.split()]


def scored(command: list[str], task: str = "SciFact", **fields: object) -> Score:
    model = {
        "name": fields.pop("model", "org/model"),
        "revision": fields.pop("revision", "main"),
        "variant": fields.pop("variant", "fp32"),
    }
    return Score(
        identity="i", status="ok", task=task, benchmark="mteb", type="Retrieval", metric="ndcg_at_10", model=model,
        instructions={"set": fields.pop("instructions", "paper"), "roles": {}}, command=command, **fields,
    )  # fmt: skip


def again(text: str, **fields: object) -> str:
    return " ".join(single_score(scored(words(text), **fields))[1:])


# The task


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--model m --task ArguAna", "--model m"),
        ("--task ArguAna --model m --task SciFact --quiet", "--model m --quiet"),
        ("--benchmark mteb --model m", "--model m"),
        ("--benchmark=mteb --task=ArguAna --model m", "--model m"),
        ("--model m --be mteb --bench billboard --ta ArguAna --tas=NFCorpus", "--model m"),
        ("--model m --task ./own.yaml --task SciFact", "--model m"),
        ("--model m", "--model m"),
    ],
)
def test_one_task_in_the_place_of_all(given: str, kept: str) -> None:
    assert single_task(words(given), "SciFact") == words(f"{kept} --task SciFact")
    assert again(given) == f"{kept} --task SciFact"


def test_a_command_is_not_changed_in_place() -> None:
    command = words("--model m --task ArguAna --variant fp32,int8")
    score = scored(list(command))
    single_score(score)
    single_task(score.command, "SciFact")
    assert score.command == command


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["evaluate"],
        ["evaluate", "demo"],
        ["evaluate", "demo", "--variant", "fp32,int8", "--model", "a"],
        ["evaluate", "plan", "--task", "ArguAna", "--model", "m"],
    ],
)
def test_what_is_no_plain_run_stays(given: list[str]) -> None:
    assert single_task(given, "SciFact") == given
    assert single_score(scored(given)) == given


def test_tasks_of_ones_own_stay() -> None:
    given = "--model m --task ./own.yaml --task SciFact --benchmark demo"
    assert single_task(words(given), "my-task") == words(given)
    assert again(given, task="my-task") == given


def test_of_a_task_of_ones_own_the_variant_is_told_all_the_same() -> None:
    given = "--model m --task ./own.yaml --variant fp32,int8"
    assert again(given, task="my-task", variant="int8") == "--model m --task ./own.yaml --variant int8"


# The variant


@pytest.mark.parametrize(
    "grid",
    [
        "--variant fp32,int8",
        "--variant fp32 --variant int8",
        "--variant=fp32,int8 --truncate-dim=32",
        "--embedding binary --truncate-dim 32 --truncate-dim 64",
        "--var int8 --emb=binary --trun 32",
        "--va=auto",
        "--variant int8+binary@32",
    ],
)
@pytest.mark.parametrize("variant", ["int8+binary@32", "fp32"])
def test_the_scores_own_variant_in_the_place_of_the_grid(grid: str, variant: str) -> None:
    assert again(f"--model m {grid} --task ArguAna", variant=variant) == f"--model m --variant {variant} --task SciFact"


def test_where_no_variant_was_asked_for_none_is_said() -> None:
    assert again("--model m --task ArguAna", variant="bf16") == "--model m --task SciFact"


# What was given several times


@pytest.mark.parametrize(
    ("given", "model", "revision", "kept"),
    [
        ("--model a/b --model c/d", "c/d", "main", "c/d"),
        ("--model a/b --model c/d --model e/f", "a/b", "main", "a/b"),
        ("--model=a/b --mod c/d", "c/d", "main", "c/d"),
        ("--mode=a/b --mo=c/d", "a/b", "main", "a/b"),
        ("--model minilm --model c/d", EMBEDDED, "pypi:gt==1", "minilm"),
        ("--model minilm --model c/d", "c/d", "main", "c/d"),
        ("--model a/b@v1 --model a/b@v2", "a/b", "v2", "a/b@v2"),
        ("--model a/b@v1 --model a/b@v2", "a/b", "v1", "a/b@v1"),
        ("--model a/b --model a/b@v2", "a/b", "main", "a/b"),
        ("--model ./here --model c/d", "./here", "local", "./here"),
    ],
)
def test_the_scores_own_model(given: str, model: str, revision: str, kept: str) -> None:
    assert again(f"{given} --limit 3", model=model, revision=revision) == f"--limit 3 --model {kept} --task SciFact"


@pytest.mark.parametrize("given", ["--model a/b", "--mod=a/b", "--model ../elsewhere", "--model a/b@v1"])
def test_a_single_model_stays_as_it_was_written(given: str) -> None:
    assert again(f"{given} --quiet", model="a/b") == f"{given} --quiet --task SciFact"


def test_models_that_cannot_be_told_apart_stay() -> None:
    given = "--model ./a --model ./b"
    assert again(given, model="c/d") == f"{given} --task SciFact"


@pytest.mark.parametrize(
    ("given", "own", "kept"),
    [
        ("--instructions paper --instructions none", "none", "--instructions none"),
        ("--instructions paper --instructions none", "paper", "--instructions paper"),
        ("--inst=paper --in none --instr=template", "template", "--instructions template"),
        ("--instructions paper:hkunlp/instructor-xl --instructions paper", "paper", "--instructions paper"),
        ("--instructions none", "none", "--instructions none"),
        ("--instructions paper", "none", "--instructions paper"),  # of a model that takes none
    ],
)
def test_the_scores_own_instructions(given: str, own: str, kept: str) -> None:
    assert again(f"--model m {given}", instructions=own) == f"--model m {kept} --task SciFact"


def test_files_of_instructions_stay_beside_each_other() -> None:
    given = "--model m --instructions mine.yaml --instructions paper"
    assert again(given, instructions="mine") == f"{given} --task SciFact"


@pytest.mark.parametrize(
    ("given", "own", "kept"),
    [
        ("--selection similar --selection bm25", "bm25", "--selection bm25"),
        ("--sel=random:3 --selec random", "random:3", "--selection random:3"),
        ("--selection random:3 --selection random", "random", "--selection random"),
        ("--selection similar", "similar", "--selection similar"),
    ],
)
def test_the_scores_own_selection(given: str, own: str, kept: str) -> None:
    made = again(f"--model m {given}", reader={"name": "nearest", "selection": own})
    assert made == f"--model m {kept} --task SciFact"


def test_selections_stay_where_no_reader_took_part() -> None:
    given = "--model m --selection similar --selection bm25"
    assert again(given) == f"{given} --task SciFact"


@pytest.mark.parametrize(
    ("given", "backend", "kept"),
    [
        ("--search exact --search faiss:Flat", "faiss:Flat", " --search faiss:Flat"),
        ("--search exact --search faiss:Flat", None, ""),
        ("--search=faiss:Flat", None, ""),  # a task that searches nothing
        ("--sea exact --searc milvus:x.db,FLAT --search=lancedb", "milvus:x.db,FLAT", " --search milvus:x.db,FLAT"),
        ("--se exact", "lancedb", ""),  # which argparse refuses
    ],
)
def test_the_scores_own_search(given: str, backend: str | None, kept: str) -> None:
    made = again(f"--model m {given}", search={"backend": backend} if backend else {})
    left = " --se exact" if "--se " in given else ""
    assert made == f"--model m{left}{kept} --task SciFact"


# Everything else

OTHERS = (
    "--trust-remote-code --limit 3 --results r --hub h --batch-tokens 512 --protocol mteb --reader nearest "
    "--device cpu --reader-dtype auto --cost off --compile --family plain --cache c --cache-size 2G "
    "--cache-dtype float16 --offline --quiet --debug"
)


def test_no_other_flag_is_swallowed() -> None:
    given = (
        f"--model a/b --task ArguAna {OTHERS} --model org/model --benchmark mteb --instructions paper --variant fp32"
    )
    made = again(given + " --instructions none --no-cache")
    assert made == (
        f"{OTHERS} --no-cache --variant fp32 --model org/model --instructions paper --task SciFact"
    )  # fmt: skip


@pytest.mark.parametrize("flag", ["--trust-remote-code", "--trust", "--trus", "--limit=3", "--version", "--verify"])
def test_a_flag_that_begins_like_one_of_ours_stays_alone(flag: str) -> None:
    given = f"--model m {flag} --variant fp32"
    assert again(given) == f"--model m {flag} --variant fp32 --task SciFact"


def test_a_value_with_an_equals_sign_stays_whole() -> None:
    assert again("--model m --protocol amazon=all --results=a=b --limit=3") == (
        "--model m --protocol amazon=all --results=a=b --limit=3 --task SciFact"
    )


# As the command line reads it

PARSER = root_parser()
FLAGS = [name for name in PARSER._option_string_actions if name.startswith("--")]
VALUES = {
    "--model": ["a/b", "c/d", "a/b@v1", "minilm", "./here"],
    "--task": ["SciFact", "ArguAna", "./own.yaml", "x=y"],
    "--benchmark": ["mteb", "demo"],
    "--instructions": ["paper", "none", "mine.yaml", "paper:hkunlp/instructor-xl"],
    "--selection": ["similar", "bm25", "random:3"],
    "--search": ["exact", "faiss:HNSW32,efSearch=64", "milvus:http://localhost:19530"],
    "--variant": ["fp32", "fp32,int8", "auto"],
    "--embedding": ["binary", "float32,uint8"],
    "--truncate-dim": ["32", "64"],
    "--protocol": ["paper", "amazon=all"],
    "--limit": ["3", "40"],
    "--results": ["results", "a b", "tasks"],
    "--hub": ["mirror"],
    "--family": ["plain"],
    "--reader": ["nearest", "hf:a/b"],
    "--batch-tokens": ["512"],
    "--trust-remote-code": [],
    "--quiet": [],
    "--offline": [],
    "--no-cache": [],
    "--compile": [],
    "--debug": [],
}
OURS = {"task", "benchmark", "variant", "embedding", "truncate_dim", "model", "instructions", "selection", "search"}


def beginnings(flag: str) -> list[str]:
    """All that argparse takes for it."""
    starts = [flag[:n] for n in range(4, len(flag) + 1)]  # one letter is too few for ours
    return [s for s in starts if s == flag or sum(name.startswith(s) for name in FLAGS) == 1]


@st.composite
def given_flags(draw: Callable[..., object]) -> list[str]:
    flag = draw(st.sampled_from(list(VALUES)))
    written = draw(st.sampled_from(beginnings(flag)))
    if not VALUES[flag]:
        return [written]
    value = draw(st.sampled_from(VALUES[flag]))
    return [f"{written}={value}"] if draw(st.booleans()) else [written, value]


commands = st.lists(given_flags(), min_size=1, max_size=10).map(lambda parts: ["evaluate", *itertools.chain(*parts)])


@given(
    commands,
    st.sampled_from(sorted(shipped_cards())),
    st.sampled_from([("a/b", "main"), ("a/b", "v1"), (EMBEDDED, "pypi:gt==1"), ("./here", "local")]),
    st.sampled_from(["fp32", "int8+binary@32"]),
    st.sampled_from(["paper", "none", "mine"]),
    st.sampled_from([{}, {"selection": "bm25"}]),
)
def test_exactly_the_one_task_is_named(
    command: list[str], task: str, model: tuple[str, str], variant: str, own: str, reader: dict[str, str]
) -> None:
    before = vars(PARSER.parse_args(command[1:]))
    made = single_score(
        scored(command, task, model=model[0], revision=model[1], variant=variant, instructions=own, reader=reader)
    )
    after = vars(PARSER.parse_args(made[1:]))
    assert (after["task"], after["benchmark"]) == ([task], [])
    numeric = before["variant"] or before["embedding"] or before["truncate_dim"]
    assert after["variant"] == ([[variant]] if numeric else [])
    assert (after["embedding"], after["truncate_dim"], after["search"]) == ([], [], [])
    for name, wanted in (("instructions", own), ("selection", reader.get("selection"))):
        narrow = len(before[name]) > 1 and wanted in before[name]
        assert after[name] == ([wanted] if narrow else before[name])
    assert after["model"] == before["model"] or (len(after["model"]) == 1 and after["model"][0] in before["model"])
    others = set(before) - OURS
    assert {k: after[k] for k in others} == {k: before[k] for k in others}
    assert single_task(made, task) == made


@given(commands, st.sampled_from(sorted(shipped_cards())))
def test_a_repeated_command_repeats_itself(command: list[str], task: str) -> None:
    once = single_score(scored(command, task))
    assert vars(PARSER.parse_args(single_score(scored(once, task))[1:])) == vars(PARSER.parse_args(once[1:]))


def test_a_revision_that_was_given_is_kept() -> None:
    given = "--model org/m --model org/m@v2 --task SciFact"
    assert again(given, model="org/m", revision="v2") == "--model org/m@v2 --task SciFact"


def test_single_letters_that_argparse_takes() -> None:
    given = "--m a/b --m org/model --var int8 --e binary --i none --i paper --task SciFact"
    made = again(given, variant="int8+binary")
    assert made == "--variant int8+binary --model org/model --instructions paper --task SciFact"
    root_parser().parse_args(made.split())
