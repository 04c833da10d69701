"""One side of a comparison: from what a user writes to the scores it means.

A text is one of, a path that exists before everything else:

    results/scores/.../TASK.0123456789abcdef.json   one score, its items beside it
    results/runs/TIME-HASH.json[#LABEL]             what one run made
    DIR[#LABEL]                                     a results folder
    baseline:NAME[/pinned], or its folder or file   what `evaluate baseline` keeps
    published:MODEL                                 published scores, without items
    imported:MODEL                                  scores that were imported, without items
    LABEL                                           a row of the results folder in use

A LABEL is NAME[@REVISION][@VARIANT][:SET][#FINGERPRINT]. Names, revisions and variants hold these signs themselves, so
that a label is never taken apart: it is compared with what each row that there is may be called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval.analysis.compare.side import BASELINES, Side, side_of, without_parts
from instructor_eval.analysis.format import some
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.outside import why
from instructor_eval.core.stored_files import files_below, is_folder, read_json
from instructor_eval.core.values import Items
from instructor_eval.models.variant import BASELINE
from instructor_eval.results.imported import rows_of
from instructor_eval.results.published import published
from instructor_eval.results.readers import default_reader, find_reader, readers_of
from instructor_eval.results.score import Score, is_made_with, key_of
from instructor_eval.results.store import Store, read_items, read_score
from instructor_eval.tasks.protocol import relevant
from instructor_eval.tasks.types.ranking import RANKINGS

_ALIASES = {"sentence-transformers/all-MiniLM-L6-v2": "minilm"}
_SHORTEST_REVISION = 7
_SHORTEST_FINGERPRINT = 6
_MOST_LISTED = 12
_LISTS = ("top", "top_scores", "top_grades", "best_grades", *RANKINGS)


@dataclass(frozen=True)
class _Reader:
    """Reads items from a results folder."""

    store: Store

    def __call__(self, score: Score) -> Items:
        return self.store.items(score)

    def light(self, score: Score) -> Items:
        """Without the lists of found documents: a third of the time of a comparison, which has no use for them."""
        return self.store.items(score, without=_LISTS)


@dataclass
class _Row:
    """The scores of one model, variant and instruction set in one folder."""

    name: str
    fingerprint: str
    variant: str
    instructions: str
    revision: str
    chosen: list[Score] = field(default_factory=list)
    """Those of the protocol, limit and reader asked for."""
    others: list[Score] = field(default_factory=list)
    label: str = ""


def resolve(
    text: str,
    *,
    results: Path,
    protocol: Mapping[str, str],
    limit: int | None = None,
    reader: str | None = None,
    baselines: Path = BASELINES,
) -> Side:
    """The side that `text` names.

    Args:
        text: See the module's text.
        results: The results folder that labels are looked up in.
        protocol: All protocol choices; rows are made of scores with these. Files are taken as they are.
        limit: Rows are made of scores with this `--limit`; None means whole tasks.
        reader: What answered prompt-retrieval tasks, by its name or fingerprint; by default `nearest`, or else the
            first by name.
        baselines: The folder of `baseline:NAME`.

    Raises:
        UserError: there is no such thing, it is not whole, or several things go by that name.
    """
    if text.startswith("published:"):
        return _published(text.removeprefix("published:"))
    if text.startswith("imported:"):
        return _imported(text.removeprefix("imported:"), results)
    if text.startswith("baseline:"):
        from instructor_eval.analysis.compare.baselines import read_named

        return read_named(text.removeprefix("baseline:"), folder=baselines)
    wanted = _Wanted(protocol, limit, reader)
    for path, label in _paths(text):
        found = _from_path(path, label, wanted)
        if found is not None:
            return found
    if not text:
        raise UserError("a side is empty: give a file, a results folder, or the label of a row")
    if text.endswith(".json"):
        raise UserError(f"{text}: no such file: give a score, a run's manifest, or the label of a row")
    if not is_folder(results):
        what = "a folder without results" if _paths(text) else "no such file"
        raise UserError(
            f"'{text}': {what}, and no results folder at {results}: run something first (`evaluate demo`), or "
            "name it with --results"
        )
    return _from_folder(results, text, wanted)


def choose(label: str, scores: Sequence[Score], store: Store) -> Side:
    """Return the side that a label names among scores at hand; an empty label names the only row.

    Raises:
        UserError: none or several do.
    """
    row = _choose(label, _rows(scores, None), f"the results in {store.root}", several="a label")
    return side_of(row.label, row.chosen, _Reader(store), str(store.root), root=store.root)


def every_side(results: Path, *, protocol: Mapping[str, str], limit: int | None = None) -> list[Side]:
    """Return the rows of a results folder that have scores of this protocol and `--limit`.

    Raises:
        UserError: a score file cannot be read.
    """
    store = Store(results)
    rows = _rows(store.scores(), _Wanted(protocol, limit, None))
    return [side_of(r.label, r.chosen, _Reader(store), str(results), root=results) for r in rows if r.chosen]


def labels_of(scores: Sequence[Score]) -> list[str]:
    """Return the labels of the rows that scores make."""
    return [row.label for row in _rows(scores, None)]


# Files and folders


def _paths(text: str) -> list[tuple[Path, str]]:
    """Return the parts of a text that may be an existing path, with the label behind it."""
    path, sign, label = text.partition("#")
    candidates = [(text, "")] + [(path, label)] * (bool(sign) and bool(path))
    try:
        return [(Path(p), rest) for p, rest in candidates if p and Path(p).exists()]
    except (OSError, ValueError):  # too long, or a sign that no file name can hold
        return []


def _from_path(path: Path, label: str, wanted: _Wanted) -> Side | None:
    """The side in a file or folder; None for a folder without results: a model's perhaps, whose label it is."""
    from instructor_eval.analysis.compare import baselines

    if is_folder(path):
        if baselines.is_baseline(path):
            return baselines.read(path)
        return _from_folder(path, label, wanted) if is_folder(path / "scores") else None
    try:
        raw = read_json(path)
    except (OSError, ValueError) as e:
        why_not = why(e)
        raise UserError(
            f"{path}: not a readable score, run or baseline file ({why_not}): give another, or a label"
        ) from e
    raw = raw if isinstance(raw, dict) else {}
    if raw.get("kind") == baselines.KIND:
        return baselines.read(path)
    if "identity" in raw:
        score = read_score(path)
        row = _Row(*key_of(score), score.model.revision, [score])
        _tell_apart([row])
        root = path.resolve().parents[3] if len(path.resolve().parents) > 3 else None  # scores/MODEL/SET/FILE
        return side_of(
            row.label,
            [score],
            lambda _: read_items(path.with_suffix(".parquet"), without=RANKINGS),
            str(path),
            root=root,
        )
    if isinstance(raw.get("scores"), list) and "command" in raw:
        return _from_run(path, raw["scores"], label)
    raise UserError(f"{path}: neither a score nor a run's manifest nor a baseline: give one of these, or a label")


