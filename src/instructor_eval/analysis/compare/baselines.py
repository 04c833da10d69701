"""Baselines: what a gate compares with, as plain files that are small enough for git.

    DIR/NAME/last.json                        the manifest of the last one set
    DIR/NAME/pinned.json                      that of the pinned one: against it many small losses add up
    DIR/NAME/items/TASK.0123456789ab.parquet  compact items, named by their content, shared by both
    DIR/NAME/probes/MODEL/....npz             the vectors that the drift gate compares with (probe.py)

A manifest holds a checksum over its own content and one for each items file: what was edited by hand, cut short or
mixed up is an error, never a baseline.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructor_eval import metrics
from instructor_eval.analysis.compare.baseline_files import (
    ITEMS,
    KIND,
    LAST,
    PINNED,
    SCHEMA_VERSION,
    again,
    clean,
    is_same,
    items_of,
    items_path,
    manifest_path,
    read_manifest,
    read_verified,
    write_items,
    write_manifest,
)
from instructor_eval.analysis.compare.compact import compact
from instructor_eval.analysis.compare.side import BASELINES, Side, side_of
from instructor_eval.core.errors import UserError, did_you_mean, reason
from instructor_eval.core.libraries import require
from instructor_eval.core.paths import slug
from instructor_eval.core.stored_files import names_in
from instructor_eval.core.values import Items
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results import probe
from instructor_eval.results.reading import plain, record, written
from instructor_eval.results.reading import read as read_fields
from instructor_eval.results.score import Environment, Model, Score

__all__ = [
    "KIND", "LAST", "PINNED", "Baseline", "find", "has", "is_baseline", "load", "names", "pin", "read", "read_named",
    "set_baseline",
]  # fmt: skip
_COPIED = (
    "identity", "status", "benchmark", "type", "instructions", "metric", "score", "n_items", "data", "reader",
    "protocol", "protocol_version", "seed", "limit", "created",
)  # fmt: skip
"""The fields of a score that a manifest keeps, beside its task and model."""


@dataclass(frozen=True)
class Baseline:
    """One baseline as read."""

    name: str
    which: str
    """last | pinned"""
    created: str
    note: str
    model: Model
    instructions: str
    """The name of the instruction set."""
    side: Side
    path: Path
    size: int
    """Bytes of the manifest, and of the items and vectors it names."""


def is_baseline(folder: Path) -> bool:
    """Return whether a folder is one baseline's."""
    return any(manifest_path(folder, which).is_file() for which in (LAST, PINNED))


def names(folder: Path) -> list[str]:
    """The baselines that there are."""
    return [p.name for p in names_in(folder) if is_baseline(p)]


def has(name: str, which: str, folder: Path) -> bool:
    """Return whether that manifest of the baseline is there."""
    return manifest_path(folder_of(name, folder), which).is_file()


def folder_of(name: str, folder: Path) -> Path:
    """The folder of the baseline of that name.

    Raises:
        UserError: it is no name.
    """
    if not name or slug(name) != name:
        raise UserError(f"'{name[:100]}' is no name for a baseline: take letters, digits, '.', '_' and '-'")
    return folder / name


def read_named(text: str, *, folder: Path = BASELINES) -> Side:
    """The side of `NAME` (the last one set) or `NAME/pinned`.

    Raises:
        UserError: there is none, or it is not whole.
    """
    name, sign, which = text.partition("/")
    if sign and which not in (LAST, PINNED):
        raise UserError(f"baseline:{text[:100]}: there are baseline:{name[:80]} and baseline:{name[:80]}/{PINNED}")
    return load(find(name, folder, which or LAST)).side


def find(name: str, folder: Path, which: str = LAST) -> Path:
    """The manifest of a baseline.

    Raises:
        UserError: there is none.
    """
    path = manifest_path(folder_of(name, folder), which)
    if path.is_file():
        return path
    if is_baseline(path.parent):
        how = f"evaluate baseline pin {name}" if which == PINNED else f"evaluate baseline set SIDE --name {name}"
        raise UserError(f"baseline '{name}' in {folder} has no {path.name}: make it with `{how}`")
    known = names(folder)
    hint = did_you_mean(name, known) or (f": there are {', '.join(known)}" if known else "")
    raise UserError(f"no baseline '{name}' in {folder}{hint or ': make it with `evaluate baseline set SIDE`'}")


def read(path: Path) -> Side:
    """The side that a manifest, or a baseline's folder (its last one), holds.

    Raises:
        UserError: it is not whole, was edited, is of another schema version, or items are missing or changed.
    """
    if path.is_dir():
        last = manifest_path(path, LAST)
        path = last if last.is_file() else manifest_path(path, PINNED)
    return load(path).side


def load(path: Path) -> Baseline:
    """Read a manifest, and make sure that it and all its items are what was written.

    Raises:
        UserError: see `read`.
    """
    raw = read_manifest(path)
    try:
        model, version = raw["model"], raw["schema_version"]
        scores = {task: _score(task, entry, model, version) for task, entry in raw["tasks"].items()}
        files = {task: items_path(path, entry["items"]) for task, entry in raw["tasks"].items()}
        sums = {task: str(entry["items"]["sha256"]) for task, entry in raw["tasks"].items()}
        label, name, created, note = (str(raw[key]) for key in ("label", "name", "created", "note"))
        instructions = next(iter(scores.values())).instructions.set
    except (TypeError, LookupError, AttributeError, ValueError, StopIteration) as e:
        raise UserError(f"{path}: not a whole baseline ({e!r}): {again(path)}") from e
    size = path.stat().st_size + sum(len(read_verified(path, task, files[task], sums[task])) for task in files)

    def items(score: Score) -> Items:
        return items_of(score.metric, path, score.task, files[score.task], sums[score.task])

    side = side_of(label, scores.values(), items, str(path), root=path.parent)
    vectors = probe.newest(path.parent, scores.values())
    size += vectors.stat().st_size if vectors else 0
    return Baseline(name, path.stem, created, note, record(Model, model), instructions, side, path, size)


