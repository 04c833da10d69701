"""Odd terminals, locales, streams and surroundings: every reading command ends as it should, with one line at most."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from forks import Forks
from hostile_results import change, put, results, score_file
from made_hostile_names import ESCAPES

COMMANDS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard", "--results", "results"),
    "models": ("models", "--results", "results"),
    "compare": ("compare", "minilm", "minilm@int8"),
    "gate": ("gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--output", "out"),
    "validate": ("validate", "--results", "results"),
    "cache info": ("cache", "info", "--cache", "cache"),
    "report": ("report", "--results", "results", "-o", "page.html"),
    "report to standard output": ("report", "--results", "results", "-o", "-"),
    "help": ("--help",),
}
RUN = [sys.executable, "-m", "instructor_eval.cli.main"]
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With results, a baseline, and a cache; names in it have signs that not every terminal can show."""
    made = tmp_path_factory.mktemp("streams")
    root = results(made)
    for variant in ("fp32", "int8"):
        change(score_file(root, "STS12", variant), put("notes", value=["Δ ± 日本"]))
    evaluate(made, "baseline", "set", "minilm")
    (made / "cache").mkdir()
    program = "from pathlib import Path; import numpy as np\n"
    program += "from instructor_eval.cache.vectors import Space, VectorCache\n"
    program += "cache = VectorCache(Path('cache'), warn=print)\n"
    program += "cache.write(Space('f' * 16, 'Δ', 'main', 'fp32', 2), [b'k' * 32], np.ones((1, 2), np.float32))\n"
    program += "cache.close()"
    subprocess.run([sys.executable, "-c", program], cwd=made, check=True)
    return made


@pytest.fixture(scope="module")
def forks(folder: Path) -> Iterator[Forks]:
    """Commands in forks; what depends on how Python itself begins is a process of its own."""
    started = Forks(bare(folder), libraries=("numpy", "jinja2", "tabulate", "msgspec"), package="instructor_eval.cli")
    yield started
    started.close()


def bare(folder: Path, **variables: str | None) -> dict[str, str]:
    """The variables of a process that has few; None: not even that."""
    given: dict[str, str | None] = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return {name: value for name, value in (given | variables).items() if value is not None}


