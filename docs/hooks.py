"""What the site adds to the documents as they stand: mkdocs calls the functions below (mkdocs.yml).

The first page is README.md up to its links, and the command line's page is made of the parsers, so that neither text
stands twice.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_WIDTH = "100"


def on_page_markdown(markdown: str, *, page: Any, **_of_mkdocs: Any) -> str:
    """Return a page's text as the site has it.

    What its marker stands for is put in, code blocks are named by their language alone, and links to files that are in
    the repository and not on the site become the files' names.
    """
    for marker, text in (("<!-- README -->", readme), ("<!-- commands -->", command_line)):
        if marker in markdown:
            markdown = markdown.replace(marker, text())
    folder = posixpath.dirname(page.file.src_uri)
    markdown = re.sub(r"\[([^\]]+)\]\((\.\.[^)#:]+)\)", lambda link: _elsewhere(link, folder), markdown)
    return re.sub(r"^(```\w+) .*$", r"\1", markdown, flags=re.MULTILINE)  # `file=` and the like are for the tests


def _elsewhere(link: re.Match[str], folder: str) -> str:
    """Return a link as it is, or a file's name where it leads out of the documents to a file that is there."""
    text, target = link.groups()
    path = posixpath.normpath(posixpath.join("docs", folder, target))
    if path.startswith("docs/") or not (_ROOT / path).exists():
        return link[0]
    return f"`{path}`" if text.strip("`") == path else f"{text} (`{path}`)"


def readme() -> str:
    """Return README.md without its last part, with links from where the site's pages are."""
    text, links, _ = (_ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Where to read on\n")
    assert links, "README.md has no heading 'Where to read on'"
    return text.replace("](docs/", "](")


def command_line() -> str:
    """Return the help of every command, a section each."""
    from instructor_eval.cli.main import COMMANDS, parser_of, root_parser

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH  # argparse asks it
    try:
        parsers = [root_parser(), *(part for name in COMMANDS for part in _with_parts(parser_of(name)[0]))]
        for parser in parsers:
            parser.common = ()  # every flag, as --help-all shows them
        return "\n".join(f"## `{parser.prog}`\n\n```text\n{parser.format_help()}```\n" for parser in parsers)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _with_parts(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return a command's parser and those of its own commands (`evaluate baseline set`)."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(part for action in inner for part in dict.fromkeys(action.choices.values()))]
