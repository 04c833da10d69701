"""FIFOs, sockets, devices and links that lead nowhere, in place of every file that is read."""

from __future__ import annotations

from pathlib import Path

from hostile_case import Case
from hostile_inputs import CARD, RUN, SPECIAL, checkpoint, data, special, spoilt

_CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "README.md", "modules.json",
               "1_Pooling/config.json", "tokenizer_config.json", "sentence_bert_config.json", "vocab.txt")  # fmt: skip


def _card(folder: Path, kind: str) -> list[str]:
    special("card.yaml", kind)(folder)
    return ["tasks", "card.yaml"]


def _run_card(folder: Path, kind: str) -> list[str]:
    checkpoint(folder)
    special("card.yaml", kind)(folder)
    return ["--model", "m", *RUN]


def _instructions(folder: Path, kind: str) -> list[str]:
    data(folder)
    checkpoint(folder)
    special("words.yaml", kind)(folder)
    return ["--model", "m", *RUN, "--instructions", "words.yaml"]


def _data(folder: Path, kind: str, file: str = "test.jsonl") -> list[str]:
    data(folder, CARD)
    (folder / "data" / "test.jsonl").unlink()
    special(f"data/{file}", kind)(folder)
    checkpoint(folder)
    return ["--model", "m", *RUN]


def _thumb(folder: Path, kind: str) -> list[str]:
    data(
        folder, "name: Own\ntype: TextEvaluation\ndata: data\n", a_references__jsonl='{"seg_id": "1", "refs": ["x"]}\n'
    )
    special("data/a_THumB-1.0.jsonl", kind)(folder)
    checkpoint(folder)
    return ["--model", "m", *RUN]


def _prompts(folder: Path, kind: str) -> list[str]:
    card = 'name: Own\ntype: PromptRetrieval\ndata: data\noptions: {input: "{text}", labels: [a, b]}\n'
    data(folder, card, test__jsonl='{"text": "x", "label": "a"}\n')
    special("data/pool.jsonl", kind)(folder)
    checkpoint(folder)
    return ["--model", "m", *RUN]


def _mirror(folder: Path, kind: str, file: str) -> list[str]:
    place = folder / "hub" / "datasets" / "mteb" / "stsbenchmark-sts"
    place.mkdir(parents=True)
    (place / "README.md").write_text("x")
    special(file, kind)(place)
    checkpoint(folder)
    return ["--model", "m", "--task", "STSBenchmark", "--hub", "hub", *RUN[2:]]


def _loop_of_folders(folder: Path) -> list[str]:
    data(folder)
    (checkpoint(folder) / "3_Loop").symlink_to(".")
    return ["--model", "m", *RUN]


def _many_loops(folder: Path) -> list[str]:
    data(folder)
    place = checkpoint(folder)
    for i in range(200):
        (place / f"loop{i}").symlink_to("..")
    return ["--model", "m", *RUN]


CASES = [
    *(
        spoilt(f"{file}: {kind}", special(file, kind), "model m: ", Path(file).name, says, "again")
        for file in _CHECKPOINT
        for kind, says in SPECIAL.items()
    ),
    *(
        spoilt(f"{file}: a folder", special(file, "a folder"), "model m: ", Path(file).name, "again")
        for file in ("config.json", "model.safetensors", "tokenizer_config.json", "modules.json")
    ),
    *(
        Case(f"{what}: {kind}", lambda folder, make=make, kind=kind: make(folder, kind), (name, says))
        for what, make, name in (
            ("a card", _card, "card.yaml"),
            ("own data", _data, "test.jsonl"),
            ("own data in THumB's form", _thumb, "a_THumB-1.0.jsonl"),
            ("a pool of prompts", _prompts, "pool.jsonl"),
        )
        for kind, says in SPECIAL.items()
        if not (kind.startswith("a link") and what in ("a card", "a pool of prompts"))
    ),
    *(
        Case(f"{what}: {kind}", lambda folder, make=make, kind=kind: make(folder, kind), says)
        for kind in ("a link to itself", "a link to nothing")
        for what, make, says in (
            ("a pool of prompts", _prompts, ("pool.jsonl", "none of the files that are needed")),
            ("a card", _card, ("card.yaml",)),
            ("a card that is run", _run_card, ("card.yaml",)),
        )
    ),
    *(
        Case(
            f"instructions: {kind}",
            lambda folder, kind=kind: _instructions(folder, kind),
            ("words.yaml", "a YAML file that exists"),
        )
        for kind in SPECIAL
    ),
    *(
        Case(
            f"mirror, {file}: {kind}",
            lambda folder, kind=kind, file=file: _mirror(folder, kind, file),
            ("mteb/stsbenchmark-sts", file, says),
        )
        for file in ("test.jsonl", "test.parquet")
        for kind, says in SPECIAL.items()
    ),
    Case("a checkpoint with a folder linked into itself", _loop_of_folders, ("3_Loop", "a link to a folder", "again")),
    Case("a checkpoint with links to its parent", _many_loops, ("loop", "a link to a folder")),
]
