"""`--search`: the search for documents in retrieval tasks. Plain values; no store is imported here.

A search has a canonical text, `KIND[:PART,PART,...]`: `exact`, `faiss:HNSW32,efSearch=64`, `lancedb:IVF_PQ,nprobes=20`,
`milvus:http://localhost:19530,HNSW`. Parts with `=` are parameters; each kind defines its other parts. The text is the
command line's syntax, part of a score's identity, and follows the variant's name in every table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from instructor_eval.core import libraries, plugins
from instructor_eval.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from instructor_eval.search.chunks import ChunkSpec
    from instructor_eval.search.store import VectorStore

EXACT = "exact"
_LONGEST = 200
_CONTRACT = ("build", "start", "add", "finish", "search", "index_bytes", "describe", "close")

Open: TypeAlias = "Callable[[SearchSpec], VectorStore]"


@dataclass(frozen=True)
class Kind:
    """A kind of vector store."""

    name: str
    what: str
    """Its syntax and what it is, in one line."""
    open: str
    """`module:function` that makes it: `SearchSpec` -> `store.VectorStore`, without opening or writing anything."""
    modules: tuple[str, ...] = ()
    """Modules that must be installed beside the extra `run`."""
    extra: str = ""
    """The extra that brings them."""
    place_option: str = "place"
    """The parameter for the place of its index, for errors."""
    plugin: plugins.Plugin | None = None
    """The installed package that brings it; None: built in. A package's `open` is empty."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("faiss", "faiss:FACTORY[,NAME=VALUE...]: a FAISS index, as faiss:HNSW32,efSearch=64",
             "instructor_eval.search.stores.faiss:open_store", ("faiss",), "faiss", "path=FOLDER"),
        Kind("lancedb", "lancedb[:INDEX][,NAME=VALUE...]: a LanceDB table, as lancedb:IVF_PQ,nprobes=20",
             "instructor_eval.search.stores.lancedb:open_store", ("lancedb",), "lancedb", "uri=FOLDER"),
        Kind("milvus", "milvus[:URI][,INDEX][,NAME=VALUE...]: a Milvus server, or the embedded Milvus Lite",
             "instructor_eval.search.stores.milvus:open_store", ("pymilvus", "milvus_lite"), "milvus",
             "collection=PREFIX"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class SearchSpec:
    """A search as the user asked for it."""

    kind: str
    words: tuple[str, ...] = ()
    """The parts without `=`, in their order."""
    parameters: tuple[tuple[str, str], ...] = ()
    """The parts with `=`, in their order."""
    chunk: ChunkSpec | None = None
    """How documents are cut; None: they are whole."""

    def __str__(self) -> str:
        parts = [*self.words, *(f"{name}={value}" for name, value in self.parameters)]
        text = f"{self.kind}:{','.join(parts)}" if parts else self.kind
        return text if self.chunk is None else f"{text}+{self.chunk}" if self.is_store else str(self.chunk)

    @property
    def shown(self) -> str:
        """Its text for people, short and without keys or passwords that an address may have."""
        return _shown(str(self))

    @property
    def is_exact(self) -> bool:
        """True for the default: every document, whole, is compared with every query."""
        return not self.is_store and self.chunk is None

    @property
    def is_store(self) -> bool:
        """True where a vector store searches."""
        return self.kind != EXACT

    @classmethod
    def parse(cls, text: str) -> SearchSpec:
        """Parse `--search`.

        Raises:
            UserError: an unknown kind, or a malformed part; the store itself checks its parts when it opens.
        """
        text = text.strip()
        kind, colon, rest = text.partition(":")
        known = (EXACT, *known_kinds())
        if kind not in known:
            hint = did_you_mean(kind, known) or f": give one of {', '.join(known)}"
            raise UserError(f"unknown search '{_shown(text)}'{hint}")
        parts = rest.split(",") if colon else []
        if (kind == EXACT and colon) or not all(parts) or not text.isprintable() or " " in text or len(text) > _LONGEST:
            shape = "exact takes no parts" if kind == EXACT else known_kinds()[kind].what
            raise UserError(f"search '{_shown(text)}' cannot be read: {shape}")
        named = [part.partition("=") for part in parts if "=" in part]
        names = [name for name, _, _ in named]
        if not all(name.isidentifier() and value for name, _, value in named) or len(set(names)) < len(names):
            raise UserError(
                f"search '{_shown(text)}': parameters are NAME=VALUE, each once: {known_kinds()[kind].what}"
            )
        return cls(kind, tuple(p for p in parts if "=" not in p), tuple((name, value) for name, _, value in named))

    def build(self, words: Sequence[str], names: Collection[str]) -> str:
        """Return the text that decides how an index is built: these words, and the parameters of these names."""
        return str(SearchSpec(self.kind, tuple(words), tuple(sorted(p for p in self.parameters if p[0] in names))))

    def check_parameters(self, known: Collection[str], what: str = "") -> None:
        """Check that all parameters are known.

        Args:
            known: All names.
            what: The thing that has them; by default the kind of store.

        Raises:
            UserError: one is unknown. The line leaves out its value, which may be a secret key.
        """
        for name, _ in self.parameters:
            if name not in known:
                hint = did_you_mean(name, known) or f": it has {', '.join(known) or 'none'}"
                raise UserError(f"search '{self.kind}': {what or self.kind} has no parameter '{name}'{hint}")

    def numbers(self, names: Mapping[str, int]) -> dict[str, int]:
        """Return the parameters that are whole numbers.

        Args:
            names: The parameters' names, each with its smallest value.

        Raises:
            UserError: one is not such a number.
        """
        found = {}
        for name, value in self.parameters:
            if name in names:
                if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) >= names[name]):
                    raise UserError(f"search '{self}': {name}={value} is no whole number of at least {names[name]}")
                found[name] = int(value)
        return found


EXACT_SEARCH = SearchSpec(EXACT)
"""The default."""


def _shown(text: str) -> str:
    kind, _, rest = text.strip().partition(":")
    return f"{kind[:60]}:..." if "@" in rest or "?" in rest else text[:60]


def known_kinds() -> dict[str, Kind]:
    """Return all kinds of stores by name: the built-in ones, then those of installed packages."""
    others = {
        name: Kind(name, f"{name}[:PART,...]: a store of {found.package or found.value}", "", plugin=found)
        for name, found in plugins.found(plugins.SEARCH).items()
        if name not in (EXACT, *KINDS)
    }
    return {**KINDS, **others}


def open_store(spec: SearchSpec) -> VectorStore:
    """Return the store of a search, its parts checked; nothing is written yet.

    Raises:
        UserError: a library is not installed, or the store does not accept its parts.
    """
    kind = known_kinds()[spec.kind]
    if kind.plugin is not None:
        return _of_plugin(kind.plugin, spec)
    libraries.require(kind.modules, kind.extra, f"search {spec.kind}")
    module, _, function = kind.open.partition(":")
    opened: VectorStore = getattr(importlib.import_module(module), function)(spec)
    return opened


def _of_plugin(plugin: plugins.Plugin, spec: SearchSpec) -> VectorStore:
    """Make a package's store.

    Raises:
        UserError: it cannot be loaded or made, or does not follow the contract.
    """
    factory = plugin.load(callable, "function that makes a store")
    store: VectorStore = plugin.run(lambda: factory(spec), f"makes no store of '{spec}'")
    lacking = plugin.run(lambda: [part for part in _CONTRACT if not hasattr(store, part)], "cannot be used")
    if lacking:
        parts = ", ".join(lacking)
        raise UserError(f"{plugin.what}: its store has no {parts} (search.store.VectorStore): fix or uninstall it")
    return store
