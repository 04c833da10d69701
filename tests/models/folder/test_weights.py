"""The archive reader: equal to torch on plain tensors, deaf to everything else."""

import builtins
import collections
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from checkpoints import TOLERANCE, engine, largest, one_line
from golden.cases import DOCUMENT, SENTENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from instructor_eval.core.errors import UserError
from instructor_eval.models.folder.weights import read_tensors


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    count = int(np.prod(shape))
    return (torch.arange(count, dtype=torch.float64) / 7 - 3).to(dtype).reshape(shape)


SHARED = numbers(6, 4)
STATES: dict[str, dict[str, torch.Tensor]] = {
    "float32": {"linear.weight": numbers(3, 5)},
    "float64": {"linear.weight": numbers(3, 5, dtype=torch.float64)},
    "float16": {"linear.weight": numbers(3, 5, dtype=torch.float16)},
    "bfloat16": {"linear.weight": numbers(3, 5, dtype=torch.bfloat16), "rows": numbers(6, 4, dtype=torch.bfloat16)[2:]},
    "several": {"linear.weight": numbers(3, 5), "linear.bias": numbers(3), "half": numbers(2, 2, dtype=torch.float16)},
    "one number": {"scale": numbers()},
    "three axes": {"a": numbers(2, 3, 4)},
    "a view with an offset": {"rows": SHARED[2:5]},
    "two views of one storage": {"top": SHARED[:2], "bottom": SHARED[2:], "again": SHARED[2:]},
    "one row of a column": {"weight": numbers(5, 1).t()},
    "special values": {"a": torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])},
    "no tensor": {},
    "many": {f"layer.{i}": numbers(i + 1) for i in range(300)},
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_equal_to_torch_load(tmp_path: Path, state: dict[str, torch.Tensor], protocol: int) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path, pickle_protocol=protocol)
    ours, theirs = read_tensors(path), torch.load(path, weights_only=protocol == 2)
    assert list(ours) == list(theirs)
    assert_equal(ours, theirs)


def assert_equal(ours: dict[str, np.ndarray], theirs: dict[str, torch.Tensor]) -> None:
    for name, tensor in theirs.items():
        wanted = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert ours[name].dtype == wanted.dtype
        assert ours[name].shape == wanted.shape
        np.testing.assert_array_equal(ours[name], wanted)


def test_a_modules_own_state_dict(tmp_path: Path) -> None:
    """It is an OrderedDict with an attribute `_metadata`."""
    path = tmp_path / "pytorch_model.bin"
    linear = torch.nn.Linear(4, 3)
    torch.save(linear.state_dict(), path)
    ours = read_tensors(path)
    np.testing.assert_array_equal(ours["weight"], linear.weight.detach().numpy())
    np.testing.assert_array_equal(ours["bias"], linear.bias.detach().numpy())


def test_safetensors(tmp_path: Path) -> None:
    tiny.write_weights(tmp_path, {"a": numbers(2, 3).numpy()}, safetensors=True)
    np.testing.assert_array_equal(read_tensors(tmp_path / "model.safetensors")["a"], numbers(2, 3).numpy())
    kinds = (torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8)
    state = {str(kind): numbers(2, 3, dtype=kind) for kind in kinds} | {"one": numbers(), "none": numbers(0, 3)}
    save_file(state, tmp_path / "model.safetensors")
    assert_equal(read_tensors(tmp_path / "model.safetensors"), load_file(tmp_path / "model.safetensors"))
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with one_line("model.safetensors"):
        read_tensors(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "value",
    [
        {"weight": numbers(3, 4).t()},
        {"weight": numbers(3, 4)[:, :2]},
        {"weight": numbers(4)[::2]},
        {"weight": numbers(1).expand(5)},
        {"weight": torch.arange(3)},
        {"weight": torch.nn.Parameter(numbers(3))},
        {"weight": [numbers(3)]},
        {"weight": 1.5},
        {3: numbers(3)},
        [numbers(3)],
        numbers(3),
    ],
    ids=[
        *("transposed", "columns", "every other", "expanded", "integers", "parameter", "list in it"),
        *("a number", "key is no name", "list", "bare tensor"),
    ],
)
def test_what_is_no_dictionary_of_plain_tensors(tmp_path: Path, value: object) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(value, path)
    with one_line(str(path), "convert the checkpoint to safetensors"):
        read_tensors(path)


