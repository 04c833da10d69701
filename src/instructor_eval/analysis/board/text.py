"""The board as text: the score table, the variants beside their baselines, and what to make of them in plain words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis import format as difference_text
from instructor_eval.analysis.board import variants_text
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.score_table import is_ranked, lay_out, short_names
from instructor_eval.analysis.board.variants import searched
from instructor_eval.analysis.format import MARKS, points, some
from instructor_eval.core.errors import printable
from instructor_eval.core.output import columns, prose
from instructor_eval.core.tables import blocks, render
from instructor_eval.results.published import PROMPTED
from instructor_eval.results.reading import known
from instructor_eval.results.score import Search
from instructor_eval.results.search_figures import depth, of_parts
from instructor_eval.tasks.cards import shipped_cards

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread

SEARCH_COLUMNS = [
    "search_tasks", "search_k", "search_recall", "search_exact_score", "search_loss", "search_build_seconds",
    "search_queries_per_second", "search_index_bytes",
]  # fmt: skip
"""CSV: beside the score table, where a row went through a store; scores are fractions of 1."""
NOTHING = "no results yet: run `evaluate demo`, or `evaluate --model ... --task ...`"
"""The text of a board without rows."""
_SEARCH_HEADERS = ["search", "tasks", "recall", "loss points", "build s", "queries/s", "index MB"]
_CHUNK_HEADERS = ["chunks", "k tokens"]
_CHUNK_NOTE = "chunks, k tokens: what the documents were cut into, and thousands of tokens of these, overlaps counted."
_SEARCH_NOTE = (
    "recall: share of the k exactly nearest documents that the store found, mean over queries. loss: exact search's "
    "score less the store's, in points. queries/s: one after another, by one caller. All on the machine of the run."
)


def table(board: Board) -> str:
    """Return the board for a terminal: scores, what must be known to read them, variants, searches, and advice."""
    headers, rows = _matrix(board, "table")
    places = {row: i for i, row in enumerate(board.rows)}
    families = [places.get(row.parent or row, i) for row, i in places.items()]
    shown, left_out = lay_out(headers, rows, families=families, width=columns())
    ranked = board.tasks if is_ranked(rows) else ()
    said = [*notes(board, means_shown(board, measured=True), ranked), *map(printable, left_out)]
    further = [*variants_text.tables(board, "table"), *search_tables(board, "table")]
    return "\n\n".join([shown, prose(" ".join(said)), *further, *map(prose, variants_text.reading(board))])


def means_shown(board: Board, *, measured: bool = False) -> list[str]:
    """Return the columns of means that some row has; with `measured` those of measured rows, where there are any."""
    ours = [row for row in board.rows if row.source == "measured"] if measured else []
    return [m for m in board.means if any(m in row.means for row in ours or board.rows)]


def csv_table(board: Board) -> tuple[list[str], list[list[Any]]]:
    """Return headers and rows of the board's CSV, in the board's order; None where there is nothing."""
    headers, rows = _matrix(board, "csv")
    if board.families:
        headers += variants_text.CSV_COLUMNS
        rows = [[*shown, *variants_text.csv_cells(row)] for row, shown in zip(board.rows, rows, strict=True)]
    if any(search_figures(row) for row in board.rows):
        headers += SEARCH_COLUMNS
        rows = [[*shown, *_search_cells(row)] for row, shown in zip(board.rows, rows, strict=True)]
    further = _csv_columns(board, means_shown(board))
    headers += further
    return headers, [[*shown, *(of(r) for of in further.values())] for r, shown in zip(board.rows, rows, strict=True)]


def _matrix(board: Board, form: str) -> tuple[list[str], list[list[Any]]]:
    """Return the score table: rank, model, instructions, means, tasks."""
    means = means_shown(board, measured=form == "table")
    names = short_names(board.rows) if form == "table" else {}
    headers = ["rank", "model", "instructions", *means, *board.tasks]
    rows = [
        [
            rank_cell(r, form),
            names.get(r, r.model),
            r.instructions,
            *(mean_cell(r, m, board, form) for m in means),
            *(cell(r, t, form) for t in board.tasks),
        ]
        for r in board.rows
    ]
    if board.reader is not None and form != "table":  # a table says it below; elsewhere two exports must differ
        headers.insert(3, "reader")
        for row, shown in zip(board.rows, rows, strict=True):
            shown.insert(3, board.reader if row.source == "measured" else None)
    return headers, rows


def rank_cell(row: Row, form: str) -> Any:
    """Return a row's rank, `1 [1, 2]` with its interval; None where it has none."""
    if form == "csv" or row.rank_low is None:
        return row.rank
    return f"{row.rank} [{row.rank_low}, {row.rank_high}]"


