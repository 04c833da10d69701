"""Fixtures for all tests: real data where it is, the command line in and out of this process, made-up scores."""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import few_threads
import pytest
from _pytest.mark.expression import Expression
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from made_scores import score_of

from instructor_eval.cache.database import VARIABLE as CACHE_VARIABLE
from instructor_eval.cli.main import main
from instructor_eval.core import progress
from instructor_eval.core.progress import Progress
from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol

gc.disable()  # a million objects are made by imports, and none of them is garbage
HUB_VARIABLE, COST_VARIABLE = "INSTRUCTOR_EVAL_HUB", "INSTRUCTOR_EVAL_COST"
RANDOM_VARIABLE = "INSTRUCTOR_EVAL_RANDOM"
_HUB = os.environ.get(HUB_VARIABLE, "")
_OURS = {
    HUB_VARIABLE, RANDOM_VARIABLE, "INSTRUCTOR_EVAL_SCREENSHOTS", "INSTRUCTOR_EVAL_SERVERS",
    "INSTRUCTOR_EVAL_FUZZ_SECONDS", "INSTRUCTOR_EVAL_FUZZ_SEED",
}  # fmt: skip
LANES = {"browser", "clients", "forms", "fuzz", "ray", "servers", "stores"}
_CACHES, _NUMBERS = Path(tempfile.mkdtemp(prefix="instructor-eval-tests-")), itertools.count()
# What is set where the tests run is none of their business: a hub's cache and token, a CI's summary, a narrow terminal.
_SETTINGS = re.compile(
    r"(INSTRUCTOR_EVAL|HF|HUGGING_?FACE|TRANSFORMERS|RAY|GITHUB|GITLAB|CI|LANCEDB|MILVUS|OPENAI|AWS)_.*|.*_(API_KEY|API_BASE|proxy)"
    r"|CI|COLUMNS|LINES|XDG_CACHE_HOME|PYTHONWARNINGS",
    re.IGNORECASE,
)
for _name in [name for name in os.environ if _SETTINGS.fullmatch(name) and name not in _OURS]:
    del os.environ[_name]
os.environ["HF_HOME"] = str(_CACHES / "hf")
# As the command line sets it before LanceDB is imported; here a test of something else may import it first.
os.environ.setdefault("LANCEDB_LOG", "error")
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", settings.get_profile("random"), derandomize=True, database=None)
if os.environ.get(RANDOM_VARIABLE):
    settings.load_profile("random")
