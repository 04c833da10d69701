"""The commands that run models: `evaluate --model ... --task ...` and `evaluate demo`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.statistics_files import KeptStatistics
from instructor_eval.analysis.board.text import format_board
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.core.output import say, tell, warn
from instructor_eval.core.stored_files import is_folder
from instructor_eval.results.published import published
from instructor_eval.results.score import UNSTARTED, Score
from instructor_eval.results.store import Store
from instructor_eval.run.executor import Executor
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import known_cards, select
from instructor_eval.tasks.instructions import InstructionSet, parse_set
from instructor_eval.tasks.task import SIMILAR, Card, RunSettings, Selection

if TYPE_CHECKING:
    from instructor_eval.cache.vectors import Cache
    from instructor_eval.models.served.contract import Serving
    from instructor_eval.run.plan import Request

_READER_TRIES = 5
_INSTALL = "pip install 'instructor-eval[run]'"
_NEEDED = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "mteb", "datasets"),
    "sentence_transformers",
    *("bm25s", "requests", "rouge_score"),  # prompt retrieval
)


def run_root(options: argparse.Namespace) -> int:
    """`evaluate --model ... --task ...`: run, file, print the board of what was asked for."""
    check_asked(options)
    return run_tasks(options)


def check_asked(options: argparse.Namespace) -> None:
    """Return whether anything is to be run.

    Raises:
        UserError: no model, or no task.
    """
    without_model = options.selection and all(s not in ("similar", "") for s in options.selection)
    if not options.model and not without_model:
        raise UserError("no --model given: name a hub id, a folder, or minilm (the embedded model)")
    if not options.task and not options.benchmark:
        raise UserError("no --task or --benchmark given: `evaluate tasks` lists them")


def _check_installed() -> None:
    """The core alone reads results; running a model takes the extra `run`.

    Raises:
        UserError: a library of that extra is not there.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"running a model needs {', '.join(missing)}: {_INSTALL}")


@dataclass(frozen=True)
class Asked:
    """Everything that the flags name, read and checked."""

    cards: list[Card]
    choices: dict[str, str]
    """Protocol choices."""
    sets: list[InstructionSet]


def prepare(options: argparse.Namespace) -> Asked:
    """Read the flags that `evaluate` and `evaluate plan` share, and set the environment that libraries look at.

    Raises:
        UserError: a library is not installed, a name is unknown, or flags do not go together.
    """
    from instructor_eval.cli.flags import COSTS

    _check_installed()
    if options.cost not in COSTS:
        raise UserError(f"INSTRUCTOR_EVAL_COST is '{options.cost}': give one of {', '.join(COSTS)}, or unset it")
    options.offline = options.offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if options.offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    # No telemetry: `datasets` asks a statistics host at every look-up.
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if options.hub is not None and not is_folder(options.hub):
        raise UserError(f"--hub {options.hub}: there is no such folder: name a mirror of data sets, or leave it out")
    cards = select(options.task, options.benchmark)
    others = [card.name for card in cards if card.type != "PromptRetrieval"]
    if not options.model and others:
        raise UserError(f"no --model given: {others[0]} needs one: a hub id, a folder, or minilm (the embedded model)")
    choices = protocol.parse(options.protocol)
    names = {*known_cards(), *(c.name for c in cards)}
    sets = [parse_set(text, names) for text in options.instructions or ["paper"]]
    if len({s.name for s in sets}) < len({(s.name, s.path) for s in sets}):
        raise UserError("two --instructions files have the same name: rename one, results are filed under it")
    Executor.parse(options.executor)
    return Asked(cards, choices, sets)


def request_of(
    options: argparse.Namespace, asked: Asked, closing: contextlib.ExitStack, *, dry: bool = False
) -> Request:
    """Return the request that the flags describe.

    Args:
        options: The flags.
        asked: What they name.
        closing: Closes what is opened here.
        dry: Nothing will be computed: no cache is opened, which would make one.

    Raises:
        UserError: flags do not go together, or a reader cannot be had.
    """
    from instructor_eval.run.plan import Request, check_searches
    from instructor_eval.search.spec import EXACT, SearchSpec

    searches = list(dict.fromkeys(SearchSpec.parse(text) for text in options.search or [EXACT]))
    check_searches(searches, asked.cards)
    settings = RunSettings(
        protocol=asked.choices,
        limit=options.limit,
        hub=options.hub,
        offline=options.offline,
        strict=options.strict,
    )
    settings, selections = _prompting(options, asked.cards, settings, closing, dry=dry)
    return Request(
        models=options.model,
        cards=asked.cards,
        instruction_sets=asked.sets,
        settings=settings,
        store=Store(options.results),
        device=options.device,
        variants=[text for part in options.variant for text in part],
        embeddings=[text for part in options.embedding for text in part],
        dims=options.truncate_dim,
        cost=options.cost,
        batch_tokens=options.batch_tokens,
        compiled=options.compile,
        cache=None if dry else _vector_cache(options, closing),
        stored=options.cache_dtype,
        family=options.family,
        trust_remote_code=options.trust_remote_code,
        serving=_serving(options),
        selections=selections,
        searches=searches,
        known_models=list(published()),
        command=options.command,
        debug=options.debug,
        executor=Executor.parse(options.executor),
    )