def cell(row: Row, task: str, form: str, *, places: int = 2) -> str | None:
    """Return a row's score of a task: `▼ 64.51 ±4.1`, `failed`, or None; CSV has the bare number."""
    if task in row.failed:
        return "failed"
    if task not in row.tasks:
        return None
    text = points(row.tasks[task], places)
    if form == "csv":
        return text
    text += _half(row.spreads.get(task), places)
    mark = row.marks[task].verdict if task in row.marks else ""
    if mark not in ("better", "worse"):
        return text
    # In front of the number, so that those of a column stay below each other.
    return f"{text} {mark}" if form == "latex" else f"{MARKS[mark]} {text}"


def _half(spread: Spread | None, places: int) -> str:
    """Return ` ±4.1`, half the interval in points; ` (±4.1)` where that is weak, nothing where there is none.

    It has a digit less than the score, but no less than one where that has any, and one more where it would be 0.
    """
    if spread is None or spread.half is None:
        return ""
    half, digits = 100 * spread.half, max(min(places, 1), places - 1)
    text = f"±{half:.{digits if half >= 0.5 * 10**-digits else digits + 1}f}"
    return f" ({text})" if spread.weak else f" {text}"


def mean_cell(row: Row, name: str, board: Board, form: str, *, places: int = 2) -> str | None:
    """Return a row's mean: `74.16 ±3.8 (3/4)` where one of four tasks is missing; None where it has none."""
    mean = row.means.get(name)
    if mean is None:
        return None
    mark = "*" if _is_other_reader(row, name, board) else ""
    half = "" if form == "csv" else _half(row.mean_spreads.get(name), places)
    return f"{points(mean.value, places)}{half}{mark}" + ("" if mean.complete else f" ({mean.n}/{mean.of})")


def _csv_columns(board: Board, means: Sequence[str]) -> dict[str, Callable[[Row], Any]]:
    """Return what CSV has behind everything else: ends of the intervals, and the marks; only those that there are."""
    columns: dict[str, Callable[[Row], Any]] = {}

    def ends(name: str, of: Callable[[Row], Mapping[str, Spread]]) -> None:
        if any(name in of(row) for row in board.rows):
            columns[f"{name}_low"] = lambda row: _end(of(row).get(name), "low")
            columns[f"{name}_high"] = lambda row: _end(of(row).get(name), "high")

    if any(row.rank_low is not None for row in board.rows):
        columns |= {"rank_low": lambda row: row.rank_low, "rank_high": lambda row: row.rank_high}
    for mean in means:
        ends(mean, lambda row: row.mean_spreads)
    for task in board.tasks:
        ends(task, lambda row: row.spreads)
    if board.baseline is not None:
        columns |= {f"{task}_mark": _marks_of(task) for task in board.tasks}
    return columns


def _marks_of(task: str) -> Callable[[Row], str | None]:
    return lambda row: row.marks[task].verdict if task in row.marks else None


def _end(spread: Spread | None, which: str) -> str | None:
    value = getattr(spread, which, None)
    return None if value is None else f"{100 * value:.4f}"


