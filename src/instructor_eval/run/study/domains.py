"""The study of domains: an ordinary run of one model or two, and their tasks grouped by domain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.domains import domains
from instructor_eval.analysis.study.files import DomainStudy
from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.options import Options, read, request_of

_MOST = 2


def study(options: Options, say: Callable[[str], None]) -> DomainStudy:
    """Run a study of domains, and return it.

    Args:
        options: One model or two, and their tasks; scores that are filed already are reused.
        say: Called with what is done, a line each.

    Raises:
        UserError: there are more models or rows, a task fails, or another study runs there.
    """
    options.check()
    if len(options.model) > _MOST:
        raise UserError("a study of domains is of one model, or of two beside each other: give --model once or twice")
    if len(options.model) == _MOST and options.model[0] == options.model[1]:
        raise UserError(f"a study of domains: both models are {options.model[0]}: give --model once, or another one")
    from instructor_eval.run.execute import execute
    from instructor_eval.run.plan import plan_run

    asked = read(options)
    with contextlib.ExitStack() as closing:  # what is wrong with a flag shows before a folder is made
        plan_run(request_of(asked, closing, say, dry=True), lambda _line: None)
    with files.alone(options.results), contextlib.ExitStack() as closing:
        found = execute(request_of(asked, closing, say), say).scores
    by_model: dict[str, list[Score]] = {}
    for score in found:
        if score.score is None:
            raise UserError(f"{score.task} of {score.model.name} failed: {score.error}")
        by_model.setdefault(score.model.name, []).append(score)
    if len(by_model) != len(options.model) or any(len({s.task for s in row}) < len(row) for row in by_model.values()):
        raise UserError("a study of domains is of a row a model: give one --variant, --search and --instructions")
    return DomainStudy(tuple(by_model), domains(asked.cards, by_model, Store(options.results).items), options.limit)
