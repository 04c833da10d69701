"""The adapter for each card."""

from __future__ import annotations

from instructor_eval.tasks.task import Adapter, Card


def adapter_for(card: Card) -> Adapter:
    """Return the adapter for a card's benchmark and type; only its own libraries are imported."""
    if card.type == "TextEvaluation":
        from instructor_eval.tasks.billboard import BillboardAdapter

        return BillboardAdapter()
    if card.type == "PromptRetrieval":
        from instructor_eval.tasks.prompts.adapter import PromptRetrievalAdapter

        return PromptRetrievalAdapter()
    if card.folder is not None:
        from instructor_eval.tasks.own.adapter import FolderAdapter

        return FolderAdapter()
    from instructor_eval.tasks.mteb.adapter import MtebAdapter

    return MtebAdapter()