else:
    settings.load_profile("same")
    # Hypothesis also draws constants that stand in the modules imported so far: what these are depends on the tests
    # that ran before in this process, and so, with several processes, on how fast each is. `test_same_examples` looks.
    providers._get_local_constants = providers.Constants


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--share K/N`: one share of the tests, the same at every call; N shares are all of them."""
    parser.addoption("--share", metavar="K/N", type=_share, help="run one of N shares of the tests, K from 1 to N")


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give K/N, as 1/6")
    return int(found[1]), int(found[2])


def _drawn_by(test: str) -> bytes:
    """Return what puts a test in its share: itself, or its file where that installs an environment of its own."""
    return (test.partition("::")[0] if test.startswith(("tests/clients/", "tests/servers/")) else test).encode()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the share asked for."""
    if config.option.share is None:
        return
    number, count = config.option.share
    drawn = {item: zlib.crc32(_drawn_by(item.nodeid)) % count == number - 1 for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not drawn[item]])
    items[:] = [item for item in items if drawn[item]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave unread a file whose lane is not asked for: LanceDB's import alone takes seconds in each process."""
    if collection_path.suffix != ".py" or not config.option.markexpr:
        return None
    line = re.search(r"^pytestmark = .*", collection_path.read_text(encoding="utf-8"), re.MULTILINE)
    marks = set(re.findall(r"pytest\.mark\.(\w+)", line[0])) if line else set()
    if not marks & LANES:
        return None
    asked = Expression.compile(config.option.markexpr)
    more = set(re.findall(r"\w+", config.option.markexpr)) - LANES  # which a test in it may have, too
    return None if any(asked.evaluate(_is_one_of(choice)) for choice in (marks, marks | more)) else True


def _is_one_of(names: set[str]) -> Callable[..., bool]:
    return lambda name, **_: name in names


def pytest_configure() -> None:
    """Let files reach the disk when they will: no power is cut here, and waiting for it outlasts most tests."""
    os.fsync = lambda _file: None


def pytest_collection_finish() -> None:
    """Freeze what was imported so far: from here on, no search for garbage looks through it again."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `realdata` need the folder that INSTRUCTOR_EVAL_HUB names."""
    # The command line reads it too: what is not of real data must not find any.
    os.environ.pop(HUB_VARIABLE, None)
    if item.get_closest_marker("realdata"):
        if not (_HUB and Path(_HUB).is_dir()):
            pytest.skip(f"{HUB_VARIABLE} names no folder with data sets in hub layout")
        os.environ[HUB_VARIABLE] = _HUB
    # No test may see vectors of another, or of the user's.
    os.environ[CACHE_VARIABLE] = str(_CACHES / str(next(_NUMBERS)))
    os.environ[COST_VARIABLE] = "off"  # measuring takes seconds: those tests that are of it turn it on
    Progress.enabled = True  # `--quiet`, where a test calls the command line by itself, switches it off for the process


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_CACHES, ignore_errors=True)


@pytest.fixture(scope="session")
def hub() -> Path:
    """The folder of real data sets, for tests marked `realdata`."""
    return Path(_HUB).resolve()


@pytest.fixture(scope="session")
def reference(hub: Path) -> Path:
    """The reference files, beside the folder of real data sets."""
    folder = hub.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"no reference files at {folder}")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Of torch: tiny products gain nothing from more, and lose much where other tests want the same cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error that exits with 2 and shows no traceback."""
        assert self.code == 2, (self.out, self.err)
        assert "Traceback" not in self.err + self.out
        [line] = self.err.splitlines()
        assert line.startswith("evaluate: ")
        return line


Run = Callable[..., Done]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`cli("tasks", ...)`: the command line in this process, in a folder of its own and offline."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    # A line every half minute: on a slow machine, some. The tests of these lines have a clock of their own.
    monkeypatch.setattr(progress, "_QUIET_SECONDS", math.inf)
    os.environ.pop(HUB_VARIABLE, None)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ[CACHE_VARIABLE] = str(tmp_path / "cache")

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as e:  # --help and --version
            code = int(e.code or 0)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    yield run
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def cli_process(tmp_path: Path) -> Run:
    """`cli_process("tasks", ...)`: the command line in a process with a bare environment; `env` adds to it."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "instructor_eval.cli.main", *map(str, arguments)],
            cwd=tmp_path,
            env=_bare_environment(tmp_path) | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def bare_environment() -> Callable[[Path], dict[str, str]]:
    """`bare_environment(home)`: the variables of a process that is to see none of this one's settings."""
    return _bare_environment


def _bare_environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        COST_VARIABLE: "off",
        **few_threads.ONE,
    }


@pytest.fixture(scope="session")
def make_score() -> Callable[..., Score]:
    """A stored score as a run with mteb's protocol would leave it; every field can be given, records as mappings."""

    def make(task: str = "STSBenchmark", value: float | None = 0.5, **fields: object) -> Score:
        type_ = str(fields.pop("type", "STS"))
        model = {
            "name": fields.pop("model", "org/model"),
            "revision": fields.pop("revision", "main"),
            "family": "plain",
            "fingerprint": fields.pop("fingerprint", "f" * 16),
            "variant": fields.pop("variant", "fp32"),
            "base_fingerprint": fields.pop("base_fingerprint", ""),
            "dim": fields.pop("dim", 0),
        }
        given = {
            "identity": "0123456789abcdef",
            "status": "failed" if value is None else "ok",
            "benchmark": "mteb",
            "metric": "cosine_spearman",
            "created": "2026-01-01T00:00:00+00:00",
            "protocol": protocol.relevant(protocol.parse([]), type_, task),
            "instructions": {"set": fields.pop("instructions", "paper"), "roles": {}},
        } | fields
        name = "".join(c if c.isprintable() and c != "/" else "_" for c in str(given["identity"]))
        given["identity"] = name[:200]  # as every identity that a file names
        return score_of(task=task, score=value, type=type_, model=model, **given)

    return make
