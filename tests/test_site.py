"""README, the table of commands, the tutorials, what the site adds to the documents, and GitHub's files."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import instructor_eval as ie
from instructor_eval.cli import main as command_line
from instructor_eval.cli.main import COMMANDS, main
from instructor_eval.core.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
GITHUB = ROOT / ".github"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
PICTURES = re.compile(r"!?\[[^\]]*\]\(([^)#]+)[^)]*\)")
NUMBER = re.compile(r"[-+]?\d[\d.]*")


def commands(file: Path) -> list[list[str]]:
    """The indented `evaluate ...` lines of a document, as words; a line ends where the next is no continuation."""
    whole = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (evaluate .*)$", whole, re.MULTILINE)]


def parse(words: list[str]) -> None:
    """Give a command's words to the parser that will read them; an error is raised as UserError."""
    if words[0] in COMMANDS:
        command_line.parser_of(words[0])[0].parse_args(words[1:])
    else:
        options = command_line.root_parser().parse_args(words)
        assert options.model or options.selection


@pytest.fixture
def on_site() -> Callable[..., str]:
    """`on_site(text, "tutorials/x.md")`: a page's text as the site has it."""
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)

    def shown(text: str, place: str = "x.md") -> str:
        return str(made.on_page_markdown(text, page=SimpleNamespace(file=SimpleNamespace(src_uri=place))))

    return shown


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert README.stat().st_size <= 7_000
    targets = PICTURES.findall(README.read_text(encoding="utf-8"))
    assert len(targets) > 20
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_readme_has_both_commands_that_ci_reads() -> None:
    text = README.read_text(encoding="utf-8")
    for name, end in (("demo", "evaluate demo"), ("test", "python -m pytest")):
        [block] = re.findall(rf"<!-- {name} -->\n```bash\n(.*)\n```", text)
        assert block.endswith(end)


