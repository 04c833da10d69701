"""The page: one HTML file that needs no network, and no JavaScript to be read.

Everything is written here, once, by templates that escape every text. The page's own script arranges what is there:
it sorts, filters, opens and copies. What stands behind single cells lies open in a small page; in a large one it is
packed (`pack.py`: JSON, DEFLATE, base64), and the browser unpacks it when it is asked for.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.board import advice_text, text
from instructor_eval.analysis.board.advice import advise
from instructor_eval.analysis.board.advice_text import Reason
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.format import interval_text, points, score_text, some
from instructor_eval.analysis.gate.text import MARKS
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import printable
from instructor_eval.report import chart, details, labels, pack, pairs, profile, sections, steps, table, verdict
from instructor_eval.report.details import counted
from instructor_eval.report.lines import MODEL, PUBLISHED, Line, lines
from instructor_eval.report.studies import StudySection
from instructor_eval.report.texts import ItemTexts
from instructor_eval.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

INLINE = 150_000
"""So many characters of parts lie open in the page; more are packed."""
_SIZES = (25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Request:
    """The parts of the page."""

    board: Board
    evidence: Evidence
    """Of the board's scores, for differences between instruction sets."""
    results: str
    """The results folder, as the user named it."""
    title: str = "Embedding leaderboard"
    gate: Path | None = None
    """The `gate.json` whose verdict stands first."""
    command: Sequence[str] = ()
    """The invocation that makes the page."""
    studies: Sequence[StudySection] = ()
    texts: ItemTexts | None = None
    """Finds the texts of the lowest and highest items; None: only their ids are shown."""
    thumbnails: Thumbnails | None = None
    """Draws the pictures of the lowest items; None: they are not shown."""
    overlaps: Sequence[str] = ()
    """Which rows were trained on texts of their tasks."""


@dataclass
class Page:
    """Everything that the template says."""

    title: str
    results: str
    command: str
    summary: str = ""
    version: str = VERSION
    csp: str = ""
    css: Markup | str = ""
    js: Markup | str = ""
    packed: str = ""
    inline: bool = True
    parts: dict[str, Markup] = field(default_factory=dict)
    verdict: verdict.Verdict | None = None
    verdict_command: str = ""
    verdict_doubt: str = ""
    """The sentence where the gate judged other scores than the table shows."""
    advice: str = ""
    """The sentence on top."""
    reasons: list[Reason] = field(default_factory=list)
    """The rows that it rests on."""
    basis: str = ""
    line_of: dict[Row, Line] = field(default_factory=dict)
    scores: int = 0
    lines: list[Line] = field(default_factory=list)
    columns: list[table.Column] = field(default_factory=list)
    by_benchmark: list[table.Group] = field(default_factory=list)
    by_type: list[table.Group] = field(default_factory=list)
    cells: dict[Line, list[table.Cell]] = field(default_factory=dict)
    sides: dict[Line, str] = field(default_factory=dict)
    """The name by which `evaluate compare` knows each line."""
    section_of: dict[Line, str] = field(default_factory=dict)
    families: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)
    benchmarks: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Megabytes on disk that some rows are above and some not."""
    megabytes: dict[Line, str] = field(default_factory=dict)
    one_set: bool = True
    """True where all rows have one instruction set, so that nobody needs to read it."""
    has_published: bool = False
    costs: int = 0
    """How many rows say what they cost."""
    baseline: str = ""
    """Id of the board's baseline row."""
    charts: list[chart.Chart] = field(default_factory=list)
    frame: Any = chart
    """Where the charts' axes are: the constants of `chart.py`."""
    chart_note: str = ""
    by_types: profile.Profile | None = None
    """Rows by task type."""
    profile_names: dict[Line, str] = field(default_factory=dict)
    profile_frame: Any = profile
    steps: list[steps.Steps] = field(default_factory=list)
    """Training runs, score against step."""
    notes: str = ""
    left_out: str = ""
    overlaps: Sequence[str] = ()
    worth: list[tuple[str, str]] = field(default_factory=list)
    studies: Sequence[StudySection] = ()
    models: list[sections.ModelSection] = field(default_factory=list)
    tasks: list[sections.TaskSection] = field(default_factory=list)
    machines: list[details.Facts] = field(default_factory=list)


