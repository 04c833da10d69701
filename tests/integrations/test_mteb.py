"""`mteb.evaluate` with our encoder gives our scores, under each task's own instructions."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from made_up import MIRRORS
from mteb_alone import run_mteb

import instructor_eval as ie
from instructor_eval.integrations.mteb import Encoder
from instructor_eval.tasks.cards import shipped_cards

TASKS = ("SciFact", "TwentyNewsgroupsClustering", "TwitterSemEval2015", "MTOPDomainClassification", "BIOSSES")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(folder, family="instructor")


@pytest.mark.parametrize("task", TASKS)
def test_the_score_is_ours(task: str, folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    mirror = MIRRORS[task](tmp_path / "hub")
    ours = ie.evaluate(
        folder, task, family="instructor", hub=tmp_path / "hub", offline=True, cost="off", results=tmp_path / "results"
    )
    subset = shipped_cards()[task].subset
    theirs = run_mteb(task, mirror, tmp_path / "cache", encoder, subset=None if subset == "default" else subset)
    assert ours[task].value == pytest.approx(theirs["main_score"], abs=1e-6)
    assert 0 < abs(ours[task].value) < 1


def metadata(name: str, kind: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, type=kind)


def loader(*texts: str) -> SimpleNamespace:
    return SimpleNamespace(dataset={"text": list(texts)})


def test_each_task_has_its_own_instruction(folder: Path, encoder: Encoder) -> None:
    ours = ie.load_encoder(folder, family="instructor")
    for name, kind in (("BIOSSES", "STS"), ("TwitterSemEval2015", "PairClassification")):
        found = encoder.encode(loader("a storm"), task_metadata=metadata(name, kind))
        instruction = shipped_cards()[name].instructions["text"]["instructor"]
        assert found == pytest.approx(ours.encode(["a storm"], instruction), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "role", "instruction"),
    [
        ("InstructionRetrieval", "query", "Represent the query for retrieving supporting documents: "),
        ("InstructionRetrieval", "document", "Represent the document for retrieval: "),
        ("STS", None, "Represent the sentence: "),
        ("BitextMining", None, "Represent the text: "),
    ],
)
def test_a_task_without_a_card_has_its_types_wording(
    kind: str, role: str | None, instruction: str, folder: Path, encoder: Encoder
) -> None:
    ours = ie.load_encoder(folder, family="instructor")
    prompt = role and SimpleNamespace(value=role)
    found = encoder.encode(loader("a storm"), task_metadata=metadata(f"New{kind}", kind), prompt_type=prompt)
    assert found == pytest.approx(ours.encode(["a storm"], instruction), abs=1e-6)


def test_mteb_knows_its_name(folder: Path, encoder: Encoder) -> None:
    assert encoder.mteb_model_meta.name == "local/tiny"
    with pytest.raises(ie.UserError, match="unknown instruction set"):
        Encoder(folder, instructions="papre")
