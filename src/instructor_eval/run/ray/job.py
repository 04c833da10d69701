"""Values that a run hands to Ray and gets back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.core.values import Items
from instructor_eval.results.probe import Probe
from instructor_eval.results.score import Score
from instructor_eval.run.plan import Planned, Request

COUNTS = ("total", "done", "hits", "tokens", "work", "worked")
"""The parts of a `Progress` that are sent home."""


@dataclass(frozen=True)
class Setup:
    """Settings that all jobs of a run share."""

    request: Request
    """Without its caches: a worker opens its own."""
    planned: list[Planned]
    home: str
    """Ray's id of the node on which `evaluate` runs: it has the data, the cache and the model."""
    folder: Path
    """The folder in which `evaluate` was called: names of files are relative to it."""
    environment: Mapping[str, str]
    """Variables for workers on that node; of another those that name no path."""
    device: str
    """cpu or cuda."""
    threads: int
    """Cores of a worker without a GPU."""
    workers: int
    """That the cluster has room for."""
    long_texts: int | None
    """A call for more texts is spread over the cluster; None where there is one worker only."""
    cache: Path | None
    """Folder of the cache of vectors; None keeps them in memory."""
    cache_size: int | None

    @property
    def resources(self) -> dict[str, float]:
        """Return the resources that a worker with a model asks Ray for."""
        return {"num_gpus": 1, "num_cpus": 0} if self.device == "cuda" else {"num_cpus": self.threads}

    @property
    def light(self) -> Setup:
        """Return the resources of a worker that only embeds."""
        return dataclasses.replace(self, planned=[], request=dataclasses.replace(self.request, cards=[]))


@dataclass(frozen=True)
class Job:
    """One task with one model in one numeric form: every row of the plan that needs the same vectors."""

    number: int
    card: str
    rows: Mapping[int, str]
    """The plan's number and the score's identity as this run knows it."""
    embeds: bool
    spread: bool = False
    """True where it runs on the run's own node, and `ray.data` computes its vectors anywhere."""


@dataclass(frozen=True)
class Done:
    """The end of a job."""

    address: str
    """The node's, for people."""
    scores: list[tuple[int, Score, Items | None]]
    probe: Probe | None = None
    error: str = ""
    """Why none of its rows could be computed."""
    spread: bool = False
    """True where it was given up to be run again with `spread`: it is long, or this node lacks its data."""


@dataclass(frozen=True)
class State:
    """Progress of one try of a job: counts since its start, as `Progress` has them."""

    job: int
    attempt: str
    """Another one where Ray runs the job again."""
    address: str
    counts: Mapping[str, int]
    note: str = ""
    """A line that the user should see."""
    warning: str = ""
