"""Models of mteb's registry, through mteb's own protocol: held against mteb itself and the same checkpoint here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from mteb.models.model_meta import ModelMeta

from instructor_eval.core.errors import UserError
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.served import mteb as mteb_models
from instructor_eval.models.served.contract import Serving
from instructor_eval.models.served.engine import PROBES, ServedEngine, describe
from instructor_eval.models.served.mteb import RegistryModel
from instructor_eval.results.store import Store

RANDOM = "mteb/baseline-random-encoder"
PROMPTS = {"query": "find: ", "DemoSTS": "alike: "}


@pytest.fixture
def minilm(monkeypatch: pytest.MonkeyPatch) -> str:
    """The embedded MiniLM in mteb's registry, loaded as mteb loads any SentenceTransformer, with prompts."""
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.models.get_model_meta import MODEL_REGISTRY

    folder = locate(ModelSpec.parse("minilm"), offline=True, known=[]).folder

    def load(name: str, revision: str, **_how: Any) -> Any:
        return SentenceTransformerEncoderWrapper(str(folder), device="cpu", model_prompts=PROMPTS)

    known = mteb.get_model_meta(RANDOM)
    entry = known.model_copy(update={"loader": load, "name": "made/minilm", "modalities": ["text"], "revision": "7"})
    assert isinstance(entry, ModelMeta)
    monkeypatch.setitem(MODEL_REGISTRY, "made/minilm", entry)
    monkeypatch.setattr(RegistryModel, "_loaded", None)
    return "mteb:made/minilm"


@pytest.mark.slow
def test_the_scores_of_the_same_checkpoint_here(
    cli: Callable[..., Any], minilm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PROMPTS", {})
    run = ("--task", "DemoSTS", "--device", "cpu", "--results", "r")
    done = cli("--model", minilm, "--model", "minilm", *run)
    assert done.code == 0, done.out + done.err
    assert "family plain, mteb's own prompts for this model, by task and query or document" in done.out
    there, here = sorted(Store(tmp_path / "r").scores(), key=lambda s: not s.model.name.startswith("mteb:"))
    assert there.score == pytest.approx(here.score, abs=1e-5)
    assert there.data.hash == here.data.hash
    assert (there.model.revision, there.served) == ("7", {})
    again = cli("--model", minilm, *run, "--embedding", "int8")
    assert "772 of 772 vectors from the cache" in again.out


def test_prompts_go_by_task_and_role_and_keys_too(minilm: str) -> None:
    from sentence_transformers import SentenceTransformer

    folder = locate(ModelSpec.parse("minilm"), offline=True, known=[]).folder
    reference = SentenceTransformer(str(folder), device="cpu")
    engine = ServedEngine(describe(RegistryModel("made/minilm", Serving(device="cpu"))), None)
    cases = {("SciFact", "Retrieval", "query"): "find: ", ("SciFact", "Retrieval", "document"): "",
             ("Own", "STS", "text"): ""}  # fmt: skip
    scopes = {engine.scope("", *case) for case in cases}
    assert len(scopes) == 3
    for case, prompt in cases.items():
        rows = engine.encode(list(PROBES), engine.scope("", *case))
        expected = reference.encode([prompt + text for text in PROBES])
        np.testing.assert_allclose(rows, expected, atol=2e-6)


def test_mtebs_own_baseline_needs_no_download(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Its vectors are what mteb's encoder gives for the same texts."""
    model = RegistryModel(RANDOM, Serving(device="cpu"))
    from datasets import Dataset
    from torch.utils.data import DataLoader

    inputs = DataLoader(Dataset.from_dict({"text": list(PROBES)}), batch_size=2)
    expected = mteb.get_model(RANDOM).encode(
        inputs, task_metadata=mteb.get_task("STSBenchmark").metadata, hf_split="test", hf_subset="default"
    )
    np.testing.assert_array_equal(model.embed(list(PROBES), model.scope("", "DemoSTS", "STS", "text")), expected)
    done = cli("--model", f"mteb:{RANDOM}", "--task", "DemoSTS", "--limit", "20", "--results", "r", "--device", "cpu")
    assert done.code == 0, done.out + done.err


def test_one_model_is_in_memory_at_a_time(minilm: str) -> None:
    first, second = (RegistryModel(name, Serving(device="cpu")) for name in ("made/minilm", RANDOM))
    first.embed(["a"], "")
    second.embed(["a"], "")
    assert (first._model, RegistryModel._loaded) == (None, second)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mteb/baseline-random-encodr", "no model of mteb's registry: did you mean mteb/baseline-random-encoder"),
        ("mteb/baseline-bm25s", "a model of kind sparse gives no single vector of a text"),
        ("mteb/baseline-random-colbert", "a model of kind late-interaction gives no single vector"),
        ("nomic-ai/nomic-embed-text-v1", "runs code of its own: read it, then add --trust-remote-code"),
    ],
)
def test_what_cannot_be_evaluated(name: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        RegistryModel(name, Serving(device="cpu"))
    assert line in str(caught.value)


def test_families_are_mtebs_and_errors_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="mteb puts its own prompts before the texts: leave --family prefix out"):
        RegistryModel(RANDOM, Serving(device="cpu", family="prefix"))
    model = RegistryModel(RANDOM, Serving(device="cpu"))

    def gone(**_how: Any) -> Any:
        raise OSError("no such\nweights")

    monkeypatch.setattr(model, "_meta", type("Meta", (), {"load_model": staticmethod(gone)}))
    with pytest.raises(UserError, match=f"mteb:{RANDOM}: OSError: no such weights: install or download"):
        model.embed(["a"], "")


def test_tasks_unknown_to_mteb_are_given_by_type() -> None:
    assert mteb_models._metadata("SciFact", "Retrieval").name == "SciFact"
    made = mteb_models._metadata("My own: task", "Retrieval")
    assert (made.name, made.type) == ("Myowntask", "Retrieval")
    assert mteb_models._metadata("Mine", "PromptRetrieval").type == "STS"