def archive(path: Path, program: bytes, **entries: bytes) -> Path:
    """A torch archive with this pickle."""
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", program)
        z.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
        for name, content in entries.items():
            z.writestr(f"archive/{name}", content)
    return path


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *args: object, state: object = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.function, self.args, self.state) if self.state is not None else (self.function, self.args)


class Victim(pickle.Unpickler):
    """A victim: it unpickles."""

    def persistent_load(self, pid: object) -> object:
        del pid
        return torch.storage.TypedStorage(wrap_storage=torch.UntypedStorage(16), dtype=torch.float32, _internal=True)


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
    b"0X\x03\0\0\0cpuK\x04tQK\0K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
)


def attacks(sentinel: Path) -> dict[str, bytes]:
    """Pickles that make the file `sentinel` when they are loaded."""
    touch, python = f"touch {sentinel}", f"open({str(sentinel)!r}, 'w').close()"
    system, run = Calls(os.system, touch), Calls(builtins.exec, python)
    short = lambda text: b"X" + struct.pack("<I", len(text)) + text.encode()  # noqa: E731 - one line, used below
    return {
        **{f"os.system, protocol {p}": pickle.dumps(system, p) for p in range(6)},
        "builtins.eval": pickle.dumps({"linear.weight": Calls(builtins.eval, python)}, 2),
        "builtins.exec": pickle.dumps(run, 4),
        "GLOBAL posix system": b"cposix\nsystem\n(" + short(touch) + b"tR.",
        "in a tensor's place": b"}" + short("linear.weight") + b"cos\nsystem\n(" + short(touch) + b"tRs.",
        "after a tensor": b"}(" + short("a") + TENSOR + short("b") + b"cos\nsystem\n(" + short(touch) + b"tRu.",
        "thrown away": b"cos\nsystem\n(" + short(touch) + b"tR0}" + short("linear.weight") + TENSOR + b"s.",
        "as a key": b"}cos\nsystem\n(" + short(touch) + b"tR" + TENSOR + b"s.",
        "in a tensor's arguments": TENSOR.replace(b"K\x04\x85", b"cos\nsystem\n" + short(touch) + b"\x85R\x85", 1)
        + b".",
        "in OrderedDict's arguments": b"ccollections\nOrderedDict\n(cos\nsystem\n(" + short(touch) + b"tRtR.",
        "in a storage": b"(" + short("storage") + b"cos\nsystem\n(" + short(touch) + b"tR" + short("0") + b"tQ.",
        "in _metadata": pickle.dumps(Calls(collections.OrderedDict, state={"_metadata": system}), 2),
        "in a BUILD": b"ccollections\nOrderedDict\n)R}" + short("x") + b"cos\nsystem\n(" + short(touch) + b"tRsb}.",
        "INST": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + short(touch) + b"o.",
        "NEWOBJ": pickle.dumps(run, 2)[:-2] + b"R.",
        "memo": b"cos\nsystem\nq\x010h\x01(" + short(touch) + b"tR.",
        "long memo": b"cos\nsystem\nr\x01\x01\0\x000j\x01\x01\0\0(" + short(touch) + b"tR.",
        "nested": pickle.dumps({"a": {"b": [({"c": system},)]}}, 4),
        "in a list": pickle.dumps([system], 4),
        "an attribute of an attribute": b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93(" + short(python) + b"tR.",
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_nothing_is_executed(tmp_path: Path, name: str) -> None:
    sentinel = tmp_path / "sentinel"
    program = attacks(sentinel)[name]
    path = archive(tmp_path / "pytorch_model.bin", program)
    with one_line(str(path)):
        read_tensors(path)
    assert not sentinel.exists()
    # The attack is a real one: who unpickles the same bytes is hit.
    with suppress(TypeError, AttributeError, IndexError, pickle.UnpicklingError):  # of what follows the call
        Victim(io.BytesIO(program)).load()
    assert sentinel.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x82\x01.",
        b"\x83\x01\0.",
        b"\x84\x01\0\0\0.",
        b"ccollections\nOrderedDict\n)R}X\x01\0\0\0x}sb.",
        b"ccollections\nOrderedDict\n)R}X\x09\0\0\0__class__NNsb.",
        b"ctorch\nload\n(X\x01\0\0\0xtR.",
        b"ctorch._utils\n_rebuild_parameter\n)R.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"torch._utils\n_rebuild_tensor_v2", b"os\nsystem") + b"s.",
        b"X\x01\0\0\0xQ.",
        b"(X\x07\0\0\0storageX\x0c\0\0\0FloatStorageX\x01\0\0\x000tQ.",
        b"(X\x07\0\0\0storagecos\nsystem\nX\x01\0\0\x000tQ.",
        b"}N}s.",
        b")}X\x01\0\0\0x}su.",
        b"(X\x01\0\0\0a(u.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"X\x01\0\0\x000X", b"X\x0b\0\0\0../data.pklX") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"X\x01\0\0\x000X", b"X\x01\0\0\x007X") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"K\0K\x04\x85", b"K\0K\x40\x85") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"K\0K\x04\x85", b"K\x09K\x04\x85") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"K\x04\x85K\x01\x85", b"K\x04\x85K\x02\x85") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"K\x04\x85K\x01\x85", b"K\x04\x85K\x01K\x01\x86") + b"s.",
        b"}X\x01\0\0\0a" + TENSOR.replace(b"K\x04\x85K\x01\x85", b"J\xff\xff\xff\x7f\x85K\x01\x85") + b"s.",
        b"N.",
        b".",
        b"",
        b"}",
        b"\xff\xfe",
        b"(" * 10_000 + b".",
    ],
)
def test_refused_programs(tmp_path: Path, program: bytes) -> None:
    path = archive(tmp_path / "pytorch_model.bin", program)
    with one_line(str(path)):
        read_tensors(path)


