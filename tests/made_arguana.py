"""A made-up data set in the layout of mteb/arguana, for the stand-in of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from made_up import write_retrieval

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
    write_retrieval(folder, corpus, queries, qrels)
