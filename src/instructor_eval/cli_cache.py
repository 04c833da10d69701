"""`evaluate cache`: show, check and shrink the cache of vectors. Imports neither torch nor mteb."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

from instructor_eval.encoder import cache_upkeep, cache_verify
from instructor_eval.encoder.cache import default_folder
from instructor_eval.errors import EXIT_ERROR, EXIT_OK, UserError, one_line
from instructor_eval.tables import render


def run(options: argparse.Namespace) -> int:
    """One action on one folder; the return value is the exit code."""
    if options.action is None:
        options.show_help()
        return EXIT_ERROR
    folder = options.cache or default_folder()
    if options.action == "info":
        return _info(folder, options.format)
    if options.action == "verify":
        return _verify(folder)
    if options.action == "prune":
        return _prune(folder, options)
    _print_dropped(cache_upkeep.clear(folder))
    return EXIT_OK


def _info(folder: Path, form: str) -> int:
    found = cache_upkeep.info(folder)
    if form == "json":
        value = dataclasses.asdict(found) | {"path": str(found.path)}
        print(json.dumps(value, ensure_ascii=False, indent=1))
        return EXIT_OK
    headers = ["model", "variant", "revision", "form", "fingerprint", "texts", "size", "last used"]
    rows = [
        [m.name, m.variant, m.revision, f"{m.dtype} x {m.dim}", m.fingerprint, f"{m.texts:,}", size(m.bytes),
         None if m.used is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(m.used))]
        for m in found.models
    ]  # fmt: skip
    print(render(headers, rows, "table", left=5))
    print(
        f"\n{found.texts:,} texts, {size(found.bytes)}; {size(found.disk)} on disk "
        f"(version {found.version}, {one_line(str(found.path))})"
    )
    return EXIT_OK


def _verify(folder: Path) -> int:
    found = cache_verify.verify(folder)
    where = one_line(str(folder))
    looked_at = f"{_count(found.blocks, 'block')} with {_count(found.texts, 'text')} checked"
    if found.sound:
        print(f"cache {where} is sound: {looked_at}")
        return EXIT_OK
    print(f"cache {where} was damaged and is mended: {looked_at}")
    if found.problem:
        print(f"  the database was not whole ({one_line(found.problem)}): made anew from every block that still reads")
    if found.damaged or found.dropped:
        texts = _count(found.dropped, "text")
        print(f"  {_count(found.damaged, 'damaged block')} dropped: {texts} in them will be encoded again")
    if found.mended:
        print(f"  {_count(found.mended, 'wrong entry', 'wrong entries')} of the index put right")
    if found.problem:
        print("  texts of blocks that left no trace will be encoded again too")
    return EXIT_ERROR


def _prune(folder: Path, options: argparse.Namespace) -> int:
    if options.size is None and options.model is None and options.older_than is None:
        raise UserError("nothing says what to drop: give --size, --model or --older-than")
    _print_dropped(
        cache_upkeep.prune(folder, size=options.size, model=options.model, older_than_days=options.older_than)
    )
    return EXIT_OK


def _print_dropped(dropped: cache_upkeep.Dropped) -> None:
    print(f"dropped {_count(dropped.texts, 'text')}, {size(dropped.bytes)}; the disk got {size(dropped.freed)} back")


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def size(n: int) -> str:
    """Bytes for people: `1.2 GiB`."""
    value, units = float(n), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1023.95 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{n:,} {'byte' if n == 1 else 'bytes'}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