def set_baseline(
    side: Side,
    *,
    name: str = "main",
    note: str = "",
    folder: Path = BASELINES,
    tasks: Sequence[str] = (),
) -> tuple[Path, bool]:
    """Keep a side as the last baseline of that name, and as the pinned one where there is none.

    Args:
        side: What to keep.
        name: The baseline's name.
        note: Why, for people.
        folder: Where baselines are.
        tasks: Only these tasks, with their parts; none: all.

    Returns:
        The manifest, and whether it was written: what is there already stays as it is.

    Raises:
        UserError: the side has no items, or a task failed, or is unknown, or has other items than its score was
            computed from; a manifest that is there is damaged; or the folder cannot be written.
    """
    target = folder_of(name, folder)
    if side.read is None:
        raise UserError(f"{side.label}: {side.kind} scores have no items: a baseline is made of results of a run")
    require(["pyarrow"], "run", "writing a baseline")  # reading does without
    chosen = _chosen(side, tasks)
    stored = {task: (score, _compact(score, side.read)) for task, score in sorted(chosen.items())}
    pinned = manifest_path(target, PINNED)
    is_pinned = pinned.exists()
    if is_pinned:
        load(pinned)  # before anything is written: what it names must not be taken for left over
    last = manifest_path(target, LAST)
    first = next(iter(stored.values()))[0]
    manifest: dict[str, Any] = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "label": side.label,
        "note": note,
        "model": plain(first.model),
    }
    try:
        (target / ITEMS).mkdir(parents=True, exist_ok=True)
        manifest["tasks"] = {t: _entry(s, first.model, write_items(target, s, i)) for t, (s, i) in stored.items()}
        _keep_probe(side, target)
        if last.exists() and is_same(last, manifest) and is_pinned:
            return last, False
        manifest["created"] = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
        write_manifest(target, manifest, (LAST,) if is_pinned else (LAST, PINNED))
        clean(target)
    except OSError as e:
        raise UserError(
            f"cannot write baseline '{name}' to {target}: {reason(e)}: choose another --baselines DIR"
        ) from e
    return last, True


def pin(name: str = "main", *, folder: Path = BASELINES) -> Path:
    """Make the last baseline of that name the pinned one.

    Raises:
        UserError: there is none, it is not whole, or the folder cannot be written.
    """
    last = find(name, folder)
    load(last)
    pinned = manifest_path(last.parent, PINNED)
    text = last.read_bytes()
    try:
        atomic_write(pinned, lambda f: f.write(text))
        clean(last.parent)
    except OSError as e:
        raise UserError(f"cannot write {pinned}: {reason(e)}") from e
    return pinned


# What goes in


def _chosen(side: Side, tasks: Sequence[str]) -> dict[str, Score]:
    """The scores of the tasks asked for, with those of their parts."""
    known = [*side.scores, *side.failed]
    for task in tasks:
        if task not in known:
            hint = did_you_mean(task, known) or f": there are {', '.join(known[:10])}"
            raise UserError(f"{side.label} has no result of task '{task[:100]}'{hint}")
    failed = [task for task in side.failed if task in tasks or not tasks]
    if failed:
        good = " ".join(f"--task {task}" for task in list(side.values)[:3])
        raise UserError(
            f"{side.label}: {', '.join(failed[:5])} failed ({side.failed[failed[0]][:150]}): run again, or name the "
            f"tasks to keep ({good or '--task'} ...)"
        )
    wanted = set(tasks or side.scores)
    for task in sorted(wanted & set(side.scores)):
        if metrics.is_of_parts(side.scores[task].metric) and side.read is not None:
            wanted |= {str(part) for part in side.read(side.scores[task]).get("id", ())}
    found = {task: score for task, score in side.scores.items() if task in wanted}
    if not found:
        raise UserError(f"{side.label}: there are no scores to keep: run something first")
    return found


def _compact(score: Score, read_items: Callable[[Score], Items]) -> Items:
    """A score's items cut down, which must be those that it was computed from."""
    from instructor_eval.analysis.statistics.estimates import NotComparableError
    from instructor_eval.analysis.statistics.matching import check

    items = read_items(score)
    try:
        check(score, items, f"result of {score.task}")
    except NotComparableError as e:
        raise UserError(f"no baseline can be made: {e}") from e
    return compact(score.metric, items)


def _entry(score: Score, model: Model, items: dict[str, Any]) -> dict[str, Any]:
    # Of the environment no more: the rest changes where nothing else does.
    environment = Environment(fresh=score.environment.fresh, probe=score.environment.probe)
    fields = written(dataclasses.replace(score, environment=environment))
    own = {"model": fields["model"]} if score.model != model else {}
    return {key: fields[key] for key in (*_COPIED, "environment")} | own | {"items": items}


def _keep_probe(side: Side, target: Path) -> None:
    """Copy the vectors that the drift gate compares with, where the side has some."""
    found = side.probe()
    if found is not None:
        probe.write(target, found)


# What comes out


def _score(task: str, entry: Mapping[str, Any], model: dict[str, Any], version: int) -> Score:
    copied = {key: entry[key] for key in _COPIED}
    own = {"model": entry.get("model", model), "environment": entry.get("environment", {})}
    score = read_fields({**copied, **own, "task": task, "schema_version": version})
    if score.score is None:
        raise TypeError(f"{task}: it has no score")
    return score
