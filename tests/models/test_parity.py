"""Our vectors are those of InstructorEmbedding 1.0.1 (tests/golden)."""

from collections import defaultdict
from pathlib import Path

import golden
import numpy as np
import pytest
import tiny
from checkpoints import NAME, TOLERANCE, copy, edit_json, engine, largest, one_line
from golden.cases import CASES, DOCUMENT, FAILING, SENTENCE

from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.engine import Engine

GOLDEN = Path(golden.__path__[0]) / "instructor_1_0_1.npz"


@pytest.fixture(scope="module", params=[False, True], ids=["tokenizer of 4.48", "tokenizer of 2022"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A checkpoint with one form of tokenizer.json, and 1.0.1's vectors of it (alone, mixed)."""
    folder = tiny.build_instructor(tmp_path_factory.mktemp("parity") / "tiny", hub_tokenizer=request.param)
    suffix = "_hub" if request.param else ""
    with np.load(GOLDEN, allow_pickle=False) as stored:
        expected = np.stack([stored[f"alone{suffix}"], stored[f"mixed{suffix}"]])
    assert expected.shape == (2, len(CASES), 24)
    return folder, expected


def by_instruction(encoder: Engine) -> np.ndarray:
    """All pairs, the texts of one instruction in one call."""
    places = defaultdict(list)
    for i, (instruction, _) in enumerate(CASES):
        places[instruction].append(i)
    vectors = np.full((len(CASES), encoder.dim), np.nan, dtype=np.float32)
    for instruction, at in places.items():
        vectors[at] = encoder.encode([CASES[i][1] for i in at], instruction)
    return vectors


def test_each_pair_alone(case: tuple[Path, np.ndarray]) -> None:
    folder, expected = case
    encoder = engine(folder, family="instructor")
    ours = np.stack([encoder.encode([text], instruction)[0] for instruction, text in CASES])
    assert ours.dtype == np.float32
    assert largest(ours, expected[0]) < TOLERANCE


@pytest.mark.parametrize("batch_tokens", [None, 16, 8_192])
def test_one_mixed_batch_an_instruction(case: tuple[Path, np.ndarray], batch_tokens: int | None) -> None:
    folder, expected = case
    ours = by_instruction(engine(folder, family="instructor", batch_tokens=batch_tokens))
    assert largest(ours, expected[1]) < TOLERANCE


@pytest.mark.parametrize(("instruction", "text", "what"), FAILING)
def test_a_pair_without_a_vector_is_an_error(instructor: Engine, instruction: str, text: str, what: str) -> None:
    del what  # 1.0.1 fails an assertion, or gives a vector of zeros
    with one_line(NAME, repr(text[:60]), repr(instruction[:60]), kind=ModelOutputError):
        instructor.encode([SENTENCE, text], instruction)


def test_the_same_checkpoint_in_its_newer_form(tmp_path: Path, case: tuple[Path, np.ndarray]) -> None:
    """`include_prompt: false` in the pooling alone says that it is an INSTRUCTOR."""
    folder = copy(case[0], tmp_path / "newer")
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    encoder = engine(folder)
    assert encoder.checkpoint.family == "instructor"
    at = range(0, len(CASES), 7)
    ours = np.stack([encoder.encode([CASES[i][1]], CASES[i][0])[0] for i in at])
    assert largest(ours, case[1][0][list(at)]) < TOLERANCE


def test_the_instruction_is_left_out_of_pooling(instructor: Engine, instructor_folder: Path) -> None:
    texts = [SENTENCE, "the river", "How do I list open files?"]
    pooled = engine(instructor_folder, family="prefix")
    left_out, taken_in = instructor.encode(texts, DOCUMENT), pooled.encode(texts, DOCUMENT)
    assert np.abs(left_out - taken_in).max(axis=1).min() > 1e-2
    # Without an instruction there is nothing to leave out.
    assert largest(instructor.encode(texts, ""), pooled.encode(texts, "")) < TOLERANCE


def test_the_instruction_is_attended_to(instructor: Engine) -> None:
    texts = [SENTENCE, "the river"]
    one, other = (instructor.encode(texts, i) for i in (DOCUMENT, "Represent the Wikipedia question: "))
    assert np.abs(one - other).max(axis=1).min() > 1e-3


def test_lower_case(tmp_path: Path, instructor_folder: Path) -> None:
    """1.0.1's `tokenize` lowers the instruction too, also where it counts the tokens to leave out."""
    folder = copy(instructor_folder, tmp_path / "lower")
    edit_json(folder / "sentence_bert_config.json", do_lower_case=True)
    texts = ["The River CITY", "THE MARKET was Closed."]
    lower, as_is = engine(folder, family="instructor"), engine(instructor_folder, family="instructor")
    for instruction in (DOCUMENT, "REPRESENT THE UNIX QUESTION: "):
        ours = lower.encode(texts, instruction)
        assert largest(ours, as_is.encode([t.lower() for t in texts], instruction.lower())) < TOLERANCE
        assert largest(ours, as_is.encode(texts, instruction)) > 1e-3
