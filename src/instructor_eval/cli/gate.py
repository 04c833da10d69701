"""`evaluate gate`: flags, which gates run on which sides, and what the command ends with."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.cli.compare import add_side_options, find_side, progress, tasks_of
from instructor_eval.cli.options import add_debug_option
from instructor_eval.core.errors import EXIT_OK, UserError
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import tell, warn

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.compare import Comparison
    from instructor_eval.analysis.compare.side import Side
    from instructor_eval.analysis.gate.limits import Thresholds
    from instructor_eval.analysis.gate.outcome import Outcome, Plain
    from instructor_eval.analysis.gate.quality import Judgement
    from instructor_eval.run.samples import Loadable

_GATES = ("quality", "drift", "speed")
_DEFAULT = "baseline:main"
UNTESTED = "UNTESTED"
"""The verdict of `--json` where there is no baseline yet and that is allowed."""
_EPILOG = """\
quality  another checkpoint, variant or instruction set: paired statistics and a margin (1.0 point a task, 0.5 the mean)
drift    the same model with other code, libraries or machine: vectors, top-10 lists and scores as they were
speed    baseline and candidate take turns on this machine; never a figure from elsewhere

  evaluate baseline set minilm                                    # once
  evaluate gate --candidate minilm@int8                           # against baseline:main, the last and the pinned
  evaluate gate --baseline minilm --candidate ./results-new --gate drift
  evaluate gate --baseline minilm --candidate minilm@int8 --gate quality --gate speed
  evaluate gate --candidate minilm --self-test                    # a gate that works fails here, with 1

