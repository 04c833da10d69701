"""`evaluate validate --results`: what is printed, and how it ends. The checks are tested in tests/analysis/check."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rewritten import rewrite

from instructor_eval import metrics
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

ITEMS = {"id": ["0", "1", "2", "3"], "gold": [0.0, 0.2, 0.6, 1.0], "cosine": [0.1, 0.3, 0.2, 0.9]}
CARD = "name: Mine\ntype: STS\ndata: sts\n"
ROWS = "sentence1\tsentence2\tscore\na b\ta c\t0\nd\te\t1\nf\tg\t3\nh\ti\t5\n"
Run = Callable[..., Any]
Keep = Callable[..., Path]


@pytest.fixture
def keep(make_score: Callable[..., Score], tmp_path: Path) -> Keep:
    """`keep("STS12", model="org/a")`: file a good result; fields as of `make_score`."""

    store = Store(tmp_path / "results")

    def put(task: str = "STSBenchmark", *, failed: bool = False, **fields: object) -> Path:
        if failed:
            score = make_score(task, None, error="the disk is full", **fields)
            return store.path(store.write(score))
        value = metrics.compute("cosine_spearman", ITEMS)
        score = make_score(task, **{"value": value, "n_items": 4, **fields})
        return store.path(store.write(score, ITEMS))

    return put


def test_good_results_end_with_0(cli: Run, keep: Keep) -> None:
    keep()
    keep("STS12", failed=True)
    done = cli("validate", "--results", "results")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[2].split(maxsplit=1) == [
        "scores/org__model/paper/STS12.0123456789abcdef.json", "STS12         STS     failed: the disk is full"
    ]  # fmt: skip
    assert lines[3].endswith("STSBenchmark  STS     ok: 4 items")
    assert lines[4:] == [
        "",
        "2 results: 1 good, 1 failed run, 0 with errors",
        "items counted in the data for 0 of 1 good ones: the others' data is not here, or has changed since "
        "(own data: give the cards)",
    ]


def test_errors_come_first_and_end_with_2(cli: Run, keep: Keep) -> None:
    keep("STS12")
    keep("STS13", failed=True)
    keep("STS14", value=0.5)
    keep("STS15").write_text("{")
    done = cli("validate", "--results", "results")
    assert (done.code, done.err) == (2, "")
    lines = done.out.splitlines()
    assert "ERROR score 0.5 is not cosine_spearman(items) = 0.79" in lines[2]
    assert "STS15" in lines[3]
    assert "not a readable score file" in lines[3]
    assert "failed: the disk is full" in lines[4]
    assert lines[5].endswith("ok: 4 items")
    assert lines[7] == "4 results: 1 good, 1 failed run, 2 with errors"


def test_of_many_results_the_good_ones_are_counted_not_listed(cli: Run, keep: Keep) -> None:
    for i in range(21):
        keep(model=f"org/m{i:02}")
    done = cli("validate", "--results", "results")
    assert done.code == 0
    assert done.out.splitlines()[0] == "21 results: 21 good, 0 failed runs, 0 with errors"
    keep(model="org/bad", value=0.5)
    done = cli("validate", "--results", "results")
    assert done.code == 2
    assert done.out.count("STSBenchmark  STS") == 1
    assert done.out.count("ok: 4 items") == 0
    every = cli("validate", "--results", "results", "--all")
    assert every.code == 2
    assert every.out.count("ok: 4 items") == 21
    rows = json.loads(cli("validate", "--results", "results", "--format", "json").out)
    assert [r["verdict"][:5] for r in rows] == ["ERROR", *["ok: 4"] * 21]
    assert set(rows[0]) == {"file", "task", "type", "verdict"}
    table = list(csv.DictReader(cli("validate", "--results", "results", "--format", "csv").out.splitlines()))
    assert table == rows


def test_cards_and_results_together(cli: Run, keep: Keep, tmp_path: Path) -> None:
    """The card's data is what the results' items are counted in."""
    from instructor_eval.core.hub import files_key

    (tmp_path / "mine.yaml").write_text(CARD)
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts" / "test.tsv").write_text(ROWS)
    key = files_key(tmp_path / "sts")
    keep("Mine", benchmark="own", data={"key": key})
    done = cli("validate", "mine.yaml", "--results", "results")
    assert done.code == 0
    assert "ok: test: 4 rows" in done.out
    assert "ok: 4 items, as in the data" in done.out
    assert done.out.splitlines()[-2:] == ["1 good, 0 with errors", "1 result: 1 good, 0 failed runs, 0 with errors"]
    keep("Mine", benchmark="own", data={"key": key}, limit=3, identity="a" * 16)
    done = cli("validate", "mine.yaml", "--results", "results")
    assert done.code == 2
    assert "ERROR 4 items, the limit is 3; 4 items, the data has 3" in done.out
    (tmp_path / "mine.yaml").write_text(CARD.replace("sts", "nowhere"))
    done = cli("validate", "mine.yaml", "--results", "results")
    assert done.code == 2
    assert done.out.splitlines()[-3] == "0 good, 1 with errors"


def test_text_in_a_result_drives_no_terminal(cli: Run, keep: Keep) -> None:
    path = keep()
    rewrite(path, status="failed", error="\x1b[31mred\nline", score=None)
    done = cli("validate", "--results", "results")
    assert "\x1b" not in done.out
    assert "red line" in done.out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no results folder at results: run something first (`evaluate demo`), or name another"),
        (lambda root: root.mkdir(), "no results in results/scores: run something first"),
        (lambda root: root.write_text(""), "no results folder at results"),
    ],
    ids=["absent", "empty", "file"],
)
def test_nothing_to_check_is_an_error(cli: Run, tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "results")
    assert message in cli("validate", "--results", "results").error


def test_results_are_checked_without_torch_or_mteb(cli: Run, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "mteb", "datasets"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    keep()
    assert cli("validate", "--results", "results").code == 0
