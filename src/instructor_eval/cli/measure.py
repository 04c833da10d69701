"""`evaluate measure`: what the numeric forms of a model cost on this machine. Light until it runs."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cli.flags import listed, positive
from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core import libraries
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError, one_line
from instructor_eval.core.hub import offline_asked
from instructor_eval.core.output import say, tell, warn
from instructor_eval.core.tables import render

if TYPE_CHECKING:
    from instructor_eval.models.variant import Variant
    from instructor_eval.results.costs import Cost
    from instructor_eval.run.samples import Loadable

FORMATS = ("table", "md", "csv", "json")
_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub")
_MB = 1e6


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `evaluate measure`."""
    parser.add_argument("--model", required=True, metavar="MODEL",
                        help="a hub id, a folder, minilm, or hf-clip:FOLDER and the like")  # fmt: skip
    parser.add_argument(
        "--variant", action="append", type=listed, default=[], metavar="LIST",
        help="forms to measure beside fp32, the baseline, as bf16,int8, or auto: what suits the device; "
        "FORM+EMBEDDING@DIM adds the size of its index",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="how often all take turns (default 3)")
    parser.add_argument("--texts", type=positive, metavar="N",
                        help="texts, or pictures, of the fixed sample (default: what fp32 takes about 2 s for, 256 at "
                             "most; on a GPU 4,096, or 1,024)")  # fmt: skip
    parser.add_argument("--batch-tokens", type=positive, metavar="N", help="tokens in a batch, padding included")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR",
                        help="where costs are filed (default ./results)")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="measure also what is there")
    parser.add_argument("--family", choices=("instructor", "prefix", "plain"),
                        help="how the model takes instructions, where its files do not show it")  # fmt: skip
    parser.add_argument("--trust-remote-code", action="store_true", help="let a checkpoint run code of its own")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_format_option(parser, FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, file, print; 2 where a form could not be measured."""
    libraries.require(_NEEDED, "run", "measuring a model")
    options.offline = options.offline or offline_asked()
    if options.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from instructor_eval.models import variant as variants
    from instructor_eval.models.device import default_variant, pick_device
    from instructor_eval.models.find import ModelSpec, locate
    from instructor_eval.models.images.find import is_image_model, read_image_model
    from instructor_eval.results.published import published
    from instructor_eval.results.store import Store
    from instructor_eval.run.costs import How, measure_run

    device = pick_device(options.device)
    asked = parse_variants([text for part in options.variant for text in part], auto=default_variant(device))
    forms = [variant.form for variant in asked]
    variants.check_installed(forms)
    variants.check_device(forms, device)
    Store(options.results).check_writable()
    checkpoint: Loadable
    if is_image_model(options.model):
        checkpoint = read_image_model(options.model, family=options.family, offline=options.offline)
        for form in forms:
            dataclasses.replace(checkpoint, variant=form).check_form()
    else:
        checkpoint = locate(
            ModelSpec.parse(options.model),
            offline=options.offline,
            known=list(published()),
            family=options.family,
            with_code=options.trust_remote_code,
        )
    _check_dims(asked, checkpoint.dim, checkpoint.name)
    say, problems = _say if options.format == "table" else _aside, _Problems()
    say(f"model {checkpoint.name} ({checkpoint.revision[:40]}) on {device}")
    costs = measure_run(
        [dataclasses.replace(checkpoint, variant=form) for form in forms],
        options.results,
        How(
            device=device,
            batch_tokens=options.batch_tokens,
            trust_remote_code=options.trust_remote_code,
            rounds=options.rounds,
            texts=options.texts,
        ),
        again=options.again,
        say=lambda line: say(f"  {line}"),
        warn=problems,
    )
    rows = [(variant, costs[variant.form]) for variant in asked if variant.form in costs]
    if options.format in ("json", "csv"):
        tell(_data(rows, checkpoint.dim, options.format))
    else:
        table = options.format == "table"
        tell(("\n" if table else "") + _table(rows, checkpoint.dim, options.format) + "\n")
        tell(closing([cost for _, cost in rows], one_line(str(options.results / "costs"))))
    return EXIT_ERROR if problems.count else EXIT_OK


def parse_variants(given: Sequence[str], *, auto: str) -> list[Variant]:
    """The variants asked for, once each, after the baseline; `auto` is the form of that name.

    Raises:
        UserError: one is none.
    """
    from instructor_eval.models.variant import Variant

    asked = [Variant(auto) if text == "auto" else Variant.parse(text) for text in given]
    return list(dict.fromkeys([Variant(), *asked]))


def closing(costs: Sequence[Cost], where: str) -> str:
    """Return two lines on what was measured and what the columns mean; a third where times are not to be trusted."""
    machine = costs[0].machine
    torch = machine.get("libraries", {}).get("torch")
    on = [machine.get("gpu"), machine.get("processor"), f"{machine.get('usable')} of {machine.get('cores')} cores"]
    on += [f"torch {torch}"] if torch else []
    texts, tokens, rounds, pictures = (
        _range([getattr(cost, name) for cost in costs]) for name in ("texts", "tokens", "rounds", "pictures")
    )
    what = f"{texts} made-up texts ({tokens} tokens)"
    if costs[0].pictures:
        what = f"{pictures} made-up pictures (JPEG, 640 x 480)"
    cold = [cost.cold for cost in costs if cost.cold]
    peak = "what torch allocated on the GPU"
    if not costs[0].device.startswith("cuda"):
        before = f", {_range([round(c.memory_before_bytes / _MB) for c in cold])} MB of it" if cold else ", much of it"
        peak = f"the whole process{before} before the model"
    unsteady = [cost.form for cost in costs if cost.unsteady]
    note = f"\nnote: times of {', '.join(unsteady)} vary from round to round: --again when the machine is not busy"
    return (
        f"{what}, {rounds} rounds in turn after a warm-up, on {costs[0].device} "
        f"({', '.join(str(part) for part in on if part)}); filed in {where}\n"
        f"times faster than {costs[0].baseline}: median of the rounds [least-greatest]; peak: {peak}; "
        "cold start: new process to first vector, files in the system's cache; MB: 10^6 bytes"
        f"{note if unsteady else ''}"
    )


def _table(rows: Sequence[tuple[Variant, Cost]], dim: int, form: str) -> str:
    headers = ["variant", "file MB", "resident MB", "peak MB", "cold start s"]
    headers += ["pictures/s", "ms/query"] if rows[0][1].pictures else ["texts/s", "tokens/s"]
    headers += ["times faster", "times smaller"]
    stored = _stores_less(rows)
    return render(
        headers + ["index MB per million texts"] * stored,
        [
            [
                str(variant),
                _mb(cost.file_bytes),
                _mb(cost.resident_bytes),
                _mb(cost.cold.peak_bytes) if cost.cold else None,
                f"{cost.cold.seconds:.1f}" if cost.cold else None,
                *_rates(cost),
                f"{cost.speed_ratio:.2f} [{min(cost.ratios):.2f}-{max(cost.ratios):.2f}]",
                f"{cost.size_ratio:.2f}",
                *([f"{variant.bytes_per_vector(dim):,}"] * stored),
            ]
            for variant, cost in rows
        ],
        form,
    )


def _rates(cost: Cost) -> list[str | None]:
    if not cost.pictures:
        return [f"{cost.texts_per_second:,.1f}", f"{cost.tokens_per_second:,.0f}"]
    query = cost.for_score().query_ms
    return [f"{cost.pictures_per_second:,.1f}", f"{query.p50:.1f}" if query else None]


def _data(rows: Sequence[tuple[Variant, Cost]], dim: int, form: str) -> str:
    """The same for programs: bytes and seconds, unrounded names."""
    columns = [
        "identity", "form", "baseline", "device", "file_bytes", "resident_bytes", "peak_memory_bytes",
        "memory_before_load_bytes", "memory_after_bytes", "cold_start_seconds", "texts_per_second",
        "tokens_per_second", "speed_ratio", "speed_ratio_min", "speed_ratio_max", "size_ratio", "texts", "tokens",
        "rounds", "proof", "measured", "pictures", "pictures_per_second",
    ]  # fmt: skip
    body: list[list[Any]] = []
    for variant, cost in rows:
        known = cost.for_score()
        query = known.query_ms.p50 if known.query_ms else None
        figures = [getattr(known, column) for column in columns]
        body.append([cost.model, str(variant), variant.bytes_per_vector(dim), *figures, query])
    return render(["model", "variant", "bytes_per_vector", *columns, "query_ms"], body, form)


def _stores_less(rows: Sequence[tuple[Variant, Cost]]) -> bool:
    """Return whether a variant says how vectors are stored: the size of an index is of interest then."""
    return any(variant.embedding != "float32" or variant.dim for variant, _ in rows)


def _check_dims(asked: Sequence[Variant], dim: int, model: str) -> None:
    for variant in asked:
        if variant.dim and variant.dim > dim:
            raise UserError(f"variant {variant}: vectors of {model} have {dim} values: give @{dim} or fewer")


class _Problems:
    """Prints what went wrong, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, line: str) -> None:
        self.count += 1
        warn(f"evaluate: {line}")


def _say(line: str) -> None:
    say(line)


def _aside(line: str) -> None:
    """Beside a format that is read by programs."""
    warn(line)


def _mb(size: int) -> str:
    megabytes = size / _MB
    return f"{megabytes:,.1f}" if megabytes < 100 else f"{megabytes:,.0f}"


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
