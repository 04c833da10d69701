"""Texts of tasks in training data: counted against a comparison of all with all, by role; the leaderboard tells it."""

from __future__ import annotations

import html
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from made_scores import edited

from instructor_eval.cli.main import main
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import known_cards
from instructor_eval.tasks.task import RunSettings
from instructor_eval.tasks.texts import texts_of
from instructor_eval.training.data import Rows, load_rows
from instructor_eval.training.overlap import Share, overlap

WORDS = ["storm", "river", "model", "city", "protein", "question", "winter", "fire", "sky", "music", "night", "water"]


def training(folder: Path, texts: list[str]) -> Rows:
    rows = [{"query": ["Represent: ", text], "pos": ["", "an answer of no task"], "task_name": "t"} for text in texts]
    folder.mkdir(exist_ok=True)
    path = folder / "train.json"
    path.write_text(json.dumps(rows))
    return load_rows(path, folder / "arrow")


def test_verbatim_and_near_texts_by_role(tmp_path: Path) -> None:
    long = "The storm over the river was seen from every window of the city that night."
    rows = training(tmp_path, [" THE  sky\nis blue ", long.replace("every", "each")])
    tasks = {"a": {"query": ["the sky is blue", "The sky is blue", "something else"], "document": [long, "", " "]}}
    assert overlap(rows, tasks) == [Share("a", "query", 2, 1, 0), Share("a", "document", 1, 0, 1)]
    assert overlap(rows, tasks, threshold=1.0)[1] == Share("a", "document", 1, 0, 0)


def pieces(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def test_near_texts_are_those_of_a_comparison_of_all_with_all(tmp_path: Path) -> None:
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=12)) for _ in range(150)]
    changed = []
    for text in texts:
        words = text.split()
        for _ in range(draw.randint(0, 4)):
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        changed.append(" ".join(words))
    [share] = overlap(training(tmp_path, changed), {"t": {"text": texts}})
    similar = [max(len(pieces(a) & pieces(b)) / len(pieces(a) | pieces(b)) for b in changed) for a in texts]
    verbatim = sum(a in set(changed) for a in texts)
    assert share.verbatim == verbatim
    assert share.near == sum(s >= 0.8 for s in similar) - verbatim > 10


def test_texts_of_a_task_stand_apart_by_role() -> None:
    settings = RunSettings(protocol={}, offline=True, texts_only=True)
    found = texts_of(known_cards()["DemoRetrieval"], settings)
    assert set(found) == {"query", "document"}
    assert set(texts_of(known_cards()["DemoSTS"], settings)) == {"text"}


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = texts_of(known_cards()["DemoSTS"], RunSettings(protocol={}, offline=True, texts_only=True))["text"]
    training(tmp_path / "data", texts[: len(texts) // 2])
    return tmp_path / "data" / "train.json"


def test_the_command_and_the_mark_on_the_board(
    demo: Path, capsys: pytest.CaptureFixture[str], make_score: Any, tmp_path: Path
) -> None:
    assert main(["overlap", "--train", str(demo), "--task", "DemoSTS", "--results", "results", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [share] = found["shares"]
    assert share["verbatim"] == share["texts"] // 2
    note = f"trained on train.json (SHA-256 {found['sha256']})"
    for model, notes in (("trained", (note,)), ("other", ("trained on x (SHA-256 " + "0" * 64 + ")",))):
        score = make_score("DemoSTS", 0.5, model=model, type="STS", metric="cosine_spearman", identity=model)
        Store(tmp_path / "results").write(edited(score, notes=notes))
    assert main(["leaderboard", "--no-intervals"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("!")]
    assert line.startswith("! trained")
    assert f"which holds {100 * share['verbatim'] / share['texts']:.1f} % of DemoSTS (text)" in line
    assert main(["report", "--no-intervals"]) == 0
    [shown] = re.findall(r"<p class=note><b>Overlap:</b> (.*?)\.</p>", Path("report.html").read_text(encoding="utf-8"))
    assert html.unescape(shown) == line.removeprefix("! ")


@pytest.mark.parametrize("options", [[], ["--task", "DemoSTS", "--threshold", "0.1"], ["--task", "DemoST"]])
def test_one_line_for_what_cannot_be(demo: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlap", "--train", str(demo), *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate: ")
