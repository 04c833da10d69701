"""`report --texts`: the texts behind the lowest and highest items, from data that is here, where a card allows it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folders
import pytest

from instructor_eval import metrics
from instructor_eval.cli.main import main
from instructor_eval.core.hub import files_key
from instructor_eval.core.values import Items
from instructor_eval.report.texts import LONGEST, ItemTexts
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import read_cards, select, shipped_cards

HOSTILE = "<img src=x onerror=alert(1)> & 'text'"
Data = tuple[str, Path, Items, str]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_tsv", ".tsv").replace("_jsonl", ".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def rows(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def pairs(folder: Path, column: str) -> Items:
    lines = [f"first {n}{f' {HOSTILE}' if n == 0 else ''}\tsecond {n}\t{n % 2}" for n in range(8)]
    write(folder / "data", test_tsv="\n".join([f"sentence1\tsentence2\t{column}", *lines]) + "\n")
    items: Items = {"id": [str(n) for n in range(8)], "gold": [float(n % 2) for n in range(8)]}
    values = [0.9, 0.8, 0.3, 0.7, 0.2, 0.6, 0.1, 0.95]
    return items | dict.fromkeys(("similarity", "cosine", "dot", "manhattan", "euclidean"), values)


def labels(folder: Path) -> Items:
    lines = [f"text {n}\t{'ab'[n % 2]}" for n in range(8)]
    text = "\n".join(["text\tlabel", *lines]) + "\n"
    write(folder / "data", test_tsv=text, train_tsv=text.replace("text ", "other "))
    predictions = [["a"] * (10 - n) + ["b"] * n for n in range(8)]
    value = [row.count("ab"[n % 2]) / 10 for n, row in enumerate(predictions)]
    return {"id": [str(n) for n in range(8)], "gold": ["a", "b"] * 4, "predictions": predictions, "value": value}


def queries(folder: Path) -> Items:
    write(
        folder / "data",
        corpus_jsonl=rows(*({"_id": f"d{n}", "title": f"title {n}", "text": f"document {n}"} for n in range(9))),
        queries_jsonl=rows(*({"_id": f"q{n}", "text": f"question {n}"} for n in range(8))),
        qrels__test_tsv="query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(8)) + "q0\td8\t0\n",
    )
    return {
        "id": [f"q{n}" for n in range(8)],
        "ndcg_at_10": [n / 10 for n in range(8)],
        "top": [["d1", f"d{n}", "d2", "d3"] for n in range(8)],
        "top_scores": [[0.9, 0.8, 0.7, 0.6]] * 8,
        "relevant": [1] * 8,
    }


KINDS: dict[str, tuple[str, Callable[[Path], Items]]] = {
    "STS": ("cosine_spearman", lambda folder: pairs(folder, "score")),
    "PairClassification": ("max_ap", lambda folder: pairs(folder, "labels")),
    "Classification": ("accuracy", labels),
    "Retrieval": ("ndcg_at_10", queries),
}


class Own:
    """A task of one's own with its data, and a score of it."""

    def __init__(self, root: Path, make_score: Callable[..., Score], kind: str, *, show: str = "true") -> None:
        metric, fill = KINDS[kind]
        items = fill(root)
        self.root, self.card, self.results = root, root / "mine.yaml", root / "results"
        self.card.write_text(f"name: Mine\ntype: {kind}\ndata: data\nshow_texts: {show}\n", encoding="utf-8")
        self.score = make_score(
            "Mine", metrics.compute(metric, items), type=kind, metric=metric, benchmark="own", n_items=8,
            data={"key": files_key(root / "data"), "hash": "x"}, identity="a" * 16,
        )  # fmt: skip
        self.store = Store(self.results)
        self.store.write(self.score, items)

    def find(self, *ids: str) -> dict[str, list[tuple[str, str]]]:
        texts = ItemTexts({"Mine": read_cards(self.card)[0]}, self.store.items)
        return dict(texts.of(self.score, ids).by_id)

    def page(self, *flags: str) -> str:
        return folders.report(self.results, self.root / "page.html", "--no-published", *flags).read_text("utf-8")


