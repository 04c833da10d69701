"""`evaluate cache`: what it prints, its exit codes, and that looking costs no heavy import."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import FILE_NAME, open_existing
from instructor_eval.cache.vectors import Space, VectorCache, keys_of
from instructor_eval.cli.cache import size
from instructor_eval.readers.answers import ANSWERS, AnswerCache
from instructor_eval.readers.contract import Answer, Question

Run = Callable[..., Any]
ACTIONS = ("info", "verify", "prune", "clear")


def _fill(folder: Path, name: str, n: int = 100, dim: int = 64) -> None:
    fingerprint = name[-1] * 16
    cache = VectorCache(folder, warn=lambda line: pytest.fail(line))
    for start in range(0, n, 50):
        keys = keys_of(fingerprint, "", [str(i) for i in range(start, start + 50)])
        cache.write(Space(fingerprint, name, "main", "fp32", dim), keys, np.ones((50, dim), dtype=np.float32))
    cache.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `cli` has its cache, with two models in it."""
    _fill(tmp_path / "cache", "org/a")
    _fill(tmp_path / "cache", "org/b", n=50)
    return tmp_path / "cache"


def _keep(folder: Path, name: str, n: int) -> Path:
    """Keep answers, each of 1,000 bytes, and say where."""
    with AnswerCache(folder, warn=pytest.fail) as cache:
        for i in range(n):
            cache.keep(name, name, Question(str(i)), Answer("x" * 992))
    return folder / ANSWERS.file


def test_info(cli: Run, folder: Path) -> None:
    done = cli("cache", "info")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["model", "variant", "revision"]
    assert lines[2].split()[:5] == ["org/a", "fp32", "main", "float32", "x"]
    assert "a" * 16 in lines[2]
    assert "100" in lines[2].split()
    assert "26.6 KiB" in lines[2]
    assert lines[-1].startswith("150 texts, 39.8 KiB; ")
    assert str(folder / FILE_NAME) in lines[-1]


def test_info_as_json(cli: Run, folder: Path) -> None:
    value = json.loads(cli("cache", "info", "--format", "json").out)
    assert (value["texts"], value["version"], value["path"]) == (150, 1, str(folder / FILE_NAME))
    assert value["disk"] == (folder / FILE_NAME).stat().st_size
    assert [(m["name"], m["texts"], m["bytes"], m["dim"]) for m in value["models"]] == [
        ("org/a", 100, 100 * 272, 64),
        ("org/b", 50, 50 * 272, 64),
    ]


