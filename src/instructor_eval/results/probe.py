"""Probes: the vectors that a model gave here, for a small fixed sample of texts; what the drift gate compares.

    DIR/probes/<model>/<fingerprint>.<digest>.npz

A run that computes vectors takes a probe of its network once, fresh, never from the cache of vectors (which would hide
a change of code or library). The score names it in `environment["probe"]`: fingerprint of the vectors as the cache
knows them (of the numeric form, not of what an index keeps), and a digest of the vectors and all they were made with.
The same vectors under the same circumstances are the same file; others never replace it.

The file is NumPy's own, read without pickle: the array `vectors`, float32 [`COUNT`, dim] (of a model of pictures
`PICTURES` rows more), and `about`, JSON in UTF-8.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.core.environment import versions
from instructor_eval.core.errors import DamagedFileError, UserError, one_line, reason
from instructor_eval.core.machine import machine
from instructor_eval.core.outside import read_bytes
from instructor_eval.core.paths import slug
from instructor_eval.core.pictures import Item
from instructor_eval.core.sample_pictures import sample as sample_pictures
from instructor_eval.core.sample_texts import INSTRUCTION, SAMPLE_VERSION, sample
from instructor_eval.core.stored_files import parse_json
from instructor_eval.core.values import Vectors
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.checksums import identity
from instructor_eval.results.score import Score

if TYPE_CHECKING:
    from instructor_eval.models.engine import BaseEngine

SCHEMA_VERSION = 1
COUNT = 32
"""Texts of the sample: 3 to 200 words, about two seconds of a large model on a slow machine."""
PICTURES = 8
"""Pictures after them, of a model that reads pictures."""
SUFFIX = ".npz"
_NAME = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}")
_LARGEST = 64 * 1024**2
_MEND = "delete it and run a task again with --no-cache"


@dataclass(frozen=True, eq=False)
class Probe:
    """The vectors of the sample, and what they were made with."""

    model: str
    revision: str
    form: str
    """the numeric form, and what the cache rounds vectors to, if it does"""
    fingerprint: str
    """of the model in this form: two probes with another one are of other vectors by intent"""
    instruction: str
    sample_version: int
    versions: Mapping[str, str]
    """of ourselves, Python and the libraries"""
    machine: Mapping[str, Any]
    """processor, cores, threads, device; how the run was asked to compute"""
    created: str
    vectors: Vectors
    """float32 [texts, dim]"""
    schema_version: int = SCHEMA_VERSION

    @property
    def about(self) -> dict[str, Any]:
        """Everything but the vectors, as JSON has it."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "vectors"}

    @property
    def digest(self) -> str:
        """Hash (16 hex digits) of the vectors, bit by bit, and of what they were made with; not of when."""
        values = hashlib.sha256(repr(self.vectors.shape).encode() + self.vectors.tobytes()).hexdigest()
        return identity({k: v for k, v in self.about.items() if k != "created"} | {"vectors": values})

    @property
    def name(self) -> str:
        """Return its name in a score."""
        return f"{self.fingerprint}.{self.digest}"


def distance(one: Probe, other: Probe) -> Vectors | None:
    """Return 1 - cosine of the two vectors of each text, float64 [texts], exactly 0 for equal ones.

    None where the probes are not of the same texts with the same instruction, or the vectors have not as many values:
    nothing can be said then. Whether the models are the same by name is not asked.
    """
    import numpy as np

    if (one.sample_version, one.instruction) != (other.sample_version, other.instruction):
        return None
    if one.vectors.shape != other.vectors.shape:
        return None
    # |a - b|^2 / 2 of unit vectors is 1 - cosine, and loses nothing where that is near 0.
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (p.vectors.astype(np.float64) for p in (one, other))]
    return np.asarray(np.sum((units[0] - units[1]) ** 2, axis=1) / 2)


class Prober:
    """Takes the probe of one engine when it has computed something, and files it; an error is one line, once.

    Args:
        engine: The engine of a run; None where nothing is embedded.
        root: The results folder.
        say: Called with an error: a probe never costs a score.
        debug: Raise what is no `UserError` instead.
    """

    def __init__(
        self, engine: BaseEngine | None, root: Path, say: Callable[[str], None], *, debug: bool = False
    ) -> None:
        self._engine, self._root, self._say, self._debug = engine, root, say, debug
        self._name: str | None = None
        self._tried = False

    def name(self) -> str | None:
        """The name of the probe; None where this engine has computed nothing yet, or no probe could be taken.

        A network that is not loaded is not loaded for it: whoever found all vectors in the cache has tested nothing.
        """
        totals = self._engine.totals if self._engine is not None else None
        if self._engine is not None and totals and totals.unique > totals.hits and not self._tried:
            self._tried = True
            try:
                probe = self._take(self._engine)
                self._file(probe)
                self._name = probe.name
            except UserError as e:
                self._say(f"  no probe taken, the drift gate will miss it: {e}")
            except Exception as e:  # a library's, perhaps
                if self._debug:
                    raise
                line = f"no probe taken, the drift gate will miss it: unexpected {type(e).__name__}: {e}"
                self._say("  " + one_line(f"{line} (--debug shows where)")[:500])
        return self._name

    def _take(self, engine: BaseEngine) -> Probe:
        return take(engine)

    def _file(self, probe: Probe) -> None:
        write(self._root, probe)


