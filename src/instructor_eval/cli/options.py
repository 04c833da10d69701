"""Flags that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from instructor_eval.cli.flags import amount, listed, names, positive, seconds
from instructor_eval.models.variant import EMBEDDINGS
from instructor_eval.run.executor import COSTS

BY, SCORES = ("tokens", "sentences"), ("max", "mean-top-3")
"""Those of `search/chunks.py`, which needs numpy."""


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """Add what says what is run: models, tasks, instructions, protocol."""
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--model", action="extend", type=names, default=[], metavar="MODEL,...",
        help="a hub id (org/name[@revision]), a folder, minilm (the embedded model), or one that is served "
        "(docs/model-servers.md): endpoint:URL[#MODEL], hosted:PROVIDER/MODEL, mteb:NAME; or one of texts and pictures "
        "(docs/images.md): hf-clip:FOLDER, open-clip:ARCHITECTURE/TAG, imagebind:FILE; repeatable",
    )  # fmt: skip
    add_choice_options(what, "")
    what.add_argument(
        "--instructions", action="extend", type=names, default=[], metavar="SET,...",
        help="paper (default), paper:MODEL, template, none, or a YAML file; repeatable, results stand side by side",
    )  # fmt: skip
    what.add_argument("--protocol", action="append", default=[], metavar="CHOICE",
                      help="mteb (default), paper, or CHOICE=VALUE (docs/protocol.md); repeatable")  # fmt: skip
    what.add_argument("--limit", type=positive, metavar="N", help="cut every task to N items, for a quick look")
    what.add_argument("--strict", action="store_true", help="a warning about the data is an error")
    prompts = parser.add_argument_group("prompt retrieval")
    prompts.add_argument(
        "--selection", action="extend", type=names, default=[], metavar="HOW,...",
        help="how demonstrations are chosen: similar (default), random[:SEED], bm25; repeatable",
    )  # fmt: skip
    prompts.add_argument(
        "--reader", metavar="READER",
        help="what answers: nearest (default; no model), hf:MODEL, endpoint:URL[#MODEL], paper (GPT-J)",
    )  # fmt: skip
    prompts.add_argument(
        "--reader-dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto",
        help="numeric form of an hf: reader; auto is bfloat16 on a GPU, float32 elsewhere",
    )  # fmt: skip


def add_choice_options(group: argparse._ActionsContainer, what: str) -> None:
    """Add the four flags that choose tasks; `what` begins their help."""
    group.add_argument("--task", action="extend", type=names, default=[], metavar="TASK,...",
                       help=f"{what}tasks, patterns ('STS*'), or cards (.yaml); repeatable")  # fmt: skip
    group.add_argument("--benchmark", action="extend", type=names, default=[], metavar="NAME,...",
                       help=f"{what}all of mteb, billboard, prompt-retrieval, demo or probe; repeatable")  # fmt: skip
    group.add_argument("--type", action="extend", type=names, default=[], metavar="TYPE,...",
                       help=f"{what}tasks of this type, as Retrieval or STS; repeatable")  # fmt: skip
    group.add_argument("--domain", action="extend", type=names, default=[], metavar="NAME,...",
                       help=f"{what}tasks of this domain, as medical or news; repeatable")  # fmt: skip


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how and where it is run, `--quiet` and `--debug`."""
    how = parser.add_argument_group("how to run")
    how.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1")
    _add_variant_options(how)
    how.add_argument("--search", action="append", default=[], metavar="SEARCH",
                     help="what finds the documents of retrieval tasks: exact (default), faiss:FACTORY, "
                     "lancedb[:INDEX], milvus[:URI] (docs/search.md); repeatable, each is a row")  # fmt: skip
    how.add_argument("--rankings", action="store_true",
                     help="file all documents found for a query, and all judged, for `evaluate export --format trec`; "
                     "a result without them is made again")  # fmt: skip
    how.add_argument("--chunk", action="append", default=[], metavar="N[:OVERLAP]",
                     help="cut the documents of retrieval and reranking tasks at N tokens (docs/studies.md); whole "
                     "leaves them; repeatable, each is a row")  # fmt: skip
    how.add_argument("--chunk-by", choices=BY, default=BY[0], help="where: tokens (default), or whole sentences")
    how.add_argument("--chunk-score", choices=SCORES, default=SCORES[0],
                     help="a document's similarity: of its best chunk (default), or of its best three")  # fmt: skip
    how.add_argument("--cost", choices=COSTS, default=_cost_default(),
                     help="size and speed of each form, filed with its scores: auto (default: by the run's own "
                     "batches; several forms in turns, within a tenth of the run's time), full (measured, with cold "
                     "start and memory), off")  # fmt: skip
    how.add_argument("--batch-tokens", type=positive, metavar="N", help="tokens in a batch, padding included")
    how.add_argument("--compile", action="store_true", help="compile the model first: for long runs on a GPU")
    how.add_argument("--family", choices=("instructor", "prefix", "plain"),
                     help="how the model takes instructions, where its files do not show it")  # fmt: skip
    how.add_argument("--trust-remote-code", action="store_true", help="let a checkpoint run code of its own")
    how.add_argument(
        "--executor", default="local", metavar="WHERE",
        help="what encodes: local (default), ray (every GPU of this machine, else its processors), ray:auto or "
        "ray:HOST:PORT (a Ray cluster; docs/ray.md)",
    )  # fmt: skip
    _add_serving_options(parser.add_argument_group("served models"))
    where = parser.add_argument_group("where things are")
    where.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    where.add_argument("--hub", type=Path, default=_hub_default(), metavar="DIR",
                       help="a local mirror of data sets in hub layout (default $INSTRUCTOR_EVAL_HUB)")  # fmt: skip
    _add_cache_options(where)
    where.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--quiet", action="store_true", help="print the table only")
    add_debug_option(parser)


