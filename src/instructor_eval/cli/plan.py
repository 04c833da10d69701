"""`evaluate plan`: flags and printing. The flags of a run are those of `evaluate` itself (`cli`)."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cli.options import add_format_option, add_run_options, add_task_options
from instructor_eval.cli.run import options_of
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import say, tell, warn
from instructor_eval.core.progress import Progress, doing
from instructor_eval.core.tables import LISTING_FORMATS, render
from instructor_eval.run.options import read, request_of

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.detectable import Detectable, Lookup
    from instructor_eval.run.counting import KnownKeys
    from instructor_eval.run.dry_run import DryRun, Row
    from instructor_eval.run.plan import Request
    from instructor_eval.run.rates import Seconds

SCHEMA_VERSION = 1
_COLUMNS = ("model", "variant", "instructions", "task", "type", "status", "texts", "unique", "cached", "shared",
            "compute", "tokens", "questions")  # fmt: skip
_STATUS = {"done": "done", "whole": "parts", "failed": "fails"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate plan` beside those of a run."""
    add_task_options(parser)
    add_run_options(parser)
    group = parser.add_argument_group("the plan")
    group.add_argument("--no-calibration", action="store_true",
                       help="load no network, and leave out the time: measuring takes seconds a form")  # fmt: skip
    group.add_argument("--baseline", metavar="SIDE",
                       help="what the candidate will be compared with (as for `evaluate compare`): the differences "
                       "that can be detected are taken from its items")  # fmt: skip
    group.add_argument("--baselines", type=Path, default=Path("results/baselines"), metavar="DIR",
                       help="where baseline:NAME is stored (default ./results/baselines)")  # fmt: skip
    group.add_argument("--thresholds", type=Path, metavar="FILE",
                       help="margins and level of the gate that is planned for (as for `evaluate gate`)")  # fmt: skip
    add_format_option(group, LISTING_FORMATS)


def run(options: argparse.Namespace) -> int:
    """Count, estimate, print; 2 where a task would fail."""
    options.command = ["evaluate", "plan"]
    asked_for = options_of(options)
    asked_for.check()
    if options.executor != "local":
        raise UserError("`evaluate plan` counts and measures in this process: leave --executor out")
    from instructor_eval.analysis.gate.limits import Thresholds, read_thresholds

    thresholds = read_thresholds(options.thresholds) if options.thresholds else Thresholds()
    asked = read(asked_for)
    with doing("importing torch"):
        from instructor_eval.run.dry_run import dry_run

    Progress.enabled = not options.quiet
    with contextlib.ExitStack() as closing, doing("counting and timing"):
        request = request_of(asked, closing, _warn, dry=True)
        lookup = _lookup(options, request)
        known = _known(options)
        closing.callback(known.close)
        found = dry_run(request, known, lookup, _speaker(options), calibrate=not options.no_calibration)
    found.thresholds = thresholds
    lines = (f"{f'model {r.model}' if r.unstarted else r.task} would fail: {r.error}" for r in found.failed)
    for line in dict.fromkeys(lines):
        warn(f"evaluate: {line}")
    if len(found.failed) == len(found.rows):
        return EXIT_ERROR
    if options.format == "json":
        tell(json_text(_as_json(found)))
    elif options.format == "csv":
        rows = [_record(row, found) for row in found.rows]
        tell(render(list(rows[0]), [list(row.values()) for row in rows], "csv"))
    else:
        tell(("" if options.quiet else "\n") + _table(found, calibrated=not options.no_calibration))
        if not options.quiet:
            cheap = request.settings.reader is None or request.settings.reader.is_cheap
            tell("\n" + "\n".join(_closing(found, options, reader_is_cheap=cheap)))
    return EXIT_ERROR if found.failed else EXIT_OK


def _speaker(options: argparse.Namespace) -> Any:
    if options.quiet:
        return lambda _line: None
    return say if options.format == "table" else warn


def _warn(line: str) -> None:
    warn(f"evaluate: {line}")


def _known(options: argparse.Namespace) -> KnownKeys:
    from instructor_eval.cache.vectors import MemoryCache, default_folder
    from instructor_eval.run.counting import KnownKeys

    if options.no_cache:
        return KnownKeys(None, limit=MemoryCache().limit, warn=_warn)
    return KnownKeys(options.cache or default_folder(), warn=_warn)


def _lookup(options: argparse.Namespace, request: Request) -> Lookup:
    from instructor_eval.analysis.compare import find_side
    from instructor_eval.analysis.compare.detectable import Lookup

    settings = request.settings
    baseline = None
    if options.baseline is not None:
        baseline = find_side.resolve(
            options.baseline,
            results=options.results,
            protocol=settings.protocol,
            limit=settings.limit,
            reader=settings.reader.fingerprint if settings.reader else None,
            baselines=options.baselines,
        )
        if baseline.read is None:
            raise UserError(f"--baseline {options.baseline}: it has no items, from which differences could be judged")
    return Lookup(request.store.scores(), request.store.items, baseline)


# What is printed


