"""Own data as users have it: `validate` and the run refuse the same, in one line, and warn of the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from own_inputs import (
    LABELLED,
    RANKED,
    REFUSED,
    SETS,
    STS,
    TAKEN,
    Case,
    billboard,
    classes,
    clusters,
    pairs,
    prompts,
    reranking,
    retrieval,
    sts,
)

from instructor_eval.results.store import Store

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint."""
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny", include_prompt_key=True)


def write(root: Path, case: Case) -> str:
    """A card and its data; the card's name is returned."""
    card, files = case
    (root / "own.yaml").write_text(f"name: Own\ndata: data\n{card}\n")
    for name, content in files.items():
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    return "own.yaml"


def both(cli: Run, card: str, model: Path, *flags: str) -> tuple[Any, Any]:
    """What `validate` and the run say of a card."""
    checked = cli("validate", card, *flags)
    return checked, cli(
        "--model", str(model), "--task", card, "--results", "results", "--offline", "--no-cache", *flags
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line_in_both(name: str, cli: Run, tmp_path: Path, model: Path) -> None:
    case, why = REFUSED[name]
    checked, ran = both(cli, write(tmp_path, case), model)
    assert (checked.code, ran.code) == (2, 2)
    [verdict] = [line.partition("ERROR ")[2] for line in checked.out.splitlines() if "ERROR " in line]
    [failed] = [line.partition("FAILED: ")[2] for line in ran.out.splitlines() if "FAILED: " in line]
    assert verdict == failed
    assert why in verdict
    assert len(verdict) <= 500 + len(str(tmp_path))
    for text in (checked.out, checked.err, ran.out, ran.err):
        assert "Traceback" not in text
        assert "unexpected" not in text


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_warned_of_in_both(name: str, cli: Run, tmp_path: Path, model: Path) -> None:
    case, wanted = TAKEN[name]
    card = write(tmp_path, case)
    checked, ran = both(cli, card, model)
    assert (checked.code, ran.code) == (0, 0), (checked.out, ran.out, ran.err)
    told = [line.partition("warning: Own: ")[2] for line in checked.out.splitlines() if "warning: Own: " in line]
    assert told == [line.partition("warning: Own: ")[2] for line in ran.out.splitlines() if "warning: Own: " in line]
    assert len(told) == len(wanted)
    for warning, part in zip(told, wanted, strict=True):
        assert part in warning
    last = checked.out.splitlines()[-1]
    n = len(wanted)
    assert last == (f"ok, {n} warning{'s' * (n != 1)}" if n else "1 good, 0 with errors")
    [score] = Store(tmp_path / "results").scores()
    assert score.data_warnings == told
    again = cli("--model", str(model), "--task", card, "--results", "results", "--offline", "--no-cache", "--strict")
    assert again.code == (2 if wanted else 0)
    assert [s.status for s in Store(tmp_path / "results").scores()] == ["ok"]
    strict = cli("validate", card, "--strict")
    assert strict.code == (2 if wanted else 0)
    if wanted:
        assert told[0] in again.out
        assert f"{told[0]}" in strict.out


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["1", "2", "60"])
def test_a_limit_of_any_size_runs_on_every_type(limit: str, cli: Run, tmp_path: Path, model: Path) -> None:
    cases = [
        retrieval(),
        classes(),
        sts(STS),
        pairs(0, 0, 1),
        clusters(SETS),
        reranking(RANKED),
        billboard(),
        prompts(),
    ]
    cards = []
    for i, case in enumerate(cases):
        (tmp_path / str(i)).mkdir()
        write(tmp_path / str(i), case)
        card = tmp_path / str(i) / "own.yaml"
        card.write_text(card.read_text().replace("name: Own", f"name: Own{i}"))
        cards += ["--task", str(card)]
    ran = cli("--model", str(model), *cards, "--results", "results", "--offline", "--no-cache", "--limit", limit)
    assert ran.code == 0, ran.out
    assert f"{len(cases)} run, 0 reused, 0 failed" in ran.out
    assert cli("validate", "--results", "results", *(c for c in cards if c != "--task")).code == 0


def test_labels_that_are_one_number_are_one_label(cli: Run, tmp_path: Path, model: Path) -> None:
    """Whatever they are written as, the score is that of the same labels."""
    found = []
    for i, written in enumerate((lambda v: v, float, str, lambda v: f"{v}.00", lambda v: f"{v}e0", lambda v: f"+{v}.")):
        folder = tmp_path / str(i)
        folder.mkdir()
        write(folder, classes(test=[{**row, "label": written(row["label"])} for row in LABELLED]))
        ran = cli(
            "--model", str(model), "--task", str(folder / "own.yaml"), "--results", str(folder / "r"), "--offline"
        )
        assert ran.code == 0, ran.out
        [score] = Store(folder / "r").scores()
        found.append(score.score)
    assert set(found) == {found[0]}
    assert found[0]