def _serving(options: argparse.Namespace) -> Serving:
    from instructor_eval.models.served.contract import Limits, Serving

    limits = Limits(texts=options.request_texts, concurrency=options.concurrency)
    if options.batch_tokens:
        limits = dataclasses.replace(limits, tokens=options.batch_tokens)
    return Serving(
        family=options.family,
        label=options.label,
        limits=limits,
        tries=options.tries,
        timeout=options.timeout,
        price=options.price,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
    )


def run_tasks(options: argparse.Namespace) -> int:
    """Run what was asked for and print its table; the return value is the exit code."""
    asked = prepare(options)
    cards, choices = asked.cards, asked.choices
    from instructor_eval.core.progress import Progress
    from instructor_eval.run.execute import execute

    Progress.enabled = not options.quiet
    with contextlib.ExitStack() as closing:
        request = request_of(options, asked, closing)
        settings, store = request.settings, request.store
        summary = execute(request, (lambda _line: None) if options.quiet else say)
    failures = [s for s in summary.scores if s.status == "failed"]
    if options.quiet:
        for line in _lines(failures):
            warn(f"evaluate: {line}")
    if len(failures) == len(summary.scores):
        return EXIT_ERROR
    board = build(
        store.scores(),
        published().values(),
        protocol=choices,
        limit=options.limit,
        only=_columns(cards),
        reader=settings.reader.fingerprint if settings.reader else None,
        current={s.identity for s in summary.scores},
        items=store.items,
        kept=KeptStatistics.of(store),
    )
    tell()
    tell(format_board(board, "table"))
    if not options.quiet:
        limited = f", cut to {options.limit} items each: not comparable with whole tasks" if options.limit else ""
        tell(
            f"\n{summary.ran} run, {summary.kept} reused, {summary.failed} failed{limited}; "
            f"results in {options.results}"
        )
    return EXIT_ERROR if summary.failed else EXIT_OK


def _lines(failures: list[Score]) -> list[str]:
    """Return why tasks failed, a line each; one line for all tasks of a model that failed alike."""
    alike: dict[tuple[str, str | None], list[Score]] = {}
    for score in failures:
        alike.setdefault((score.model["fingerprint"], score.error), []).append(score)
    lines = []
    for (fingerprint, error), scores in alike.items():
        what = scores[0].task + (f" and {len(scores) - 1} others" if len(scores) > 1 else "")
        if fingerprint.startswith(UNSTARTED):
            what = f"model {scores[0].model['name']}"
        lines.append(f"{what} failed: {error}")
    return lines


def _vector_cache(options: argparse.Namespace, closing: contextlib.ExitStack) -> Cache:
    from instructor_eval.cache.vectors import MemoryCache, VectorCache, default_folder

    cache: Cache
    if options.no_cache:
        cache = MemoryCache()  # what one run embeds twice is still computed once
    else:
        cache = VectorCache(options.cache or default_folder(), limit=options.cache_size, warn=_warn)
    closing.callback(cache.close)
    return cache


def _prompting(
    options: argparse.Namespace, cards: list[Card], settings: RunSettings, closing: contextlib.ExitStack, *, dry: bool
) -> tuple[RunSettings, list[Selection]]:
    """Return what prompt retrieval needs beside a model: selections, a reader, and the store of its answers.

    Raises:
        UserError: they are asked for and no such task is, or they cannot be had.
    """
    if not any(card.type == "PromptRetrieval" for card in cards):
        flags = {
            "--selection": options.selection,
            "--reader": options.reader,
            "--reader-dtype": options.reader_dtype != "auto",
        }
        given = [flag for flag, value in flags.items() if value]
        if given:
            raise UserError(f"{given[0]} is for prompt-retrieval tasks, and no --task or --benchmark names one")
        return settings, [SIMILAR]
    from instructor_eval.cache.vectors import default_folder
    from instructor_eval.readers.answers import AnswerCache
    from instructor_eval.readers.find import load_reader
    from instructor_eval.tasks.prompts.selection import parse_selection

    selections = [parse_selection(text) for text in options.selection] or [SIMILAR]
    if options.reader_dtype != "auto" and (options.reader or "nearest").startswith(("nearest", "endpoint:")):
        raise UserError("--reader-dtype is for hf: readers: leave it out, or give --reader hf:MODEL")
    reader = load_reader(
        options.reader or "nearest",
        device=options.device,
        dtype=options.reader_dtype,
        offline=options.offline,
        patience={"timeout": options.timeout, "tries": min(options.tries, _READER_TRIES)},
    )
    closing.callback(reader.close)
    reader.describe()  # what is wrong with a model or an endpoint shows before anything is computed
    if dry:
        return dataclasses.replace(settings, reader=reader), list(dict.fromkeys(selections))
    answers = AnswerCache(None if options.no_cache else options.cache or default_folder(), warn=_warn)
    closing.callback(answers.close)
    return dataclasses.replace(settings, reader=reader, answers=answers), list(dict.fromkeys(selections))


def _columns(cards: list[Card]) -> list[Card]:
    """The tasks asked for; a part that came in with its whole is no column of its own."""
    names = {c.name for c in cards}
    return [c for c in cards if c.part_of not in names]


def _warn(line: str) -> None:
    warn(f"evaluate: {line}")
