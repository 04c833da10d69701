"""TextEvaluation (Billboard): does the similarity of a text to its references follow the human judgement?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from instructor_eval.core.values import Items
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import COSINE, Filed, TaskType


class TextEvaluation(TaskType):
    """Generated texts with references and a grade; its items are the texts, `--limit` counts their segments."""

    name = "TextEvaluation"
    wording: ClassVar = {"text": ("text", "")}
    metrics = ("pearson",)
    category = "Billboard"
    unit = "segment"
    least = 2
    bounds: ClassVar = {"value": COSINE}

    def data_key(self, card: Card, settings: RunSettings) -> str:
        from instructor_eval.tasks import billboard

        return billboard.data_key(card, settings)

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        from instructor_eval.tasks.billboard import read_segments

        segments, warnings = read_segments(card.folder or Path())
        return f"{len(segments):,} segments, {sum(len(s.hypotheses) for s in segments):,} hypotheses", warnings

    def count_items(self, card: Card, limit: int | None) -> int:
        from instructor_eval.tasks.billboard import limit_segments, read_segments

        return sum(len(s.hypotheses) for s in limit_segments(read_segments(card.folder or Path())[0], limit))

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        from instructor_eval.tasks import billboard

        return billboard.run(card, encoder, settings)

    def count(self, items: Items) -> int:
        return len(set(items["segment"]))

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that ids are of segment and system, and that no segment lacks a system."""
        from instructor_eval.tasks.types.item_checks import report

        segments, systems = items["segment"], items["system"]
        names = [f"{segment}/{system}" for segment, system in zip(segments, systems, strict=True)]
        bad = [a != b for a, b in zip(items["id"], names, strict=True)]
        yield from report(items, bad, lambda i: f"its segment and system are {names[i][:80]}")
        counts = Counter(segments)
        if filed.card is not None and len(set(counts.values())) > 1:  # own data may lack a system here and there
            usual = Counter(counts.values()).most_common(1)[0][0]
            odd = next(segment for segment, n in counts.items() if n != usual)
            yield f"segment {str(odd)[:80]}: {counts[odd]} hypotheses, most segments have {usual}"
