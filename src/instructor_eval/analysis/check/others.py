"""Checks of a stored result against others: the parts of a whole, and one data set's items in all results."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from instructor_eval import metrics
from instructor_eval.analysis.check.findings import guarded
from instructor_eval.analysis.check.statistics import of_parts
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score

_GOLD = ("gold", "relevant", "size")


def _part(score: Score, folder: Path, task: str) -> tuple[Path, str, str]:
    """Return what names the result of `task` that was measured in the way of `score`."""
    ways = [score.model.fingerprint, score.protocol, score.limit, score.seed]
    return folder, task, json.dumps(ways, sort_keys=True, default=str)


class Others:
    """Facts that results hold about each other."""

    def __init__(self) -> None:
        self._scores: dict[tuple[Path, str, str], list[Score]] = defaultdict(list)
        self._wholes: list[tuple[Score, Items, str, Path]] = []
        self._gold: dict[str, dict[str, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))

    def add(self, score: Score, items: Items, file: str, folder: Path) -> None:
        """Take note of a result."""
        self._scores[_part(score, folder, score.task)].append(score)
        if metrics.is_of_parts(score.metric):
            self._wholes.append((score, items, file, folder))
        elif score.data.hash:
            columns = [items[name] for name in ("id", *_GOLD) if name in items]
            rows = sorted(json.dumps(row, default=str) for row in zip(*columns, strict=True))
            content = hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()
            data = json.dumps([score.task, score.data.hash, score.limit, *[n for n in _GOLD if n in items]])
            self._gold[data][content].append((file, len(columns[0])))

    def compare(self) -> Iterator[tuple[str, str]]:
        """Yield the file of each result that another contradicts, and what is wrong."""
        for score, items, file, folder in self._wholes:
            parts = []
            for task, value in zip(items.get("id", ()), items.get("value", ()), strict=False):
                known = self._scores.get(_part(score, folder, task), [])
                same = [part for part in known if part.score == value]
                parts += same if len(same) == 1 else []
                if known and not same:
                    own = " or ".join(repr(v) for v in dict.fromkeys(part.score for part in known))
                    yield file, f"part {task}: {value!r} here, its own result has {own}"
            if len(parts) == score.n_items:
                yield from ((file, text) for text in guarded("statistics", of_parts, score, parts, items))
        for contents in self._gold.values():
            most = max(map(len, contents.values()))
            usual = [found for found in contents.values() if len(found) == most]
            for found in contents.values():
                if len(contents) == 1 or (len(usual) == 1 and found is usual[0]):
                    continue  # where as many say this as say that, all are suspect
                other, its_items = next(o for o in usual if o is not found)[0]
                for file, n_items in found:
                    yield (
                        file,
                        f"{n_items:,} items, other items or gold values than the {its_items:,} of {other}, whose data "
                        "hash is the same",
                    )
