"""`evaluate cache`: show, check and shrink the cache of vectors and answers. Imports neither torch nor mteb."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from instructor_eval.cache import upkeep
from instructor_eval.cache.database import FILE_NAME
from instructor_eval.cache.upkeep import Verdict
from instructor_eval.cache.vectors import default_folder
from instructor_eval.cli.flags import positive
from instructor_eval.cli.options import add_actions, add_debug_option, add_format_option, parse_size
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError, one_line
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import tell
from instructor_eval.core.tables import listing, render
from instructor_eval.readers import answers_upkeep

_READERS = ("hf:", "endpoint:")
ACTIONS = {
    "info": "show what is stored of which model",
    "verify": "check every vector and answer; drop what is damaged",
    "prune": "drop what was not used for longest, or what one model left",
    "clear": "drop everything",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `evaluate cache` with their flags."""
    parsers = add_actions(parser, ACTIONS)
    for action in parsers.values():
        action.add_argument(
            "--cache", type=Path, metavar="DIR",
            help="its folder (default $INSTRUCTOR_EVAL_CACHE, else ~/.cache/instructor-eval)",
        )  # fmt: skip
    add_format_option(parsers["info"], ("table", "json"))
    add_format_option(parsers["verify"], ("table", "json"))
    prune = parsers["prune"]
    prune.add_argument("--size", type=parse_size, metavar="SIZE", help="until the cache takes no more, as 500M or 2T")
    prune.add_argument(
        "--model",
        metavar="NAME",
        help="only this model's: its name, name@revision or fingerprint; or a reader's answers",
    )
    prune.add_argument("--older-than", type=positive, metavar="DAYS", help="only what was not used for so many days")
    for action in parsers.values():
        add_debug_option(action)


def run(options: argparse.Namespace) -> int:
    """One action on one folder; the return value is the exit code."""
    if options.action is None:
        options.show_help()
        return EXIT_ERROR
    folder = options.cache or default_folder()
    if options.action == "info":
        return _info(folder, options.format)
    if options.action == "verify":
        return _verify(folder, options.format)
    if options.action == "prune":
        return _prune(folder, options)
    return _clear(folder)


def _has_vectors(folder: Path) -> bool:
    """False where there are only answers; True where there is nothing at all, which looking for vectors says."""
    return (folder / FILE_NAME).is_file() or not answers_upkeep.is_there(folder)


def _info(folder: Path, form: str) -> int:
    found = upkeep.info(folder) if _has_vectors(folder) else None
    readers = answers_upkeep.info(folder)
    if form == "json":
        value = {} if found is None else dataclasses.asdict(found) | {"path": str(found.path)}
        if readers:
            value["answers"] = [dataclasses.asdict(reader) for reader in readers]
        tell(json_text(value))
        return EXIT_OK
    if found is not None:
        _print_vectors(found)
    if readers or found is None:
        rows = [[found.reader, f"{found.answers:,}", size(found.bytes)] for found in readers]
        table = render(["reader", "answers", "size"], rows, "table")
        tell(table if found is None else f"\n{table}")
    return EXIT_OK


def _print_vectors(found: upkeep.Info) -> None:
    headers = ["model", "variant", "revision", "form", "fingerprint", "texts", "size", "last used"]
    rows = [
        [m.name, m.variant, m.revision, f"{m.dtype} x {m.dim}", m.fingerprint, f"{m.texts:,}", size(m.bytes),
         None if m.used is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(m.used))]
        for m in found.models
    ]  # fmt: skip
    tell(listing(headers, rows, "table", left=5, rare=("revision", "fingerprint", "form", "last used")))
    tell(
        f"\n{found.texts:,} texts, {size(found.bytes)}; {size(found.disk)} on disk "
        f"(version {found.version}, {one_line(str(found.path))})"
    )


def _verify(folder: Path, form: str) -> int:
    found: dict[str, Verdict] = {}
    if _has_vectors(folder):
        verdict = found["vectors"] = upkeep.verify(folder)
        if form != "json":
            rows = f"{_count(verdict.rows, 'block')} with {_count(verdict.texts, 'text')}"
            _print_verdict(f"cache {folder}", verdict, rows)
    if answers_upkeep.is_there(folder):
        verdict = found["answers"] = answers_upkeep.verify(folder)
        if form != "json":
            _print_verdict(f"cache of answers {folder}", verdict, _count(verdict.rows, "answer"))
    if form == "json":
        checked = {name: dataclasses.asdict(verdict) | {"sound": verdict.sound} for name, verdict in found.items()}
        tell(json_text({"path": str(folder), **checked}))
    return EXIT_OK if all(verdict.sound for verdict in found.values()) else EXIT_ERROR


def _print_verdict(thing: str, found: Verdict, rows: str) -> None:
    if found.set_aside:
        tell(one_line(found.set_aside))
        return
    tell(f"{one_line(thing)} {'is sound' if found.sound else 'had damage'}: {rows} checked")
    if found.wrong:
        tell(f"  {found.wrong:,} of them dropped, to be computed again")
    if found.entries:
        tell(f"  {_count(found.entries, 'entry', 'entries')} without a block dropped")


def _prune(folder: Path, options: argparse.Namespace) -> int:
    if options.size is None and options.model is None and options.older_than is None:
        raise UserError("nothing says what to drop: give --size, --model or --older-than")
    if options.size is None and options.older_than is None and options.model.startswith(_READERS):
        _print_dropped(answers_upkeep.prune(folder, options.model), "answer")
    else:
        dropped = upkeep.prune(folder, size=options.size, model=options.model, older_than_days=options.older_than)
        _print_dropped(dropped, "text")
    return EXIT_OK


def _clear(folder: Path) -> int:
    if _has_vectors(folder):
        _print_dropped(upkeep.clear(folder), "text")
    if answers_upkeep.is_there(folder):
        _print_dropped(answers_upkeep.clear(folder), "answer")
    return EXIT_OK


def _print_dropped(dropped: upkeep.Dropped, what: str) -> None:
    tell(f"dropped {_count(dropped.rows, what)}, {size(dropped.bytes)}; the disk got {size(dropped.freed)} back")


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def size(n: int) -> str:
    """Bytes for people: `1.2 GiB`."""
    value, units = float(n), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1023.95 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{n:,} {'byte' if n == 1 else 'bytes'}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