def test_a_query_has_its_text_gold_and_found(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "Retrieval")
    assert own.find("q0", "gone") == {
        "q0": [
            ("query", "question 0"),
            ("gold", "title 0 document 0"),
            ("found 1", "title 1 document 1"),
            ("found 2, gold", "title 0 document 0"),
            ("found 3", "title 2 document 2"),
        ]
    }


def test_a_pair_has_both_texts_and_values(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    for kind, similarity in (("STS", "cosine"), ("PairClassification", "similarity")):
        own = Own(tmp_path / kind, make_score, kind)
        assert own.find("3") == {
            "3": [("first", "first 3"), ("second", "second 3"), ("gold", "1"), (similarity, "0.700")]
        }


def test_a_text_has_its_label_and_predictions(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "Classification")
    assert own.find("3") == {"3": [("text", "text 3"), ("gold", "b"), ("predicted", "a (7 of 10), b (3 of 10)")]}


def test_a_long_text_is_cut(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "Classification")
    table = own.root / "data" / "test.tsv"
    table.write_text(table.read_text("utf-8").replace("text 3", "y" * 5000), encoding="utf-8")
    own.score = make_score("Mine", 0.5, type="Classification", identity="a" * 16,
                           data={"key": files_key(own.root / "data")})  # fmt: skip
    own.store.write(own.score, labels(own.root / "again"))
    assert own.find("3")["3"][0] == ("text", "y" * LONGEST + "…")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_texts_only_where_they_are_asked_for(
    kind: str, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    own = Own(tmp_path, make_score, kind)
    words = {"Retrieval": "question 7", "Classification": "text 0", "STS": "first 0", "PairClassification": "first 0"}
    for flags in ((), ("--task", str(own.card))):
        page = own.page(*flags)
        assert words[kind] not in page
        assert "Texts" not in page
    page = own.page("--texts", "--task", str(own.card))
    assert words[kind] in page
    assert HOSTILE not in page
    if kind == "STS":
        assert html.escape(HOSTILE, quote=False).replace("'", "&#39;") in page
    assert len(re.findall('<dl class="facts texts">', page)) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda own: own.card.write_text(own.card.read_text().replace("true", "false")),
         "its card does not say show_texts: true"),
        (lambda own: write(own.root / "data", more_tsv="x"), "its data is not what was scored"),
        (lambda own: (own.root / "data" / "test.tsv").unlink(), "test"),
    ],
)  # fmt: skip
def test_otherwise_the_page_says_why_there_are_none(
    change: Callable[[Own], object], why: str, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    own = Own(tmp_path, make_score, "STS")
    change(own)
    page = own.page("--texts", "--task", str(own.card))
    assert "first 3" not in page
    [said] = re.findall(r"Texts are not shown: (.*?)\.</p>", page)
    assert why in html.unescape(said)


def test_of_a_task_whose_card_is_not_named_nothing_is_shown(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "STS")
    assert "its card is not known here: name it with --task CARD.yaml" in own.page("--texts")


def test_scores_of_a_part_of_the_data_show_none(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "STS")
    texts = ItemTexts({"Mine": read_cards(own.card)[0]}, own.store.items)
    limited = make_score("Mine", 0.5, limit=4, data={"key": own.score.data.key})
    assert texts.of(limited, ["3"]).why_not == "it was scored with --limit"


def test_damaged_items_show_none(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    own = Own(tmp_path, make_score, "Retrieval")
    [file] = own.results.rglob("*.parquet")
    file.unlink()
    texts = ItemTexts({"Mine": read_cards(own.card)[0]}, own.store.items)
    assert texts.of(own.score, ["q0"]).why_not == "its items are missing or damaged"


def test_only_data_written_for_this_project_may_be_shown_of_what_is_shipped() -> None:
    allowed = {card.name for card in shipped_cards().values() if card.show_texts}
    assert allowed
    assert {shipped_cards()[name].benchmark for name in allowed} == {"demo", "demo-pictures"}
    assert not select(["SciFact"])[0].show_texts


def test_a_card_that_says_neither_true_nor_false_is_refused(
    tmp_path: Path, make_score: Callable[..., Score], capsys: pytest.CaptureFixture[str]
) -> None:
    own = Own(tmp_path, make_score, "STS", show="perhaps")
    capsys.readouterr()
    assert main(["report", "--results", str(own.results), "--texts", "--task", str(own.card)]) == 2
    assert "show_texts" in capsys.readouterr().err
