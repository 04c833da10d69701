"""The library's door: evaluate, load_results, compare, gate, list_tasks. What the command line calls too.

Errors are `UserError`s of one line that speak of arguments. Nothing here prints or exits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from instructor_eval.analysis.notebook import Compared, Results
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.progress import Progress, doing
from instructor_eval.results.store import Store
from instructor_eval.run.options import Options, read, request_of
from instructor_eval.tasks.cards import check_domains, check_types, known_cards, of_benchmark, own_cards
from instructor_eval.tasks.task import Card

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.side import Side
    from instructor_eval.analysis.gate.outcome import Outcome
    from instructor_eval.results.score import Score
    from instructor_eval.run.task import Summary
    from instructor_eval.training.options import TrainOptions
    from instructor_eval.training.run import Trained

_T = TypeVar("_T")
_PLURALS = {
    "model": "models", "task": "tasks", "benchmark": "benchmarks", "variant": "variants", "embedding": "embeddings",
    "truncate_dim": "dims", "selection": "selections",
}  # fmt: skip
"""Flags whose argument has another name, as it takes several."""


def evaluate(  # noqa: PLR0913 # what a notebook asks for by name; the rest are options
    models: Any,
    tasks: str | Sequence[str] = (),
    *,
    benchmarks: str | Sequence[str] = (),
    instructions: str | Path | Sequence[str | Path] = (),
    variants: str | Sequence[str] = (),
    limit: int | None = None,
    device: str = "auto",
    results: str | Path = "results",
    name: str | None = None,
    label: str = "",
    family: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda _line: None,
    **options: Any,
) -> Results:
    """Score models on tasks, file the scores, and return them; what is filed already is not computed again.

    Args:
        models: One model or a list: a name or folder as `evaluate --model` takes it, an encoder of `load_encoder`, a
            `SentenceTransformer`, an mteb encoder, an object with `encode(texts, instruction)`, or a function of
            (texts) or (texts, instruction) that gives an array, one row a text.
        tasks: Names of tasks, or paths of cards.
        benchmarks: All tasks of these.
        instructions: Instruction sets: paper (default), template, none, a YAML file; each is a row.
        variants: Numeric forms with their vector precision, `int8`, `fp32+binary@256`; each is a row.
        limit: Cut every task to so many items.
        device: auto, cpu, cuda, cuda:1.
        results: The results folder.
        name: What a model that is an object is called.
        label: The caller's name for the state of an object's weights: with one, its vectors are cached and its scores
            reused.
        family: instructor, prefix or plain, where the model does not show it.
        progress: Show a bar on a terminal or in a notebook.
        say: Called with each line that the command would print.
        **options: Others, by their flags' names (docs/library.md): hub, cache, offline, search, reader, protocol, ...;
            cost is off unless given.

    Raises:
        UserError: something cannot be had or done; one task that fails is among the results as failed.
    """
    from instructor_eval.models.objects import as_model

    known = {field.name for field in dataclasses.fields(Options)} - {"command", "model", "task", "benchmark", "variant"}
    given = {_option(name_, known): value for name_, value in options.items()}
    made = [as_model(model, name=name, family=family, label=label) for model in _listed(models, several=list | tuple)]
    asked = Options(
        model=made,
        task=[str(task) for task in _listed(tasks)],
        benchmark=_listed(benchmarks),
        instructions=[str(one) for one in _listed(instructions)],
        variant=_listed(variants),
        limit=limit,
        device=device,
        results=Path(results),
        family=family,
        label=label,
        **{"cost": "off", **{key: _value(key, value) for key, value in given.items()}},
    )
    shown, Progress.enabled = Progress.enabled, progress
    try:
        with errors_of_arguments():
            asked.check()
            summary = run(asked, say)
    finally:
        Progress.enabled = shown
    return Results(summary.scores, Store(asked.results))


def run(options: Options, say: Callable[[str], None], warn: Callable[[str], None] | None = None) -> Summary:
    """Run what the options ask for: read them, plan, compute, file.

    Args:
        options: The options.
        say: Called with what is done, a line each.
        warn: Called with what a cache has to say; by default `say`.

    Raises:
        UserError: something cannot be had or done.
    """
    asked = read(options)
    with doing("importing torch"):
        from instructor_eval.run.execute import execute  # after what it needs was seen to be installed

    with contextlib.ExitStack() as closing:
        return execute(request_of(asked, closing, warn or say), say)


def train(
    model: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    say: Callable[[str], None] = lambda _line: None,
    **options: Any,
) -> Trained:
    """Train a text encoder that takes instructions, as `evaluate train` does.

    Args:
        model: The checkpoint to begin with: a folder, a hub id or `minilm`.
        data: Training rows: MEDI's JSON array, or JSON lines.
        output: The folder of the trained checkpoint.
        say: Called with each line that the command would print.
        **options: By the command's flags' names (docs/training.md): evaluate, evaluate_steps, stop_if, keep, ..., and
            transformers' own training arguments.

    Raises:
        UserError: something cannot be had or done; the checkpoint saved last is whole.
    """
    from instructor_eval.training.options import TrainOptions

    ours = {field.name for field in dataclasses.fields(TrainOptions)}
    paths = ("validation_file", "thresholds", "results", "hub")
    given: dict[str, Any] = {
        name: Path(value) if name in paths and value is not None else value
        for name, value in options.items()
        if name in ours
    }
    given |= {name: _listed(given[name]) for name in ("evaluate", "instructions") if name in given}
    with errors_of_arguments():
        asked = TrainOptions(model_name_or_path=str(model), train_file=Path(data), output_dir=Path(output), **given)
        return run_training(asked, {name: value for name, value in options.items() if name not in ours}, say)


def run_training(options: TrainOptions, others: Sequence[str] | dict[str, Any], say: Callable[[str], None]) -> Trained:
    """Train by options and transformers' own arguments; scores on the way are filed by `evaluate`.

    Raises:
        UserError: something cannot be had or done.
    """
    from instructor_eval.core import libraries

    libraries.require(("torch", "transformers", "tokenizers", "safetensors", "accelerate"), "train", "training")
    options.check()
    if options.evaluate:
        read(  # an unknown task, hub or instruction set is an error before anything is read
            Options(
                model=[str(options.model_name_or_path)],
                task=list(options.evaluate),
                instructions=options.instructions,
                hub=options.hub,
                offline=options.offline,
                cost="off",
            )
        )
    from instructor_eval.training.run import train as train_here  # torch

    def evaluator(encode: Callable[[Sequence[str], str], Any], name: str, label: str, note: str) -> Sequence[Score]:
        from instructor_eval.models.objects import ObjectModel

        return evaluate(
            ObjectModel(encode, name, family="instructor", label=label, trained_on=note),
            options.evaluate,
            instructions=options.instructions,
            limit=options.evaluate_limit,
            results=options.results,
            progress=False,
            hub=options.hub,
            offline=options.offline,
            no_cache=True,
        ).scores

    return train_here(options, others, evaluator if options.evaluate else None, say)


def load_results(folder: str | Path = "results") -> Results:
    """Return the scores of a results folder.

    Raises:
        UserError: there is no such folder, or a score file that cannot be read.
    """
    from instructor_eval.core.stored_files import is_folder

    store = Store(Path(folder))
    if not is_folder(store.root):
        raise UserError(f"{folder}: there is no such results folder: give the one that a run wrote")
    return Results(list(store.scores()), store)


def compare(
    baseline: Results | str, candidate: Results | str, *, results: str | Path = "results", intersect: bool = False
) -> Compared:
    """Compare two rows task by task, on the items that both have, with intervals and p-values.

    Args:
        baseline: Results of one row, or a side as `evaluate compare` takes it: `minilm@int8`, `baseline:main`.
        candidate: The same.
        results: The folder in which a label is looked up.
        intersect: Leave out items and tasks that one side lacks.

    Raises:
        UserError: a side is not one row, or nothing can be compared.
    """
    from instructor_eval.analysis.compare.compare import compare as compare_sides

    with errors_of_arguments():
        first, second = (_side_of(one, results) for one in (baseline, candidate))
        found = compare_sides(first, second, intersect=intersect)
    if not found.tasks:
        raise UserError(f"{first.label} and {second.label} have no task in common: run one of them on the other's")
    return Compared(found)


def gate(
    baseline: Results | str,
    candidate: Results | str,
    *,
    thresholds: str | Path | None = None,
    results: str | Path = "results",
    output: str | Path | None = None,
) -> Outcome:
    """Judge whether a candidate may pass the quality gate.

    Args:
        baseline: Results of one row, or a side as `evaluate gate --baseline` takes it.
        candidate: The same.
        thresholds: A YAML file of margins and level.
        results: The folder in which a label is looked up.
        output: A folder for gate.json, junit.xml, summary.md and comment.md; None writes nothing.

    Returns:
        The outcome: `verdict`, `exit_code`, `judgements`.

    Raises:
        UserError: a side is not one row, or a file cannot be read or written.
    """
    from instructor_eval.analysis.compare.compare import compare as compare_sides
    from instructor_eval.analysis.compare.side import refuse_imported
    from instructor_eval.analysis.gate import files
    from instructor_eval.analysis.gate.limits import Thresholds, read_thresholds
    from instructor_eval.analysis.gate.outcome import Outcome
    from instructor_eval.analysis.gate.quality import judge

    with errors_of_arguments():
        limits = read_thresholds(Path(thresholds)) if thresholds else Thresholds()
        first, second = (_side_of(one, results) for one in (baseline, candidate))
        refuse_imported(first, second)
        comparison = compare_sides(first, second)
        limits.check_patterns([task.task for task in comparison.tasks])
        outcome = Outcome(judgements=[judge(comparison, limits)], plain=[], thresholds=limits, command=[])
        if output is not None:
            files.prepare(Path(output))
            files.write(Path(output), outcome)
    return outcome


def list_tasks(*, benchmark: str | None = None, type: str | None = None, domain: str | None = None) -> list[str]:
    """Return the names of the known tasks.

    Args:
        benchmark: Only this benchmark's.
        type: Only this task type's.
        domain: Only this domain's; `other` is of tasks that say none.

    Raises:
        UserError: there is no such benchmark, type or domain.
    """
    check_types([type] if type is not None else [])
    check_domains([domain] if domain is not None else [], ())
    return [
        card.name
        for card in (known_cards().values() if benchmark is None else of_benchmark(benchmark))
        if (type is None or card.type == type) and (domain is None or card.domain_name == domain)
    ]


def get_task(name: str) -> Card:
    """Return a task's card: its data, metric, protocol and instructions.

    Args:
        name: A known task, or the path of a card that describes one task.

    Raises:
        UserError: there is no such task.
    """
    cards = known_cards()
    if name in cards:
        return cards[name]
    found = own_cards(str(name))
    if len(found) != 1:
        raise UserError(f"{name} describes {len(found)} tasks: give a card of one, or a task's name")
    return found[0]


@contextlib.contextmanager
def errors_of_arguments() -> Iterator[None]:
    """Let errors speak of arguments, where they name the command line's flags."""
    try:
        yield
    except UserError as e:
        text = re.sub(r"--([a-z][a-z-]*[a-z])", lambda m: _argument(m[1]), str(e))
        if text == str(e):
            raise
        raise UserError(text) from e


def _argument(flag: str) -> str:
    name = flag.replace("-", "_")
    return _PLURALS.get(name, name)


def _option(name: str, known: set[str]) -> str:
    option = {plural: one for one, plural in _PLURALS.items()}.get(name, name)
    if option not in known:
        raise UserError(f"unknown argument '{name}'{did_you_mean(name, known) or ': docs/library.md lists them'}")
    return option


def _value(key: str, value: Any) -> Any:
    if key in ("hub", "cache") and value is not None:
        return Path(value)
    if key in ("protocol", "search", "chunk", "selection", "embedding", "truncate_dim"):
        return _listed(value)
    return value


def _listed(value: Any, several: Any = Sequence) -> list[Any]:
    """Return a list of one value or several; a text and a path are one."""
    if isinstance(value, str | Path) or not isinstance(value, several):
        return [value]
    return list(value)


def _side_of(given: Results | str, results: str | Path) -> Side:
    from instructor_eval.analysis.compare import find_side
    from instructor_eval.tasks import protocol

    if isinstance(given, Results):
        return find_side.choose("", given.scores, given.store)
    return find_side.resolve(str(given), results=Path(results), protocol=protocol.parse([]), limit=None)
