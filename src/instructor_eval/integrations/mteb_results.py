"""Results in the layout of mteb's results repository, made by mteb's own classes, so that its own code reads them.

    results/<model>/<revision>/<task>.json, model_meta.json, run_settings.jsonl
    results/<model>/<revision>/experiments/<what differs>/...

A model has one row there. Of several here it is the one with the paper's instructions, in fp32, with most tasks; the
others are what mteb calls experiments. The literal instructions stand in run_settings.jsonl.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from instructor_eval import metrics
from instructor_eval.analysis.compare.side import Side
from instructor_eval.core import libraries
from instructor_eval.core.escapes import finite
from instructor_eval.core.paths import slug
from instructor_eval.integrations.export import Export
from instructor_eval.models.variant import BASELINE
from instructor_eval.results.score import Score, key_of

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,80}", re.ASCII)


def mteb_name(name: str) -> str:
    """Return a model's name as mteb wants it, `org/name`; a folder's is that of its last part."""
    return name if _NAME.fullmatch(name) else f"local/{slug(Path(name).name or 'model')}"


def files(sides: Sequence[Side]) -> Export:
    """Return the files of rows, below the repository's top; results that mteb has no place for are left out.

    Raises:
        UserError: mteb is not installed.
    """
    libraries.require(["mteb"], "run", "export to mteb's form")
    tasks = _tasks(_names(sides))
    export = Export()
    models: dict[tuple[str, str], list[Side]] = defaultdict(list)
    for side in sides:
        models[_model(_first(side))].append(side)
    for model, rows in models.items():
        main = min(rows, key=_order)
        for side in rows:
            _add(export, side, _meta(model, side, {} if side is main else _differs(side)), tasks)
    return export


def _add(export: Export, side: Side, meta: Any, tasks: Mapping[str, Any]) -> None:
    """Add a row's files, if mteb has a place for any of its results."""
    folder = f"results/{meta.model_name_as_path()}/{meta.revision}"
    if meta.experiment_name:
        folder += f"/experiments/{meta.experiment_name}"
    settings = []
    for name, score in sorted(side.scores.items()):
        task = tasks.get(name)
        main = None if task is None else _main_score(score, task.metadata.main_score)
        if task is None:
            export.no_place.append(name)
        elif main is None:
            export.left_out.append(f"{name} of {side.label}: no {task.metadata.main_score}, mteb's score of it")
        else:
            export.files[f"{folder}/{name}.json"] = partial(_json, _result(score, task, main))
            settings.append(json.dumps(_settings(score)))
    if settings:
        export.files[f"{folder}/model_meta.json"] = partial(_json, meta.to_dict())
        export.files[f"{folder}/run_settings.jsonl"] = "".join(f"{line}\n" for line in settings).encode


def _json(value: Any) -> bytes:
    return f"{json.dumps(finite(value), indent=2, default=str)}\n".encode()


def _names(sides: Sequence[Side]) -> set[str]:
    """Return the tasks of mteb's; a task of one's own that is called like one is none."""
    return {task for side in sides for task, score in side.scores.items() if score.benchmark == "mteb"}


def _tasks(names: set[str]) -> dict[str, Any]:
    """Return mteb's tasks of these names, those that it has."""
    import mteb  # five seconds

    found = {}
    for name in names:
        with contextlib.suppress(KeyError):
            found[name] = mteb.get_task(name)
    return found


def _first(side: Side) -> Score:
    return next(iter(side.scores.values()))


def _model(score: Score) -> tuple[str, str]:
    """Return name and revision of a model; the fingerprint stands for the revision of one that has none."""
    revision = score.model.revision
    return mteb_name(score.model.name), revision if _REVISION.fullmatch(revision) else score.model.fingerprint


def _order(side: Side) -> tuple[bool, bool, int, str]:
    _, _, variant, instructions = key_of(_first(side))
    return instructions != "paper", variant != BASELINE, -len(side.scores), side.label


def _differs(side: Side) -> dict[str, str]:
    _, _, variant, instructions = key_of(_first(side))
    return {"variant": variant, "instructions": instructions}


def _meta(model: tuple[str, str], side: Side, experiment: Mapping[str, str]) -> Any:
    """Return mteb's description of a model."""
    from mteb.models.model_meta import ModelMeta

    about = _first(side).model
    known = {
        "name": model[0],
        "revision": model[1],
        "embed_dim": about.dim or None,
        "max_tokens": about.max_length or None,
        "use_instructions": about.family == "instructor",
    }
    return ModelMeta.create_empty({**known, "experiment_kwargs": dict(experiment) or None})


def _main_score(score: Score, main: str) -> float | None:
    """Return mteb's score of the task: ours where it is the same metric, else the figure that was filed beside it."""
    if metrics.is_of_parts(score.metric) or main in (score.metric, metrics.get(score.metric).mteb):
        return score.score
    return score.metrics.get(main)


def _result(score: Score, task: Any, main: float) -> dict[str, Any]:
    """Return a result as mteb files it; it is mteb's class that checks it."""
    from mteb.results import TaskResult

    figures = {name: value for name, value in score.metrics.items() if value is not None and name != "vector_drift"}
    scores = {**figures, task.metadata.main_score: main, "main_score": main}
    result = TaskResult.from_task_results(
        task,
        {score.data.split or task.metadata.eval_splits[0]: {score.data.subset or "default": scores}},
        evaluation_time=score.timings.total,
        date=_time(score.created),
    )
    found: dict[str, Any] = result.model_dump()
    version = score.environment.versions.get("mteb")
    if version:
        found["mteb_version"] = version
        for subsets in found["scores"].values():
            for subset in subsets:
                subset["mteb_version"] = version
    found["dataset_revision"] = score.data.revision or found["dataset_revision"]
    found["date"] = result.date.timestamp() if result.date else None
    return found


def _time(text: str) -> datetime.datetime | None:
    with contextlib.suppress(ValueError):
        return datetime.datetime.fromisoformat(text)
    return None


def _settings(score: Score) -> dict[str, Any]:
    """Return the settings of a run as mteb files them, with the literal instructions."""
    return {
        "task": score.task,
        "splits": [score.data.split],
        "subsets": [score.data.subset],
        "version": dict(score.environment.versions),
        "encode_kwargs": {
            "variant": score.model.variant,
            "instructions": score.instructions.texts,
            "protocol": dict(score.protocol),
        },
    }