def test_the_tensor_those_programs_are_made_from(tmp_path: Path) -> None:
    """So that they are refused for what is wrong in them alone."""
    path = archive(tmp_path / "pytorch_model.bin", b"}X\x01\0\0\0a" + TENSOR + b"s.", byteorder=b"little")
    np.testing.assert_array_equal(read_tensors(path)["a"], [1, 2, 3, 4])
    path = archive(tmp_path / "pytorch_model.bin", b"}X\x01\0\0\0a" + TENSOR + b"s.", byteorder=b"big")
    with one_line(str(path), "byte order"):
        read_tensors(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "pytorch_model.bin"
    torch.save(torch.nn.Linear(4, 3).state_dict(), path)
    return path.read_bytes()


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_cut_short(tmp_path: Path, whole: bytes, keep: float) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with one_line(str(path)):
        read_tensors(path)


def test_other_files(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "pytorch_model.bin"
    with one_line(str(path)):
        read_tensors(path)
    torch.save({"a": numbers(3)}, path, _use_new_zipfile_serialization=False)
    with one_line(str(path), "safetensors"):
        read_tensors(path)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/readme", "no program")
    with one_line(str(path)):
        read_tensors(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:  # zlib's own error
        z.writestr("archive/data.pkl", b"a" * 5000)
    raw = bytearray(path.read_bytes())
    raw[50:58] = b"\xff" * 8
    path.write_bytes(bytes(raw))
    with one_line(str(path)):
        read_tensors(path)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_program_gives_tensors_or_one_line(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    with zipfile.ZipFile(io.BytesIO(whole)) as z:
        program = bytearray(z.read(next(n for n in z.namelist() if n.endswith("data.pkl"))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(program) - 1))
        program[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    path = archive(tmp_path_factory.mktemp("fuzz") / "pytorch_model.bin", bytes(program))
    try:
        tensors = read_tensors(path)
    except UserError as e:
        assert str(path) in str(e)
    else:
        assert all(isinstance(t, np.ndarray) for t in tensors.values())


def test_an_instructor_whose_head_is_an_archive(tmp_path: Path, instructor_folder: Path) -> None:
    """As hkunlp/instructor-* are on the hub."""
    safe = engine(instructor_folder, family="instructor")
    folder = tiny.build_instructor(tmp_path / "old")
    dense = folder / "2_Dense"
    torch.save(
        {k: torch.from_numpy(v) for k, v in read_tensors(dense / "model.safetensors").items()},
        dense / "pytorch_model.bin",
    )
    texts = [SENTENCE, "", "the river"]
    both = engine(folder, family="instructor")
    (dense / "model.safetensors").unlink()
    old = engine(folder, family="instructor")
    assert old.fingerprint != safe.fingerprint == both.fingerprint
    assert largest(old.encode(texts, DOCUMENT), safe.encode(texts, DOCUMENT)) < TOLERANCE / 10
    archive(dense / "pytorch_model.bin", attacks(tmp_path / "sentinel")["os.system, protocol 2"])
    with one_line("2_Dense", "os"):
        engine(folder, family="instructor").encode(texts, DOCUMENT)
    assert not (tmp_path / "sentinel").exists()