def test_the_folder_can_be_named(cli: Run, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    assert "150 texts" in cli("cache", "info", "--cache", str(tmp_path / "elsewhere")).out
    assert "no cache in" in cli("cache", "info").error


def test_verify(cli: Run, folder: Path) -> None:
    done = cli("cache", "verify")
    assert done.code == 0
    assert done.out == f"cache {folder} is sound: 3 blocks with 150 texts checked\n"


def test_verify_says_what_it_dropped(cli: Run, folder: Path) -> None:
    with open_existing(folder, VECTORS) as connection:
        connection.execute("UPDATE blocks SET checksum = x'00' WHERE id = 2")
        connection.execute("INSERT INTO entries VALUES (x'01', 99)")
    done = cli("cache", "verify")
    assert done.code == 2
    assert done.out.splitlines() == [
        f"cache {folder} had damage: 3 blocks with 100 texts checked",
        "  1 of them dropped, to be computed again",
        "  1 entry without a block dropped",
    ]
    assert cli("cache", "verify").code == 0


def test_verify_sets_a_damaged_database_aside(cli: Run, folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"no database" * 1000)
    assert cli("cache", "info").error.endswith("file is not a database: `evaluate cache verify` sets it aside")
    done = cli("cache", "verify")
    [aside] = folder.glob("*.damaged-*")
    step = f"set aside as {aside.name}, all vectors are computed again"
    assert (done.code, done.out) == (2, f"cache {folder} is damaged (file is not a database): {step}\n")
    assert done.err == ""
    assert cli("cache", "verify").code == 0


def test_prune(cli: Run, folder: Path) -> None:
    done = cli("cache", "prune", "--model", "org/a")
    assert done.code == 0
    assert done.out.startswith("dropped 100 texts, 26.6 KiB; the disk got ")
    assert "org/a" not in cli("cache", "info").out
    assert cli("cache", "prune", "--size", "1M").out.startswith("dropped 0 texts, 0 bytes;")
    with open_existing(folder, VECTORS) as connection:
        connection.execute("UPDATE uses SET used = used - 3 * 86400")
    assert cli("cache", "prune", "--older-than", "4").out.startswith("dropped 0 texts")
    assert cli("cache", "prune", "--older-than", "2").out.startswith("dropped 50 texts")


def test_clear(cli: Run, folder: Path) -> None:
    done = cli("cache", "clear")
    assert done.code == 0
    assert done.out.startswith("dropped 150 texts, 39.8 KiB; ")
    assert cli("cache", "info").out.splitlines()[-1].startswith("0 texts, 0 bytes; ")


def test_alone_it_shows_its_help(cli: Run) -> None:
    done = cli("cache")
    assert done.code == 2
    assert done.out.startswith("usage: evaluate cache")
    assert all(action in done.out for action in ACTIONS)
    assert cli("cache", "--help").code == 0
    assert "cache" in cli("--help").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inf"], "unknown cache action 'inf': did you mean info?"),
        (["info"], "no cache in "),
        (["verify"], "runs make one (--cache DIR or $INSTRUCTOR_EVAL_CACHE say where)"),
        (["prune"], "give --size, --model or --older-than"),
        (["prune", "--size", "10"], "'10' is no size"),
        (["prune", "--older-than", "0"], "'0' is not a whole number of at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_one_line(cli: Run, arguments: list[str], words: str) -> None:
    assert words in cli("cache", *arguments).error


def test_in_a_process_of_its_own(cli_process: Run, folder: Path) -> None:
    done = cli_process("cache", "info", env={"INSTRUCTOR_EVAL_CACHE": str(folder)})
    assert (done.code, done.err) == (0, "")
    assert "150 texts" in done.out
    assert str(Path(".cache") / "instructor-eval") in cli_process("cache", "info").error


# Answers


def test_info_lists_answers_by_reader(cli: Run, folder: Path) -> None:
    vectors, value = cli("cache", "info").out, json.loads(cli("cache", "info", "--format", "json").out)
    _keep(folder, "hf:org/lm", 0)
    assert cli("cache", "info").out == vectors, "there are none yet"
    assert json.loads(cli("cache", "info", "--format", "json").out) == value
    _keep(folder, "hf:org/lm", 1500)
    _keep(folder, "endpoint:http://127.0.0.1:8000/v1#m", 1)
    table = [
        "reader                                 answers         size",
        "-----------------------------------  ---------  -----------",
        "endpoint:http://127.0.0.1:8000/v1#m          1  1,000 bytes",
        "hf:org/lm                                1,500      1.4 MiB",
    ]
    assert cli("cache", "info").out == vectors + "\n" + "\n".join(table) + "\n"
    readers = [
        {"reader": "endpoint:http://127.0.0.1:8000/v1#m", "answers": 1, "bytes": 1000},
        {"reader": "hf:org/lm", "answers": 1500, "bytes": 1500000},
    ]
    assert json.loads(cli("cache", "info", "--format", "json").out) == value | {"answers": readers}
    (folder / FILE_NAME).unlink()
    assert cli("cache", "info").out.splitlines() == table, "a folder may have answers alone"
    assert json.loads(cli("cache", "info", "--format", "json").out) == {"answers": readers}


def test_verify_checks_answers(cli: Run, folder: Path) -> None:
    file = _keep(folder, "hf:org/lm", 3)
    vectors = f"cache {folder} is sound: 3 blocks with 150 texts checked"
    done = cli("cache", "verify")
    assert (done.code, done.out.splitlines()) == (
        0,
        [vectors, f"cache of answers {folder} is sound: 3 answers checked"],
    )
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE answers SET value = x'00' WHERE rowid = 2")
    done = cli("cache", "verify")
    assert (done.code, done.out.splitlines()) == (
        2,
        [
            vectors,
            f"cache of answers {folder} had damage: 3 answers checked",
            "  1 of them dropped, to be computed again",
        ],
    )
    file.write_bytes(b"no database" * 1000)
    assert "`evaluate cache verify` sets it aside" in cli("cache", "info").error
    done = cli("cache", "verify")
    [aside] = folder.glob("answers.v1.damaged-*")
    step = f"set aside as {aside.name}, all answers are computed again"
    line = f"cache of answers {folder} is damaged (file is not a database): {step}"
    assert (done.code, done.out.splitlines()) == (2, [vectors, line])
    (folder / FILE_NAME).unlink()
    done = cli("cache", "verify")
    assert (done.code, done.out) == (0, f"cache of answers {folder} is sound: 0 answers checked\n")


def test_prune_of_a_reader(cli: Run, folder: Path) -> None:
    assert cli("cache", "prune", "--model", "hf:x").error.endswith("the cache has no answers of 'hf:x': it has none")
    _keep(folder, "hf:org/lm", 3)
    _keep(folder, "endpoint:http://b", 2)
    for arguments in (["--size", "1M"], ["--older-than", "1"], ["--model", "org/a"]):
        assert cli("cache", "prune", *arguments).code == 0
    assert cli("cache", "prune", "--model", "hf:org/lm", "--size", "1M").error.endswith(
        "the cache has no vectors of 'hf:org/lm': it has org/b"
    )
    assert "no answers of 'hf:org/ml': did you mean hf:org/lm?" in cli("cache", "prune", "--model", "hf:org/ml").error
    assert cli("cache", "prune", "--model", "hf:org/lm").out.startswith("dropped 3 answers, 2.9 KiB; ")
    assert cli("cache", "prune", "--model", "endpoint:http://b").out.startswith("dropped 2 answers, 2.0 KiB; ")
    assert "50 texts" in cli("cache", "info").out
    assert "no cache in nowhere" in cli("cache", "prune", "--model", "hf:x", "--cache", "nowhere").error


def test_clear_of_answers(cli: Run, folder: Path) -> None:
    _keep(folder, "hf:org/lm", 1)
    vectors, dropped = cli("cache", "clear").out.splitlines()
    assert vectors.startswith("dropped 150 texts, 39.8 KiB; ")
    assert dropped.startswith("dropped 1 answer, 1,000 bytes; the disk got ")
    assert "hf:org/lm" not in cli("cache", "info").out
    (folder / FILE_NAME).unlink()
    assert cli("cache", "clear").out.startswith("dropped 0 answers, 0 bytes; ")


def test_it_imports_nothing_heavy(folder: Path) -> None:
    _keep(folder, "hf:org/lm", 3)
    code = (
        "import sys\nfrom instructor_eval.cli.main import main\nassert main(sys.argv[1:]) == 0\n"
        "heavy = ('torch', 'mteb', 'transformers', 'datasets', 'pandas', 'pyarrow', 'scipy')\n"
        "found = [m for m in heavy if m in sys.modules]\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "cache", "verify", "--cache", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (1024**2 - 1, "1.0 MiB"),
        (1288490189, "1.2 GiB"), (5000 * 1024**4, "5000.0 TiB"),
    ],
)  # fmt: skip
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text
