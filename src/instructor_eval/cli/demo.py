"""`evaluate demo`: the embedded model on the embedded tasks, with no network."""

from __future__ import annotations

import argparse

from instructor_eval.cli.options import add_run_options
from instructor_eval.core.errors import EXIT_OK
from instructor_eval.core.output import tell
from instructor_eval.core.progress import doing


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate demo`."""
    add_run_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run the embedded model on the embedded tasks."""
    with doing("starting"):
        from instructor_eval.cli.run import run_tasks  # keeps --help light

    options.model, options.task, options.benchmark, options.type, options.domain = ["minilm"], [], ["demo"], [], []
    options.instructions, options.protocol, options.limit, options.strict = [], [], None, False
    options.selection, options.reader, options.reader_dtype = [], None, "auto"
    options.offline = True
    options.command = ["evaluate", "demo"]
    code = run_tasks(options)
    if code == EXIT_OK and not options.quiet:
        results = "" if str(options.results) == "results" else f" --results {options.results}"
        tell(
            "\nThis was all-MiniLM-L6-v2 on four small sets that ship with the tool. Next:\n"
            f"  evaluate report{results} --open\n"
            "      all of it as one HTML page, with what stands behind each score\n"
            f"  evaluate --model minilm --variant fp32,int8 --benchmark demo{results}\n"
            "      int8 beside it: what it loses and gains, as a chart of the page too\n"
            f"  evaluate leaderboard{results} --format md\n"
            "      the same table for a document\n"
            "  evaluate tasks DemoRetrieval\n"
            "      a task's card, with its instructions\n"
            f"  evaluate --model hkunlp/instructor-base --benchmark demo{results}\n"
            "      an INSTRUCTOR beside it (downloads the model)\n"
            f"  evaluate --task DemoPrompts --selection bm25 --selection random{results}\n"
            "      demonstrations chosen without a model beside it\n"
            "  evaluate --model minilm --task STSBenchmark\n"
            "      a task of the paper (downloads its data)\n"
            "  evaluate --model minilm --task ./my-task.yaml\n"
            "      your own data: docs/adding-a-task.md"
        )
    return code
