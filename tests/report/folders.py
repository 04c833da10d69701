"""Results folders made up for the tests of the page: models, variants, instruction sets, costs, a failure, a gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import made_results
from made_results import lowered

from instructor_eval.cli.main import main
from instructor_eval.results.score import Score

OTHER = "org/other-model"
ROLES = {"text": {"text": "Represent the sentence: ", "rule": "card: default"}}
COSTS = {"fp32": (90_000_000, 100.0), "int8": (23_000_000, 180.0)}


def cost(form: str, times: float = 1.0) -> dict[str, object]:
    size, speed = COSTS[form]
    return {
        "form": form, "baseline": "fp32", "device": "cpu", "file_bytes": int(size * times),
        "size_ratio": round(COSTS["fp32"][0] / size, 4), "texts_per_second": speed / times,
        "speed_ratio": speed / COSTS["fp32"][1],
    }  # fmt: skip


def fill(root: Path, make_score: Callable[..., Score]) -> None:
    """Two models; of one an int8 variant and a second instruction set, of the other a task that failed."""
    made_results.file(root, make_score, cost=cost("fp32"), environment=_made())
    made_results.file(root, make_score, variant="int8", cost=cost("int8"), change=lowered(0.4, 0.2))
    made_results.file(root, make_score, instructions="none", change=lowered(0.5, 0.1))
    tasks = {name: kind for name, kind in made_results.TASKS.items() if name != "SummEval"}
    store = made_results.file(root, make_score, model=OTHER, seed=5, tasks=tasks, cost=cost("fp32", 2.0))
    store.write(
        make_score("SummEval", None, type="Summarization", model=OTHER, fingerprint="fp32".ljust(16, "0"),
                   identity="9" * 16, error="OutOfMemoryError: no room for a batch of 1")
    )  # fmt: skip


def _made() -> dict[str, object]:
    return {
        "versions": {"torch": "2.13.0", "mteb": "2.26.24"},
        "hardware": {"device": "cpu", "processor": "A processor", "cores": 2},
    }


def report(results: Path, page: Path, *flags: str) -> Path:
    """The page of a results folder, by the command line."""
    assert main(["report", "--results", str(results), "-o", str(page), *flags]) == 0
    return page
