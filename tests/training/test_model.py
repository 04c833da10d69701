"""The model in training gives the vectors of the checkpoint that it is saved as, and one gradient in any groups."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import made_rows
import numpy as np
import pytest
import tiny
import torch
from checkpoints import largest
from sentence_transformers import SentenceTransformer

from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.library import load_encoder
from instructor_eval.models.pooling import EXCLUDED, INSTRUCTOR
from instructor_eval.training.data import About
from instructor_eval.training.loss import contrastive_loss
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.parse import Row
from instructor_eval.training.save import Provenance, dense_folders, save

pytestmark = pytest.mark.usefixtures("one_thread")
ABOUT = About("rows.json", "0" * 64, 2, ("a",), ("Represent `this` \n# text: ", ""))
TEXTS = ["a river", "What is the time of the night?", "water " * 30, "x", "storm, data; and 12 cats", "  spaced  "]
ASK = "Represent the question for finding a sentence: "
KINDS = {"t5": tiny.build_instructor, "bert": tiny.build_plain}


def model_of(folder: Path, kind: str, **options: object) -> TrainedModel:
    KINDS[kind](folder)
    found = locate(ModelSpec(str(folder)), offline=True, known=[], family="instructor")
    rule = INSTRUCTOR if kind == "t5" else EXCLUDED
    torch.manual_seed(3)
    return TrainedModel(dataclasses.replace(found, prompt_rule=rule), **options)  # type: ignore[arg-type] # a test's


def changed(model: TrainedModel) -> TrainedModel:
    """The model after some training, or what looks like it."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dense_dim", [None, 12])
def test_saved_checkpoints_give_the_same_vectors_here_and_in_sentence_transformers(
    tmp_path: Path, kind: str, dense_dim: int | None
) -> None:
    model = changed(model_of(tmp_path / "start", kind, dense_dim=dense_dim))
    save(model, tmp_path / "saved", Provenance("saved", "start", ABOUT, {"note": "x"}), 7)
    ours = load_encoder(tmp_path / "saved", device="cpu")
    assert ours.engine.checkpoint.family == "instructor"
    assert not ours.engine.checkpoint.through
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    theirs.set_pooling_include_prompt(False)
    for instruction in (ASK, ""):
        wanted = model.encode(TEXTS, instruction)
        assert largest(ours.encode(TEXTS, instruction), wanted) < 1e-5
        plain = TEXTS[:-1]  # another rule for a text that begins with a space (docs/models.md)
        given = theirs.encode(plain, prompt=instruction or None, show_progress_bar=False)
        assert largest(given, wanted[:-1]) < 1e-5
    bare = changed(model_of(tmp_path / "again", kind, dense_dim=dense_dim))
    bare.load(tmp_path / "saved", dense_folders(tmp_path / "saved"))
    assert bare.digest() == model.digest()


def test_the_card_holds_no_markdown_of_others(tmp_path: Path) -> None:
    model = model_of(tmp_path / "start", "t5")
    save(model, tmp_path / "saved", Provenance("a\n# b`", "<script>", ABOUT, {"x": "```\n# y"}), 7)
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert '    "Represent `this` \\n# text: "' in card
    assert "<script>" not in card
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# a-# b-", "## Data", "## Arguments"]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_cache_are_those_without(tmp_path: Path, kind: str) -> None:
    rows = [
        Row("t", tuple(row["query"]), tuple(row["pos"]), tuple(row["neg"]) if i % 3 else None)
        for i, row in enumerate(made_rows.rows(12))
    ]
    found = []
    for number, most in enumerate((None, 5, 1)):
        model = model_of(tmp_path / f"{number}", kind, recompute=most is not None)
        model.eval()  # dropout is drawn group by group
        batch = model.collator("cpu", most=most)(rows)
        assert max(len(group["ids"]) for group in batch["groups"]) <= (most or 1000)
        vectors = model(batch["groups"], batch["places"])
        loss = contrastive_loss(*vectors.split([12, 12, 8]), batch["owners"], 0.05)
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((loss.item(), grads))
    (loss, grads), *others = found
    for other, theirs in others:
        assert other == pytest.approx(loss, abs=1e-5)
        for name, grad in grads.items():
            scale = max(1.0, float(grad.abs().max()))
            assert float((theirs[name] - grad).abs().max()) / scale < 1e-5, name
    assert ("head.0.0.weight" in grads) == (kind != "bert")


def test_recomputing_draws_the_same_dropout(tmp_path: Path) -> None:
    model = model_of(tmp_path / "start", "bert", recompute=True)
    model.train()
    groups, places = model.collator("cpu", most=2).groups([(ASK, text) for text in TEXTS])
    gradients = []
    for recompute in (True, False):
        model.recompute = recompute
        model.zero_grad()
        torch.manual_seed(0)
        (model(groups, places) ** 2).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for ours, due in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, due, atol=1e-5, rtol=1e-4)


def test_encoding_leaves_the_model_in_training(tmp_path: Path) -> None:
    model = model_of(tmp_path / "start", "t5")
    model.train()
    first = model.encode(TEXTS, ASK)
    assert model.training
    assert np.array_equal(first, model.encode(TEXTS, ASK))
