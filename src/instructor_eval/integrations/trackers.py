"""A row as a run of an experiment tracker, through the tracker's own client and into a folder: nothing is sent."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

from instructor_eval.analysis.compare.side import Side
from instructor_eval.core import libraries
from instructor_eval.core.errors import UserError
from instructor_eval.core.paths import slug
from instructor_eval.results.checksums import identity

_EXPERIMENT = "instructor-eval"
_LONGEST = 5000
"""Characters of a tag in MLflow."""
_LONGEST_KEY = 250
_NO_KEY = re.compile(r"[^\w\-. /]", re.ASCII)
"""Signs that MLflow takes in no metric's name."""


def to_mlflow(side: Side, folder: Path, *, force: bool) -> str:
    """Make a run in MLflow's database of a folder, and return its id.

    Args:
        side: The row.
        folder: Where `mlflow.db` is, or will be.
        force: Make it although these scores were exported there already.

    Raises:
        UserError: MLflow is not installed, or these scores are there.
    """
    libraries.require(["mlflow", "sqlalchemy", "alembic"], "mlflow", "export to MLflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder = folder.resolve()
    _make(folder)
    key = _key(side)
    try:
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        found = client.get_experiment_by_name(_EXPERIMENT)
        at = found.experiment_id if found else client.create_experiment(_EXPERIMENT, (folder / "artifacts").as_uri())
        if not force and client.search_runs([at], f"tags.`instructor_eval.scores` = '{key}'"):
            raise _there(side, folder)
        run = client.create_run(at, run_name=side.label[:_LONGEST])
        for name, value in _about(side).items():
            client.log_param(run.info.run_id, name, value[:_LONGEST])
        for task, figures in _figures(side).items():
            for name, figure in figures.items():
                client.log_metric(run.info.run_id, _key_of(f"{task}/{name}"), figure)
            for role, text in side.scores[task].instructions.texts.items():
                client.set_tag(run.info.run_id, _key_of(f"instruction.{task}.{role}"), text[:_LONGEST])
        client.set_tag(run.info.run_id, "instructor_eval.scores", key)  # last: a killed export does not count
        client.set_terminated(run.info.run_id)
    except (MlflowException, SQLAlchemyError) as e:
        raise UserError(f"{folder}: MLflow cannot write there ({e}): choose another --output") from e
    return f"run {run.info.run_id} in {folder / 'mlflow.db'}"


def to_wandb(side: Side, folder: Path, *, force: bool) -> str:
    """Make a run of Weights & Biases in a folder, offline, and return where `wandb sync` finds it.

    Raises:
        UserError: wandb is not installed, or these scores are there.
    """
    libraries.require(["wandb"], "wandb", "export to Weights & Biases")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    _make(folder)
    key = _key(side)
    if not force and any(folder.glob(f"wandb/offline-run-*-{key}")):
        raise _there(side, folder)
    instructions = {task: score.instructions.texts for task, score in side.scores.items()}
    unfinished = folder / f".unfinished-{key}"  # a killed export does not count
    shutil.rmtree(unfinished, ignore_errors=True)
    _make(unfinished)
    try:
        run = wandb.init(
            project=_EXPERIMENT,
            name=side.label,
            id=key,
            mode="offline",
            dir=unfinished,
            config={**_about(side), "instructions": instructions},
            settings=wandb.Settings(silent=True, console="off"),
        )
        for task, figures in _figures(side).items():
            run.summary.update({f"{task}/{name}": figure for name, figure in figures.items()})
        made = Path(run.dir).parent
        run.finish()
        place = folder / "wandb" / made.name
        place.parent.mkdir(exist_ok=True)
        made.rename(place)
    except (OSError, wandb.Error) as e:
        raise UserError(f"{folder}: wandb cannot write there ({e}): choose another --output") from e
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return f"run {key} in {place}"


def _key_of(text: str) -> str:
    return _NO_KEY.sub("_", text)[:_LONGEST_KEY]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f"cannot make the folder {folder} ({e.strerror}): choose another --output") from e


def _there(side: Side, folder: Path) -> UserError:
    return UserError(f"{side.label}: these scores are in {folder} already: give --force to make another run of them")


def _key(side: Side) -> str:
    return identity({task: [score.identity, score.score] for task, score in side.scores.items()})


def _about(side: Side) -> dict[str, str]:
    """Return what the row is of."""
    score: Any = next(iter(side.scores.values()))
    model = score.model
    found = {
        "model": model.name,
        "revision": model.revision,
        "variant": model.variant,
        "fingerprint": model.fingerprint,
        "family": model.family,
        "instruction_set": score.instructions.set,
        **{f"version.{slug(name)}": version for name, version in score.environment.versions.items()},
    }
    return {name: value for name, value in found.items() if value}


def _figures(side: Side) -> dict[str, dict[str, float]]:
    """Return task -> the score under `score` and its metric's name, the interval's ends, and the number of items."""
    found: dict[str, dict[str, float]] = {}
    for task, score in sorted(side.scores.items()):
        value = score.score or 0.0
        found[task] = {"score": value, score.metric: value, "items": float(score.n_items)}
        interval = score.statistics.interval if score.statistics else None
        if interval is not None and interval.low is not None and interval.high is not None:
            found[task] |= {"low": interval.low, "high": interval.high}
    return found