def take(engine: BaseEngine) -> Probe:
    """Embed the sample, whatever the cache holds; then some pictures, if the model reads them.

    The engine's totals do not count it.

    Raises:
        UserError: the network cannot be loaded, or gives no usable vectors.
    """
    checkpoint = engine.model
    instruction = "" if checkpoint.family == "plain" else INSTRUCTION
    fresh = engine.uncached()
    items: list[Item] = list(sample(COUNT))
    if checkpoint.reads_pictures:
        items += sample_pictures(PICTURES)
    vectors = fresh.encode(items, instruction)
    here = machine(fresh.device)
    return Probe(
        model=checkpoint.name,
        revision=checkpoint.revision,
        form=engine.space.variant,
        fingerprint=engine.space.fingerprint,
        instruction=instruction,
        sample_version=SAMPLE_VERSION,
        versions={**here.pop("libraries", {}), **versions()},
        machine={**here, "device": fresh.device, **fresh.options()},
        created=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        vectors=vectors,
    )


def write(root: Path, probe: Probe) -> Path:
    """File a probe; one of the same name is the same, and stays.

    Raises:
        UserError: the folder cannot be written.
    """
    path = _path(root, probe.model, probe.name)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, lambda f: f.write(_content(probe)))
        except OSError as e:
            raise UserError(f"cannot write {path}: {reason(e)}: correct that and run the same command again") from e
    return path


def find(root: Path, score: Score) -> Path | None:
    """The file of a score's probe in a results folder; None where it names none, or the file is not there."""
    name = score.environment.probe
    path = _path(root, score.model.name, name) if name else None
    return path if path and path.is_file() else None


def newest(root: Path, scores: Iterable[Score]) -> Path | None:
    """The file of the newest of these scores that has a probe."""
    found = ((score.created, path) for score in scores if (path := find(root, score)))
    return max(found, default=("", None))[1]


def read(path: Path) -> Probe:
    """Read a probe, wherever its file was copied.

    Raises:
        DamagedFileError: it cannot be read, is not whole, or its name is not that of its content.
        UserError: its schema version is unknown.
    """
    try:
        about, vectors = _load(path)
    except (OSError, ValueError, LookupError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as e:
        raise DamagedFileError(f"{path}: not a readable probe ({e}): {_MEND}") from e
    version = about.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {version!r} is not {SCHEMA_VERSION}: it was written by another version of "
            "instructor-eval, use that one or run the task again"
        )
    known = {f.name for f in dataclasses.fields(Probe)} - {"vectors"}
    try:
        probe = Probe(**{k: v for k, v in about.items() if k in known}, vectors=vectors)
        _check(probe)
        named = path.name.removesuffix(SUFFIX)
        if _NAME.fullmatch(named) and named != probe.name:
            raise ValueError("its name is not that of its content: it was changed")
    except (TypeError, ValueError) as e:
        raise DamagedFileError(f"{path}: not a whole probe ({e}): {_MEND}") from e
    return probe


def _load(path: Path) -> tuple[dict[str, Any], Vectors]:
    import numpy as np

    content = io.BytesIO(read_bytes(path, _LARGEST))
    with zipfile.ZipFile(content) as archive:
        if sum(part.file_size for part in archive.infolist()) > _LARGEST:
            raise ValueError("too large")
    with np.load(content, allow_pickle=False) as arrays:
        vectors, about = arrays["vectors"], parse_json(arrays["about"].tobytes())
    if not isinstance(about, dict):
        raise TypeError("no description")
    return about, vectors


def _check(probe: Probe) -> None:
    """Check the fields that every reader relies on."""
    import numpy as np

    texts = (probe.model, probe.revision, probe.form, probe.fingerprint, probe.instruction, probe.created)
    if not all(isinstance(text, str) for text in texts) or not isinstance(probe.sample_version, int):
        raise TypeError("a value is of another type than expected")
    if not isinstance(probe.versions, dict) or not isinstance(probe.machine, dict):
        raise TypeError("a value is of another type than expected")
    values = probe.vectors
    if values.dtype != np.float32 or values.ndim != 2 or not np.isfinite(values).all() or not values.any(axis=1).all():
        raise TypeError("its vectors are not finite numbers, or all zero")


def _path(root: Path, model: str, name: str) -> Path:
    return root / "probes" / slug(model) / f"{name}{SUFFIX}"


def _content(probe: Probe) -> bytes:
    import numpy as np

    about = json.dumps(probe.about, ensure_ascii=True, sort_keys=True).encode("ascii")
    buffer = io.BytesIO()
    np.savez(buffer, vectors=probe.vectors, about=np.frombuffer(about, dtype=np.uint8))
    return buffer.getvalue()