def _table(found: DryRun, *, calibrated: bool) -> str:
    systems = len({row.system for row in found.rows}) > 1
    asks = any(row.questions for row in found.rows)
    headers = ["task", *["system"] * systems, "texts", "unique", "cached", "shared", "to compute", "tokens",
               *["questions"] * asks, *["time"] * calibrated, "detectable"]  # fmt: skip

    def line(row: Row) -> list[Any]:
        head = [row.task, *[row.system] * systems]
        if row.status != "run":
            rest = [None] * (len(headers) - len(head) - 2)
            return [*head, _STATUS[row.status], *rest, _points(row.detectable, found.loss(row))]
        counts = [row.texts, row.unique, row.cached, row.shared, row.compute, row.tokens, *[row.questions] * asks]
        times = [_time(row.seconds)] * calibrated
        return [
            *head,
            *map(_count, counts),
            *times,
            _points(row.detectable, found.loss(row)),
        ]

    texts, asked = sum(row.texts for row in found.rows), sum(row.questions for row in found.rows)
    counts = [texts, found.unique, found.cached, None, found.compute, found.tokens, *[asked] * asks]
    total = ["total", *[None] * systems, *map(_count, counts), *[_time(found.seconds)] * calibrated,
             _points(found.detectable, found.loss_of_mean)]  # fmt: skip
    return render(headers, [*map(line, found.rows), total], "table", left=1 + systems)


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _time(seconds: Seconds | None) -> str | None:
    return None if seconds is None else str(seconds) if seconds.high else "0 s"


def _points(found: Detectable | None, loss: float | None) -> str | None:
    """In points, with two figures below ten."""
    if found is None or loss is None:
        return None
    points = 100 * loss
    return (
        f"{'≤ ' if found.at_most else ''}{points:.2f}"
        if points < 10
        else f"{'≤ ' if found.at_most else ''}{points:.1f}"
    )


def _closing(found: DryRun, options: argparse.Namespace, *, reader_is_cheap: bool) -> list[str]:
    """Return what the columns mean, what they rest on, and what is not estimated."""
    lines = []
    if any(row.status == "done" for row in found.rows):
        lines.append(f"done: the result is in {options.results} already, nothing is encoded")
    if any(row.status == "whole" for row in found.rows):
        lines.append("parts: the mean of tasks that have rows of their own")
    lines.append(
        "cached: vectors that the cache holds now; shared: computed earlier in the same run; the total counts each "
        "text once for a model, form and instruction"
    )
    where = "on this device" if not found.device else f"on {found.device}"
    for name, rates in found.rates.items():
        low, high = min(r.low for r in rates), max(r.high for r in rates)
        speed = f"{low:,.0f} to {high:,.0f}" if f"{low:,.0f}" != f"{high:,.0f}" else f"{low:,.0f}"
        lines.append(f"time: of encoding {where}, {name} at {speed} tokens/s by length of text")
    if found.tokens is None:
        lines.append("tokens and time: not known of a model that is served")
    left_out = ["downloads", "loading", "scoring"]
    left_out += [] if reader_is_cheap else ["the reader's answers"]
    left_out += ["measuring costs (--cost)"] if options.cost != "off" else []
    lines.append(f"not estimated: {', '.join(left_out)}")
    return [*lines, *_basis(found, options)]


def _basis(found: DryRun, options: argparse.Namespace) -> list[str]:
    known = [row.detectable for row in found.rows if row.detectable is not None]
    if not known:
        missing = "--baseline SIDE with items, or other results of these tasks, would tell"
        return [f"detectable: not known: {missing}"]
    lines = [_meaning(found)]
    pairs = list(dict.fromkeys(pair for d in known if not d.at_most for pair in d.pairs))
    if len(pairs) == 1:
        lines.append(f"  if the candidate differs from the baseline as {pairs[0][0]} does from {pairs[0][1]}")
    elif pairs:
        to = f"from {pairs[0][1]}" if options.baseline else "from each other"
        names = sorted({name for pair in pairs for name in (pair[:1] if options.baseline else pair)})
        lines.append(f"  if the candidate differs from the baseline as these do {to} (the median): {', '.join(names)}")
    if any(d.at_most for d in known):
        lines.append("  ≤: from one system's items, as if the candidate's errors had nothing to do with its: at most")
    return lines


def _meaning(found: DryRun) -> str:
    adjustment = found.adjustment
    gate = f"a gate of these {adjustment.tasks} tasks" if adjustment.tasks > 1 else "a gate of this task"
    qualified = "with its margin" if adjustment.tasks <= 1 else "with its margins, p adjusted for all"
    total = "; in the total, of the mean over tasks" if adjustment.tasks > 1 else ""
    return f"detectable: the true loss, in points, that {gate} finds four times in five, {qualified}{total}"


def _record(row: Row, found: DryRun) -> dict[str, Any]:
    """A row for programs: seconds, and fractions of 1."""
    known = row.detectable
    return {
        **{name: getattr(row, name) for name in _COLUMNS},
        "seconds_low": round(row.seconds.low, 3) if row.seconds else None,
        "seconds_high": round(row.seconds.high, 3) if row.seconds else None,
        "detectable": found.loss(row),
        "detectable_at_most": known.at_most if known else None,
        "detectable_units": known.n if known else None,
        "error": row.error,
    }


def _as_json(found: DryRun) -> dict[str, Any]:
    total, known = found.seconds, found.detectable
    return {
        "schema_version": SCHEMA_VERSION,
        "tasks": [
            {**_record(row, found), "detectable_from": [list(filter(None, p)) for p in row.detectable.pairs]}
            if row.detectable
            else _record(row, found)
            for row in found.rows
        ],
        "total": {
            "texts": sum(row.texts for row in found.rows),
            "unique": found.unique,
            "cached": found.cached,
            "compute": found.compute,
            "tokens": found.tokens,
            "questions": sum(row.questions for row in found.rows),
            "seconds_low": round(total.low, 3) if total else None,
            "seconds_high": round(total.high, 3) if total else None,
            "detectable": found.loss_of_mean,
            "detectable_at_most": known.at_most if known else None,
        },
        "device": found.device or None,
        "rates": {
            name: [{"tokens_per_second_low": r.low, "tokens_per_second_high": r.high} for r in rates]
            for name, rates in found.rates.items()
        },
    }