def _is_other_reader(row: Row, mean: str, board: Board) -> bool:
    """Tell whether a published mean was made with language models that did not answer here."""
    return row.source == "published" and board.reader is not None and mean in (PROMPTED, "Nine-category")


def notes(board: Board, means: Sequence[str], ranked: Sequence[str] | None = None) -> list[str]:
    """Return what must be known to read the score table, a sentence or two each.

    Args:
        board: The board, with the tasks that are shown.
        means: The means that are shown.
        ranked: The tasks that ranks are of; none where no rank is shown.
    """
    ranked = board.tasks if ranked is None else ranked
    sentences = ["Scores x 100."]
    if ranked:
        over = "the task columns" if list(ranked) == list(board.tasks) else f"{len(ranked)} tasks"
        which = "measured rows and baseline variants only" if board.families else "measured rows only"
        sentences[0] += f" rank: Borda count over {over}, {which}."
    if any(m in r.means and not r.means[m].complete for r in board.rows for m in means):
        sentences.append("(n/of): a mean over n of the tasks that belong to it.")
    if any(r.source == "published" for r in board.rows):
        sentences.append("published: others' numbers, not measured here (results/reference).")
    if board.imported:
        sentences.append(
            printable(f"imported: from others' files, not tested here: {some(board.imported, len(board.imported))}.")
        )
    if board.published_apart:
        sentences.append(
            "Published scores are of whole tasks and of mteb's protocol or the paper's: left out where these results "
            "are not."
        )
    return sentences + _interval_notes(board, means, ranked) + _prompting_notes(board, means)


def _interval_notes(board: Board, means: Sequence[str], ranked: Sequence[str]) -> list[str]:
    """Return what ±, the ranks' intervals and the marks mean, of those that are there."""
    sentences = []
    shown = [(row.spreads, board.tasks) for row in board.rows] + [(row.mean_spreads, means) for row in board.rows]
    spreads = [s for found, names in shown for name in names if (s := found.get(name)) and s.half is not None]
    if spreads:
        sentences.append("±: half of the 95 % interval, for other items of this kind.")
    if any(s.weak for s in spreads):
        sentences.append("(±): too few items to rely on it.")
    if ranked and any(row.rank_low is not None for row in board.rows):
        sentences.append("rank [a, b]: its 95 % interval, for other tasks and items of this kind.")
    marks = {row.marks[t].verdict for row in board.rows for t in board.tasks if t in row.marks}
    if marks & {"better", "worse"}:
        whom = "the variant's baseline" if board.baseline is None else f"{board.baseline.model}, the baseline row"
        means_of = "higher or lower" if board.lower or board.neutral else "better or worse"
        sentences.append(f"▲ ▼: {means_of} than {whom}, by the paired 95 % interval, each task alone.")
    elif board.baseline is not None and marks:
        sentences.append(
            f"No score differs from that of {board.baseline.model}, the baseline row, beyond its interval."
        )
    if board.without_items:
        sentences.append(f"No ±, as items are not whole: {some(board.without_items)}; ranks take the score.")
    if board.unmarked:
        sentences.append(f"Not compared with the baseline row: {some(board.unmarked)}.")
    return [printable(note) for note in sentences]


def _prompting_notes(board: Board, means: Sequence[str]) -> list[str]:
    if board.reader is None:
        return []
    sentences = [f"Prompt retrieval: answers by {board.reader}."]
    if any(m in r.means and _is_other_reader(r, m, board) for r in board.rows for m in means):
        sentences.append("*: the paper's readers were GPT-J and, for GeoQuery and MultiWOZ, a model since retired.")
    retired = [t for t in board.tasks if t in shipped_cards() and shipped_cards()[t].options.get("retired_reader")]
    if retired:
        sentences.append(
            f"{' and '.join(retired)}: the paper's reader is retired, its numbers cannot be compared with."
        )
    return sentences


