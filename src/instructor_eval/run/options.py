"""Options of a run, as the command line and `instructor_eval.evaluate` give them, made into a request.

Light at the top: nothing that computes is imported before it is known to be installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.core import libraries
from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import check_mirror, offline_asked
from instructor_eval.models.find import EMBEDDED
from instructor_eval.results.published import published
from instructor_eval.results.store import Store
from instructor_eval.run.executor import COSTS, Executor
from instructor_eval.tasks import protocol, types
from instructor_eval.tasks.cards import known_cards, select
from instructor_eval.tasks.instructions import InstructionSet, check_roles, parse_set
from instructor_eval.tasks.task import SIMILAR, Card, RunSettings, Selection

if TYPE_CHECKING:
    from instructor_eval.cache.vectors import Cache
    from instructor_eval.models.served.contract import Serving
    from instructor_eval.run.plan import Model, Request

CACHE_BYTES = 20 * 1024**3
_READER_TRIES = 5
_NEEDED = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "mteb", "datasets"),
    "sentence_transformers",
    *("bm25s", "requests", "rouge_score"),  # prompt retrieval
)


_COUNTS = ("limit", "batch_tokens", "request_texts", "concurrency", "tries")
"""Whole numbers that Python's door takes as they are: another kind would be filed, and the folder never read again."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that can be said of a run; a name is that of its flag, with its meaning and default."""

    model: Sequence[Model] = ()
    task: Sequence[str] = ()
    benchmark: Sequence[str] = ()
    type: Sequence[str] = ()
    domain: Sequence[str] = ()
    instructions: Sequence[str] = ()
    protocol: Sequence[str] = ()
    limit: int | None = None
    strict: bool = False
    rankings: bool = False
    selection: Sequence[str] = ()
    reader: str | None = None
    reader_dtype: str = "auto"
    device: str = "auto"
    variant: Sequence[str] = ()
    embedding: Sequence[str] = ()
    truncate_dim: Sequence[int] = ()
    search: Sequence[str] = ()
    chunk: Sequence[str] = ()
    chunk_by: str = "tokens"
    chunk_score: str = "max"
    cost: str = "auto"
    batch_tokens: int | None = None
    compile: bool = False
    family: str | None = None
    trust_remote_code: bool = False
    executor: str = "local"
    request_texts: int = 64
    concurrency: int = 4
    tries: int = 7
    timeout: float = 60.0
    price: float | None = None
    label: str = ""
    results: Path = Path("results")
    hub: Path | None = None
    cache: Path | None = None
    no_cache: bool = False
    cache_size: int = CACHE_BYTES
    cache_dtype: str = "float32"
    offline: bool = False
    debug: bool = False
    command: Sequence[str] = field(default=(), repr=False)
    """The argument vector that asked for it; empty from Python."""

    def check(self) -> None:
        """Check that anything is to be run.

        Raises:
            UserError: no model, or no task.
        """
        without_model = self.selection and all(s not in ("similar", "") for s in self.selection)
        if not self.model and not without_model:
            raise UserError("no --model given: name a hub id, a folder, or minilm (the embedded model)")
        if not (self.task or self.benchmark or self.type or self.domain):
            raise UserError("no --task, --benchmark, --type or --domain given: `evaluate tasks` lists them")
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UserError(f"--{name.replace('_', '-')} {value!r:.99}: give a whole number of at least 1")


@dataclass(frozen=True)
class Asked:
    """Everything that the options name, read and checked."""

    options: Options
    cards: list[Card]
    choices: dict[str, str]
    """Protocol choices."""
    sets: list[InstructionSet]


