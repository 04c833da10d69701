"""The cards that come with the package: complete, the paper's instructions, mteb's data."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from instructor_eval.tasks.cards import benchmarks, shipped_cards
from instructor_eval.tasks.instructions import InstructionSet, ModelRule, resolve
from instructor_eval.tasks.types import TYPES

ON_THE_HUB = ("RTE", "SST-5", "MRPC", "DBpedia-14", "HellaSwag")
"""The prompt-retrieval sets with data on the public hub."""
CHECKPOINTS = ("hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl")


def test_seventy_tasks_twelve_forums_the_demo_and_the_probe() -> None:
    known = shipped_cards()
    whole = Counter(c.benchmark for c in known.values() if c.part_of is None)
    assert whole == {"mteb": 56, "billboard": 3, "prompt-retrieval": 11, "demo": 4, "probe": 1, "demo-pictures": 3}
    forums = [c.name for c in known.values() if c.part_of is not None and c.benchmark == "mteb"]
    assert len(forums) == 12
    assert known["CQADupstackRetrieval"].parts == tuple(forums)
    assert {known[f].part_of for f in forums} == {"CQADupstackRetrieval"}
    assert benchmarks(known) == ["mteb", "billboard", "prompt-retrieval", "demo", "probe", "demo-pictures"]


def test_the_types_of_the_paper() -> None:
    counts = Counter(c.type for c in shipped_cards().values() if c.benchmark == "mteb" and c.part_of is None)
    assert counts == {
        "Retrieval": 15, "Reranking": 4, "Clustering": 11, "PairClassification": 3, "Classification": 12, "STS": 10,
        "Summarization": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", list(shipped_cards()))
def test_every_shipped_card_is_complete(name: str) -> None:
    card = shipped_cards()[name]
    assert card.metric in TYPES[card.type].metrics
    assert card.source
    assert card.file is not None
    if card.parts:
        assert card.data_id is card.folder is None
        return
    assert (card.data_id is None) != (card.folder is None)
    assert (card.data_revision is not None) == (card.benchmark == "mteb" or name in ON_THE_HUB)
    assert card.data_revision is None or re.fullmatch("[0-9a-f]{40}", card.data_revision)
    assert (card.data_mirror is not None) == (name in ON_THE_HUB)
    if card.benchmark == "prompt-retrieval":
        assert str(card.data_mirror or card.data_id).startswith("prompt_retrieval/")
    assert set(card.roles) == set(TYPES[card.type].wording) == set(card.instructions)
    assert not card.template_is_default
    for role in card.roles:
        assert card.template.instruction(role).startswith("Represent the ")
        for checkpoint in CHECKPOINTS:
            resolve(card, role, InstructionSet("paper", "paper"), ModelRule(checkpoint, "instructor"))


def test_template_wording() -> None:
    card = shipped_cards()["ArguAna"]
    assert card.template.instruction("query") == ("Represent the debate argument for retrieving a counter-argument: ")
    assert card.template.instruction("document") == "Represent the debate counter-argument for retrieval: "
    assert shipped_cards()["mscoco"].template.instruction("text") == "Represent the image caption: "
    assert shipped_cards()["wmt20-zh-en"].template.instruction("text") == "Represent the translation: "


PROMPT_RETRIEVAL = {
    "amazon": "Amazon", "civil": "CivilComments", "coda19_title_generation": "CODA-19", "dbpedia_14": "DBpedia-14",
    "geoquery": "GeoQuery", "hellaswag": "HellaSwag", "mrpc": "MRPC", "multirc_answerability": "MultiRC",
    "mwoz": "MultiWOZ", "rte": "RTE", "sst5": "SST-5", "mt": "wmt20-zh-en",
}  # fmt: skip


@pytest.mark.realdata
def test_every_instruction_of_the_authors_byte_for_byte(reference: Path) -> None:
    with (reference / "instructions_head.csv").open(encoding="utf-8", newline="") as f:
        rows = [r for r in csv.DictReader(f) if not r["note"].startswith("author scratch")]
    assert len(rows) == 311
    wrong, seen = [], set()
    for row in rows:
        card = shipped_cards()[PROMPT_RETRIEVAL.get(row["task"], row["task"])]
        [*candidates] = {"corpus": ["document"], "both": ["text", "example"]}.get(row["role"], [row["role"]])
        [role] = [r for r in candidates if r in card.roles]
        for model in CHECKPOINTS if row["model_key"] == "(all models)" else [row["model_key"]]:
            seen.add((card.name, role, model))
            found = resolve(card, role, InstructionSet("paper", "paper"), ModelRule(model, "instructor"))
            if found.text != row["instruction"]:
                wrong.append((card.name, role, model, found.text, row["instruction"]))
    assert wrong == []
    expected = {
        (c.name, role, model)
        for c in shipped_cards().values()
        if c.benchmark in ("mteb", "billboard", "prompt-retrieval") and not c.parts
        for role in c.roles
        for model in CHECKPOINTS
    }
    assert seen == expected


@pytest.mark.realdata
def test_metric_split_subset_data_and_type_are_mtebs(reference: Path) -> None:
    with (reference / "mteb_eng_v1.csv").open(encoding="utf-8", newline="") as f:
        rows = {r["name"]: r for r in csv.DictReader(f)}
    mteb = {c.name: c for c in shipped_cards().values() if c.benchmark == "mteb" and c.part_of is None}
    assert set(rows) == set(mteb)
    for name, card in mteb.items():
        row = rows[name]
        assert (card.type, card.metric) == (row["type"], row["main_score"]), name
        assert (card.split, card.subset) == (row["eval_splits"], row["hf_subsets"]), name
        if not card.parts:
            assert (card.data_id, card.data_revision) == (row["hf_dataset"], row["revision"]), name


def test_cards_are_read_once() -> None:
    assert shipped_cards() is shipped_cards()
