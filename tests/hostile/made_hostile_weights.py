"""Safetensors headers that lie, weights that are no numbers to compute with, pickles, links and shards elsewhere."""

# a case is a line

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hostile_inputs import Spoil, edited, linked, sparse, spoilt, written
from safetensors.numpy import load_file, save_file

WEIGHTS = "model.safetensors"


def packed(header: bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def header(*entries: Any, body: bytes = bytes(8), **named: Any) -> Spoil:
    """Weights with a header of these tensors, called a, b, ..., and some bytes behind it."""
    tensors = {chr(ord("a") + i): e for i, e in enumerate(entries)} | named
    return written(WEIGHTS, packed(json.dumps(tensors).encode(), body))


def _changed(change: Callable[[dict[str, Any]], None], file: str = WEIGHTS) -> Spoil:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / file)
        change(tensors)
        save_file(tensors, folder / file, metadata={"format": "pt"})

    return spoil


def _as(dtype: str, name: str = "embeddings.word_embeddings.weight") -> Spoil:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name] = (tensors[name] * 100).astype(dtype)

    return _changed(change)


def _set(name: str, value: float) -> Spoil:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name][:] = value

    return _changed(change)


class Bomb:
    """Runs a command where a pickle is loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/instructor-eval-was-executed",)


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def _pickled_head(folder: Path) -> None:
    (folder / "2_Dense" / WEIGHTS).unlink()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def _sharded(**weight_map: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return spoil


def _dense(**arrays: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        save_file(arrays, folder / "2_Dense" / WEIGHTS)

    return spoil


def _swollen(folder: Path) -> None:
    """A hundred megabytes of header, all of it spaces."""
    sparse(WEIGHTS, 120_000_000, struct.pack("<Q", 110_000_000) + b"{}")(folder)


_DAMAGED = {
    "empty": written(WEIGHTS, b""),
    "of seven bytes": written(WEIGHTS, bytes(7)),
    "a header beyond the file": written(WEIGHTS, packed(b"{}", length=100)),
    "a header of 2**63": written(WEIGHTS, packed(b"{}", length=2**63)),
    "a header of 2**64 - 1": written(WEIGHTS, packed(b"{}", length=2**64 - 1)),
    "a header of nothing": written(WEIGHTS, packed(b"", bytes(8))),
    "a header of 110 MB": _swollen,
    "a header that is no UTF-8": written(WEIGHTS, packed(b'{"\xff\xfe": 1}')),
    "a header in UTF-16": written(WEIGHTS, packed('{"a": 1}'.encode("utf-16"))),
    "a header that is no JSON": written(WEIGHTS, packed(b"\x80\x04pickle")),
    "a header that is a list": written(WEIGHTS, packed(b"[]")),
    "a header that is a number": written(WEIGHTS, packed(b"12345")),
    "a header of brackets": written(WEIGHTS, packed(b"[" * 100_000)),
    "a header of objects in objects": written(WEIGHTS, packed(b'{"a":' * 50_000)),
    "a header of five million lists": written(WEIGHTS, packed(b'{"a": [' + b"[]," * 5_000_000 + b"0]}")),
    "a name twice": written(WEIGHTS, packed(b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2), bytes(4))),
    "a key of a tensor twice": written(
        WEIGHTS, packed(b'{"a": {"dtype": "F32", "shape": [1], "shape": [1], "data_offsets": [0, 4]}}', bytes(4))
    ),
    "a number of 5,000 digits": written(WEIGHTS, packed(b'{"a": ' + b"9" * 5000 + b"}")),
    "a tensor that is null": header(None),
    "a tensor that is a list": header([1]),
    "no dtype": header({"shape": [1], "data_offsets": [0, 4]}),
    "an unknown dtype": header(entry("F31")),
    "a dtype that is a list": header(entry(["F32"])),
    "a dtype of a megabyte": header(entry("F" * 1_000_000)),
    "offsets of one": header(entry(offsets=[4])),
    "offsets of three": header(entry(offsets=[0, 4, 8])),
    "offsets that are null": header(entry(offsets=None)),
    "offsets that are a text": header(entry(offsets="04")),
    "offsets that are floats": header(entry(offsets=[0.0, 4.0])),
    "offsets that are true": header(entry(offsets=[False, 4])),
    "offsets below zero": header(entry(offsets=[-4, 0])),
    "offsets that go back": header(entry(offsets=[4, 0])),
    "offsets of 10**400": header(entry(offsets=[0, 10**400])),
    "offsets beyond the file": header(entry(shape=[10], offsets=[0, 40])),
    "offsets that overlap": header(entry(), entry(), body=bytes(4)),
    "offsets with a hole": header(entry(), entry(offsets=[8, 12]), body=bytes(12)),
    "bytes that belong to nothing": header(entry(), body=bytes(8)),
    "a shape below zero": header(entry(shape=[-1])),
    "a shape of a float": header(entry(shape=[1.0])),
    "a shape of true": header(entry(shape=[True]), body=bytes(4)),
    "a shape that is a number": header(entry(shape=1)),
    "a shape of 2**62 by 2**62": header(entry(shape=[2**62, 2**62])),
    "a shape of 10**400": header(entry(shape=[10**400])),
    "a shape of a thousand dimensions": header(entry(shape=[1] * 1000), body=bytes(4)),
    "a shape that is larger than its bytes": header(entry(shape=[2]), body=bytes(4)),
    "a name of a megabyte": header(**{"x" * 1_000_000: entry(offsets=[1, 5])}),
    "a name with NUL and escapes": header(**{"\0\x1b[31m\x9b": entry(offsets=[1, 5])}),
    "metadata that is a list": header(__metadata__=[1], body=b""),
    "metadata of numbers": header(__metadata__={"a": 1}, body=b""),
    "half a surrogate": header(__metadata__={"a": "\ud800"}, body=b""),
    "cut short by a byte": lambda folder: os.truncate(folder / WEIGHTS, (folder / WEIGHTS).stat().st_size - 1),
    "longer by a byte": lambda folder: os.truncate(folder / WEIGHTS, (folder / WEIGHTS).stat().st_size + 1),
    "a terabyte of nothing": sparse(WEIGHTS, 2**40),
}

CASES = [
    *(
        spoilt(name, spoil, "model m: ", "model.safetensors", "cut short or damaged", "again")
        for name, spoil in _DAMAGED.items()
    ),
    *(
        spoilt(f"embeddings of {dtype}", _as(dtype), "model m: ", "word_embeddings.weight is of", "weights are floats")
        for dtype in ("int64", "int32", "int8", "uint8", "bool", "complex64")
    ),
    spoilt("a bias of integers", _as("int32", "encoder.layer.0.output.dense.bias"), "dense.bias is of I32"),
    spoilt("a norm of integers", _as("int16", "embeddings.LayerNorm.weight"), "LayerNorm.weight is of I16"),
    spoilt("a T5's table of integers", _as("int32", "shared.weight"), "shared.weight is of I32", kind="t5"),
    spoilt("a head of integers", _dense(**{"linear.weight": np.ones((24, 32), "int32")}), "is of I32", kind="t5"),
    spoilt("NaN in the embeddings", _set("embeddings.word_embeddings.weight", np.nan), "model m gives a NaN"),
    spoilt("infinity in a bias", _set("encoder.layer.0.output.dense.bias", np.inf), "model m gives a NaN or infinite"),
    spoilt("no tensors at all", written(WEIGHTS, packed(b"{}")), "model m", "not a whole checkpoint"),
    spoilt("a pickle alone", _pickled, "model m: only pickled weights", "safe_serialization"),
    spoilt("a pickled head", _pickled_head, "pytorch_model.bin is no archive of plain tensors", kind="t5"),
    spoilt(
        "a head of another shape", _dense(**{"linear.weight": np.ones((7, 32), "float32")}), "does not fit", kind="t5"
    ),
    spoilt("a head without its bias", edited("2_Dense/config.json", bias=True), "does not fit its config", kind="t5"),
    spoilt("shards that are not there", _sharded(a="../../etc/passwd"), "../../etc/passwd is missing"),
    spoilt("shards of /dev/zero", _sharded(a="/dev/zero"), "/dev/zero is missing"),
    spoilt("shards that are null", _sharded(a=None), "None is missing"),
    spoilt("an index without a map", written("model.safetensors.index.json", "{}"), "holds no weight_map"),
    spoilt("an index that is a list", written("model.safetensors.index.json", "[]"), "index.json is not a JSON"),
    spoilt("an index of brackets", written("model.safetensors.index.json", "[" * 100_000), "nested too deeply"),
    spoilt("an index of a gigabyte", sparse("model.safetensors.index.json", 2**30), "larger than 32 MB"),
    spoilt("a link to a text file", linked(WEIGHTS, "../card.yaml"), "cut short or damaged"),
    spoilt("a link to the folder above", linked(WEIGHTS, ".."), "model.safetensors", "again"),
]