def _add_serving_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--request-texts", type=positive, default=64, metavar="N",
                       help="texts in a request (default 64); --batch-tokens bounds its tokens too, estimated at four "
                       "bytes each (default 8192)")  # fmt: skip
    group.add_argument("--concurrency", type=positive, default=4, metavar="N",
                       help="requests at the same time (default 4)")  # fmt: skip
    group.add_argument("--tries", type=positive, default=7, metavar="N",
                       help="how often a request is sent at most (default 7)")  # fmt: skip
    group.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS",
                       help="how long to wait for a server that says nothing (default 60)")  # fmt: skip
    group.add_argument("--price", type=amount, metavar="USD",
                       help="of a million tokens: what a run costs is filed with its scores")  # fmt: skip
    group.add_argument("--label", default="", metavar="TEXT",
                       help="your name for the state of its weights, part of the fingerprint")  # fmt: skip


def _add_variant_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--variant", action="append", type=listed, default=[], metavar="FORM[+EMBEDDING][@DIM],...",
        help="numeric forms of the model (evaluate variants): auto (default: bf16 on a GPU, fp32 elsewhere), int8, "
        "bf16+binary@256, ...; repeatable, each is a row",
    )  # fmt: skip
    group.add_argument(
        "--embedding", action="append", type=listed, default=[], metavar="KIND,...",
        help=f"what vectors are stored as, for every --variant: {', '.join(EMBEDDINGS)}; repeatable",
    )  # fmt: skip
    group.add_argument("--truncate-dim", action="append", type=positive, default=[], metavar="N",
                       help="keep the first N values of each vector, for every --variant; repeatable")  # fmt: skip


def _add_cache_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cache", type=Path, metavar="DIR",
        help="vectors already computed (default $INSTRUCTOR_EVAL_CACHE, else ~/.cache/instructor-eval)",
    )  # fmt: skip
    group.add_argument("--no-cache", action="store_true", help="compute every vector and keep none")
    group.add_argument("--cache-size", type=parse_size, default=parse_size("20G"), metavar="SIZE",
                       help="how large it may grow, as 500M or 2T (default 20G); least recently used goes")  # fmt: skip
    group.add_argument("--cache-dtype", choices=("float32", "float16"), default="float32",
                       help="float16 halves the cache and rounds every vector: another variant")  # fmt: skip


def parse_size(text: str) -> int:
    """Parse a size in bytes, as 500M or 2T."""
    units = {"K": 1, "M": 2, "G": 3, "T": 4}
    number, unit = text[:-1], text[-1:].upper()
    try:
        size = int(float(number) * 1024 ** units[unit])
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size < 1024**2:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of at least 1M: write 500M, 20G or 2T")
    return size


def _hub_default() -> Path | None:
    value = os.environ.get("INSTRUCTOR_EVAL_HUB")
    return Path(value) if value else None


def _cost_default() -> str:
    return os.environ.get("INSTRUCTOR_EVAL_COST") or "auto"  # checked when it is used


def add_board_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses the rows and columns of a leaderboard."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    add_choice_options(parser, "only these columns: ")
    parser.add_argument("--protocol", action="append", default=[], metavar="CHOICE", help="results made with these")
    parser.add_argument("--limit", type=positive, metavar="N", help="results made with this --limit")
    parser.add_argument("--reader", metavar="READER",
                       help="prompt-retrieval results of this reader (default nearest, else the first)")  # fmt: skip
    parser.add_argument("--no-published", action="store_true", help="leave published and imported scores out")
    parser.add_argument("--baseline", metavar="ROW",
                       help="mark what differs from this row: MODEL[@VARIANT][:INSTRUCTIONS]")  # fmt: skip
    parser.add_argument("--no-intervals", action="store_true", help="scores alone; no file of items is read")


def add_actions(
    parser: argparse.ArgumentParser, actions: Mapping[str, str], one: str = "action", many: str = "actions"
) -> dict[str, argparse.ArgumentParser]:
    """Return a parser for each of a command's actions; without one, `run` finds None under `one`, and `show_help`."""
    parser.set_defaults(show_help=parser.print_help)
    title = f"{many} ({parser.prog} {one.upper()} --help)"
    choice = parser.add_subparsers(dest=one, metavar=one.upper(), title=title)
    return {
        name: choice.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for name, text in actions.items()
    }


def add_debug_option(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet` where there is none yet, `-v` and `--debug`, which `main` looks for before anything is parsed."""
    if "--quiet" not in parser._option_string_actions:
        parser.add_argument("--quiet", action="store_true", help="no progress, and no notes beside the result")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what libraries log")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_format_option(parser: argparse._ActionsContainer, formats: Sequence[str]) -> None:
    """Add `--format`, and `--json` for its json: one document on standard output."""
    parser.add_argument("--format", choices=formats, default="table")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="as --format json")
