"""The study of domains: own tasks with a domain in their cards, two models, and figures computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from instructor_eval.analysis.study.text import format_domains
from instructor_eval.core.errors import UserError
from instructor_eval.models.objects import ObjectModel
from instructor_eval.results.store import Store
from instructor_eval.run.options import Options
from instructor_eval.run.study.domains import study
from instructor_eval.tasks.cards import read_cards, shipped_cards


def model(name: str, noise: float) -> ObjectModel:
    def embed(texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 64))
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % 64] += 1
            row += np.random.default_rng(sum(text.encode())).normal(0, noise, 64)
        return rows

    return ObjectModel(embed, name, label="1")


@pytest.fixture
def tasks(tmp_path: Path) -> list[str]:
    random, words = np.random.default_rng(1), [f"w{i}" for i in range(40)]
    for name, domain in (("A", "law"), ("B", "law"), ("C", "")):
        (tmp_path / name).mkdir()
        lines = []
        for _ in range(40):
            query, other = ([str(w) for w in random.choice(words, 6, replace=False)] for _ in range(2))
            positive = " ".join([*query[:3], *other[:2]])
            lines.append({"query": " ".join(query), "positive": [positive], "negative": [" ".join(other), "w1 w2 w3"]})
        (tmp_path / name / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        said = f", domain: {domain}" if domain else ""
        (tmp_path / f"{name}.yaml").write_text(f"{{name: {name}, type: Reranking, data: {name}{said}}}")
    return [str(tmp_path / f"{name}.yaml") for name in "ABC"]


def test_means_and_differences_are_those_by_hand(tasks: list[str], tmp_path: Path) -> None:
    asked = Options(model=[model("dull", 2.0), model("sharp", 0.1)], task=tasks, results=tmp_path / "r", no_cache=True)
    found = study(asked, lambda _line: None)
    assert [(d.name, d.tasks) for d in found.domains] == [("law", ("A", "B")), ("other", ("C",))]
    store = Store(tmp_path / "r")
    values = {(s.model.name, s.task): np.array(store.items(s)["map_at_1000"]) for s in store.scores()}
    law = found.domains[0]
    for mean in law.means:
        assert mean.value == pytest.approx(np.mean([values[mean.model, t].mean() for t in "AB"]), abs=1e-5)
        assert mean.low is not None and mean.low < mean.value < mean.high
    deltas = [values["sharp", t] - values["dull", t] for t in "AB"]
    variances = [d.var(ddof=1) / len(d) for d in deltas]
    se, df = np.sqrt(sum(variances)) / 2, sum(variances) ** 2 / sum(v**2 / 39 for v in variances)
    assert law.gain is not None
    assert law.gain.delta == pytest.approx(np.mean([d.mean() for d in deltas]), abs=2e-5)
    assert law.gain.high - law.gain.delta == pytest.approx(scipy_stats.t.ppf(0.975, df) * se, abs=1e-9)
    text = format_domains(found, "table")
    assert "law: A, B" in text
    assert "sharp less dull" in text


def test_one_model_has_means_alone(tasks: list[str], tmp_path: Path) -> None:
    found = study(
        Options(model=[model("sharp", 0.1)], task=tasks, results=tmp_path / "r", no_cache=True), lambda _: None
    )
    assert {d.gain for d in found.domains} == {None}
    with pytest.raises(UserError, match="both models are minilm: give --model once"):
        study(Options(model=["minilm", "minilm"], task=tasks, results=tmp_path / "r"), lambda _: None)
    with pytest.raises(UserError, match="of one model, or of two"):
        study(Options(model=[model(n, 0.1) for n in "xyz"], task=tasks, results=tmp_path / "r"), lambda _: None)


OF_OUR_OWN = {
    "Banking77Classification", "CQADupstackEnglishRetrieval", "CQADupstackTexRetrieval", "CQADupstackGisRetrieval",
}  # fmt: skip
"""Tasks whose domain mteb does not say."""


def test_every_mteb_card_says_its_domain() -> None:
    known = {card.name: card.domain for card in shipped_cards().values() if card.benchmark == "mteb"}
    assert all(known.values())
    assert (known["SciFact"], known["NFCorpus"], known["FiQA2018"]) == ("academic", "medical", "financial")
    import mteb

    for name, domain in known.items():
        theirs = {d.lower() for d in mteb.get_task(name).metadata.domains or []}
        assert (domain in theirs) == (name not in OF_OUR_OWN), name


def test_a_domain_that_is_no_text_is_refused(tmp_path: Path) -> None:
    card = tmp_path / "x.yaml"
    card.write_text("{name: X, type: STS, data: x, domain: 3}")
    with pytest.raises(UserError, match="domain"):
        read_cards(card)
