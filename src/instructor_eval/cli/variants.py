"""`evaluate variants`: the numeric forms, and vector precisions."""

from __future__ import annotations

import argparse

from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_OK
from instructor_eval.core.libraries import missing
from instructor_eval.core.output import prose, tell
from instructor_eval.core.tables import LISTING_FORMATS, listing
from instructor_eval.models.variant import EMBEDDINGS, Form, known_forms


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate variants`."""
    add_format_option(parser, LISTING_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list. Nothing heavy is imported."""
    rows = [[f.name, f.what, _needs(f)] for f in known_forms().values()]
    tell(listing(["form", "what", "needs"], rows, options.format, left=3))
    if options.format == "table" and not options.quiet:
        tell(
            prose(
                "\nA variant is FORM[+EMBEDDING][@DIM], as int8, fp32+binary or bf16+int8@256: the form of the model, "
                f"what vectors are stored as ({', '.join(EMBEDDINGS)}), and how many of their values."
            )
        )
    return EXIT_OK


def _needs(form: Form) -> str:
    parts = ["a GPU"] if form.devices == ("cuda",) else ["a CPU"] if form.devices == ("cpu",) else []
    if form.capability > (0, 0):
        parts[-1] += f" of compute capability {'.'.join(map(str, form.capability))}"
    if form.extra:
        absent = missing(form.modules)
        parts.append(f"pip install 'instructor-eval[{form.extra}]'" if absent else f"extra {form.extra} (installed)")
    return "; ".join(parts)
