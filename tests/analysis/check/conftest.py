"""Results of every type, each made once, when it is asked for."""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import by_type
import datasets
import pytest
from made_up import MIRRORS, FakeEncoder, settings
from made_up import card as shipped
from stored_results import DEMO, FORUMS, QUICK, Result, filed

from instructor_eval import metrics
from instructor_eval.core.hub import files_key
from instructor_eval.core.values import Items
from instructor_eval.tasks.task import Card, Outcome


class Results(Mapping[str, Result]):
    """One result or more of every type, as the adapters make them, without a model."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._cache = folder("cache")
        self._made: dict[str, Result] = {}
        self._recipes: dict[str, Callable[[], Result]] = {"whole": _whole}

        @functools.cache
        def hub(name: str) -> Path:
            MIRRORS[name](found := folder(name))
            return found

        def add(label: str, name: str, *, mirrored: bool = True, limit: int | None = None, **protocol: str) -> None:
            self._recipes[label] = lambda: _run(shipped(name), hub(name) if mirrored else None, limit, **protocol)

        for name in QUICK:
            add(name, name)
        for name in ("SciFact", "AskUbuntuDupQuestions", "TwentyNewsgroupsClustering", "BIOSSES", "SummEval"):
            add(f"{name} cut", name, limit=6)
        add("cosine", "TwitterSemEval2015", pair_ap="cosine")
        add("v2", "SummEval", summeval="v2")
        for name in DEMO:
            add(name, name, mirrored=False)
            add(f"{name} cut", name, mirrored=False, limit=7)
        add("bootstrap", "DemoPrompts", mirrored=False, rouge="bootstrap")

    def __getitem__(self, label: str) -> Result:
        if label not in self._made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(datasets.config, "HF_DATASETS_CACHE", self._cache)
                self._made[label] = self._recipes[label]()
        return self._made[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)


def _run(card: Card, hub: Path | None, limit: int | None, **protocol: str) -> Result:
    asked = settings(hub, limit=limit, **protocol)
    outcome = by_type.run(card, FakeEncoder(), asked)
    key = files_key(card.folder) if card.folder else "k"
    return filed(card, outcome, limit=limit, protocol=dict(asked.protocol), key=key), outcome.items


def _whole() -> Result:
    values: Items = {"id": list(FORUMS), "value": [0.02 * i for i in range(1, len(FORUMS) + 1)]}
    outcome = Outcome("mean_of_parts", metrics.compute("mean_of_parts", values), values)
    return filed(shipped("CQADupstackRetrieval"), outcome, protocol={"empty_text": "encode"}), values


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results(tmp_path_factory.mktemp)
