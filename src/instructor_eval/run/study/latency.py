"""The study of latency: the forms of a model take turns at single queries, and exact search is timed by its size."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from functools import partial

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.files import LatencyStudy, Searched, Timed
from instructor_eval.core.errors import UserError
from instructor_eval.core.sample_texts import sample
from instructor_eval.models.engine import BaseEngine
from instructor_eval.results.costs import percentiles
from instructor_eval.results.store import Store
from instructor_eval.run.latency import WARM_UP, check_room, search_seconds, seconds_of
from instructor_eval.run.options import Options, read, request_of

KIND = "latency"
_WORDS = 12
"""Of a query."""


def study(options: Options, sizes: Sequence[int], rounds: int, say: Callable[[str], None]) -> LatencyStudy:
    """Time single queries, file what was found, also with the costs of the scores that are there, and return it.

    Args:
        options: One model, its variants (the first is the baseline), and a task, whose instruction of queries is used.
        sizes: Numbers of vectors to search.
        rounds: Queries timed.
        say: Called with what is done, a line each.

    Raises:
        UserError: the model cannot be had, or another study runs there.
    """
    options.check()
    if len(options.model) != 1:
        raise UserError("a study is of one model: give one --model")
    from instructor_eval.run.execute import engine_of
    from instructor_eval.run.plan import plan_run

    with contextlib.ExitStack() as closing:
        request = request_of(read(options), closing, say, dry=True)
        planned = [plan for plan in plan_run(request, say) if plan.loaded is not None]
        if not planned:
            raise UserError("latency is of a model, and these tasks use none: give another --task")
        closing.enter_context(files.alone(options.results))
        forms = {plan.variant.form: plan for plan in planned}
        roles = next(iter(planned[0].instructions.values()))
        instruction = (roles.get("query") or next(iter(roles.values()))).text
        engines = [engine_of(plan.loaded, request).uncached() for plan in forms.values() if plan.loaded]
        dim = engines[0].dim
        check_room(max(sizes), dim)
        texts = [" ".join(text.split()[:_WORDS]) for text in sample(rounds + WARM_UP)]
        say(f"{rounds} queries of at most {_WORDS} words, one at a time, {', '.join(forms)} in turns")
        times = _in_turns(engines, texts, instruction)
        rows = tuple(
            Timed(form, percentiles(own), _ratio(own, times[0])) for form, own in zip(forms, times, strict=True)
        )
        searches = []
        for vectors in sizes:
            say(f"exact search among {vectors:,} vectors of {dim} values")
            searches.append(Searched(vectors, dim, percentiles(search_seconds(vectors, dim, rounds=min(rounds, 100)))))
        model = planned[0].model
        made = LatencyStudy(model.name, engines[0].device, rounds, rows, tuple(searches))
        say(f"filed in {files.write(options.results, KIND, model.name, made)}")
        prints = {plan.model.fingerprint: row for plan, row in zip(forms.values(), rows, strict=True)}
        _add_to_costs(Store(options.results), prints)
    return made


def _ratio(own: Sequence[float], baseline: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(own, baseline, strict=True)), 4)


def _in_turns(engines: Sequence[BaseEngine], texts: Sequence[str], instruction: str) -> list[list[float]]:
    """Return the seconds of every text for every engine; in every other round the order is turned."""
    found: list[list[float]] = [[] for _ in engines]
    for n, text in enumerate(texts):
        order = list(enumerate(engines))
        for i, engine in order if n % 2 else reversed(order):
            [taken] = seconds_of(partial(engine.encode, [text], instruction), 1, warm_up=0)
            if n >= WARM_UP:
                found[i].append(taken)
    return found


def _add_to_costs(store: Store, rows: dict[str, Timed]) -> None:
    """Add the time of a query to the costs that are filed with the scores of these forms."""
    for score in list(store.scores()):
        row = rows.get(score.model.fingerprint)
        if row is not None and score.cost is not None and score.status == "ok":
            store.write(dataclasses.replace(score, cost=dataclasses.replace(score.cost, query_ms=row.query)))
