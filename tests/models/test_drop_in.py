"""`INSTRUCTOR` is InstructorEmbedding 1.0.1's class: its vectors (tests/golden), its arguments, its users' ways."""

from __future__ import annotations

import copy
from pathlib import Path

import golden
import numpy as np
import pytest
import tiny
import torch
from golden.cases import CASES, DOCUMENT, FAILING, QUESTION, SENTENCE

import instructor_eval as ie
from instructor_eval import INSTRUCTOR, UserError

GOLDEN = Path(golden.__path__[0]) / "instructor_1_0_1.npz"
TOLERANCE = 1e-5
PAIRS = [[DOCUMENT, SENTENCE], [QUESTION, "Where is the market?"], [DOCUMENT, "A storm."]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("drop-in") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> INSTRUCTOR:
    return INSTRUCTOR(str(folder), device="cpu")


def furthest(a: object, b: object) -> float:
    return float(np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).max())


@pytest.mark.parametrize(
    ("hub_tokenizer", "batch_size", "which"),
    [
        (False, 1, "alone"), (False, len(CASES), "mixed"), (False, 7, "mixed"), (True, 1, "alone"), (True, 7, "mixed"),
        pytest.param(True, len(CASES), "mixed", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_vectors_of_1_0_1(tmp_path: Path, batch_size: int, which: str, hub_tokenizer: bool) -> None:
    made = tiny.build_instructor(tmp_path / "tiny", hub_tokenizer=hub_tokenizer)
    with np.load(GOLDEN, allow_pickle=False) as stored:
        expected = stored[f"{which}_hub" if hub_tokenizer else which]
    found = INSTRUCTOR(made, device="cpu").encode([list(case) for case in CASES], batch_size=batch_size)
    assert found.dtype == np.float32
    assert furthest(found, expected) < TOLERANCE


@pytest.mark.parametrize(("instruction", "text", "what"), FAILING)
def test_where_1_0_1_has_no_vector(model: INSTRUCTOR, instruction: str, text: str, what: str) -> None:
    """It fails an assertion where the instruction is longer than the whole, else it gives zeros, and so does ours."""
    if what == "assertion":
        with pytest.raises(UserError, match="merge with its text"):
            model.encode([[instruction, text]])
    else:
        assert not model.encode([[instruction, text]]).any()


def test_what_is_evaluated_is_what_is_served(model: INSTRUCTOR, folder: Path) -> None:
    ours = ie.load_encoder(folder, device="cpu", family="instructor")
    assert furthest(model.encode(PAIRS), ours.encode(PAIRS)) < 1e-6
    texts = [text for _, text in PAIRS]
    assert furthest(model.encode(texts), ours.encode(texts)) < 1e-6


def test_forms_of_input(model: INSTRUCTOR) -> None:
    vectors = model.encode(PAIRS)
    for other in (map(tuple, PAIRS), [[*p, 0] for p in PAIRS], np.array(PAIRS), tuple(PAIRS)):
        assert np.array_equal(model.encode(other), vectors)
    assert np.array_equal(model.encode(PAIRS[:1])[0].shape, (24,))
    assert furthest(model.encode(SENTENCE), model.encode([SENTENCE])[0]) == 0
    assert furthest(model.encode([["", SENTENCE]]), model.encode([SENTENCE])) < 1e-6
    assert model.encode([]).shape == (0, 24)
    assert model.encode(sentences=PAIRS, convert_to_tensor=True).shape == (3, 24)
    assert [type(v) for v in model.encode(PAIRS, convert_to_numpy=False)] == [torch.Tensor] * 3
    normal = model.encode(PAIRS, normalize_embeddings=True)
    assert np.allclose(np.linalg.norm(normal, axis=1), 1)


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        ({"text": "a"}, "of type dict"),
        (5, "of type int"),
        (None, "of type NoneType"),
        ([["a"]], "input 0 has 1 parts"),
        ([["a", "b", "c"]], "a third part that is not 0"),
        ([["a", 3]], "input 0 is not made of texts"),
        ([["a", "b"], "c"], "input 1 is a text, not a pair"),
        ([None], "input 0 is of type NoneType"),
    ],
)
def test_what_is_no_input(model: INSTRUCTOR, sentences: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        model.encode(sentences)


def test_tokens_and_features(model: INSTRUCTOR, folder: Path) -> None:
    features = model.tokenize(PAIRS)
    assert set(features) >= {"input_ids", "attention_mask", "context_masks"}
    instruction = model.tokenizer(DOCUMENT.strip())["input_ids"]
    assert int(features["context_masks"][0]) == len(instruction) - 1
    tokens = model.encode(PAIRS, output_value="token_embeddings")
    ours = ie.load_encoder(folder, family="instructor").encode(PAIRS, output_value="token_embeddings")
    for found, expected in zip(tokens, ours, strict=True):
        assert furthest(found, expected) < TOLERANCE
    rows = model.encode(PAIRS, output_value=None)
    assert furthest([r["sentence_embedding"].numpy() for r in rows], model.encode(PAIRS)) < TOLERANCE
    assert "context_masks" not in model.tokenize([SENTENCE])


def test_the_maximum_length_can_be_set(folder: Path) -> None:
    model = INSTRUCTOR(folder)
    long = [DOCUMENT, " ".join(["the"] * 600)]
    assert model.max_seq_length == 512
    whole = model.encode([long])
    model.max_seq_length = 32
    assert model.tokenize([long])["input_ids"].shape[1] == 32
    assert furthest(model.encode([long]), whole) > 1e-4


def test_module_and_dimension(model: INSTRUCTOR) -> None:
    assert isinstance(model, torch.nn.Module)
    assert model.get_sentence_embedding_dimension() == 24
    assert model.eval() is model
    assert model.similarity(model.encode(PAIRS), model.encode(PAIRS)).shape == (3, 3)
    assert not model.training
    half = copy.deepcopy(model).half()
    assert next(half.parameters()).dtype == torch.float16
    assert furthest(half.encode(PAIRS), model.encode(PAIRS)) < 0.05
    assert furthest(copy.deepcopy(model).to("cpu").encode(PAIRS), model.encode(PAIRS)) == 0


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_the_quantization_of_its_readme(model: INSTRUCTOR) -> None:
    small = torch.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    kinds = {type(m) for m in small.modules() if type(m).__name__ == "Linear"}
    assert kinds == {torch.ao.nn.quantized.dynamic.Linear}
    found, expected = small.encode(PAIRS), model.encode(PAIRS)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.9
    assert furthest(found, expected) > 0


def test_saved_and_read_again(model: INSTRUCTOR, tmp_path: Path) -> None:
    model.save(str(tmp_path / "saved"))
    assert list((tmp_path / "saved").rglob("*.bin")) == []
    expected = model.encode(PAIRS)
    assert furthest(INSTRUCTOR(tmp_path / "saved").encode(PAIRS), expected) < 1e-6
    assert furthest(ie.load_encoder(tmp_path / "saved", family="instructor").encode(PAIRS), expected) < 1e-6


@pytest.mark.slow
def test_several_processes(model: INSTRUCTOR) -> None:
    pool = model.start_multi_process_pool(["cpu", "cpu"])
    try:
        found = model.encode_multi_process(PAIRS * 3, pool)
    finally:
        model.stop_multi_process_pool(pool)
    assert furthest(found, model.encode(PAIRS * 3)) < 1e-6


def test_a_model_that_is_none() -> None:
    with pytest.raises(UserError, match="no model folder at"):
        INSTRUCTOR("/nowhere/at/all")