def render(request: Request) -> bytes:
    """Return the whole page in UTF-8. The same board, gate and command give the same bytes.

    Raises:
        UserError: the gate's file cannot be read.
    """
    environment = _environment()
    page = Page(request.title, request.results, shlex.join(request.command), studies=request.studies)
    board = request.board
    page.columns = table.columns(board)
    page.lines = lines(board, request.evidence)
    page.line_of = {line.row: line for line in page.lines}
    places = table.places(page.columns)
    if request.gate is not None:
        page.verdict = verdict.read_verdict(request.gate, places)
        page.verdict_command = shlex.join(page.verdict.command)
    _fill_table(page, board)
    page.verdict_doubt = _doubt(page)
    advice = advise(board, request.evidence)
    if advice is not None:
        page.advice, page.reasons = advice_text.sentence(advice), advice_text.reasons(advice)
        page.basis = advice_text.basis(advice)
    named = list(dict.fromkeys([advice.pick.row, advice.best.row])) if advice else []
    _fill_charts(page, board, named)
    page.by_types = profile.profile(page.lines, page.columns, named)
    page.profile_names = lines_named([one.line for one in page.by_types.series]) if page.by_types else {}
    page.steps = steps.step_charts(page.lines, [c.name for c in page.columns if c.is_task])
    parts = _Parts(page, environment)
    _fill_sections(page, request, parts)
    for drawn in page.charts[1:]:  # the first always lies open
        parts.chart(drawn)
    parts.decide()
    _fill_head(page, board)
    page.overlaps = request.overlaps
    page.packed = _packed(page, board)
    page.css, page.js = _asset("report.css"), _asset("filters.js") + _asset("profile.js") + _asset("report.js")
    page.csp = "; ".join([
        "default-src 'none'", f"script-src {_hash(page.js)}", f"style-src {_hash(page.css)}", "img-src data:",
        "base-uri 'none'", "form-action 'none'",
    ])  # fmt: skip
    written = environment.get_template("page.html.j2").render(page=page)
    return written.encode("utf-8", "replace")


def lines_named(found: Sequence[Line]) -> dict[Line, str]:
    """Return short names of lines, as the advice has them."""
    named = advice_text.names([line.row for line in found])
    return {line: named[line.row] for line in found}


class _Parts:
    """The pieces that lie open or packed: what is behind a cell (`c-...`), two rows beside each other (`p-...`)."""

    def __init__(self, page: Page, environment: Environment) -> None:
        self._page = page
        self._macros = environment.get_template("macros.html.j2").make_module()

    def cell(self, found: details.Detail) -> None:
        self._page.parts[found.key] = self._call("cell", found)

    def pair(self, key: str, found: pairs.Pair) -> tuple[str, str]:
        """Add two rows beside each other; return the key and the label."""
        self._page.parts[key] = self._call("forest", found, key)
        return key, f"{found.candidate} beside {found.baseline}"

    def chart(self, found: chart.Chart) -> None:
        self._page.parts[f"x-{found.key}"] = self._call("drawing", found, self._page.frame)

    def decide(self) -> None:
        """Decide whether all of them lie open."""
        self._page.inline = sum(map(len, self._page.parts.values())) <= INLINE

    def _call(self, name: str, *arguments: object) -> Markup:
        from markupsafe import Markup

        return Markup(getattr(self._macros, name)(*arguments).strip())  # noqa: S704 # a template's own output


@functools.cache  # templates are compiled once in a process
def _environment() -> Environment:
    """Return templates that escape every text and stop at a name they do not know."""
    import jinja2
    from markupsafe import Markup

    def breakable(name: str) -> Markup:
        """Let a long name break between its words: `Banking77<wbr>Classification`."""
        return Markup("<wbr>").join(re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[_-])", clean(name)))

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else clean(value),
    )
    filters: dict[str, Callable[[Any], Any]] = {
        "mark": lambda word: MARKS.get(word, "?"),
        "points": points,
        "plain": lambda value: f"{value:,.4g}" if value < 1000 else f"{value:,.0f}",
        "interval": interval_text,
        "rank": lambda row: "" if row.rank is None else str(text.rank_cell(row, "table")),
        "short": labels.shortened,
        "breakable": breakable,
    }
    found.filters |= filters
    return found


def clean(value: str) -> str:
    """Return `value` without control characters, turned directions and halves of surrogates."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in "\n\xa0" else "\ufffd" for c in value)


def _asset(name: str) -> Markup:
    """Return a file of ours, as it is."""
    from markupsafe import Markup

    return Markup((_ASSETS / name).read_text(encoding="utf-8"))  # noqa: S704 # our own file


def _hash(content: str) -> str:
    """Return what the content security policy lets run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _packed(page: Page, board: Board) -> str:
    """Return the board's CSV, column by column, and the parts where they do not lie open, packed."""
    headers, rows = text.csv_table(board)
    first = headers.index("instructions") + 1 + (board.reader is not None) + len(text.means_shown(board))
    return pack.packed({
        "columns": list(map(_bare, headers)),
        "values": [pack.BETWEEN.join(map(_bare, column)) for column in zip(*rows, strict=True)],
        "tasks": list(range(first, first + len(board.tasks))),
        "results": page.results,
        "parts": [] if page.inline else pack.columns_of(page.parts),
    })  # fmt: skip


def _bare(value: object) -> str:
    """Return a value of the CSV as text; nothing where there is none."""
    return "" if value is None else printable(str(value))


