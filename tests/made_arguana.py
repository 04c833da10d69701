"""A made-up data set in the layout of mteb/arguana, for the stand-in of the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ARGUANA_REPO = "mteb/arguana"
ARGUANA_REVISION = "c22ab2a51041ffd869aaddef7af8d8215647e41a"

# Six claims, each with one counterargument. As in mteb/arguana, the queries are documents of the corpus too, under the
# same identifiers.
_ARGUMENTS = (
    (
        "test-city-trams-pro01",
        "Trams in the old town",
        "Trams should replace the buses in the old town. They are quiet, they carry more people in the same"
        " street, and their rails show every visitor where the next one will come.",
        "Rails cannot move when a street is dug up, and a single parked van stops the whole line. Buses go"
        " around it, so the old town is better served by buses than by trams.",
    ),
    (
        "test-school-uniform-con02",
        "Uniforms at school",
        "Schools should not prescribe uniforms. Choosing one's clothes is the first small decision that"
        " children make for themselves, and a uniform takes it away.",
        "A uniform spares children the daily contest over who wears what. They keep a hundred other"
        " decisions, and poorer families no longer pay for the fashion of the richer ones.",
    ),
    (
        "test-library-hours-pro03",
        "Libraries on Sundays",
        "Public libraries should open on Sundays, since that is the day when those who work all week could"
        " read there with their children.",
        "A library that opens on Sundays closes on another day, as its staff is no larger. The pensioners and"
        " pupils who come on weekdays would lose more than the Sunday readers win.",
    ),
    (
        "test-garden-fences-con04",
        "Fences between gardens",
        "Fences between gardens ought to be banned, for hedgehogs and frogs need to wander from one to the"
        " next to find their food.",
        "A hole of a hand's width lets every hedgehog through. There is no need to ban the fence that keeps a"
        " small child away from the neighbour's pond.",
    ),
    (
        "test-harbour-lights-pro05",
        "Dark nights at the harbour",
        "The lamps along the harbour should go out at midnight: they cost the town a fortune, and the birds"
        " that rest there cannot sleep.",
        "Fishermen leave before dawn, and a dark quay has seen three of them fall into the water. The lamps"
        " along the harbour are worth what they cost.",
    ),
    (
        "test-market-cash-con06",
        "Coins at the market",
        "Market stalls must not be forced to take cards. The devices fail in the rain, and each sale of two"
        " apples loses a tenth of its price to the bank.",
        "Customers under thirty carry no coins any more and walk past a stall that takes only those. The fee"
        " on two apples is smaller than the sale that never happens.",
    ),
)

_ARGUANA_CARD = """\
---
language:
- en
task_categories:
- text-retrieval
dataset_info:
- config_name: default
  features:
  - name: query-id
    dtype: string
  - name: corpus-id
    dtype: string
  - name: score
    dtype: float64
  splits:
  - name: test
    num_bytes: 500
    num_examples: 6
- config_name: corpus
  features:
  - name: _id
    dtype: string
  - name: title
    dtype: string
  - name: text
    dtype: string
  splits:
  - name: corpus
    num_bytes: 3000
    num_examples: 12
- config_name: queries
  features:
  - name: _id
    dtype: string
  - name: text
    dtype: string
  splits:
  - name: queries
    num_bytes: 1500
    num_examples: 6
configs:
- config_name: default
  data_files:
  - split: test
    path: qrels/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
---
A made-up data set in the layout of mteb/arguana.
"""


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_arguana(folder: Path) -> None:
    """Write a small made-up data set in mteb/arguana's layout: 12 documents, 6 queries, 6 judgements."""
    corpus: list[dict[str, Any]] = []
    queries: list[dict[str, Any]] = []
    qrels: list[dict[str, Any]] = []
    for name, title, claim, reply in _ARGUMENTS:
        corpus.append({"_id": f"{name}a", "title": title, "text": claim})
        corpus.append({"_id": f"{name}b", "title": title, "text": reply})
        queries.append({"_id": f"{name}a", "text": claim})
        qrels.append({"query-id": f"{name}a", "corpus-id": f"{name}b", "score": 1.0})
    _write_lines(folder / "corpus.jsonl", corpus)
    _write_lines(folder / "queries.jsonl", queries)
    _write_lines(folder / "qrels" / "test.jsonl", qrels)
    (folder / "README.md").write_text(_ARGUANA_CARD, encoding="utf-8")
