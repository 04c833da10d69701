"""Which engine multiplies int8: the fastest that was measured, read again by the next process."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import read

from instructor_eval.models.engine import Engine
from instructor_eval.models.forms import int8, int8_choice, int8_kernel, products
from instructor_eval.models.forms.int8_choice import FILE_NAME, Choice, choose, measure

TIMES = {"c": 3.0, "onednn": 1.0, "float32": 2.0}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    choose.cache_clear()
    yield
    choose.cache_clear()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The engines measured, each time; no clock is asked."""
    asked: list[list[str]] = []

    def times(names: list[str]) -> dict[str, float]:
        asked.append(names)
        return TIMES

    monkeypatch.setattr(int8_choice, "measure", times)
    return asked


def again(folder: Path) -> Choice:
    """The choice that another process finds."""
    choose.cache_clear()
    return choose(folder)


def test_the_fastest_is_chosen_and_found_again(tmp_path: Path, measured: list[list[str]]) -> None:
    first = choose(tmp_path)
    assert (first.engine, first.measured) == ("onednn", True)
    assert measured == [products.engines()]
    assert str(first) == ("int8 is multiplied by onednn, the fastest here (c 3.00 ms, onednn 1.00 ms, float32 2.00 ms)")
    assert again(tmp_path) == Choice("onednn", TIMES, measured=False)
    assert len(measured) == 1


@pytest.mark.parametrize("changed", ["torch", "processor", "instructions", "threads", "kernel"])
def test_what_a_choice_holds_for(
    changed: str, tmp_path: Path, measured: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(tmp_path)
    if changed == "torch":
        monkeypatch.setattr(int8_choice.torch, "__version__", "9.9")
    elif changed == "processor":
        monkeypatch.setattr(int8_choice, "hardware", lambda device: {"processor": "another"})
    elif changed == "instructions":
        monkeypatch.setattr(int8_kernel, "processor_flags", lambda: None)
    elif changed == "threads":
        monkeypatch.setattr(int8_choice.torch, "get_num_threads", lambda: 77)
    else:
        monkeypatch.setattr(int8_kernel, "SOURCE", Path(__file__))
        monkeypatch.setattr(int8_kernel.compiled, "library", lambda source, flags: None)
    assert again(tmp_path).measured
    assert len(json.loads((tmp_path / FILE_NAME).read_text())) == 2


def test_an_engine_that_is_gone_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[list[str]]
) -> None:
    name = next(iter(int8_kernel.suited()), None)
    if name is None:
        pytest.skip("a kind of processor that no engine was written for")
    monkeypatch.setattr(int8_choice, "measure", lambda names: {name: 1.0, "onednn": 2.0})
    assert choose(tmp_path).engine == name
    monkeypatch.setattr(int8_kernel.compiled, "library", lambda source, flags: None)  # the compiler is gone
    monkeypatch.setattr(int8_choice, "measure", lambda names: dict.fromkeys(names, 1.0))
    assert again(tmp_path).engine == "onednn"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[1]",
        '{"KEY": 1}',
        '{"KEY": {"engine": 1, "milliseconds": {}}}',
        '{"KEY": {"engine": "onednn"}}',
        '{"KEY": {"engine": "onednn", "milliseconds": {"onednn": "x"}}}',
        '{"KEY": {"engine": "../other", "milliseconds": {"../other": 1}}}',
        '{"KEY": {"engine": "avx9", "milliseconds": {"avx9": 1}}}',
        "\ud800",
    ],
)
def test_a_damaged_file_is_measured_again(text: str, tmp_path: Path, measured: list[list[str]]) -> None:
    written = text.replace("KEY", int8_choice._key()).encode("utf-8", "surrogatepass")
    (tmp_path / FILE_NAME).write_bytes(written)
    assert choose(tmp_path).engine == "onednn"
    assert len(measured) == 1
    assert not again(tmp_path).measured


def test_the_file_does_not_grow(tmp_path: Path, measured: list[list[str]]) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({f"machine {i}": {} for i in range(100)}))
    choose(tmp_path)
    known = list(json.loads((tmp_path / FILE_NAME).read_text()))
    assert len(known) == 32
    assert known[-2:] == ["machine 99", int8_choice._key()]


def test_a_folder_that_cannot_be_written(tmp_path: Path, measured: list[list[str]]) -> None:
    (tmp_path / "file").write_text("")
    assert choose(tmp_path / "file").engine == "onednn"
    assert again(tmp_path / "file").measured


def test_measuring_asks_every_engine() -> None:
    times = measure(products.engines(), seconds=0)
    assert set(times) == set(products.engines())
    assert all(value > 0 for value in times.values())


def test_a_choice_is_printed_once_and_filed(
    instructor_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = Choice("float32", {"float32": 2.0, "onednn": 3.0}, measured=True)
    monkeypatch.setattr(int8, "choose", lambda: choice)
    line = "int8 is multiplied by float32, the fastest here (float32 2.00 ms, onednn 3.00 ms)"
    for printed in (1, 0):
        engine = Engine(dataclasses.replace(read(instructor_folder), variant="int8"), device="cpu")
        assert "computed" not in engine.environment()
        engine.encode(["a text"], "")
        assert capsys.readouterr().err.count(line) == printed
        assert engine.environment()["computed"].endswith("8 of 8 products with weights in int8, multiplied by float32")
