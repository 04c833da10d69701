from __future__ import annotations

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.tasks import protocol
from instructor_eval.tasks.types import TYPES

MTEB = {
    "summeval": "v1",
    "summeval_machine_instruction": "on",
    "pair_ap": "max",
    "clustering_256": "off",
    "empty_text": "encode",
    "rouge": "mean",
    "amazon": "all",
}
PAPER = MTEB | {
    "summeval_machine_instruction": "off",
    "pair_ap": "cosine",
    "clustering_256": "on",
    "rouge": "bootstrap",
    "amazon": "third-worst",
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], MTEB),
        (["mteb"], MTEB),
        (["paper"], PAPER),
        (["paper", "mteb"], MTEB),
        (["pair_ap=cosine"], MTEB | {"pair_ap": "cosine"}),
        (["paper", "pair_ap=max"], PAPER | {"pair_ap": "max"}),
        (["pair_ap=max", "paper"], PAPER),
        (["empty_text=error", "paper"], PAPER | {"empty_text": "error"}),
        (["summeval=v2", "summeval=v1"], MTEB),
        (["rouge=bootstrap"], MTEB | {"rouge": "bootstrap"}),
        (["paper", "amazon=all"], PAPER | {"amazon": "all"}),
    ],
)
def test_parse(given: list[str], expected: dict[str, str]) -> None:
    assert protocol.parse(given) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair_app=max", "unknown protocol choice 'pair_app=max': did you mean pair_ap?"),
        ("zzz", "unknown protocol choice 'zzz': known are mteb, paper, and summeval,"),
        ("pair_ap", "--protocol pair_ap needs a value: pair_ap=max or pair_ap=cosine"),
        ("pair_ap=", "--protocol pair_ap=: the values are max, cosine"),
        ("summeval=v3", "--protocol summeval=v3: the values are v1, v2"),
        ("rouge=median", "--protocol rouge=median: the values are mean, bootstrap"),
        ("amazon=worst", "--protocol amazon=worst: the values are all, third-worst"),
        ("PAPER", "unknown protocol choice 'PAPER'"),
        ("", "unknown protocol choice ''"),
    ],
)
def test_unknown_choices(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        protocol.parse([text])
    assert str(error.value).startswith(message)


def test_the_papers_choices_are_known_ones() -> None:
    assert all(value in protocol.CHOICES[name] for name, value in protocol.PAPER.items())


def test_only_relevant_choices_are_part_of_an_identity() -> None:
    concerned = {name: {t for t in TYPES if name in protocol.relevant(MTEB, t, "Amazon")} for name in protocol.CHOICES}
    assert concerned == {
        "summeval": {"Summarization"},
        "summeval_machine_instruction": {"Summarization"},
        "pair_ap": {"PairClassification"},
        "clustering_256": {"Clustering"},
        "empty_text": set(TYPES),
        "rouge": {"PromptRetrieval"},
        "amazon": {"PromptRetrieval"},
    }
    assert protocol.relevant(PAPER, "PairClassification") == {"pair_ap": "cosine", "empty_text": "encode"}
    assert protocol.relevant(PAPER, "PromptRetrieval", "Amazon") == {
        "rouge": "bootstrap",
        "amazon": "third-worst",
        "empty_text": "encode",
    }
    assert protocol.relevant(PAPER, "PromptRetrieval", "RTE") == {"rouge": "bootstrap", "empty_text": "encode"}
