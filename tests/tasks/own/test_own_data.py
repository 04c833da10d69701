"""Own data as users have it: `validate` and the run refuse the same, in one line, and warn of the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import by_type
import pytest
import tiny
from made_up import FakeEncoder, settings
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

from instructor_eval.core.errors import UserError
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import own_cards
from instructor_eval.tasks.task import Card

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


def card_of(root: Path, case: Case) -> Card:
    [card] = own_cards(str(root / write(root, case)))
    return card


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line(name: str, tmp_path: Path) -> None:
    case, why = REFUSED[name]
    card, said = card_of(tmp_path, case), []
    for attempt in (by_type.describe, lambda card: by_type.run(card, FakeEncoder(), settings())):
        with pytest.raises(UserError) as error:
            attempt(card)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert why in said[0]
    assert said[0].isprintable()
    assert len(said[0]) <= 500 + len(str(tmp_path))


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_warned_of(name: str, tmp_path: Path) -> None:
    case, wanted = TAKEN[name]
    card = card_of(tmp_path, case)
    warnings = by_type.describe(card)[1]
    assert by_type.run(card, FakeEncoder(), settings()).warnings == warnings
    assert len(warnings) == len(wanted)
    assert all(part in warning for warning, part in zip(warnings, wanted, strict=True))


def both(cli: Run, card: str, model: Path, *flags: str) -> tuple[Any, Any]:
    """The outputs of `validate` and of the run for a card."""
    checked = cli("validate", card, *flags)
    return checked, cli(
        "--model", str(model), "--task", card, "--results", "results", "--offline", "--no-cache", *flags
    )


@pytest.mark.parametrize("name", ["null as document", "null among references", "no letter in the answer", "parquet"])
def test_both_commands_refuse_the_same(name: str, cli: Run, tmp_path: Path, model: Path) -> None:
    case, why = REFUSED[name]
    checked, ran = both(cli, write(tmp_path, case), model)
    assert (checked.code, ran.code) == (2, 2)
    [verdict] = [line.partition("ERROR ")[2] for line in checked.out.splitlines() if "ERROR " in line]
    [failed] = [line.partition("FAILED: ")[2] for line in ran.out.splitlines() if "FAILED: " in line]
    assert verdict == failed
    assert why in verdict
    for text in (checked.out, checked.err, ran.out, ran.err):
        assert "Traceback" not in text
        assert "unexpected" not in text


@pytest.mark.parametrize("name", ["plain", "other case", "empty example", "below 0"])
def test_both_commands_warn_of_the_same(name: str, cli: Run, tmp_path: Path, model: Path) -> None:
    case, wanted = TAKEN[name]
    card = write(tmp_path, case)
    checked, ran = both(cli, card, model)
    assert (checked.code, ran.code) == (0, 0), (checked.out, ran.out, ran.err)
    warned = [line.partition("warning: Own: ")[2] for line in checked.out.splitlines() if "warning: Own: " in line]
    assert warned == [line.partition("warning: Own: ")[2] for line in ran.out.splitlines() if "warning: Own: " in line]
    assert len(warned) == len(wanted)
    for warning, part in zip(warned, wanted, strict=True):
        assert part in warning
    last = checked.out.splitlines()[-1]
    n = len(wanted)
    assert last == (f"ok, {n} warning{'s' * (n != 1)}" if n else "1 good, 0 with errors")
    [score] = Store(tmp_path / "results").scores()
    assert score.data_warnings == warned
    again = cli("--model", str(model), "--task", card, "--results", "results", "--offline", "--no-cache", "--strict")
    assert again.code == (2 if wanted else 0)
    assert [s.status for s in Store(tmp_path / "results").scores()] == ["ok"]
    strict = cli("validate", card, "--strict")
    assert strict.code == (2 if wanted else 0)
    if wanted:
        assert warned[0] in again.out
        assert f"{warned[0]}" in strict.out


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
