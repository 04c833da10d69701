"""The contract of a vector store, and helpers that all stores share.

A store gets a corpus in blocks, is finished once, and then searched, one query after another, like a service. If it
outlives a run (`path=`, `uri=`, a server), a label beside it names its vectors, so that no score comes from an index of
other vectors.
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
    """The vectors and settings that a lasting index was built from."""

    vectors: str
    """Hash of all document vectors in their order."""
    count: int
    dim: int
    build: str
    """The settings of its building: `VectorStore.build`."""

    def to_json(self) -> str:
        """Return the label as it is stored beside the index."""
        return json.dumps({"made_by": "instructor-eval", **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Label | None:
        """Parse a stored label; None: it is not one."""
        try:
            found = json.loads(text)
            vectors, count, dim, build = (found[name] for name in ("vectors", "count", "dim", "build"))
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        good = isinstance(vectors, str) and isinstance(build, str) and isinstance(count, int) and isinstance(dim, int)
        return cls(vectors, count, dim, build) if good else None


class VectorStore(Protocol):
    """A vector store, from a corpus to answers. Rows have length 1; the similarity is the cosine."""

    build: str
    """Everything that decides how its index is built: its kind and parameters, but not its place or search settings."""
    place: str
    """After `start`, the name of its index in errors; only a lasting store needs it."""

    def start(self, name: str, dim: int, count: int) -> Label | None:
        """Get ready for `count` vectors [dim].

        Args:
            name: Model, task, `build` and instruction; a lasting store uses it as the index's name.
            dim: Length of the vectors.
            count: Number of vectors.

        Returns:
            The label of an existing index, which is then neither added to nor finished; None: it must be built.

        Raises:
            UserError: the store cannot be reached or written, or does not accept these sizes.
        """
        ...

    def add(self, vectors: Vectors) -> None:
        """Add the next documents: float32 [n, dim], of length 1."""
        ...

    def finish(self, label: Label) -> None:
        """Build the index, and store its label beside it as the last step."""
        ...

    def search(self, query: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Find the nearest documents of one query [dim], the best first: their places among added ones, and scores."""
        ...

    def index_bytes(self) -> int | None:
        """Return the bytes of the finished store on disk; None: unknown."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return its part of a score file: `library` with its version, and its own decisions."""
        ...

    def close(self) -> None:
        """Release everything, and remove files that were only for this run."""
        ...


_LONGEST = 4000
_IN_CPP = re.compile(r"^Error in .{1,300}? at \S+:\d+: (Error: )?")
"""The place in FAISS's source that its errors start with; no user needs it."""


class Guard(AbstractContextManager["Guard"]):
    """A block in which any error of a store's library becomes one line.

    Args:
        search: The search's text.
        doing: The work in the block, such as "building the index".
        step: The user's next step.
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
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read_label(path: Path) -> Label | None:
    """Read the label in a file; None: there is none, or it is damaged."""
    try:
        return Label.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
