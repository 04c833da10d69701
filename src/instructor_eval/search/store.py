"""What a vector store has to do, and what each of them is told and asked in the same way.

A store gets a corpus in blocks, is finished once, and then searched, one query after another, as a service is. Where it
outlives a run (`path=`, `uri=`, a server), a label beside it says what vectors it was built of, so that no score is
ever taken from an index of other vectors.
"""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.core.values import Vectors


@dataclass(frozen=True)
class Label:
    """What a lasting index was built of."""

    vectors: str
    """Hash of all document vectors in their order."""
    count: int
    dim: int
    build: str
    """How it was built: `VectorStore.build`."""

    def to_json(self) -> str:
        """As it is kept beside the index."""
        return json.dumps({"made_by": "instructor-eval", **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Label | None:
        """Read a label back; None where it is none."""
        try:
            found = json.loads(text)
            vectors, count, dim, build = (found[name] for name in ("vectors", "count", "dim", "build"))
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        good = isinstance(vectors, str) and isinstance(build, str) and isinstance(count, int) and isinstance(dim, int)
        return cls(vectors, count, dim, build) if good else None


class VectorStore(Protocol):
    """A vector store, from a corpus to answers. Rows have length 1; the measure is the cosine."""

    build: str
    """What decides how its index is built: its kind and parameters, without its place and those of searching alone."""
    place: str
    """Once started, what holds its index, as an error calls it; only a store that lasts needs it."""

    def start(self, name: str, dim: int, count: int) -> Label | None:
        """Get ready for `count` vectors [dim].

        Args:
            name: What is indexed and how: model, task, `build`, instruction; a lasting store keeps it under this name.
            dim: Length of the vectors.
            count: How many will come.

        Returns:
            The label of an index that is there already, which is then neither added to nor finished; None builds one.

        Raises:
            UserError: the store cannot be reached or written, or cannot be what is asked for with these sizes.
        """
        ...

    def add(self, vectors: Vectors) -> None:
        """Take the next documents: float32 [n, dim], of length 1."""
        ...

    def finish(self, label: Label) -> None:
        """Build the index of what was added, and keep its label beside it, last."""
        ...

    def search(self, query: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """The nearest documents of one query [dim], the best first: their places among those added, and scores."""
        ...

    def index_bytes(self) -> int | None:
        """What the finished store takes on disk; None where that cannot be known."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a score file says of it: `library` with its version, and what it decided itself."""
        ...

    def close(self) -> None:
        """Let go of everything; what was only for this run is removed."""
        ...


_LONGEST = 4000
_IN_CPP = re.compile(r"^Error in .{1,300}? at \S+:\d+: (Error: )?")
"""Where in its source FAISS found a fault, which no user can use."""


class Guard(AbstractContextManager["Guard"]):
    """Turns whatever a store's library raises into one line.

    Args:
        search: The search's text.
        doing: What is being done, as "building the index".
        step: What the user can do about it.
    """

    def __init__(
        self,
        search: object,
        doing: str,
        step: str = "see that its place is reachable and not full",
    ) -> None:
        self._search, self._doing, self._step = search, doing, step

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, UserError):
            said = _IN_CPP.sub("", str(getattr(error, "message", "") or error))[:_LONGEST]
            said = one_line(without_secrets(said, environment_secrets()))[:300] or type(error).__name__
            raise UserError(f"search '{self._search}': {self._doing} failed ({said}): {self._step}") from error


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read_label(path: Path) -> Label | None:
    """The label kept in a file; None where there is none, or it is damaged."""
    try:
        return Label.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
