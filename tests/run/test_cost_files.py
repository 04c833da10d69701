"""Costs as filed: what comes back, what is damaged, where they may lie; memory and cores of the machine."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_costs import COST

from instructor_eval.core import machine as machine_module
from instructor_eval.core.environment import memory
from instructor_eval.core.errors import UserError
from instructor_eval.core.machine import usable_cores
from instructor_eval.results.costs import CostStore

# The machine


def test_memory_where_proc_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    now, peak = memory()
    assert 0 < now <= peak
    monkeypatch.setattr("sys.platform", "freebsd")
    now, peak = memory()
    assert 1024**2 < now == peak


def test_cores_granted_by_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module.Path, "read_text", lambda *_args, **_: "150000 100000\n")
    monkeypatch.setattr(machine_module.os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert usable_cores() == 2
    monkeypatch.setattr(machine_module.Path, "read_text", lambda *_args, **_: "max 100000\n")
    assert usable_cores() == 64


# The store


def test_a_cost_comes_back_as_it_was(tmp_path: Path) -> None:
    store = CostStore(tmp_path)
    for cost in (COST, dataclasses.replace(COST, identity="1" * 16, cold=None)):
        path = store.write(cost)
        assert path == tmp_path / "costs" / "org__model" / f"int8.{cost.identity}.json"
        assert store.find(cost.model, cost.form, cost.identity) == cost
    assert len(list(store.all())) == 2
    assert store.find("org/model", "int8", "2" * 16) is None
    assert list(CostStore(tmp_path / "none").all()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda _raw: "{",
        lambda raw: json.dumps({k: v for k, v in raw.items() if k != "proof"}),
        lambda raw: json.dumps(raw | {"seconds": []}),
        lambda raw: json.dumps(raw | {"seconds": [1.0]}),
        lambda raw: json.dumps(raw | {"seconds": None}),
        lambda raw: json.dumps(raw | {"seconds": 3}),
        lambda raw: json.dumps(raw | {"file_bytes": 0}),
        lambda raw: json.dumps(raw | {"texts": "many"}),
        lambda raw: json.dumps(raw | {"model": 3}),
        lambda raw: json.dumps(raw | {"cold": {"import_seconds": 1.0}}),
        lambda raw: json.dumps(raw | {"cold": raw["cold"] | {"load_seconds": "long"}}),
        lambda raw: json.dumps(raw | {"cold": 7}),
    ],
)
def test_a_damaged_cost_is_no_cost(tmp_path: Path, damage: Callable[[dict[str, Any]], str]) -> None:
    store = CostStore(tmp_path)
    path = store.write(COST)
    path.write_text(damage(json.loads(path.read_text())))
    assert store.find(COST.model, COST.form, COST.identity) is None
    with pytest.raises(UserError, match=r"not a (readable|whole) cost file .*: delete it and measure again"):
        list(store.all())
    store.write(COST)
    assert store.find(COST.model, COST.form, COST.identity) == COST


def test_an_unknown_schema_is_an_error_and_left_alone(tmp_path: Path) -> None:
    store = CostStore(tmp_path)
    path = store.write(COST)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    before = path.read_bytes()
    for read in (lambda: store.find(COST.model, COST.form, COST.identity), lambda: list(store.all())):
        with pytest.raises(UserError, match="schema version 2 is not 1"):
            read()
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "a b\n\u202e", "..", "", "\udcff", "x" * 300])
def test_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    store = CostStore(tmp_path / "results")
    cost = dataclasses.replace(COST, model=name, form=name)
    path = store.write(cost)
    assert path.resolve().parent.parent == (tmp_path / "results" / "costs").resolve()
    assert store.find(name, name, cost.identity) is not None
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "costs").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*int8.*json: .*: correct that"):
        CostStore(tmp_path).write(COST)


def test_looking_for_costs_is_light() -> None:
    program = (
        "import sys, instructor_eval.run.costs, instructor_eval.cli.measure, instructor_eval.results.costs\n"
        "print(sorted({'torch', 'transformers', 'mteb'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
    program = "import sys, instructor_eval.cli.measure; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