exit codes: 0 OK or IMPROVED (or INCONCLUSIVE, unless --fail-on-inconclusive), 1 REGRESSED, 2 usage or files,
3 INCONCLUSIVE with --fail-on-inconclusive, 4 NOT COMPARABLE; a SIDE is as in `evaluate compare --help`
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate gate`."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--candidate", required=True, metavar="SIDE", help="what wants to pass")
    parser.add_argument(
        "--baseline", action="append", default=[], metavar="SIDE",
        help=f"what it must not fall behind (default {_DEFAULT}; of a stored baseline the pinned one too); repeatable",
    )  # fmt: skip
    parser.add_argument("--gate", action="append", default=[], choices=_GATES, help="default quality; repeatable")
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="margins and limits, YAML (docs/ci.md)")
    parser.add_argument("--intersect", action="store_true",
                        help="leave out, and name, the items and tasks that one side lacks")  # fmt: skip
    parser.add_argument("--fail-on-inconclusive", action="store_true", help="exit with 3 where nothing is settled")
    parser.add_argument("--allow-no-baseline", action="store_true",
                        help="a first run: pass where there is no stored baseline yet")  # fmt: skip
    parser.add_argument("--self-test", action="store_true",
                        help="put a loss of 10 points into the candidate's items: the gate must fail")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="for gate.json, junit.xml, summary.md, comment.md (default RESULTS/gate)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what gate.json holds, and nothing else")
    parser.add_argument("--report", metavar="URL", help="a link that the summary shows")
    add_side_options(parser)
    speed = parser.add_argument_group("speed gate")
    speed.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1")
    speed.add_argument("--offline", action="store_true", help="never use the network")
    speed.add_argument("--trust-remote-code", action="store_true", help="let a checkpoint run code of its own")
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate gate`: the verdict, its files, and the exit code."""
    from instructor_eval.analysis.compare.side import refuse_imported
    from instructor_eval.analysis.gate import files
    from instructor_eval.analysis.gate.limits import Thresholds, read_thresholds
    from instructor_eval.analysis.gate.outcome import Outcome
    from instructor_eval.analysis.gate.text import render_text

    output = options.output or options.results / "gate"
    if not options.self_test:
        files.prepare(output)  # before anything can go wrong: what an earlier gate left is not this one's
    thresholds = read_thresholds(options.thresholds) if options.thresholds else Thresholds()
    report = files.report_url(options.report, os.environ)
    gates = list(dict.fromkeys(options.gate)) or ["quality"]
    if options.self_test and gates != ["quality"]:
        raise UserError("--self-test is of the quality gate: leave --gate out")
    texts = _baselines(options)
    if not texts:
        said = "this run passes untested"
        tell(json_text({"verdict": UNTESTED, "exit_code": EXIT_OK, "headline": said}) if options.json else said)
        return EXIT_OK
    sides = [find_side(options, text) for text in texts] if set(gates) != {"speed"} else []
    candidate = find_side(options, options.candidate) if sides else None
    if candidate is not None:
        refuse_imported(candidate, *sides)
        options.task = tasks_of(options, candidate, *sides) or []  # names for cards; a task that nobody has is an error
        _warn_of_the_same(candidate, sides)
    outcome = Outcome(
        judgements=_quality(options, candidate, sides, thresholds) if candidate and "quality" in gates else [],
        plain=[
            *(_drift(options, candidate, side, thresholds) for side in sides if candidate and "drift" in gates),
            *(_speed(options, text, thresholds) for text in texts if "speed" in gates),
        ],
        thresholds=thresholds,
        command=options.command,
        fail_on_inconclusive=options.fail_on_inconclusive,
        report=report,
    )
    if options.self_test:
        return _self_test(outcome, as_json=options.json)
    text = render_text(outcome, files.write(output, outcome))
    problem = files.append_summary(outcome, os.environ)
    if problem:
        warn(f"evaluate: {problem}")
    line = files.annotation(outcome, os.environ)
    if options.json:
        tell(json_text(files.as_json(outcome)))
        if line:
            warn(line)  # a runner reads both streams
    else:
        tell(f"{text}\n{line}" if line else text)
    return outcome.exit_code


def _baselines(options: argparse.Namespace) -> list[str]:
    """Return what the candidate is compared with: of a stored baseline the last, and the pinned one where it differs.

    So many small losses do not pass one by one. Empty where there is none yet and that is allowed.
    """
    from instructor_eval.analysis.compare import baselines
    from instructor_eval.analysis.gate import files

    folder = options.baselines
    found: list[str] = []
    for text in options.baseline or [_DEFAULT]:
        name = text.removeprefix("baseline:")
        if text == name or "/" in name:
            found.append(text)
        elif not baselines.folder_of(name, folder).exists():  # a part of one is a damaged one
            if not options.allow_no_baseline:
                raise UserError(
                    f"there is no baseline '{name}' in {folder} yet: `evaluate baseline set SIDE --name {name}` makes "
                    "it; --allow-no-baseline lets a first run pass"
                )
            others = baselines.names(folder)
            there = f" (there are: {', '.join(others[:10])})" if others else ""
            said = f"no baseline '{name}' in {folder} yet{there}, and --allow-no-baseline: nothing was tested"
            (warn if options.json else tell)("\n".join([said, *files.warning(said, os.environ)]))
        else:
            found.append(text)
            pinned = f"{text}/{baselines.PINNED}"
            if baselines.has(name, baselines.PINNED, folder) and _differ(options, text, pinned):
                found.append(pinned)
    return found


def _warn_of_the_same(candidate: Side, sides: Sequence[Side]) -> None:
    """Results held against themselves always pass."""
    for side in sides:
        one, other = ({(s.identity, s.created) for s in x.scores.values()} for x in (candidate, side))
        if one == other:
            warn(
                f"evaluate: {candidate.source} and {side.source} hold the same results: nothing new is tested",
            )


def _differ(options: argparse.Namespace, *texts: str) -> bool:
    one, other = ({t: (s.identity, s.score) for t, s in find_side(options, text).scores.items()} for text in texts)
    return one != other  # the same run twice, by other libraries, has one identity and may have two scores


def _quality(
    options: argparse.Namespace, candidate: Side, sides: Sequence[Side], thresholds: Thresholds
) -> list[Judgement]:
    from instructor_eval.analysis.compare.compare import compare
    from instructor_eval.analysis.gate.quality import judge
    from instructor_eval.analysis.gate.spoil import spoiled

    judgements = []
    for side in sides:
        held = spoiled(candidate, side) if options.self_test else candidate
        with progress() as say:
            comparison = compare(side, held, intersect=options.intersect, tasks=options.task or None, say=say)
        thresholds.check_patterns([t.task for t in comparison.tasks])
        _check_reach(comparison, thresholds)
        judgements.append(judge(comparison, thresholds))
    return judgements


def _check_reach(comparison: Comparison, thresholds: Thresholds) -> None:
    """Refuse a level that no p-value of a task can reach: any loss of one task would pass.

    Raises:
        UserError: so many tasks, so low a level.
    """
    from instructor_eval.analysis.gate.quality import least_p

    least = least_p(comparison)
    if least >= thresholds.alpha:
        n = len(comparison.comparable)
        raise UserError(
            f"{thresholds.source}: alpha {thresholds.alpha:g}: with {n} task{'s' * (n != 1)} no adjusted p of a single "
            f"one can be below {least:g}, so its loss could never fail: take a higher alpha, or fewer tasks (--task)"
        )


def _drift(options: argparse.Namespace, candidate: Side, side: Side, thresholds: Thresholds) -> Plain:
    from instructor_eval.analysis.gate import drift
    from instructor_eval.analysis.gate.outcome import of_drift

    first, second = (_only(one, options.task) for one in (side, candidate))
    probes = (first.probe(), second.probe())
    return of_drift(drift.assess(first, second, probes, thresholds.drift))


def _only(side: Side, tasks: Sequence[str]) -> Side:
    if not tasks:
        return side
    scores = {t: s for t, s in side.scores.items() if t in tasks}
    values = {t: s.score for t, s in scores.items() if s.score is not None}
    failed = {t: e for t, e in side.failed.items() if t in tasks}
    return dataclasses.replace(side, values=values, scores=scores, failed=failed)


def _speed(options: argparse.Namespace, text: str, thresholds: Thresholds) -> Plain:
    from instructor_eval.analysis.gate.outcome import of_speed
    from instructor_eval.run import speed

    how = speed.How(device=options.device, trust_remote_code=options.trust_remote_code, slower=thresholds.speed.slower)
    pair = [_checkpoint(options, one) for one in (text, options.candidate)]
    with progress() as say:
        return of_speed(speed.compare_speed(pair[0], pair[1], how, say=say))


def _checkpoint(options: argparse.Namespace, text: str) -> Loadable:
    """The model of a side: that of its scores, or a name that can be loaded."""
    from instructor_eval.run import speed

    try:
        side = find_side(options, text)
    except UserError:
        return speed.by_name(text, offline=options.offline, trust_remote_code=options.trust_remote_code)
    score = next(iter(side.scores.values()), None)
    if score is None:
        raise UserError(f"'{text}' names no model that can be loaded: the speed gate compares models")
    return speed.by_score(score, offline=options.offline, trust_remote_code=options.trust_remote_code)


def _self_test(outcome: Outcome, *, as_json: bool) -> int:
    """The gate must fail: what is not REGRESSED is an error of another kind."""
    from instructor_eval.analysis.gate.quality import REGRESSED

    if outcome.verdict == REGRESSED:
        if as_json:
            from instructor_eval.analysis.gate import files

            tell(json_text(files.as_json(outcome)))
            return outcome.exit_code
        tell(f"self-test passed, so the gate fails: a loss of 10 points was put in and found\n{outcome.headline}")
        return outcome.exit_code
    raise UserError(
        "self-test failed: a loss of 10 points was put into the candidate's items, and the gate says "
        f"{outcome.headline}: these items cannot guard anything, add tasks or items"
    )
