"""Each thing that a cached vector depends on, or does not: one row, one test."""

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from checkpoints import NAME, TOLERANCE, copy, edit_json, edit_weights, engine, largest, one_line
from golden.cases import DOCUMENT, QUESTION, SENTENCE, numbered, the
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import open_existing
from instructor_eval.cache.vectors import VectorCache
from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models import batches
from instructor_eval.models import device as device_module
from instructor_eval.models import engine as engine_module
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.tasks.encoder import BoundEncoder
from instructor_eval.tasks.task import Resolved

TEXTS = [SENTENCE, "the river", "", " ", "A City", the(80), numbered(9), "a\0b", "\ud800 alone", "the river "]


def opened(folder: Path) -> VectorCache:
    return VectorCache(folder / "cache", warn=pytest.fail)


def warmed(model: Path, folder: Path, **settings: object) -> np.ndarray:
    """The vectors of TEXTS, which the cache in `folder` now has."""
    encoder = engine(model, family="instructor", cache=opened(folder), **settings)
    vectors = encoder.encode(TEXTS, DOCUMENT)
    assert encoder.totals.hits == 0
    encoder.cache.close()
    return vectors


def value_of_a_weight(folder: Path) -> None:
    def nudge(tensors: dict[str, np.ndarray]) -> None:
        tensors["encoder.block.1.layer.0.SelfAttention.q.weight"][3, 5] += 1e-3

    edit_weights(folder / "model.safetensors", nudge)