def _from_run(path: Path, entries: Sequence[Any], label: str) -> Side:
    """Return the scores of one run, made or reused, from the results folder that its manifest lies in."""
    root = path.resolve().parent.parent
    named = {e["identity"] for e in entries if isinstance(e, dict) and isinstance(e.get("identity"), str)}
    files = files_below(root / "scores", ".json") if named else []
    scores = [read_score(file) for file in files if file.stem.rpartition(".")[2] in named]
    lost = named - {s.identity for s in scores}
    if lost:
        raise UserError(
            f"{path}: {len(lost)} of its {len(named)} results are no longer in {root}: run its command again"
        )
    if not scores:
        raise UserError(f"{path}: the run has no results yet: let it end, or run its command again")
    rows = _rows(scores, None)
    row = _choose(label, rows, f"run {path}", several=f"{path}#LABEL")
    return side_of(row.label, row.chosen, _Reader(Store(root)), str(path), root=root)


def _from_folder(folder: Path, label: str, wanted: _Wanted) -> Side:
    store = Store(folder)
    rows = _rows(store.scores(), wanted)
    row = _choose(label, rows, str(folder), several=f"{folder}#LABEL" if not label else "one of them in full")
    if not row.chosen:
        raise UserError(f"'{row.label}' in {folder}: {wanted.explain(row.others)}")
    return side_of(row.label, row.chosen, _Reader(store), str(folder), root=folder)


# Rows and their labels


@dataclass(frozen=True)
class _Wanted:
    """Selects the scores of a folder that make its rows (as in `board.build`)."""

    protocol: Mapping[str, str]
    limit: int | None
    reader: str | None

    def among(self, scores: Iterable[Score]) -> list[Score]:
        """Those that are wanted."""
        made = [s for s in scores if is_made_with(s, self.protocol, self.limit)]
        known = readers_of(made)
        reader = find_reader(self.reader, known) if self.reader and known else default_reader(known)
        return [s for s in made if s.answered_by in (None, reader)]

    def explain(self, others: Sequence[Score]) -> str:
        """Return why none of a row's scores were taken, and which flags would take them."""
        limits = sorted({s.limit or 0 for s in others})
        if self.limit not in {s.limit for s in others}:
            flags = " or ".join(f"--limit {n}" if n else "no --limit" for n in limits)
            asked = f"with --limit {self.limit}" if self.limit else "of whole tasks (no --limit)"
            return f"no results {asked}, only with {flags}: give that, or run it again"
        other: dict[str, None] = {}
        for score in others:
            choices = relevant(dict(self.protocol), score.type, score.task)
            differing = (f"{k}={v}" for k, v in score.protocol.items() if choices.get(k) != v)
            other |= dict.fromkeys(differing)
        if other:
            flags = " ".join(f"--protocol {choice}" for choice in other)
            return f"only results of another protocol: give {flags}, or run it again"
        return "only results of another reader: name it with --reader, or run it again"


