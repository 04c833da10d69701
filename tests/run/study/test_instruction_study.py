"""The study of instructions, run on a planted model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from instructor_eval.analysis.study import files
from instructor_eval.core.errors import UserError
from instructor_eval.models.objects import ObjectModel
from instructor_eval.run.options import Options
from instructor_eval.run.study.instructions import Plan, study

BEST = "Your task is to represent the sentence: "


def words(texts: list[str], instruction: str) -> np.ndarray:
    """A bag of words, drowned in noise of each text's own under all instructions but one."""
    rows = np.zeros((len(texts), 65), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[int("".join(filter(str.isdigit, word)) or 0) % 64] += 1
        if instruction != BEST:
            row[:64] += np.random.default_rng(sum(text.encode())).normal(0, 2.0, 64)
        row[64] = 1e-3
    return rows


def options(tmp_path: Path, model: ObjectModel, **fields) -> Options:
    task = tmp_path / "words.yaml"
    if not task.exists():
        random = np.random.default_rng(0)
        rows = []
        for i in range(120):
            words, same = random.permutation(64)[:14], i % 7
            first, second = words[:7], [*words[:same], *words[7 : 14 - same]]
            rows.append("\t".join([" ".join(f"w{w}" for w in side) for side in (first, second)] + [str(same)]))
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "test.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(rows) + "\n")
        task.write_text("{name: Words, type: STS, data: data, template: {text: [sentence]}}")
    return Options(model=[model], task=[str(task)], results=tmp_path / "results", device="cpu", no_cache=True, **fields)


@pytest.fixture
def model() -> ObjectModel:
    return ObjectModel(words, "planted", label="1")


def test_the_planted_instruction_wins(tmp_path: Path, model: ObjectModel) -> None:
    said: list[str] = []
    found = study(options(tmp_path, model), Plan(others=2), said.append)
    [task] = found.tasks
    assert task.best.candidate.texts == {"text": BEST}
    assert task.gain.low is not None and task.gain.low > 0
    assert (task.n_choosing, task.n_held_out) == (60, 60)
    assert task.tried[0].candidate.name == "paper"
    assert found == files.read(tmp_path / "results", "instructions", files.InstructionStudy)[0]
    assert any("filed in" in line for line in said)
    again: list[str] = []
    assert study(options(tmp_path, model), Plan(others=2), again.append) == found
    assert any("reused" in line for line in again)


def test_what_cannot_be_studied(tmp_path: Path, model: ObjectModel) -> None:
    def quiet(_line: str) -> None: ...

    asked = options(tmp_path, model)
    plain = ObjectModel(lambda texts: words(texts, ""), "plain")
    with pytest.raises(UserError, match=r"plain takes no instructions .*nothing to vary"):
        study(options(tmp_path, plain), Plan(), quiet)
    with pytest.raises(UserError, match=r"DemoMinimalPairs is the mean of 8 tasks: study one of them"):
        study(dataclasses.replace(asked, task=["DemoMinimalPairs"]), Plan(), quiet)
    with pytest.raises(UserError, match="not for prompt retrieval"):
        study(dataclasses.replace(asked, task=["DemoPrompts"]), Plan(), quiet)
    with pytest.raises(UserError, match="a study is of one model"):
        study(dataclasses.replace(asked, model=[model, plain]), Plan(), quiet)
    with pytest.raises(UserError, match="one row"):
        study(dataclasses.replace(asked, truncate_dim=[8, 16]), Plan(), quiet)
    with pytest.raises(UserError, match="too few to choose honestly"):
        study(dataclasses.replace(asked, limit=20), Plan(), quiet)
    with files.alone(tmp_path / "results"), pytest.raises(UserError, match="another study is running"):
        study(asked, Plan(), quiet)


def test_a_model_of_prefixes_without_prompts_is_compared_with_none(
    tmp_path: Path, model: ObjectModel, plain_folder: Path
) -> None:
    asked = dataclasses.replace(options(tmp_path, model), model=[str(plain_folder)], family="prefix")
    said: list[str] = []
    [task] = study(asked, Plan(others=0), said.append).tasks
    assert task.tried[0].candidate.name == "paper"
    assert task.tried[0].candidate.texts == {"text": ""}
    assert "none" not in [one.candidate.name for one in task.tried]
    assert "  Words text: '' (--instructions none)" in said


def test_a_half_without_a_score_is_one_line(tmp_path: Path, model: ObjectModel) -> None:
    with pytest.raises(UserError, match=r"Words: half of its 2 pairs has no cosine_spearman: take more"):
        study(dataclasses.replace(options(tmp_path, model), limit=2), Plan(force=True), lambda _line: None)