def token(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert text.count('"▁river"') == 1
    (folder / "tokenizer.json").write_text(text.replace('"▁river"', '"▁rover"'), encoding="utf-8")


def pooling(folder: Path) -> None:
    config = folder / "1_Pooling" / "config.json"
    edit_json(config, pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True)


FILES: dict[str, Callable[[Path], None]] = {
    "one value of a weight": value_of_a_weight,
    "one token": token,
    "pooling": pooling,
}


def assert_misses(encoder: Engine, texts: list[str], instruction: str, alone: Engine) -> None:
    vectors = encoder.encode(texts, instruction)
    assert (encoder.totals.hits, encoder.totals.unique) == (0, len(texts))
    assert largest(vectors, alone.encode(texts, instruction)) < TOLERANCE
    again = encoder.encode(texts, instruction)
    assert encoder.totals.hits == len(texts)
    assert np.array_equal(again, vectors)


@pytest.mark.parametrize("change", FILES)
def test_a_change_in_the_files_misses(tmp_path: Path, instructor_folder: Path, change: str) -> None:
    before = warmed(instructor_folder, tmp_path)
    folder = copy(instructor_folder, tmp_path / "changed")
    FILES[change](folder)
    encoder = engine(folder, family="instructor", cache=opened(tmp_path))
    assert_misses(encoder, TEXTS, DOCUMENT, engine(folder, family="instructor"))
    assert largest(encoder.encode(TEXTS, DOCUMENT), before) > 1e-7, "the change shows in a vector"


def test_another_family_misses(tmp_path: Path, instructor_folder: Path) -> None:
    before = warmed(instructor_folder, tmp_path)
    encoder = engine(instructor_folder, family="prefix", cache=opened(tmp_path))
    assert_misses(encoder, TEXTS, DOCUMENT, engine(instructor_folder, family="prefix"))
    assert largest(encoder.encode(TEXTS, DOCUMENT), before) > 1e-3


OURS = ["fp32", "bf16", "fp16", "int8", "int8-dynamic", "int8-weight", "int4-weight", "fp32+float16", "bf16+float16"]
OTHERS = ["fp32", "int8", "onnx-int8", "openvino-int8"]


def as_variant(folder: Path, variant: str, **settings: object) -> Engine:
    checkpoint = read_checkpoint(folder, name=NAME, revision="local", family="instructor")
    stored = "float16" if variant.endswith("float16") else "float32"
    return Engine(dataclasses.replace(checkpoint, variant=variant, stored=stored), device="cpu", **settings)


@pytest.mark.parametrize("variants", [OURS, pytest.param(OTHERS, marks=pytest.mark.forms)], ids=["ours", "others"])
def test_every_variant_has_its_own_vectors(tmp_path: Path, instructor_folder: Path, variants: list[str]) -> None:
    cache = opened(tmp_path)
    for variant in variants:
        encoder = as_variant(instructor_folder, variant, cache=cache)
        assert_misses(encoder, TEXTS, DOCUMENT, as_variant(instructor_folder, variant))
    assert len({as_variant(instructor_folder, v).fingerprint for v in variants}) == len(variants)


def test_another_space_in_the_instruction_misses(tmp_path: Path, instructor_folder: Path) -> None:
    warmed(instructor_folder, tmp_path)
    for instruction in (f"{DOCUMENT} ", DOCUMENT.rstrip(), f" {DOCUMENT}", "", QUESTION):
        encoder = engine(instructor_folder, family="prefix", cache=opened(tmp_path))
        assert_misses(encoder, TEXTS, instruction, engine(instructor_folder, family="prefix"))


def test_a_space_in_the_text_misses(tmp_path: Path, instructor_folder: Path) -> None:
    warmed(instructor_folder, tmp_path)
    encoder = engine(instructor_folder, family="instructor", cache=opened(tmp_path))
    others = [
        f"{SENTENCE} ",
        f" {SENTENCE}",
        SENTENCE.replace(" ", "  ", 1),
        "the  river",
        "  ",
        "a\0b ",
        "\ud801 alone",
    ]
    assert_misses(encoder, others, DOCUMENT, engine(instructor_folder, family="instructor"))


def test_a_space_moved_from_the_instruction_to_the_text_misses(tmp_path: Path, plain_folder: Path) -> None:
    cache = opened(tmp_path)
    for instruction, text in [("query:", " the"), ("query: ", "the"), ("", "query: the")]:
        encoder = engine(plain_folder, cache=cache)
        encoder.encode([text], instruction)
        assert encoder.totals.hits == 0


def assert_hits(encoder: Engine, expected: np.ndarray) -> None:
    vectors = encoder.encode(TEXTS, DOCUMENT)
    assert np.array_equal(vectors, expected)
    assert (encoder.totals.hits, encoder.totals.tokens) == (len(TEXTS), 0)
    assert encoder._network is None, "nothing was to be computed"


def test_the_same_content_hits_wherever_it_lies_and_in_batches_of_any_size(
    tmp_path: Path, instructor_folder: Path
) -> None:
    expected = warmed(instructor_folder, tmp_path)
    folder = copy(instructor_folder, tmp_path / "elsewhere")
    checkpoint = read_checkpoint(folder, name="other/name", revision="v2", family="instructor")
    assert_hits(Engine(checkpoint, device="cpu", cache=opened(tmp_path), batch_tokens=100), expected)


def test_order_and_repeats_do_not_matter(tmp_path: Path, instructor_folder: Path) -> None:
    expected = warmed(instructor_folder, tmp_path)
    encoder = engine(instructor_folder, family="instructor", cache=opened(tmp_path))
    at = [3, 0, 0, 9, 4, 3, 8]
    assert np.array_equal(encoder.encode([TEXTS[i] for i in at], DOCUMENT), expected[at])
    assert (encoder.totals.texts, encoder.totals.unique, encoder.totals.hits) == (7, 5, 5)


def test_another_task_and_another_role_hit(tmp_path: Path, instructor_folder: Path) -> None:
    cache = opened(tmp_path)
    instructions = {"query": Resolved(DOCUMENT, "card"), "document": Resolved(DOCUMENT, "card")}
    seen = []
    for task, role in (("One", "query"), ("Two", "document"), ("Three", "query")):
        encoder = engine(instructor_folder, family="instructor", cache=cache)
        seen.append(BoundEncoder(encoder, instructions, {}, task=task).encode(TEXTS, role))
        assert encoder.totals.hits == (0 if task == "One" else len(TEXTS))
        assert np.array_equal(seen[-1], seen[0])


CHILD = """
import sys
from pathlib import Path
import numpy as np
from instructor_eval.cache.vectors import VectorCache
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine

def warn(line):
    raise SystemExit(line)

model, cache, texts, out = map(Path, sys.argv[1:5])
checkpoint = read_checkpoint(model, name="acme/child", revision="here", family="instructor")
encoder = Engine(checkpoint, device="auto", cache=VectorCache(cache, warn=warn))
given = texts.read_text(encoding="utf-8", errors="surrogatepass").split("|")
np.save(out, encoder.encode(given, sys.argv[5]))
heavy = [m for m in ("torch", "transformers") if m in sys.modules]
print(encoder.totals.hits, encoder._network is None, heavy)
"""


def test_another_process_hits_without_torch(tmp_path: Path, instructor_folder: Path) -> None:
    expected = warmed(instructor_folder, tmp_path)
    (tmp_path / "texts").write_bytes("|".join(TEXTS).encode("utf-8", "surrogatepass"))
    places = [str(p) for p in (instructor_folder, tmp_path / "cache", tmp_path / "texts", tmp_path / "out.npy")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *places, DOCUMENT],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert (done.returncode, done.stderr) == (0, "")
    if not device_module._may_have_gpu():
        assert done.stdout.split(maxsplit=2) == [str(len(TEXTS)), "True", "[]\n"]
    assert done.stdout.startswith(f"{len(TEXTS)} True")
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


def test_the_256_token_rule_hits_the_bare_entry(tmp_path: Path, instructor_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(instructor_folder / "tokenizer.json"))
    own = len(tokenizer.encode(QUESTION).ids)
    long, short = the(257 - own), the(256 - own)
    cache = opened(tmp_path)
    bare = engine(instructor_folder, family="instructor", cache=cache).encode([long, short], "")
    encoder = engine(instructor_folder, family="instructor", cache=cache)
    task = BoundEncoder(encoder, {"text": Resolved(QUESTION, "card")}, {"clustering_256": "on"}, task="Made")
    assert np.array_equal(task.encode([long], "text")[0], bare[0])
    assert encoder.totals.hits == 1
    assert encoder._network is None
    assert largest(task.encode([short], "text")[0], bare[1]) > 1e-3
    assert encoder.totals.hits == 1
    both = task.encode([short, long, short], "text")
    assert (encoder.totals.texts, encoder.totals.unique, encoder.totals.hits) == (5, 4, 3)
    assert np.array_equal(both[1], bare[0])


@pytest.mark.parametrize("variant", ["fp32+float16", "bf16+float16"])
def test_rounded_vectors_are_the_same_cold_and_warm(tmp_path: Path, instructor_folder: Path, variant: str) -> None:
    whole = as_variant(instructor_folder, variant.partition("+")[0]).encode(TEXTS, DOCUMENT)
    cold = as_variant(instructor_folder, variant, cache=opened(tmp_path))
    vectors = cold.encode(TEXTS, DOCUMENT)
    assert 0 < cold.drift < 1e-3
    moved = np.linalg.norm(vectors - whole, axis=1) / np.linalg.norm(whole, axis=1)
    assert moved.max() == pytest.approx(cold.drift, rel=0.05)
    assert np.array_equal(vectors, vectors.astype(np.float16).astype(np.float32))
    warm = as_variant(instructor_folder, variant, cache=opened(tmp_path))
    assert_hits(warm, vectors)
    assert vectors.dtype == np.float32
    uncached = as_variant(instructor_folder, variant)
    assert largest(uncached.encode(TEXTS, DOCUMENT), vectors) < 2e-3
    assert cold.fingerprint != as_variant(instructor_folder, "fp32").fingerprint


@pytest.mark.parametrize(
    ("factor", "drift"),
    [(1e6, "inf"), (1e18, "inf"), (1e25, "inf"), (1e-9, "1"), (1e-30, "1")],
)
def test_vectors_that_float16_does_not_hold(tmp_path: Path, instructor_folder: Path, factor: float, drift: str) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    tiny.write_modules(folder, ["Transformer", "Pooling", "Dense"])

    def scale(tensors: dict[str, np.ndarray]) -> None:
        tensors["linear.weight"] *= np.float32(factor)

    edit_weights(folder / "2_Dense" / "model.safetensors", scale)
    encoder = as_variant(folder, "fp32+float16", cache=opened(tmp_path))
    with one_line(NAME, "float16", f"moves by {drift} of", "--cache-dtype float32", kind=ModelOutputError):
        encoder.encode(TEXTS, DOCUMENT)
    assert as_variant(folder, "fp32", cache=opened(tmp_path)).encode(TEXTS, DOCUMENT).shape == (len(TEXTS), 24)


POOL = st.one_of(
    st.text(max_size=12),
    st.integers(0, 40).map(lambda n: f"{'the ' * (n % 7)}river {n}"),
    st.sampled_from(["", " ", "\0", "\ud800", SENTENCE, the(90)]),
)
SIZES = st.integers(1, 9)


@settings(deadline=None, max_examples=40)
@given(st.lists(POOL, max_size=30), st.data(), SIZES, SIZES, SIZES, st.sampled_from([1, 60, 2048]))
def test_any_part_in_the_cache_any_order(
    instructor: Engine,
    texts: list[str],
    data: st.DataObject,
    window: int,
    commit: int,
    look_up: int,
    batch_tokens: int,
) -> None:
    before = data.draw(st.lists(st.sampled_from(texts), max_size=20)) if texts else []
    asked = data.draw(st.permutations(texts + before[:5]))
    expected = instructor.encode(asked, DOCUMENT)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "WINDOW", window)
        patch.setattr(batches, "COMMIT_TEXTS", commit)
        patch.setattr(engine_module, "_LOOK_UP", look_up)
        cache = VectorCache(Path(folder), warn=pytest.fail)
        encoder = Engine(instructor.checkpoint, device="cpu", batch_tokens=batch_tokens, cache=cache)
        encoder._network = instructor.network
        encoder.encode(before, DOCUMENT)
        first = encoder.encode(asked, DOCUMENT)
        assert largest(first, expected) < TOLERANCE
        assert encoder.totals.hits == len(set(before))
        assert encoder.totals.unique == len(set(before)) + len(set(asked))
        again = Engine(instructor.checkpoint, device="cpu", cache=cache)
        assert np.array_equal(again.encode(asked, DOCUMENT), first)
        assert (again.totals.hits, again._network) == (len(set(asked)), None)
        streamed = [*again.stream(iter(asked), DOCUMENT, window=look_up)]
        assert np.array_equal(np.concatenate([np.empty((0, again.dim), np.float32), *streamed]), first)
        assert again._network is None
        cache.close()


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [SENTENCE],
        [""],
        ["x" * 100_000, "the " * 25_000],
        ["\ud800", "lone \udfff", "\ud83d\ude00"],
        ["\0", "a\0\0b"],
    ],
    ids=["none", "one", "empty", "100,000 characters", "surrogates", "NUL"],
)
@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_odd_texts_are_found_again(request: pytest.FixtureRequest, tmp_path: Path, kind: str, texts: list[str]) -> None:
    encoder: Engine = request.getfixturevalue(kind)
    cache = opened(tmp_path)
    cold = Engine(encoder.checkpoint, device="cpu", cache=cache)
    vectors = cold.encode(texts, DOCUMENT)
    assert largest(vectors, encoder.encode(texts, DOCUMENT)) < TOLERANCE
    warm = Engine(encoder.checkpoint, device="cpu", cache=cache)
    assert np.array_equal(warm.encode(texts, DOCUMENT), vectors)
    assert (warm.totals.hits, warm._network) == (len(texts), None)


def test_a_damaged_part_is_computed_again(tmp_path: Path, instructor_folder: Path) -> None:
    expected = warmed(instructor_folder, tmp_path)
    with open_existing(tmp_path / "cache", VECTORS) as connection:
        [(number, data)] = connection.execute("SELECT id, vectors FROM blocks").fetchall()
        spoilt = bytes([data[0] ^ 1]) + data[1:]
        connection.execute("UPDATE blocks SET vectors = ? WHERE id = ?", (spoilt, number))
    cache = opened(tmp_path)
    encoder = engine(instructor_folder, family="instructor", cache=cache)
    assert largest(encoder.encode(TEXTS, DOCUMENT), expected) < TOLERANCE
    assert encoder.totals.hits == 0