def test_the_readmes_example_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [(example, printed)] = re.findall(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    exec(example.replace("import instructor_eval as ie", ""), {"ie": ie})
    shown, found = printed.splitlines(), capsys.readouterr().out.splitlines()
    start = found.index(shown[0])
    for line, other in zip(shown, found[start : start + len(shown)], strict=True):
        # A sum in floats that another processor rounds otherwise may move a number of int8 by one step.
        assert NUMBER.sub("#", line).split() == NUMBER.sub("#", other).split()
        scores, others = ([float(number) for number in re.findall(r"\d+\.\d\d\b", text)[:2]] for text in (line, other))
        assert others == pytest.approx(scores, abs=0.2)


def test_every_command_is_in_the_table() -> None:
    rows = re.findall(r"^\| `evaluate ([a-z]+)", (DOCS / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == set(COMMANDS)


@pytest.mark.parametrize("file", [*TUTORIALS, DOCS / "commands.md", DOCS / "checked.md"], ids=lambda f: f.stem)
def test_every_documented_command_parses(file: Path) -> None:
    found = commands(file)
    assert found
    for words in found:
        for part in " ".join(words).split(" && evaluate "):
            parse(part.partition(" > ")[0].replace("...", "").split())


def test_the_parser_of_this_test_refuses_a_wrong_flag() -> None:
    with pytest.raises(UserError, match="--no-such-flag"):
        parse(["compare", "a", "b", "--no-such-flag"])


@pytest.mark.slow
def test_the_tutorial_of_choosing_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands in order; every table that the tutorial shows was printed by one of them."""
    monkeypatch.chdir(tmp_path)
    file = DOCS / "tutorials" / "choose.md"
    for words in commands(file):
        assert main(words) == 0, words
    printed = capsys.readouterr().out.splitlines()
    tables = re.findall(r"```text\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)
    assert len(tables) == 2
    for table in tables:
        shown = table.splitlines()
        start = printed.index(shown[0])
        for line, other in zip(shown, printed[start : start + len(shown)], strict=True):
            assert NUMBER.sub("#", line).split() == NUMBER.sub("#", other).split()
            numbers, others = ([float(n) for n in NUMBER.findall(text)] for text in (line, other))
            # On another processor int8 may answer an item or two otherwise; its figures are the last of a comparison.
            exact = 0 if "int8" in line else len(numbers) - 3 * ("int8" in shown[0])
            assert others[:exact] == numbers[:exact]
            assert others == pytest.approx(numbers, abs=5)


# The site


def test_every_document_is_in_the_navigation() -> None:
    """mkdocs says so itself (`validation`); here for whoever adds a document without building the site."""
    named = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    files = (file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md"))
    assert sorted(named) == sorted(name for name in files if not name.startswith("changes/"))


def test_the_python_reference_names_all_that_is_public() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: instructor_eval\.(\w+)$", text, re.MULTILINE)
    assert sorted([*names, "__version__"]) == sorted(ie.__all__)


def test_the_first_page_is_the_readme(on_site: Callable[..., str]) -> None:
    page = on_site((DOCS / "index.md").read_text(encoding="utf-8"))
    assert page.startswith("# instructor-eval\n")
    assert "](report.png)" in page
    assert all((DOCS / target).exists() for target in PICTURES.findall(page))


def test_the_command_lines_page_has_every_command_with_its_flags(on_site: Callable[..., str]) -> None:
    page = on_site((DOCS / "reference" / "cli.md").read_text(encoding="utf-8"))
    heads = re.findall(r"^## `(.*)`$", page, re.MULTILINE)
    assert heads[0] == "evaluate"
    assert {f"evaluate {name}" for name in COMMANDS} < set(heads)
    assert "evaluate baseline set" in heads
    assert "--thresholds" in page
    assert "--batch-tokens" in page  # a rare one


def test_a_code_blocks_words_for_the_tests_are_not_shown(on_site: Callable[..., str]) -> None:
    assert on_site("```yaml file=x.yaml\na: 1\n```\n") == "```yaml\na: 1\n```\n"


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[a](../tasks/demo/README.md)", "a (`tasks/demo/README.md`)"),
        ("[LICENSE](../LICENSE)", "`LICENSE`"),
        ("[a](../no-such.md)", "[a](../no-such.md)"),  # left for mkdocs, which ends with it
        ("[a](ci.md)", "[a](ci.md)"),
    ],
)
def test_a_link_out_of_the_documents_becomes_the_files_name(on_site: Callable[..., str], link: str, shown: str) -> None:
    assert on_site(link) == shown
    assert on_site("[a](../ci.md#margins)", "tutorials/x.md") == "[a](../ci.md#margins)"


# GitHub's files


def of_github(name: str) -> dict[Any, Any]:
    found = yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["test", "slow", "docs"])
def test_a_workflow_reads_only_and_runs_what_the_makefile_has(name: str) -> None:
    workflow = of_github(f"workflows/{name}.yml")
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = []
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            made += re.findall(r"\bmake ([a-z -]+)", step.get("run", ""))
    words = " ".join(made).split()
    assert words
    assert set(words) <= set(targets)


def test_a_release_publishes_what_was_tried_and_holds_no_key() -> None:
    workflow = of_github("workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8")
    [given] = [step["with"]["name"] for step in build["steps"] if "upload-artifact" in step.get("uses", "")]
    assert [step["with"]["name"] for step in publish["steps"] if "with" in step] == [given]


def test_the_tests_run_on_every_python_that_is_promised() -> None:
    versions = of_github("workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert promised
    assert promised == versions
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert re.findall(r"py3(\d+)", tox.partition("\n\n")[0]) == [version.removeprefix("3.") for version in promised]
    assert project["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize("name", ["error", "wish"])
def test_an_issue_form_has_what_github_asks_for(name: str) -> None:
    form = of_github(f"ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in fields)
    ids = [part["id"] for part in fields]
    assert len(set(ids)) == len(ids)
    assert any(part["validations"]["required"] for part in fields)
