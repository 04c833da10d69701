"""Results folders of many rows, and their pages, for the tests of what a page says of many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import made_results

from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.report.page import Request, render
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol

TASKS = {"STS12": ("STS", "cosine_spearman"), "SciFact": ("Retrieval", "ndcg_at_10")}


def fill(root: Path, make_score: Callable[..., Score], rows: int) -> None:
    """Models of rising size and score, close together, every third with an int8 variant: `rows` rows."""
    left, n = rows, 0
    while left:
        size, speed = 4e7 * 1.13**n, 900 / 1.1**n
        change = made_results.lowered(max(0.0, 0.9 - 0.02 * n), 0.3)
        common = {"model": f"organisation/embedder-{n:02d}-{('base', 'large')[n % 2]}", "n": 40, "tasks": TASKS}
        for variant, smaller, faster in (("fp32", 1, 1.0), ("int8", 4, 1.8))[: 1 + (n % 3 == 0 and left > 1)]:
            cost = {"form": variant, "baseline": "fp32", "device": "cpu", "file_bytes": int(size / smaller),
                    "size_ratio": smaller, "texts_per_second": speed * faster, "speed_ratio": faster}  # fmt: skip
            made_results.file(root, make_score, variant=variant, cost=cost, change=change, **common)
            left -= 1
        n += 1


def page_of(root: Path) -> str:
    store = Store(root)
    board = build(store.scores(), protocol=protocol.parse([]), items=store.items)
    return render(Request(board, Evidence(store.items), "results")).decode()
