"""Which adapter runs which card."""

from __future__ import annotations

from instructor_eval.tasks.task import Adapter, Card


def adapter_for(card: Card) -> Adapter:
    """The adapter of a card's benchmark and type. Imports it, and with it what it needs."""
    if card.type == "TextEvaluation":
        from instructor_eval.adapters.billboard import BillboardAdapter

        return BillboardAdapter()
    if card.type == "PromptRetrieval":
        from instructor_eval.adapters.prompt_retrieval import PromptRetrievalAdapter

        return PromptRetrievalAdapter()
    if card.folder is not None:
        from instructor_eval.adapters.folder import FolderAdapter

        return FolderAdapter()
    from instructor_eval.adapters.mteb import MtebAdapter

    return MtebAdapter()
