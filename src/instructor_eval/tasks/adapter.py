"""Which adapter runs which card."""

from __future__ import annotations

from instructor_eval.tasks.task import Adapter, Card


def adapter_for(card: Card) -> Adapter:
    """The adapter of a card's benchmark and type. Imports it, and with it what it needs."""
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