def _fill_table(page: Page, board: Board) -> None:
    page.by_benchmark = table.groups(page.columns, by_type=False)
    page.by_type = table.groups(page.columns, by_type=True)
    page.cells = table.cells(board, page.lines, page.columns)
    page.families = sorted({line.family for line in page.lines} - {""})
    page.variants = list(dict.fromkeys(line.row.variant for line in page.lines if line.kind != PUBLISHED))
    page.benchmarks = list(dict.fromkeys(c.benchmark for c in page.columns if c.is_task))
    page.types = list(dict.fromkeys(c.type for c in page.columns if c.is_task))
    page.domains = sorted({c.domain for c in page.columns} - {""})
    page.one_set = len({line.row.instructions for line in page.lines if line.kind != PUBLISHED}) < 2
    known = {line: size / 1e6 for line in page.lines if (size := line.cost.file_bytes)}
    page.megabytes = {line: f"{size:.1f}" for line, size in known.items()}
    page.sizes = [size for size in _SIZES if len({one <= size for one in known.values()}) == 2]
    page.has_published = any(line.kind == PUBLISHED for line in page.lines)
    for line in page.lines:
        row = line.row
        name = f"{row.name}@{row.variant}:{row.instructions}"
        page.sides[line] = f"{row.source}:{row.model}" if line.kind == PUBLISHED else name


def _doubt(page: Page) -> str:
    """Return a warning where the gate judged other scores than the table shows."""
    by_side = {side: line for line, side in page.sides.items()}
    for found in page.verdict.judged if page.verdict else []:
        for label, of in ((found.candidate, "candidate"), (found.baseline, "baseline")):
            line = by_side.get(label)
            other = [r.name for r in found.rows if line and r.column is not None and _differs(r, of, line)]
            if other:
                return f"The gate judged other scores of {label} than the table shows: {some(other)}. Run it again."
    return ""


def _differs(judged: pairs.PairRow, of: str, line: Line) -> bool:
    shown = score_text(line.row.tasks.get(judged.name))
    return bool(getattr(judged, of)) and shown is not None and getattr(judged, of) != shown


def _fill_charts(page: Page, board: Board, advised: Sequence[Row]) -> None:
    page.charts = chart.charts(board, page.lines, advised)
    page.costs = sum(bool(line.row.cost) for line in page.lines)
    if not page.charts:
        return
    dots = page.charts[0].dots
    devices = sorted({d.line.cost.device or "a device not named" for d in dots})
    sentences = [f"Speed: texts of a fixed sample, on {', '.join(devices)}, each model where it ran."]
    if any(not d.complete for d in dots):
        sentences.append("Hollow: a mean over some of these tasks only, and no candidate for the frontier.")
    if any(d.low is not None for d in dots):
        sentences.append("Bars: 95 % intervals, for other items of this kind.")
    page.chart_note = " ".join(sentences)


def _fill_head(page: Page, board: Board) -> None:
    measured = [line for line in page.lines if line.kind != PUBLISHED]
    scores = [s for line in measured for s in (*line.row.scores.values(), *line.row.failures.values())]
    page.scores = len(scores)
    models = sum(line.kind == MODEL for line in measured)
    counts = [counted(models, "model"), counted(len(measured), "row"), counted(len(board.tasks), "task")]
    failed = sum(len(line.row.failed) for line in measured)
    if failed:
        counts.append(counted(failed, "failed score"))
    for source in ("published", "imported"):
        others = sum(line.row.source == source for line in page.lines)
        if others:
            counts.append(f"{others} {source} for comparison")
    newest = max((s.created for s in scores), default="")[:10]
    sentences = [", ".join(counts) if measured else "No results yet"]
    ranked = [line for line in measured if line.row.rank == 1]
    if len(ranked) == 1 and models > 1:
        sentences.append(f"First by rank: {ranked[0].label}")
    if newest:
        sentences.append(f"Newest result of {newest}")
    page.summary = ". ".join(sentences) + "."
    page.notes = " ".join(text.notes(board, text.means_shown(board)))
    if board.left_out:
        what = counted(board.left_out, "result")
        page.left_out = f"{what} of another protocol, limit or reader left out: give the same flags to see them."


def _fill_sections(page: Page, request: Request, parts: _Parts) -> None:
    shared, board, evidence = details.Shared(), request.board, request.evidence
    found = details.details(page.lines, page.columns, shared, evidence, request.texts, request.thumbnails)
    for detail in found:
        parts.cell(detail)
    places = table.places(page.columns)
    baseline = next((line for line in page.lines if line.row is board.baseline), None)
    page.baseline = baseline.id if baseline is not None else ""
    for tree in sections.trees(page.lines):
        for n, worth in enumerate(pairs.instructions_worth(tree, places, evidence)):
            page.worth.append(parts.pair(f"w-{tree[0].index}-{n}", worth))
        beside = [
            parts.pair(f"p-{line.index}-{other.index}", pair)
            for line, other, pair in sections.model_pairs(tree, baseline, places)
        ]
        model = sections.model_section(tree, beside, board.families)
        page.models.append(model)
        page.section_of |= dict.fromkeys(tree, model.id)
    for column in page.columns:
        if column.is_task:
            page.tasks.append(sections.task_section(column, [d for d in found if d.column is column], shared))
    page.machines = shared.machines
