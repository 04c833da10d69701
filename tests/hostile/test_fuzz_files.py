"""Files from outside, made up at random: a safetensors header, a card, a configuration. One line, or they are good.

Each test takes INSTRUCTOR_EVAL_FUZZ_SECONDS (600) seconds; hypothesis prints the seed and the file that failed.
"""

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import safetensors
import tiny
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.folder.safetensors_file import read_header
from instructor_eval.tasks.cards import read_cards
from instructor_eval.tasks.instructions import parse_set

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("INSTRUCTOR_EVAL_FUZZ_SECONDS", "600"))
FIRST = int(os.environ.get("INSTRUCTOR_EVAL_FUZZ_SEED", "0")) or int(time.time())
SLOWEST = 5.0

numbers = st.one_of(
    st.integers(-2, 20),
    st.integers(),
    st.integers(2**31 - 2, 2**64 + 2),
    st.floats(),
    st.sampled_from([10**30, 10**400]),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["F32", "I64", "BOOL", "name", "type", "STS", "data", "x" * 3000, "../..", "\0", "\x1b[31m", "*a", "&a x"]
    ),
)
plain = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def for_a_while(strategy: Any, check: Callable[[Any], None]) -> None:
    """Check examples until the time is over."""
    until, tried = time.monotonic() + SECONDS, 0

    def timed(example: Any) -> None:
        nonlocal tried
        tried += 1
        began = time.process_time()
        check(example)
        assert time.process_time() - began < SLOWEST

    for number in count(FIRST):
        if time.monotonic() > until:
            break
        settled = settings(
            max_examples=500, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck), print_blob=True,
        )  # fmt: skip
        print(f"seed {number}")
        seed(number)(settled(given(strategy)(timed)))()
    print(f"{tried:,} examples from seed {FIRST} on")


def one_line(e: UserError) -> None:
    """Hold an error against the rule."""
    text = str(e)
    assert text.isprintable()
    assert len(text) <= 480


def mostly(usual: Any, unusual: Any = values) -> Any:
    """The usual, and now and then something else."""
    return st.integers(0, 6).flatmap(lambda n: unusual if n == 0 else usual)


@st.composite
def headers(draw: Any) -> bytes:
    """A header whose tensors lie end to end, and now and then do not; with bytes behind it."""
    at, header = 0, {}
    for i in range(draw(st.integers(0, 4))):
        dtype, bits = draw(
            st.sampled_from([("F32", 32), ("F16", 16), ("I64", 64), ("BOOL", 8), ("F4", 4), ("F64", 64)])
        )
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        size = bits
        for n in shape:
            size *= n
        name = draw(mostly(st.just(f"t{i}"), texts))
        entry = {
            "dtype": draw(mostly(st.just(dtype))),
            "shape": draw(mostly(st.just(shape))),
            "data_offsets": draw(mostly(st.just([at, at + -(-size // 8)]))),
        }
        header[name] = draw(mostly(st.just(entry)))
        at += -(-size // 8)
    if draw(st.booleans()):
        header["__metadata__"] = draw(mostly(st.just({"format": "pt"})))
    raw = json.dumps(draw(mostly(st.just(header)))).encode()
    raw = draw(mostly(st.just(raw), st.binary(max_size=60)))
    length = draw(mostly(st.just(len(raw)), st.integers(0, 2**64 - 1)))
    return struct.pack("<Q", length) + raw + bytes(draw(mostly(st.just(at), st.integers(0, 300))))


def test_headers(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        try:
            ours = {name: list(tensor.shape) for name, tensor in read_header(file).items()}
        except (OSError, ValueError) as e:
            ours, said = None, str(e)
        try:
            theirs = {name: tensor["shape"] for name, tensor in safetensors.deserialize(content)}
        except safetensors.SafetensorError as e:
            theirs, why = None, str(e)
        if theirs is not None:
            assert ours == theirs, (
                f"the reference implementation reads it, and we say: {said if ours is None else ours}"
            )
        elif ours is not None:
            assert "Misaligned" in why, why  # sizes in bits that make no whole bytes

    for_a_while(headers(), check)


KEYS = ["name", "type", "data", "metric", "split", "subset", "options", "instructions", "template", "notes", "tasks"]
cards = st.dictionaries(st.sampled_from(KEYS) | texts, values, max_size=6).flatmap(
    lambda more: st.just({"name": "A", "type": "STS", "data": "x"} | more)
)
yaml_noise = st.text(alphabet="{}[]:,&*!?|>-'\"#%@`~ \n\tabx019.<\\", max_size=120)
tagged = st.tuples(
    st.sampled_from(
        ["int", "float", "bool", "timestamp", "binary", "null", "set", "omap", "pairs", "python/name:os", "x"]
    ),
    st.text(alphabet="0123456789:-._+TZ xeE?{}[],", max_size=40),
).map(lambda both: f"name: !!{both[0]} {both[1]}\n")


def test_cards(tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"

    def check(content: Any) -> None:
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        for read in (lambda: read_cards(file), lambda: parse_set(str(file), {"A", "B"})):
            try:
                read()
            except UserError as e:
                one_line(e)

    for_a_while(st.one_of(cards, yaml_noise, tagged, st.binary(max_size=60)), check)


def test_configurations(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")  # here, so that no example is blamed for its import
    good = {
        "bert": tiny.build_plain(tmp_path / "bert", layers=1),
        "t5": tiny.build_instructor(tmp_path / "t5", layers=1),
    }
    files = sorted(
        (kind, file.relative_to(folder).as_posix())
        for kind, folder in good.items()
        for file in folder.rglob("*.json")
        if file.name != "tokenizer.json"
    )
    place = tmp_path / "m"

    @st.composite
    def changed(draw: Any) -> tuple[str, str, Any]:
        kind, file = draw(st.sampled_from(files))
        value = json.loads((good[kind] / file).read_text())
        part = value
        if isinstance(value, list):
            part = value[draw(st.integers(0, len(value) - 1))]
        for key in draw(st.lists(st.sampled_from(sorted(part)) | texts, min_size=1, max_size=2)):
            part[key] = draw(values)
        return kind, file, draw(mostly(st.just(value)))

    def check(example: tuple[str, str, Any]) -> None:
        kind, file, value = example
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(good[kind], place)
        (place / file).write_text(json.dumps(value))
        try:
            found = read_checkpoint(place, name="m", revision="local")
            assert len(found.fingerprint) == 16
            assert found.about.isprintable()
            assert len(found.about) < 1000
        except UserError as e:
            one_line(e)

    for_a_while(changed(), check)
