"""The kernel's engines: which suit a processor, how they are compiled, and that those of other processors compute.

Engines of this processor are compared in `test_products.py`. One of another processor runs here as a program, in an
emulator (Debian: qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross).
"""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from models.forms.test_products import SHAPES, drawn

from instructor_eval.core import machine
from instructor_eval.models.forms import compiled, int8_kernel
from instructor_eval.models.forms.int8_kernel import TARGETS, KernelLayer
from instructor_eval.models.forms.products import Int8Linear, quantize_weight

X86 = platform.machine() == "x86_64"
SSE = "fpu sse4_2"
ALDER_LAKE = f"{SSE} fma avx2 avx_vnni"
ICE_LAKE = f"{SSE} fma avx2 avx512f avx512bw avx512vl avx512_vnni"


@pytest.mark.parametrize(
    ("kind", "flags", "expected"),
    [
        ("x86_64", SSE, []),
        ("x86_64", f"{SSE} fma avx2", ["avx2"]),
        ("x86_64", ALDER_LAKE, ["avxvnni", "avx2"]),
        ("x86_64", ICE_LAKE, ["avx512vnni", "avx512vnni-256", "avx2"]),
        ("x86_64", f"{ICE_LAKE} avx_vnni", ["avx512vnni", "avx512vnni-256", "avxvnni", "avx2"]),
        ("x86_64", f"{SSE} avx2 avx512f avx512_vnni", ["avx2"]),  # a container may hide the rest
        ("aarch64", "fp asimd", []),
        ("aarch64", "fp asimd asimddp", ["neon"]),
        ("riscv64", "avx2 asimddp", []),
    ],
)
def test_which_engines_suit(kind: str, flags: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_kernel.platform, "machine", lambda: kind)
    monkeypatch.setattr(int8_kernel, "processor_flags", lambda: set(flags.split()))
    assert int8_kernel.suited() == expected
    monkeypatch.setattr(int8_kernel, "processor_flags", lambda: None)
    assert int8_kernel.suited() == []


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor : 0\nflags\t\t: fpu avx2\nflags : other\n", {"fpu", "avx2"}),
        ("processor : 0\nFeatures\t: fp asimddp\n", {"fp", "asimddp"}),
        ("processor : 0\n", None),
    ],
)
def test_instructions_of_a_processor(text: str, flags: set[str] | None, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert machine.processor_flags(tmp_path / "cpuinfo") == flags
    assert machine.processor_flags(tmp_path / "none") is None


def test_the_kernel_runs_where_it_can() -> None:
    """On the machines that run these tests there is a compiler: nothing falls back in silence."""
    suited = int8_kernel.suited()
    if not suited:
        pytest.skip("a kind of processor that no engine was written for")
    assert Int8Linear(torch.randn(4, 8)).engine == suited[0]


def program(engine: str, compiler: str, folder: Path, *more: str) -> Path:
    made = folder / engine
    flags = [f for f in compiled.FLAGS if f not in ("-fPIC", "-fopenmp")] + list(TARGETS[engine].flags)
    source, include = Path(__file__).with_name("kernel_program.c"), str(int8_kernel.SOURCE.parent)
    command = [compiler, *flags, "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *more, "-I", include]
    subprocess.run([*command, str(source), "-o", str(made)], check=True)
    return made


def of_program(command: list[str], inputs: int, channels: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The products of a program, and those of torch's floats here: float32 [rows, channels]."""
    x, weight, bias, added = drawn(inputs, channels, rows, seed=3)
    integers, scale = quantize_weight(weight, 63)
    layer = KernelLayer("c", integers, scale, bias, relu=True)
    sizes = np.array([rows, inputs, -(-inputs // 8) * 8, channels], dtype=np.int64)
    parts = (sizes, layer.weight, layer.scale, layer.sums, layer.bias, x.numpy(), added.numpy())
    given = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    ran = subprocess.run(command, input=given, capture_output=True, check=True)
    expected = Int8Linear(weight, bias, activation="relu", engine="float32")(x, added)
    return np.frombuffer(ran.stdout, dtype=np.float32).reshape(rows, channels), expected.numpy()


def emulated(engine: str, compiler: str, emulator: str, folder: Path, *more: str) -> None:
    made = program(engine, compiler, folder, "-static", *more)
    for inputs, channels, rows in SHAPES:
        ours, expected = of_program([emulator, str(made)], inputs, channels, rows)
        assert np.array_equal(ours, expected), (inputs, channels, rows)


def test_arm_in_an_emulator(tmp_path: Path) -> None:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("no compiler for ARM, or no qemu-aarch64: apt install gcc-aarch64-linux-gnu qemu-user")
    emulated("neon", compiler, emulator, tmp_path)
    assert b"sdot" in disassembled(tmp_path / "neon", "aarch64-linux-gnu-objdump")


def test_avx2_in_an_emulator(tmp_path: Path) -> None:
    """Where the tests run on a processor of another kind, or to see that nothing newer than AVX2 slips in."""
    emulator = shutil.which("qemu-x86_64")
    if not X86 or not emulator:
        pytest.skip("no qemu-x86_64, or not an x86 machine to compile for: apt install qemu-user")
    made = program("avx2", "cc", tmp_path, "-static")
    ours, expected = of_program([emulator, "-cpu", "Haswell", str(made)], 50, 37, 7)
    assert np.array_equal(ours, expected)


@pytest.mark.skipif(not X86, reason="the compiler here makes no x86 programs")
@pytest.mark.parametrize("engine", ["avxvnni", "avx512vnni", "avx512vnni-256"])
def test_vnni_compiles_to_its_instruction(engine: str, tmp_path: Path) -> None:
    """Compiled on any x86. AVX-VNNI is the source of avx512vnni-256, encoded differently: few processors have that
    encoding, and the emulator of Debian 12 does not know it."""
    made = program(engine, "cc", tmp_path)
    found = [line for line in disassembled(made, "objdump").splitlines() if b"vpdpbusd" in line]
    assert found
    assert all((b"{vex}" in line) == (engine == "avxvnni") for line in found)
    assert all((b"zmm" in line) == (engine == "avx512vnni") for line in found)


def disassembled(made: Path, tool: str) -> bytes:
    if not shutil.which(tool):
        pytest.skip(f"no {tool}")
    return subprocess.run([tool, "-d", str(made)], capture_output=True, check=True).stdout


def test_no_compiler_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    library = compiled.library.__wrapped__
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert library(int8_kernel.SOURCE, TARGETS["c"].flags) is None
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")

    def fails(*args: object, **kwargs: object) -> None:
        raise subprocess.CalledProcessError(1, "cc")

    monkeypatch.setattr(compiled.subprocess, "run", fails)
    assert library(int8_kernel.SOURCE, TARGETS["c"].flags) is None
    monkeypatch.setattr(int8_kernel.compiled, "library", lambda source, flags: None)
    assert int8_kernel.load("c") is None
    assert Int8Linear(torch.randn(4, 8)).engine in ("onednn", "float32")
    with pytest.raises(RuntimeError, match="cannot be used here as avx2"):
        Int8Linear(torch.randn(4, 8), engine="avx2")


@pytest.mark.parametrize(
    ("variable", "first"),
    [("", ["cc"]), (" ", ["cc"]), ("gcc 'x", ["cc"]), ("ccache gcc", ["ccache", "gcc"]), ("clang", ["clang"])],
)
def test_which_compiler(variable: str, first: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", variable)
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert machine.compilers()[0] == first


def test_a_compiler_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    assert compiled.library.__wrapped__(int8_kernel.SOURCE, TARGETS["c"].flags) is not None


@pytest.mark.parametrize("line", ["/a folder/libgomp-a1.so.1", "/x/libiomp5.so"])
def test_the_threads_torch_has_loaded(line: str, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(f"7f-80 r-xp 0000 08:01 12   /lib/libc.so.6\n7f-80 r-xp 0000 08:01 12   {line}\n")
    assert compiled.threads_library(maps) == line
    assert compiled.threads_library(tmp_path / "none") is None


def test_a_folder_that_cannot_be_run_from(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(path: str, **_options: object) -> None:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr(ctypes, "CDLL", refuses)
    assert compiled.library.__wrapped__(int8_kernel.SOURCE, TARGETS["c"].flags) is None


def test_rows_of_another_width_are_refused() -> None:
    layer = KernelLayer("c", torch.ones(4, 9, dtype=torch.int8), torch.ones(4), None, relu=False)
    with pytest.raises(ValueError, match="9 inputs"):
        layer(torch.ones(2, 8))
