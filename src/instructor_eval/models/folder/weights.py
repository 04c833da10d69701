"""Tensors from files that cannot run code.

Old uploads, INSTRUCTOR's among them, have their small Dense head only as a torch archive (`pytorch_model.bin`): a zip
of raw storages and a pickle that says how they fit together. The pickle is *disassembled*, never executed: only the few
instructions that `torch.save` writes for a dictionary of plain tensors are allowed, all others are refused.
"""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import as_user_error, open_outside
from instructor_eval.models.folder.safetensors_file import read_header

_BFLOAT16 = "bfloat16"
"""NumPy has no such type: its numbers are the upper halves of float32's, and are read as float32."""
_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": _BFLOAT16}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED_DICT = "collections OrderedDict"
_MARK = object()
# Errors that a damaged or hostile archive can cause in `zipfile`, `pickletools`, NumPy or the loop below.
_DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, StopIteration, TypeError),
    *(ValueError, zipfile.BadZipFile, zlib.error),
)


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all tensors of a safetensors file or a torch zip archive.

    Raises:
        UserError: the file is damaged, or has anything but plain tensors.
    """
    if path.suffix == ".safetensors":
        with as_user_error(f"{path} cannot be read", "copy or download it again"):
            return _read_safetensors(path)
    return _read_archive(path)


def _read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    found = {}
    tensors = read_header(path)
    with open_outside(path) as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        for name, tensor in tensors.items():
            file.seek(begin + tensor.start)
            kind = tensor.dtype
            dtype = _BFLOAT16 if kind == "BF16" else f"<{kind[0].lower()}{int(kind[1:]) // 8}"
            found[name] = _numbers(bytearray(file.read(tensor.end - tensor.start)), dtype).reshape(tensor.shape)
    return found


def _numbers(raw: bytes | bytearray, dtype: str) -> npt.NDArray[Any]:
    if dtype == _BFLOAT16:
        return (np.frombuffer(raw, dtype="<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, dtype=dtype)


def archive_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a torch zip archive, none of which is read.

    Raises:
        UserError: the file is damaged, or has anything but plain tensors.
    """
    with _opened(path) as (_, tensors):
        return {name: tuple(map(int, shape)) for name, (_, _, _, shape, _) in tensors.items()}


def _read_archive(path: Path) -> dict[str, npt.NDArray[Any]]:
    with _opened(path) as (read, tensors):
        return {
            name: _tensor(read(key), dtype, offset, shape, strides)
            for name, (dtype, key, offset, shape, strides) in tensors.items()
        }


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Callable[[str], bytes], dict[str, tuple[str, str, int, Any, Any]]]]:
    """Give what reads a storage by its key, and what `_disassemble` returns."""
    try:
        with open_outside(path) as file, zipfile.ZipFile(file) as archive:
            program = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            root = program.removesuffix("data.pkl")
            tensors = _disassemble(archive.read(program))
            if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
                raise ValueError("it is not in little-endian byte order")
            yield lambda key: archive.read(f"{root}data/{key}"), tensors
    except _DAMAGE as e:
        raise UserError(f"{path} is no archive of plain tensors ({e}): convert the checkpoint to safetensors") from e


def _tensor(raw: bytes, dtype: str, offset: int, shape: Any, strides: Any) -> npt.NDArray[Any]:
    count = int(np.prod(shape))
    expected = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    if any(size > 1 and stride != due for size, stride, due in zip(shape, strides, expected, strict=True)):
        raise ValueError(f"strides {strides} are not those of a contiguous tensor")
    size = 2 if dtype == _BFLOAT16 else np.dtype(dtype).itemsize
    whole = raw[offset * size : (offset + count) * size]
    if len(whole) < count * size:
        raise ValueError(f"a storage of {len(raw):,} bytes is too short for its tensor")
    return _numbers(whole, dtype).reshape(shape)


def _disassemble(program: bytes) -> dict[str, tuple[str, str, int, Any, Any]]:  # noqa: C901, PLR0912, PLR0915 - one arm an instruction
    """Return name -> (NumPy dtype, storage key, offset, shape, strides), from the pickle's instructions alone."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = len(stack) - 1 - stack[::-1].index(_MARK)
        taken = stack[at + 1 :]
        del stack[at:]
        return taken

    for opcode, raw, _ in pickletools.genops(program):
        arg: Any = raw
        op = opcode.name
        if op in ("PROTO", "FRAME"):
            continue
        if op == "MARK":
            stack.append(_MARK)
        elif op in ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"):
            stack.append(arg)
        elif op in ("NEWTRUE", "NEWFALSE", "NONE"):
            stack.append({"NEWTRUE": True, "NEWFALSE": False, "NONE": None}[op])
        elif op == "GLOBAL":
            stack.append(("global", arg))
        elif op == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(("global", f"{module} {name}"))
        elif op == "EMPTY_DICT":
            stack.append({})
        elif op == "EMPTY_TUPLE":
            stack.append(())
        elif op in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(op[-1])
            stack[-n:] = [tuple(stack[-n:])]
        elif op == "TUPLE":
            stack.append(tuple(since_mark()))
        elif op in ("BINPUT", "LONG_BINPUT"):
            memo[arg] = stack[-1]
        elif op == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif op in ("BINGET", "LONG_BINGET"):
            stack.append(memo[arg])
        elif op == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif op == "REDUCE":
            args, function = stack.pop(), stack.pop()
            stack.append(_call(function, args))
        elif op == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif op == "SETITEMS":
            flat = since_mark()
            stack[-1].update(zip(flat[::2], flat[1::2], strict=True))
        elif op == "BUILD":
            state = stack.pop()
            if not isinstance(state, dict) or set(state) - {"_metadata"}:
                raise ValueError("it sets attributes")
        elif op == "STOP":
            break
        else:
            raise ValueError(f"instruction {op} is not one of a dictionary of tensors")
    result = stack.pop()
    if not isinstance(result, dict):
        raise ValueError("it holds no dictionary")  # noqa: TRY004 - one type of error for every refusal
    for name, tensor in result.items():
        if not isinstance(name, str) or not isinstance(tensor, tuple) or len(tensor) != 5:
            raise ValueError(f"entry {name!r} is no tensor")
    return result


def _storage(persistent: Any) -> tuple[str, str, str]:
    kind, storage_type, key, *_ = persistent
    if kind != "storage" or storage_type[0] != "global":
        raise ValueError("unknown kind of storage")
    name = storage_type[1].removeprefix("torch ")
    if name not in _DTYPES or not str(key).isdigit():
        raise ValueError(f"storage {name} is not supported")
    return "storage", _DTYPES[name], str(key)


def _call(function: Any, args: Any) -> Any:
    """Return the result of one of the two functions in a state dictionary, without calling it."""
    if function == ("global", _ORDERED_DICT) and not args:
        return {}
    if function == ("global", _REBUILD):
        (_, dtype, key), offset, shape, strides, *_ = args
        return dtype, key, offset, shape, strides
    raise ValueError(f"it would call {function[1] if isinstance(function, tuple) else function}")
