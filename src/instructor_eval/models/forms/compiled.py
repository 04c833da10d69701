"""C of this package, compiled when a model is loaded; it runs on torch's threads.

The compiler writes into a private temporary folder, the library is loaded and its file deleted: it takes half a second,
and nobody else can put a library there. Where there is no compiler, torch's operators do the same work.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from instructor_eval.core.machine import compilers

# No contraction: a fused product and sum would round differently from other ways to compute the same.
FLAGS = ("-O3", "-ffp-contract=off", "-fwrapv", "-fPIC", "-fopenmp")
_SECONDS = 60


@cache
def library(source: Path, flags: tuple[str, ...]) -> ctypes.CDLL | None:
    """Compile and load a C file with these flags beside `FLAGS`; None where that cannot be done."""
    threads = threads_library()
    if threads is None:
        return None
    return next((made for c in compilers() if (made := _compiled(c, source, flags, threads)) is not None), None)


def _compiled(compiler: list[str], source: Path, flags: tuple[str, ...], threads: str) -> ctypes.CDLL | None:
    """Compile and load; None if this compiler cannot make it or it cannot be loaded."""
    with tempfile.TemporaryDirectory(prefix="instructor-eval-") as folder:
        made, target = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
        steps = ([*FLAGS, *flags, "-c", str(source), "-o", str(made)], ["-shared", str(made), "-o", str(target)])
        try:
            for step in steps:
                subprocess.run(  # noqa: S603 - the user's own compiler on our own source, no shell
                    [*compiler, *step], check=True, capture_output=True, timeout=_SECONDS
                )
            ctypes.CDLL(threads, mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(target))
        except (OSError, subprocess.SubprocessError):
            return None


def threads_library(path: Path = Path("/proc/self/maps")) -> str | None:
    """Return the OpenMP library that torch has loaded.

    Compiled code must use the same one: a second set of threads would compete with torch's, which stay awake for a
    while after each operator.
    """
    try:
        found = re.findall(r"(/[^\n]*/lib[gi]omp[^/\n]*\.so[^/\n]*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return str(found[0]) if found else None