def as_json(row: Row, board: Board) -> dict[str, Any]:
    """Return a row as JSON has it; fractions of 1, null where unknown."""
    return {
        "rank": row.rank,
        "model": row.model,
        "revision": row.revision,
        "variant": row.variant,
        "fingerprint": row.fingerprint,
        "instructions": row.instructions,
        "search": {name: value for name, value in known(search_figures(row)).items() if name != "backend"},
        "searches": {t: known(row.scores[t].search) for t in board.tasks if t in row.scores and row.scores[t].search},
        "source": row.source,
        "reader": board.reader if row.source == "measured" else None,
        "borda": row.borda,
        "means": {m: dataclasses.asdict(v) for m, v in row.means.items()},
        "tasks": {t: row.tasks.get(t) for t in board.tasks},
        "failed": sorted(row.failed),
        **variants_text.as_json(row, board.families.get(row, ())),
        "rank_low": row.rank_low,
        "rank_high": row.rank_high,
        "intervals": {t: _interval(s) for t, s in row.spreads.items()},
        "mean_intervals": {m: _interval(s) for m, s in row.mean_spreads.items()},
        "baseline": board.baseline.model if board.baseline else None,
        "against_baseline": {t: difference_text.as_json(d) for t, d in row.marks.items()} if board.baseline else {},
    }


def _interval(spread: Spread) -> dict[str, Any]:
    return {name: getattr(spread, name) for name in ("low", "high", "se", "n", "method", "weak")}


def search_figures(row: Row) -> Search | None:
    """Return a row's figures over the tasks that went through its store; None where all were searched exactly."""
    return of_parts([row.scores[task].search for task in searched(row)])


def search_tables(board: Board, form: str) -> list[str]:
    """Return the table of vector stores: what each finds of what exact search finds, and what it takes."""
    found = [(row, figures) for row in board.rows if (figures := search_figures(row))]
    if not found:
        return []
    cut = any(figures.chunks is not None for _, figures in found)
    headers = [*_SEARCH_HEADERS, *_CHUNK_HEADERS] if cut else _SEARCH_HEADERS
    if form != "table":
        rows = [[row.name, row.instructions, *_search_line(row, figures, cut=cut)] for row, figures in found]
        return [render(["model", "instructions", *headers], rows, form, left=3)]
    width = columns()
    families: dict[str, list[list[str | None]]] = {}
    for row, figures in found:
        families.setdefault(f"{row.name}, instructions {row.instructions}", []).append(
            _search_line(row, figures, cut=cut)
        )
    blocks_of = []
    for family, rows in families.items():
        what = "Searches through vector stores and chunks" if cut else "Searches through vector stores"
        blocks_of.append(printable(f"{what} of {family}"))
        blocks_of.append(blocks(headers, rows, left=1, width=width))
    return [*blocks_of, prose(f"{_SEARCH_NOTE} {_CHUNK_NOTE}" if cut else _SEARCH_NOTE)]


def _search_cells(row: Row) -> list[float | int | None]:
    """Return a row's `SEARCH_COLUMNS`; None where all was searched exactly, or a file does not say."""
    figures, names = search_figures(row), [name.removeprefix("search_") for name in SEARCH_COLUMNS[1:]]
    return [len(searched(row)) or None, *(getattr(figures, name, None) for name in names)]


def _search_line(row: Row, figures: Search, *, cut: bool) -> list[str | None]:
    chunks, tokens = figures.chunks, figures.chunk_tokens
    of_chunks = [None if chunks is None else f"{chunks:,}", None if tokens is None else f"{tokens / 1000:,.0f}"]
    recall, loss, build = figures.recall, figures.loss, figures.build_seconds
    rate, size = figures.queries_per_second, figures.index_bytes
    return [
        printable(row.variant),
        str(len(searched(row))),
        None if recall is None else f"{recall:.3f} @{depth(figures)}",
        None if loss is None else f"{100 * loss:.2f}",
        None if build is None else f"{build:,.1f}",
        None if rate is None else f"{rate:,.0f}",
        None if size is None else f"{size / 1e6:,.1f}",
        *(of_chunks if cut else ()),
    ]
