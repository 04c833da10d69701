"""The advice on top of the page, at any number of rows, and the rows that it rests on."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from many_rows import fill, page_of

from instructor_eval.analysis.board.advice import advise
from instructor_eval.analysis.board.advice_text import sentence
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol


@pytest.mark.parametrize("rows", [1, 4, 22])
def test_the_page_begins_with_one_sentence_and_its_rows(
    rows: int, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    fill(tmp_path, make_score, rows)
    page, store = page_of(tmp_path), Store(tmp_path)
    board = build(store.scores(), protocol=protocol.parse([]), items=store.items)
    found = advise(board, Evidence(store.items))
    assert found is not None
    [said] = re.findall(r"<section class=advice.*?</section>", page, re.DOTALL)
    assert f"<p class=line>{html.escape(sentence(found), quote=False)}</p>" in said
    assert page.index(said) < page.index("<main>")
    links = re.findall(r'href="#(r-\w+)"', said)
    assert links
    assert all(f'id="{link}"' in page for link in links)
    assert len(links) <= 1 + 1 + 3 * 5
    assert page.count("not beaten in both. From") == (rows == 22) * len(re.findall(r"<figure class=chart", page))


def test_without_results_there_is_no_advice(tmp_path: Path) -> None:
    assert "class=advice" not in page_of(tmp_path)