def evaluate(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> Any:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
    env = bare(folder) if env is None else env
    return subprocess.run([*RUN, *arguments], cwd=folder, env=env, timeout=300, check=False, **given)


def is_clean(*streams: bytes | None) -> bool:
    """No traceback, and nothing raw."""
    texts = [stream.decode("utf-8") for stream in streams if stream is not None]
    return all("Traceback" not in t and {c for c in t if not c.isprintable()} <= {"\n"} for t in texts)


ODD: dict[str, dict[str, str | None]] = {
    "POSIX": {"LC_ALL": "POSIX", "LANG": None},
    "POSIX without UTF-8, 20 columns": {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "COLUMNS": "20",
    },
    "ASCII, bare": {
        "PYTHONIOENCODING": "ascii",
        "HOME": None,
        "LANG": None,
        "TERM": None,
        "TMPDIR": "/nowhere",
        "COLUMNS": "-1",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("surroundings", ODD)
@pytest.mark.parametrize("name", COMMANDS)
def test_odd_surroundings(name: str, surroundings: str, folder: Path) -> None:
    done = evaluate(folder, *COMMANDS[name], env=bare(folder, **ODD[surroundings]))
    assert (done.returncode, done.stderr) == (0, b""), done
    assert done.stdout
    assert is_clean(done.stdout) or name == "report to standard output"
    if "ASCII" in surroundings or "without" in surroundings:
        assert done.stdout.isascii() or name == "report to standard output"


@pytest.mark.parametrize("columns", ["0", "1", "abc", "99999999999", "1e3", ""])
def test_columns(columns: str, folder: Path, forks: Forks) -> None:
    for name, word in (("leaderboard", b"Retrieval"), ("compare", b"SciFact")):
        done = forks.run(COMMANDS[name], folder, environment={"COLUMNS": columns})
        assert (done.code, done.err) == (0, b"")
        assert word in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_behind_standard_output(name: str, folder: Path, forks: Forks) -> None:
    done = forks.run(COMMANDS[name], folder, streams={1: str(FULL)})
    assert done.code == 2
    assert done.err.startswith(b"evaluate: cannot write ")
    assert b"no space left on device" in done.err
    assert done.err.count(b"\n") == 1


def closing(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


@pytest.mark.parametrize("name", COMMANDS)
def test_standard_error_closed_or_full_is_no_matter(name: str, folder: Path, forks: Forks) -> None:
    closed = forks.run(COMMANDS[name], folder, streams={2: None})
    filled = forks.run(COMMANDS[name], folder, streams={2: str(FULL)})
    assert [d.code for d in (closed, filled)] == [0, 0]
    assert closed.out == filled.out != b""
    assert is_clean(closed.out) or name == "report to standard output"


@pytest.mark.parametrize("name", [name for name in COMMANDS if "standard output" not in name])
def test_all_streams_closed(name: str, folder: Path, forks: Forks) -> None:
    """The exit code is all there is; no file of ours gets a stream's number."""
    assert forks.run(COMMANDS[name], folder, streams={0: None, 1: None, 2: None}).code == 0
    if name == "leaderboard":
        done = evaluate(folder, *COMMANDS[name], preexec_fn=closing(0, 1, 2))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("close", [(1,), (0,), (0, 2), (1, 2)], ids=str)
def test_an_error_with_a_stream_closed(close: Sequence[int], folder: Path) -> None:
    done = evaluate(folder, "leaderboard", "--results", "nowhere", preexec_fn=closing(*close))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == (2 not in close)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_is_gone(name: str, tmp_path: Path, forks: Forks) -> None:
    """Commands that need no folder work, others say in a line what is wrong."""
    gone = tmp_path / "gone"
    gone.mkdir()
    streams = {1: str(tmp_path / "out"), 2: str(tmp_path / "err")}
    done = forks.run(COMMANDS[name], gone, streams=streams, leave=True)
    assert is_clean(done.out, done.err), done
    assert done.code in (0, 2)
    assert done.err.count(b"\n") == (done.code == 2)


def test_a_reader_that_leaves(folder: Path) -> None:
    end, start = os.pipe()
    os.close(end)
    done = evaluate(folder, *COMMANDS["leaderboard"], stdout=start)
    os.close(start)
    assert (done.returncode, done.stderr) == (0, b"")


TASK = "name: Mine\ntype: STS\ndata: data\n"


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    rows = ["sentence1,sentence2,score", *(f"text {i},text {i * i % 7},{i % 5}" for i in range(12))]
    (tmp_path / "data" / "test.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "mine.yaml").write_text(TASK)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("how", ["closed", "full", "all closed"])
def test_a_run_is_not_ended_by_standard_error(how: str, own_task: Path) -> None:
    env = bare(own_task, HF_HUB_OFFLINE="1", INSTRUCTOR_EVAL_COST="off")
    arguments = ("--model", "minilm", "--task", "mine.yaml", "--offline")
    with FULL.open("wb") as full:
        more: dict[str, Any] = (
            {"stderr": full} if how == "full" else {"preexec_fn": closing(*{"closed": [2]}.get(how, [0, 1, 2]))}
        )
        done = evaluate(own_task, *arguments, env=env, **more)
    assert done.returncode == 0, done
    assert (b"1 run, 0 reused, 0 failed" in done.stdout) == (how != "all closed")
    assert len(list((own_task / "results" / "scores").rglob("*.json"))) == 1


@pytest.mark.slow
def test_a_run_goes_on_where_its_lines_cannot_be_written(own_task: Path) -> None:
    env = bare(own_task, HF_HUB_OFFLINE="1", INSTRUCTOR_EVAL_COST="off")
    with FULL.open("wb") as full:
        done = evaluate(own_task, "--model", "minilm", "--task", "mine.yaml", "--offline", env=env, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"evaluate: cannot write to standard output: no space left on device")
    [score] = (own_task / "results" / "scores").rglob("*.json")
    assert b'"status": "ok"' in score.read_bytes()


def test_escapes_on_the_command_line_reach_no_stream(folder: Path) -> None:
    for arguments in (
        ("leaderboard", "--results", ESCAPES),
        (ESCAPES,),
        ("tasks", ESCAPES),
        ("report", "-o", f"{ESCAPES}/x"),
    ):
        done = evaluate(folder, *(a.replace("\0", "") for a in arguments))
        assert done.returncode == 2
        assert is_clean(done.stdout, done.stderr)
        assert done.stderr.count(b"\n") == 1