def _rows(scores: Iterable[Score], wanted: _Wanted | None) -> list[_Row]:
    """A row for each model, variant and instruction set; None wants every score."""
    rows: dict[tuple[str, str, str, str], _Row] = {}
    every = list(scores)
    taken = {id(s) for s in (every if wanted is None else wanted.among(every))}
    for score in every:
        key = key_of(score)
        row = rows.setdefault(key, _Row(*key, score.model.revision))
        (row.chosen if id(score) in taken else row.others).append(score)
    found = list(rows.values())
    _tell_apart(found)
    return found


def _tell_apart(rows: Sequence[_Row]) -> None:
    """Give each row its full label: with the revision, or a piece of the fingerprint, only where it takes that."""

    def count(labels: Sequence[str]) -> list[int]:
        return [labels.count(label) for label in labels]

    plain = [f"{r.name}@{r.variant}:{r.instructions}" for r in rows]
    exact = [f"{r.name}@{r.revision[:8]}@{r.variant}:{r.instructions}" for r in rows]
    for row, label, many, longer, still in zip(rows, plain, count(plain), exact, count(exact), strict=True):
        row.label = label if many == 1 else longer if still == 1 else f"{label}#{row.fingerprint[:8]}"


def _names(row: _Row) -> set[str]:
    return {row.name, row.name.rpartition("/")[2], _ALIASES.get(row.name, row.name)} - {""}


def _is_called(row: _Row, text: str) -> tuple[bool, bool]:
    """Return whether `text` is one of the row's labels, and whether it says the variant."""
    rest, sign, piece = text.rpartition("#")
    if sign and len(piece) >= _SHORTEST_FINGERPRINT and row.fingerprint.startswith(piece):
        text = rest
    for variant in (f"@{row.variant}", ""):
        for instructions in (f":{row.instructions}", ""):
            head = text.removesuffix(variant + instructions)
            if head + variant + instructions == text and any(_is_name(row, name, head) for name in _names(row)):
                return True, bool(variant)
    return False, False


def _is_name(row: _Row, name: str, head: str) -> bool:
    """Return whether `head` is this name, with or without the beginning of the revision."""
    if head == name:
        return True
    revision = head.removeprefix(f"{name}@")
    enough = len(revision) >= min(_SHORTEST_REVISION, len(row.revision))
    return revision != head and bool(revision) and enough and row.revision.startswith(revision)


def _choose(text: str, rows: Sequence[_Row], where: str, *, several: str) -> _Row:
    """The row that a label names; an empty one names the only row that there is.

    Raises:
        UserError: none or several do.
    """
    if not rows:
        raise UserError(f"no results in {where}: run something first (`evaluate demo`)")
    plain = text.removeprefix("./").rstrip("/")
    called = [(row, said) for row in rows for is_it, said in [_is_called(row, plain)] if is_it or not text]
    if not called:
        # The shorter come first among equally close ones.
        called_so = sorted({f"{n}{v}" for r in rows for n in _names(r) for v in ("", f"@{r.variant}")}, key=len)
        hint = did_you_mean(text, called_so) or f": there are {some([row.label for row in rows], _MOST_LISTED)}"
        raise UserError(f"no file, and no row of {where} is called '{text[:200]}'{hint}")
    # The variant decides before what there are results of: int8 must not come up where fp32 was meant. A file or folder
    # as such says no variant, and may be meant to be another: several rows in it are an error.
    for keep in (
        lambda _, said: said,
        lambda r, _: r.variant == BASELINE or not text,
        lambda r, _: bool(r.chosen),
        lambda r, _: r.label == text,
    ):
        called = [(row, said) for row, said in called if keep(row, said)] or called
    if len(called) > 1:
        labels = some([row.label for row, _ in called], _MOST_LISTED)
        raise UserError(f"'{text or where}' may be any of {labels}: give {several}")
    return called[0][0]


# Published and imported scores


def _published(name: str) -> Side:
    known = published()
    found = [entry for model, entry in known.items() if name in (model, model.rpartition("/")[2], _ALIASES.get(model))]
    if len(found) != 1:
        full = [model for model, entry in known.items() if entry.tasks]
        short = [model.rpartition("/")[2] for model in full]
        hint = did_you_mean(name, [*short, *full]) or f": there are {some(full, _MOST_LISTED)}"
        raise UserError(f"no published scores of '{name}'{hint}")
    [entry] = found
    if not entry.tasks:
        raise UserError(f"published:{name}: only means over categories were published, no task's score: give another")
    return Side(f"published:{entry.model}", without_parts(entry.tasks), {}, None, ", ".join(entry.sources), {})


def _imported(name: str, results: Path) -> Side:
    rows = {row.model: row for row in rows_of(results)}
    if name not in rows:
        hint = did_you_mean(name, rows) or (f": there are {some(list(rows), _MOST_LISTED)}" if rows else "")
        raise UserError(f"nothing imported in {results} is called '{name}'{hint or ': `evaluate import` takes it in'}")
    row = rows[name]
    return Side(f"imported:{row.model}", without_parts(row.tasks), {}, None, ", ".join(row.sources), {})
