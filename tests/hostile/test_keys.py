"""A key of 32 characters, sent through every failure of a server: it is found nowhere afterwards, whole or in pieces.

Every failure sends the key back wherever a server can put text. Searched is all that the runs wrote (results, caches),
printed, logged and showed in the list of processes, and what the reading commands make of the results.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hostile_server import Failure, good, of, serving
from made_hostile_embeddings import GOES_ON, KEY, MODELS, VECTORS
from made_hostile_readers import ANSWERS, GENERATED, OPTIONS, SCORES, _card
from made_hostile_readers import GOES_ON as ANSWERED
from reply_failures import JSON, STATUSES, WIRE, after

from instructor_eval.models.served import openai
from instructor_eval.models.served.contract import Limits, Serving
from instructor_eval.models.served.engine import ServedEngine, describe
from instructor_eval.models.served.openai import EndpointModel
from instructor_eval.readers.contract import Question
from instructor_eval.readers.openai import EndpointReader

PIECES = [KEY[at : at + 8].lower().encode() for at in range(len(KEY) - 7)]
EVERY: dict[str, Failure] = {name: failure for name, (failure, _) in (STATUSES | WIRE | JSON | VECTORS).items()}
LATER = ("400", "401", "500", "301 and escapes", "400 in base64", "422 of a maximum", "cookies", "ends in the body",
         "an error with 200", "embedding: 1 MB of text in it", "model: the key", "index: the key")  # fmt: skip
"""Failures that also come when a task is at work; with `--debug` all of them do."""
READING: tuple[tuple[str, ...], ...] = (
    *(("leaderboard", "--format", form) for form in ("table", "md", "csv", "json", "latex")),
    ("report", "-o", "page.html"), ("models",), ("validate", "--results", "results"), ("cache", "info"),
    ("cache", "verify"), ("tasks",),
)  # fmt: skip


def found(content: bytes) -> list[bytes]:
    """The pieces of the key that are in there, in any case."""
    lowered = content.lower()
    return [piece for piece in PIECES if piece in lowered]


def test_the_search_finds_what_it_looks_for() -> None:
    assert len(KEY) == 32
    assert len(PIECES) == 25
    assert found(b"... " + KEY[3:11].upper().encode()) == [PIECES[3]]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "WAIT", 0.001)
    monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY)


@contextlib.contextmanager
def _logged() -> Iterator[io.StringIO]:
    """All that anything logs."""
    text = io.StringIO()
    handler, root = logging.StreamHandler(text), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _shown(ask: Callable[[], object]) -> str:
    """The answer, or the error as `--debug` shows it."""
    try:
        return repr(ask())
    except Exception as e:  # noqa: BLE001 # whatever it is, it is shown
        return "".join(traceback.format_exception(e))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY | {f"models: {name}": None for name in MODELS})
def test_nothing_is_shown_with_debug_or_logged(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    kind, _, rest = name.partition("models: ")
    failure = MODELS[rest][0] if rest and not kind else EVERY[name]
    spec = "" if rest and not kind else "#m"

    def embed() -> object:
        how = Serving(limits=Limits(concurrency=1), tries=1, timeout=0.25)
        engine = ServedEngine(describe(EndpointModel(f"{url}/v1{spec}", how)), None)
        return engine.encode(["a", "b", "c"], ""), engine.model, engine.model.describe()

    def read() -> object:
        reader = EndpointReader(f"{url}/v1{spec}", tries=1, timeout=0.25, wait=0.001)
        return list(reader.read([Question("a?", ("x", "y"))])), reader.describe()

    with _logged() as log, serving(failure) as url:
        shown = _shown(embed) + _shown(read)
    with _logged() as more, serving(after(1, failure)) as url:
        shown += _shown(embed)
    printed = capfd.readouterr()
    for text in (shown, log.getvalue(), more.getvalue(), printed.out, printed.err):
        assert not found(text.encode("utf-8", "surrogatepass")), text[:2000]


@pytest.mark.slow
def test_nothing_is_written_or_printed(tmp_path: Path) -> None:
    """One run with a model for every failure, each of them filed; one for what goes on; and the readers."""
    failures = [*EVERY.values(), *(after(1, EVERY[name]) for name in LATER)]
    going = [failure for failure, _ in GOES_ON.values()]
    readers = [*ANSWERED.values(), *(failure for failure, _ in (*SCORES.values(), *ANSWERS.values()))]
    printed = b""
    with contextlib.ExitStack() as servers:

        def models(some: list[Failure], spec: str) -> list[str]:
            urls = [servers.enter_context(serving(failure)) for failure in some]
            return [word for url in urls for word in ("--model", f"endpoint:{url}/v1{spec}")]

        listing = models([failure for failure, _ in MODELS.values()], "")
        task = ("--task", "DemoSTS", "--limit", "4", "--tries", "1")
        printed += _run(tmp_path, *models(failures, "#m"), *listing, *task, "--timeout", "0.25")
        printed += _run(tmp_path, *models([*going, lambda r: [of(good(r))]], "#m"), *task, "--timeout", "60")
        for kind, options in (("scored", OPTIONS), ("generated", GENERATED)):
            (tmp_path / kind).mkdir()
            card = f"{kind}/{_card(tmp_path / kind, options)}"
            for failure in readers:
                url = servers.enter_context(serving(failure))
                asked = ("--selection", "bm25", "--limit", "3", "--tries", "1", "--task", card)
                printed += _run(tmp_path, *asked, "--reader", f"endpoint:{url}/v1#m", here=True)
    for command in READING:
        printed += _run(tmp_path, *command, here=True)
    assert b"failed" in printed
    assert len(list((tmp_path / "results").rglob("*.json"))) > 2 * len(EVERY)
    assert not found(printed), [line for line in printed.splitlines() if found(line)][:5]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite3" for path in files)
    leaks = {str(path.relative_to(tmp_path)): found(_content(path)) for path in files}
    assert not {name: pieces for name, pieces in leaks.items() if pieces}
    assert not found("\n".join(map(str, files)).encode())


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return content + (str(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else b"")


def _run(folder: Path, *arguments: str, here: bool = False) -> bytes:
    """The output of a command; in a process of its own, whose command line is looked at, or in this one."""
    if here:
        from instructor_eval.cli.main import main

        before, streams = Path.cwd(), (io.StringIO(), io.StringIO())
        os.chdir(folder)
        os.environ["INSTRUCTOR_EVAL_CACHE"] = str(folder / "cache")
        try:
            with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                main(arguments)
        finally:
            os.chdir(before)
        return "".join(stream.getvalue() for stream in streams).encode("utf-8", "surrogatepass")
    environment = {**os.environ, "INSTRUCTOR_EVAL_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "instructor_eval.cli.main", *arguments]
    listed = b""
    with (
        (folder / "out").open("ab") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        while process.poll() is None:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    listed += entry.read_bytes()
            time.sleep(1)
    assert b"instructor_eval.cli.main" in listed
    return (folder / "out").read_bytes() + listed
