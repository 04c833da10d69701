"""The task types: which there are, and a new one, added as a class, from its card to the gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instructor_eval import metrics
from instructor_eval.core.hub import files_key
from instructor_eval.results.store import Store, read_items
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.rows import find_file, read_rows
from instructor_eval.tasks.task import Card, Outcome
from instructor_eval.tasks.types.base import Filed, TaskType
from instructor_eval.tasks.values import RowReader, gold_hash

SHIPPED = shipped_cards()


def test_every_shipped_task_has_a_known_type() -> None:
    assert {card.type for card in SHIPPED.values()} == set(types.TYPES)


def test_own_types_are_all_but_summarization() -> None:
    assert set(types.own()) == set(types.TYPES) - {"Summarization"}


def test_nothing_concerns_an_unknown_type() -> None:
    kind = types.get("Bitext")
    assert (kind.metrics, kind.choices_of("T"), kind.is_searched, kind.is_prompted) == ((), (), False, False)
    assert not [text for check in kind.item_checks() for text in check(Filed("pearson", {}, None), {"id": ["1"]})]
    assert kind.count({"id": ["1", "2"]}) == 2


def test_there_are_cards_of_every_benchmark() -> None:
    benchmarks = [c.benchmark for c in SHIPPED.values()]
    assert {b: benchmarks.count(b) for b in ("billboard", "prompt-retrieval", "demo", "demo-pictures")} == {
        "billboard": 3,
        "prompt-retrieval": 11,
        "demo": 4,
        "demo-pictures": 3,
    }
    assert sum(c.benchmark == "mteb" and c.part_of is None for c in SHIPPED.values()) == 56


class OddOneOut(TaskType):
    """Rows of texts of which one does not belong: the one least like the others."""

    name = "OddOneOut"
    wording = {"text": ("text", "finding what does not belong")}  # noqa: RUF012 # written as short as an author would
    metrics = ("accuracy",)
    flags = ("value",)

    def data_key(self, card: Card, settings: Any) -> str:
        return files_key(card.folder)

    def read(self, card: Card) -> tuple[list[list[str]], list[int], tuple[str, ...]]:
        reader = RowReader(find_file(card.folder, card.split))
        rows = list(read_rows(reader.path))
        texts = [reader.texts(line, row, "texts") for line, row in rows]
        odd = [int(reader.number(line, row, "odd")) for line, row in rows]
        for (line, _), group, place in zip(rows, texts, odd, strict=True):
            if not 0 <= place < len(group):
                raise reader.fail(line, f"'odd' should be a place among {len(group)} texts, found {place}")
        return texts, odd, tuple(reader.warnings())

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        texts, _, warnings = self.read(card)
        return f"{len(texts)} groups", warnings

    def count_items(self, card: Card, limit: int | None) -> int:
        return len(self.read(card)[0][:limit])

    def run(self, card: Card, encoder: Any, settings: Any) -> Outcome:
        texts, odd, warnings = self.read(card)
        texts, odd = texts[: settings.limit], odd[: settings.limit]
        every = [text for group in texts for text in group]
        encoder.calibrate(every, "text")
        vectors = encoder.encode(every, "text")
        if settings.texts_only:
            return Outcome("accuracy", 0.0, {"id": []})
        groups = np.split(vectors, np.cumsum([len(group) for group in texts])[:-1])
        found = [int(np.argmin((group @ group.T).sum(axis=1))) for group in groups]
        items = {
            "id": [str(i) for i in range(len(odd))],
            "gold": odd,
            "value": [float(a == b) for a, b in zip(found, odd, strict=True)],
            "predictions": [[place] for place in found],
        }
        score = metrics.compute("accuracy", items)
        gold = gold_hash(zip(items["id"], odd, strict=True))
        return Outcome("accuracy", score, items, gold_hash=gold, warnings=warnings)

    def check_items(self, filed: Any, items: Any) -> Iterator[str]:
        if any(len(row) != 1 for row in items["predictions"]):
            yield "a group has one prediction"


GROUPS = [
    (["an apple", "a pear", "a truck"], 2),
    (["a violin", "a thunderstorm", "a cello"], 1),
    (["rain tomorrow", "snow tonight", "the parliament voted"], 2),
    (["my invoice is wrong", "a goalkeeper", "the bill is too high"], 1),
    (["a submarine", "a kitten", "a puppy"], 0),
    (["chess", "draughts", "a fried egg"], 2),
    (["a doctor", "a nurse", "a volcano"], 2),
    (["red", "blue", "arithmetic"], 2),
]


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The card of a task of the new type."""
    monkeypatch.setitem(types.TYPES, "OddOneOut", OddOneOut())
    (tmp_path / "groups").mkdir()
    rows = [json.dumps({"texts": texts, "odd": odd}) for texts, odd in GROUPS]
    (tmp_path / "groups" / "test.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "odd.yaml").write_text("name: Odd\ntype: OddOneOut\ndata: groups\n")
    return tmp_path


RUN = ("--model", "minilm", "--task", "odd.yaml", "--device", "cpu")


def test_a_new_type_is_one_class(cli: Callable[..., Any], odd: Path) -> None:
    done = cli("validate", "odd.yaml")
    assert done.code == 0, done.out + done.err
    assert "8 groups" in done.out
    planned = cli("plan", *RUN, "--format", "json", "--no-calibration")
    assert planned.code == 0, planned.out + planned.err
    [row] = json.loads(planned.out)["tasks"]
    assert (row["type"], row["texts"]) == ("OddOneOut", 24)

    done = cli(*RUN, "--variant", "fp32", "--variant", "fp32+int8")
    assert done.code == 0, done.out + done.err
    assert cli(*RUN, "--limit", "3").code == 0
    scores = {(s.model.variant, s.limit): s for s in Store(odd / "results").scores()}
    assert {key: s.n_items for key, s in scores.items()} == {("fp32", None): 8, ("fp32+int8", None): 8, ("fp32", 3): 3}
    assert scores["fp32+int8", None].embedding.calibration.texts == 24

    checked = cli("validate", "odd.yaml", "--results", "results")
    assert checked.code == 0, checked.out
    assert "items counted in the data" not in checked.out  # all of them were
    score = scores["fp32", None]
    assert score.score == sum(v == 1 for v in _items(odd, score)["value"]) / 8
    assert score.protocol == {"empty_text": "encode"}

    assert cli("baseline", "set", "minilm@fp32").code == 0
    gated = cli("gate", "--candidate", "minilm@fp32+int8", "--gate", "quality")
    assert gated.out.startswith("INCONCLUSIVE: Odd +0.00 points"), gated.out + gated.err
    assert "none of 8 test items changed" in gated.out


def test_a_new_types_broken_data_and_items_are_found(cli: Callable[..., Any], odd: Path) -> None:
    assert cli(*RUN).code == 0
    [score] = Store(odd / "results").scores()
    items = _items(odd, score)
    Store(odd / "broken").write(score, {**items, "value": [2.0, *items["value"][1:]], "predictions": [[1, 2]] * 8})
    done = cli("validate", "--results", "broken")
    assert done.code == 2
    assert "value is 2, not 0 or 1" in done.out
    assert "a group has one prediction" in done.out
    (odd / "groups" / "test.jsonl").write_text('{"texts": ["a", "b"], "odd": 2}\n')
    done = cli("validate", "odd.yaml")
    assert done.code == 2
    assert "test.jsonl, line 1: 'odd' should be a place among 2 texts, found 2" in done.out


def _items(folder: Path, score: Any) -> Any:
    [path] = (folder / "results" / "scores").rglob(f"*.{score.identity}.parquet")
    return read_items(path, score)
