"""Make LanceDB's name `instructor` ours: `get_registry().get("instructor")` is then `InstructorEvalEmbeddings`.

    import instructor_eval.compat.lancedb

A table stores the name, so a process that opens one of its tables imports this too.
"""

from __future__ import annotations

from lancedb import embeddings
from lancedb.embeddings import register

from instructor_eval.models.lancedb import InstructorEvalEmbeddings


@register("instructor")
class Instructor(InstructorEvalEmbeddings):
    """Our embedding function under LanceDB's own name."""


embeddings.InstructorEmbeddingFunction = Instructor
embeddings.InstuctorEmbeddingFunction = Instructor  # as LanceDB's page of embedding functions spells it
