"""`evaluate study`: plans of ordinary runs that answer one question each, with intervals."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from instructor_eval.cli.flags import amount, listed, not_negative, positive
from instructor_eval.cli.options import add_actions, add_format_option, add_run_options, add_task_options
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError, reason
from instructor_eval.core.output import say, tell, warn

STUDIES = {
    "instructions": "which instruction suits a model and a task: chosen on half of the items, judged on the other half",
    "chunks": "how long a chunk should be: the score, the index and the tokens of every size",
    "domains": "what a model is good at: tasks by the domain of their cards, one model or two beside each other",
    "latency": "how long one query takes: percentiles, forms in turns, and the exact search behind it",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the studies of `evaluate study` with their flags."""
    parsers = add_actions(parser, STUDIES, "study", "studies")
    for study in parsers.values():
        add_task_options(study)
        add_run_options(study)
        add_format_option(study, ("table", "md", "json"))
    group = parsers["chunks"].add_argument_group("the study")
    group.add_argument("--sizes", type=listed, default=listed("64,100,128,200,256,512,whole"), metavar="N,N,...",
                       help="N or N:OVERLAP tokens, and whole (default 64,100,128,200,256,512,whole)")  # fmt: skip
    group.add_argument("--margin", type=amount, default=1.0, metavar="POINTS",
                       help="how far behind the best size a smaller one may be (default 1 point)")  # fmt: skip
    group = parsers["latency"].add_argument_group("the study")
    group.add_argument("--vectors", type=listed, default=listed("10000,100000,1000000"), metavar="N,N,...",
                       help="numbers of vectors to search exactly (default 10000,100000,1000000)")  # fmt: skip
    group.add_argument("--rounds", type=positive, default=200, metavar="N", help="queries timed (default 200)")
    _add_instructions(parsers["instructions"].add_argument_group("the study"))


def _add_instructions(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--candidates", type=Path, metavar="FILE",
                       help="your own, as YAML: `TASK: [instruction, {query: ..., document: ...}]`")  # fmt: skip
    group.add_argument("--others", type=not_negative, default=5, metavar="N",
                       help="other tasks' instructions to try as a control (default 5)")  # fmt: skip
    group.add_argument(
        "--roles", default="all", metavar="ROLE",
        help="what is changed: one role alone (query, document), both, or all of these (default)",
    )  # fmt: skip
    group.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of the split (default 0)")
    group.add_argument("--force", action="store_true", help="split fewer than 40 items too")
    group.add_argument("--write", type=Path, metavar="FILE",
                       help="write the winners as a file for --instructions")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run a study and print it; the return value is the exit code."""
    if options.study is None:
        options.show_help()
        return EXIT_ERROR
    from instructor_eval.core.progress import Progress

    Progress.enabled = not options.quiet
    runs = {"instructions": _instructions, "chunks": _chunks, "domains": _domains, "latency": _latency}
    return runs[options.study](options)


def _speaker(options: argparse.Namespace) -> Callable[[str], None]:
    if options.quiet:
        return lambda _line: None
    return say if options.format == "table" else lambda line: warn(f"evaluate: {line}")


def _instructions(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.study.text import format_instructions
    from instructor_eval.cli.run import options_of
    from instructor_eval.run.study.instructions import Plan, study

    if options.instructions:
        raise UserError("a study tries instructions of its own: leave --instructions out, and give --candidates FILE")
    if options.write is not None and not options.write.absolute().parent.is_dir():
        raise UserError(f"--write {options.write}: there is no folder {options.write.parent}: make it first")
    if options.write is not None and options.write.is_dir():
        raise UserError(f"--write {options.write} is a folder: name a file in it")
    plan = Plan(options.candidates, options.others, options.roles, options.seed, options.force)
    found = study(options_of(options), plan, _speaker(options))
    if options.write is not None:
        _write(options.write, {task.task: dict(task.best.candidate.texts) for task in found.tasks})
    tell(format_instructions(found, options.format))
    return EXIT_OK


def _chunks(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.study.text import format_chunks
    from instructor_eval.cli.run import options_of
    from instructor_eval.run.study.chunks import study

    if options.chunk:
        raise UserError("a study of chunks tries the sizes of --sizes: leave --chunk out")
    found = study(options_of(options), options.sizes, options.margin / 100, _speaker(options))
    tell(format_chunks(found, options.format))
    return EXIT_OK


def _domains(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.study.text import format_domains
    from instructor_eval.cli.run import options_of
    from instructor_eval.run.study.domains import study

    tell(format_domains(study(options_of(options), _speaker(options)), options.format))
    return EXIT_OK


def _latency(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.study.text import format_latency
    from instructor_eval.cli.run import options_of
    from instructor_eval.run.study.latency import study

    try:
        sizes = [positive(text) for text in options.vectors]
    except argparse.ArgumentTypeError as e:
        raise UserError(f"--vectors: {e}") from e
    options.task = options.task or ["DemoRetrieval"]
    tell(format_latency(study(options_of(options), sizes, options.rounds, _speaker(options)), options.format))
    return EXIT_OK


def _write(path: Path, texts: dict[str, dict[str, str]]) -> None:
    """Write a file of instructions.

    Raises:
        UserError: it cannot be written.
    """
    import yaml

    from instructor_eval.core.whole_files import atomic_write

    content = yaml.safe_dump(texts, allow_unicode=True, sort_keys=False).encode()
    try:
        atomic_write(path, lambda f: f.write(content))
    except OSError as e:
        raise UserError(
            f"cannot write the instructions to {path}: {reason(e)}: choose another file with --write"
        ) from e
