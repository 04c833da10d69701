"""The commands that run models: `evaluate --model ... --task ...` and `evaluate demo`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from instructor_eval import protocol
from instructor_eval.cards import select, shipped_cards
from instructor_eval.cli_show import format_board
from instructor_eval.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.instructions import parse_set
from instructor_eval.leaderboard import build
from instructor_eval.published import published
from instructor_eval.store import Store
from instructor_eval.types import Card, RunSettings

if TYPE_CHECKING:
    from instructor_eval.encoder.cache import Cache

_INSTALL = "pip install 'instructor-eval[run]'"
_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "mteb", "datasets")


def run_root(options: argparse.Namespace) -> int:
    """`evaluate --model ... --task ...`: run, file, print the board of what was asked for."""
    if not options.model:
        raise UserError("no --model given: name a hub id, a folder, or minilm (the embedded model)")
    if not options.task and not options.benchmark:
        raise UserError("no --task or --benchmark given: `evaluate tasks` lists them")
    return _run(options)


def run_demo(options: argparse.Namespace) -> int:
    """`evaluate demo`: the embedded model on the embedded tasks."""
    options.model, options.task, options.benchmark = ["minilm"], [], ["demo"]
    options.instructions, options.protocol, options.limit = [], [], None
    options.offline = True
    options.command = ["evaluate", "demo"]
    code = _run(options)
    if code == EXIT_OK and not options.quiet:
        results = "" if str(options.results) == "results" else f" --results {options.results}"
        print(
            "\nThis was all-MiniLM-L6-v2 on three small sets that ship with the tool. Next:\n"
            f"  evaluate leaderboard{results} --format md\n"
            "      the same table for a document\n"
            "  evaluate tasks DemoRetrieval\n"
            "      a task's card, with its instructions\n"
            f"  evaluate --model hkunlp/instructor-base --benchmark demo{results}\n"
            "      an INSTRUCTOR beside it (downloads the model)\n"
            "  evaluate --model minilm --task STSBenchmark\n"
            "      a task of the paper (downloads its data)\n"
            "  evaluate --model minilm --task ./my-task.yaml\n"
            "      your own data: docs/adding-a-task.md"
        )
    return code


def _check_installed() -> None:
    """The core alone reads results; running a model takes the extra `run`.

    Raises:
        UserError: a library of that extra is not there.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"running a model needs {', '.join(missing)}: {_INSTALL}")


def _run(options: argparse.Namespace) -> int:
    _check_installed()
    options.offline = options.offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if options.offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    # No telemetry: `datasets` asks a statistics host at every look-up.
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    cards = select(options.task, options.benchmark)
    choices = protocol.parse(options.protocol)
    names = {*shipped_cards(), *(c.name for c in cards)}
    sets = [parse_set(text, names) for text in options.instructions or ["paper"]]
    if len({s.name for s in sets}) < len({(s.name, s.path) for s in sets}):
        raise UserError("two --instructions files have the same name: rename one, results are filed under it")
    from instructor_eval.encoder.cache import MemoryCache, VectorCache, default_folder
    from instructor_eval.progress import Progress
    from instructor_eval.runner import Request, execute

    Progress.enabled = not options.quiet
    settings = RunSettings(protocol=choices, limit=options.limit, hub=options.hub, offline=options.offline)
    store = Store(options.results)
    cache: Cache
    if options.no_cache:
        cache = MemoryCache()  # what one run embeds twice is still computed once
    else:
        cache = VectorCache(options.cache or default_folder(), limit=options.cache_size, warn=_warn)
    request = Request(
        models=options.model,
        cards=cards,
        instruction_sets=sets,
        settings=settings,
        store=store,
        device=options.device,
        variant=options.variant,
        batch_tokens=options.batch_tokens,
        compiled=options.compile,
        cache=cache,
        vector_dtype=options.cache_dtype,
        family=options.family,
        trust_remote_code=options.trust_remote_code,
        known_models=list(published()),
        command=options.command,
        debug=options.debug,
    )
    try:
        summary = execute(request, (lambda _line: None) if options.quiet else _say)
    finally:
        cache.close()
    failures = [s for s in summary.scores if s.status == "failed"]
    if options.quiet:
        for score in failures:
            print(f"evaluate: {score.task} failed: {score.error}", file=sys.stderr)
    if len(failures) == len(summary.scores):
        return EXIT_ERROR
    board = build(store.scores(), published().values(), protocol=choices, limit=options.limit, only=_columns(cards))
    print()
    print(format_board(board, "table"))
    if not options.quiet:
        limited = f", cut to {options.limit} items each: not comparable with whole tasks" if options.limit else ""
        print(
            f"\n{summary.ran} run, {summary.kept} kept from earlier, {summary.failed} failed{limited}; "
            f"results in {options.results}"
        )
    return EXIT_ERROR if summary.failed else EXIT_OK


def _columns(cards: list[Card]) -> list[Card]:
    """The tasks asked for; a part that came in with its whole is no column of its own."""
    names = {c.name for c in cards}
    return [c for c in cards if c.part_of not in names]


def _warn(line: str) -> None:
    print(f"evaluate: {line}", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(line, flush=True)
