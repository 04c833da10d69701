from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Environment = Callable[[Path], dict[str, str]]

# Runs where neither the checkout nor its editable install can be seen.
PROGRAM = """
import json
from pathlib import Path
import instructor_eval
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.core.paths import shipped
from instructor_eval.results.published import published
cards = shipped_cards()
paper = ("mteb", "billboard", "prompt-retrieval")
print(json.dumps({
    "package": str(Path(instructor_eval.__file__).parent),
    "tasks": str(shipped("tasks")),
    "reference": str(shipped("results/reference")),
    "paper": sum(c.benchmark in paper and c.part_of is None for c in cards.values()),
    "cards": len(cards),
    "missing": [c.name for c in cards.values() if c.folder is not None and not c.folder.is_dir()],
    "published": sum(bool(e.tasks) for e in published().values()),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, bare_environment: Environment) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        env=bare_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as z:
        z.extractall(folder)
    return folder


def run(program: str, home: Path, environment: dict[str, str]) -> dict:
    # -S would hide the dependencies too; PYTHONPATH stands before the editable install, and `package` proves it.
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_wheel_finds_its_data_inside_itself(unpacked: Path, tmp_path: Path, bare_environment: Environment) -> None:
    found = run(PROGRAM, tmp_path, bare_environment(tmp_path) | {"PYTHONPATH": str(unpacked)})
    package = unpacked / "instructor_eval"
    assert found == {
        "package": str(package),
        "tasks": str(package / "_data" / "tasks"),
        "reference": str(package / "_data" / "results" / "reference"),
        "paper": 70,
        "cards": 98,
        "missing": [],
        "published": 12,
    }


def test_the_checkout_finds_them_at_the_top_of_the_repository(tmp_path: Path, bare_environment: Environment) -> None:
    found = run(PROGRAM, tmp_path, bare_environment(tmp_path))
    assert (found["tasks"], found["reference"]) == (str(ROOT / "tasks"), str(ROOT / "results" / "reference"))
    assert (found["package"], found["paper"], found["published"]) == (str(ROOT / "src" / "instructor_eval"), 70, 12)


def test_the_command_works_from_the_wheel(unpacked: Path, tmp_path: Path, bare_environment: Environment) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "instructor_eval.cli.main", "validate"],
        cwd=tmp_path,
        env=bare_environment(tmp_path) | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "98 good, 0 with errors"


def test_the_wheel_holds_the_sources_the_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as z:
        names = {n for n in z.namelist() if ".dist-info/" not in n}
        contents = {n: z.read(n) for n in names}
    source = ROOT / "src"
    files = (p for p in source.rglob("*") if p.suffix in (".py", ".c", ".j2", ".css", ".js") or p.name == "py.typed")
    expected = {p.relative_to(source).as_posix(): p for p in files}
    for folder in ("tasks", "results/reference"):
        files = (p for p in (ROOT / folder).rglob("*") if p.is_file())
        expected |= {f"instructor_eval/_data/{p.relative_to(ROOT).as_posix()}": p for p in files}
    merges = source / "instructor_eval" / "tasks" / "prompts" / "gpt2"
    expected |= {p.relative_to(source).as_posix(): p for p in merges.iterdir()}
    assert names == set(expected)
    assert "instructor_eval/py.typed" in names
    assert all(contents[n] == p.read_bytes() for n, p in expected.items())
    assert not any("test" in Path(n).stem.split("_") for n in names if n.endswith(".py"))


def test_its_metadata(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version = wheel.name.split("-")[1]
    assert wheel.name == f"instructor_eval-{version}-py3-none-any.whl"
    # Between two releases the version names a commit; the installed one may be older.
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+(\+g[0-9a-f]+(\.d\d{8})?)?)?", version)
    with zipfile.ZipFile(wheel) as z:
        about = {n.partition(".dist-info/")[2]: z.read(n).decode() for n in z.namelist() if ".dist-info/" in n}
    texts = {name.rpartition("/")[2]: text for name, text in about.items()}
    assert f"\nVersion: {version}\n" in texts["METADATA"]
    assert "evaluate = instructor_eval.cli.main:entry" in texts["entry_points.txt"]
    needed = [line for line in texts["METADATA"].splitlines() if line.startswith("Requires-Dist: ")]
    core = [line.split()[1] for line in needed if "extra ==" not in line]
    assert not any(name.startswith(("torch", "mteb", "transformers", "datasets", "pandas")) for name in core)
    assert any(line.startswith("Requires-Dist: torch") for line in needed)
    licences = {name.partition("licenses/")[2]: text for name, text in about.items() if name.endswith("LICENSE")}
    assert licences == {name: (ROOT / name).read_text("utf-8") for name in project["license-files"]}


@pytest.mark.realdata
def test_no_real_data_in_the_wheel(wheel: Path, hub: Path) -> None:
    """Texts under the hub folder have terms of their own: not one of the files, nor a long line of one, may ship."""
    with zipfile.ZipFile(wheel) as z:
        shipped = [z.read(n) for n in z.namelist()]
    ours = {hashlib.sha256(content).digest() for content in shipped}
    lines = {line for content in shipped for line in content.splitlines() if len(line) > 60}
    files = [p for p in hub.rglob("*") if p.is_file() and p.stat().st_size > 0 and "LICENSE" not in p.name]
    assert files
    for path in files:
        content = path.read_bytes()
        assert hashlib.sha256(content).digest() not in ours, path
        assert not lines.intersection(content.splitlines()), path