def read(options: Options) -> Asked:
    """Read what the options name, and set the environment that libraries look at.

    Raises:
        UserError: a library is not installed, a name is unknown, or options do not go together.
    """
    embedded = any(isinstance(model, str) and model == EMBEDDED for model in options.model)
    libraries.require(_NEEDED, "demo" if embedded else "run", "running a model")  # one installation, not two
    if options.cost not in COSTS:
        raise UserError(f"INSTRUCTOR_EVAL_COST is '{options.cost}': give one of {', '.join(COSTS)}, or unset it")
    if options.offline or offline_asked():
        options = dataclasses.replace(options, offline=True)
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    # No telemetry: `datasets` asks a statistics host at every look-up.
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    check_mirror(options.hub)
    cards = select(options.task, options.benchmark, options.type, options.domain)
    others = [card.name for card in cards if not types.get(card.type).is_prompted]
    if not options.model and others:
        raise UserError(f"no --model given: {others[0]} needs one: a hub id, a folder, or minilm (the embedded model)")
    choices = protocol.parse(list(options.protocol))
    names = {*known_cards(), *(c.name for c in cards)}
    sets = [parse_set(text, names) for text in options.instructions or ["paper"]]
    for one in sets:
        check_roles(one, cards)
    if len({s.name for s in sets}) < len({(s.name, s.path) for s in sets}):
        raise UserError("two --instructions files have the same name: rename one, results are filed under it")
    Executor.parse(options.executor)
    return Asked(options, cards, choices, sets)


def request_of(
    asked: Asked, closing: contextlib.ExitStack, warn: Callable[[str], None], *, dry: bool = False
) -> Request:
    """Return the request that the options describe.

    Args:
        asked: What they name.
        closing: Closes what is opened here.
        warn: Called with what a cache has to say.
        dry: Nothing will be computed: no cache is opened, which would make one.

    Raises:
        UserError: options do not go together, or a reader cannot be loaded.
    """
    from instructor_eval.run.plan import Request, check_searches
    from instructor_eval.search.chunks import ChunkSpec
    from instructor_eval.search.spec import EXACT, SearchSpec

    options = asked.options
    chunks = [ChunkSpec.parse(text, options.chunk_by, options.chunk_score) for text in options.chunk] or [None]
    searches = list(
        dict.fromkeys(
            dataclasses.replace(SearchSpec.parse(text), chunk=chunk)
            for text in options.search or [EXACT]
            for chunk in chunks
        )
    )
    check_searches(searches, asked.cards)
    settings = RunSettings(
        protocol=asked.choices,
        limit=options.limit,
        hub=options.hub,
        offline=options.offline,
        strict=options.strict,
        rankings=options.rankings,
    )
    settings, selections = _prompting(asked, settings, closing, warn, dry=dry)
    return Request(
        models=options.model,
        cards=asked.cards,
        instruction_sets=asked.sets,
        settings=settings,
        store=Store(options.results),
        device=options.device,
        variants=options.variant,
        embeddings=options.embedding,
        dims=options.truncate_dim,
        cost=options.cost,
        batch_tokens=options.batch_tokens,
        compiled=options.compile,
        cache=None if dry else _vector_cache(options, closing, warn),
        stored=options.cache_dtype,
        family=options.family,
        trust_remote_code=options.trust_remote_code,
        serving=_serving(options),
        selections=selections,
        searches=searches,
        known_models=list(published()),
        command=list(options.command),
        debug=options.debug,
        executor=Executor.parse(options.executor),
    )


def _serving(options: Options) -> Serving:
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


def _vector_cache(options: Options, closing: contextlib.ExitStack, warn: Callable[[str], None]) -> Cache:
    from instructor_eval.cache.vectors import MemoryCache, VectorCache, default_folder

    cache: Cache
    if options.no_cache:
        cache = MemoryCache()  # what one run embeds twice is still computed once
    else:
        cache = VectorCache(options.cache or default_folder(), limit=options.cache_size, warn=warn)
    closing.callback(cache.close)
    return cache


def _prompting(
    asked: Asked,
    settings: RunSettings,
    closing: contextlib.ExitStack,
    warn: Callable[[str], None],
    *,
    dry: bool,
) -> tuple[RunSettings, list[Selection]]:
    """Return what prompt retrieval needs beside a model: selections, a reader, and the store of its answers.

    Raises:
        UserError: they are asked for and no such task is, or they cannot be loaded.
    """
    options = asked.options
    if not any(types.get(card.type).is_prompted for card in asked.cards):
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
    answers = AnswerCache(None if options.no_cache else options.cache or default_folder(), warn=warn)
    closing.callback(answers.close)
    return dataclasses.replace(settings, reader=reader, answers=answers), list(dict.fromkeys(selections))
