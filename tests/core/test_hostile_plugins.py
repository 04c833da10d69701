"""Packages of plugins that mean harm, or are broken: each costs one line, and nothing of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instructor_eval import metrics
from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.models import variant as variants
from instructor_eval.models.served import kinds
from instructor_eval.models.served.contract import Serving
from instructor_eval.readers.find import load_reader
from instructor_eval.search.spec import SearchSpec, open_store
from instructor_eval.tasks import cards

Run = Callable[..., Any]
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("evil", {"scorers": {"f1": "evil:f1"}}, "code")`: a package that is found in this process."""

    def clear() -> None:
        plugins.found.cache_clear()
        cards.plugin_cards.cache_clear()

    def put(name: str, groups: dict[str, dict[str, str]], code: str = "", version: str = "6.6") -> Path:
        site = tmp_path / f"site-{name}"
        site.mkdir()
        (site / f"{name}.py").write_text(code, encoding="utf-8")
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[instructor_eval.{g}]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for g, e in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(site))
        clear()
        return site

    yield put
    monkeypatch.undo()
    for name in [m for m in sys.modules if m.startswith("evil")]:
        del sys.modules[name]
    clear()


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


ITEMS = {"id": ["a", "b"], "gold": ["x", "y"], "value": [1.0, 0.0]}
RAISES = "raise ImportError('no libevil\\nat all')"


def test_names_of_ours_cannot_be_taken(install: Install) -> None:
    install(
        "evil_names",
        {
            "forms": {"fp32": "evil_names:x", "int8": "evil_names:x"},
            "scorers": {"accuracy": "evil_names:x", "ndcg_at_10": "evil_names:x", "rougeLsum": "evil_names:x"},
            "readers": {"nearest": "evil_names:x", "hf": "evil_names:x", "paper": "evil_names:x"},
            "tasks": {"evil": "evil_names:x"},
        },
        "import pathlib\npathlib.Path(__file__).with_name('loaded').touch()\nx = None",
    )
    site = Path(sys.path[0])
    assert variants.form("fp32") is variants.FORMS["fp32"]
    assert variants.known_forms()["int8"] is variants.FORMS["int8"]
    assert metrics.compute("rougeL", ITEMS) == 0.5
    assert not metrics.plugged()
    assert not metrics.is_plugged("accuracy")
    assert load_reader("nearest").fingerprint == "nearest-1"
    assert cards.select(["STSBenchmark"], ["demo"])
    assert not (site / "loaded").exists()
    assert "unknown metric 'rougeLsum'" in refusal(lambda: metrics.compute("rougeLsum", ITEMS))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (RAISES, "scorer f1 (evil 6.6) cannot be loaded (ImportError: no libevil at all)"),
        ("raise SystemExit(3)", "cannot be loaded (SystemExit: 3)"),
        ("def other(): ...", "cannot be loaded (AttributeError"),
        ("f1 = 3", "evil:f1 is no function of items"),
        ("def f1(items): raise KeyError('cosine')", "fails on 2 items with id, gold, value (KeyError: 'cosine')"),
        ("def f1(items): return None", "TypeError"),
        ("def f1(items): return 'many'", "ValueError"),
        ("def f1(items): return float('nan')", "gives nan for 2 items, which is not a score"),
        ("def f1(items): return float('inf')", "gives inf"),
        ("def f1(): return 1.0", "TypeError"),
    ],
)
def test_scorers_that_are_none(install: Install, code: str, words: str) -> None:
    install("evil", {"scorers": {"f1": "evil:f1"}}, code)
    assert metrics.is_plugged("f1")  # by name: nothing is loaded for it
    assert "evil" not in sys.modules
    assert words in refusal(lambda: metrics.compute("f1", ITEMS))


def test_a_scorer_has_items_of_its_own(install: Install) -> None:
    install("evil", {"scorers": {"f1": "evil:f1"}}, "def f1(items):\n    items.pop('gold').clear()\n    return True")
    items = {name: list(column) for name, column in ITEMS.items()}
    assert metrics.compute("f1", items) == 1.0
    assert items == ITEMS
    assert metrics.origin("f1") == "f1 of evil 6.6"
    assert metrics.origin("accuracy") == "accuracy"


def test_two_packages_with_one_name(install: Install) -> None:
    install("evil_one", {"scorers": {"f1": "evil_one:f1"}}, "def f1(items): return 1.0")
    install("evil_two", {"scorers": {"f1": "evil_two:f1"}}, "def f1(items): return 2.0")
    text = refusal(lambda: metrics.compute("f1", ITEMS))
    assert "evil" in text
    assert "brings one of that name too" in text


@pytest.mark.parametrize("name", ["../up", "a b", "-x", "x:y", "\u00e9", "x" * 81])
def test_names_that_no_command_line_can_hold(install: Install, name: str) -> None:
    install("evil", {"scorers": {"ok": "evil:f", name: "evil:f"}}, "def f(items): return 1.0")
    assert list(plugins.found(plugins.SCORERS)) == ["ok"]


MODEL = """
from instructor_eval.models.served.engine import ServedModel

class make(ServedModel):
    def __init__(self, rest, serving): ...
    def embed(self, texts, instruction): return [[1.0]]
"""
CARD = "name: {name}\ntype: {type}\ndata: data\n"


@pytest.mark.parametrize(
    ("code", "files", "words"),
    [
        (RAISES, {}, "task evil (evil 6.6) cannot be loaded (ImportError"),
        ("CARDS = 5", {}, "evil:CARDS is no folder of cards"),
        ("CARDS = '/tmp'", {}, "is no folder of cards"),
        ("def CARDS(): raise OSError('gone')", {}, "cannot name its folder of cards (OSError: gone)"),
        ("def CARDS(): return 7", {}, "7 is not a folder on disk"),
        ("CARDS = HERE / 'nowhere'", {}, "nowhere is not a folder on disk"),
        ("CARDS = HERE", {}, "there is no card (*.yaml)"),
        ("CARDS = HERE", {"a.yaml": "name: [1]"}, "a.yaml: task '[1]': type: it is missing"),
        ("CARDS = HERE", {"a.yaml": "!!python/object/apply:os.system ['true']"}, "a.yaml"),
        ("CARDS = HERE", {"a.yaml": CARD.format(name="STSBenchmark", type="STS")}, "it is the name of a shipped task"),
        ("CARDS = HERE", {"a.yaml": CARD.format(name="A", type="Summarization")}, "own tasks can be"),
        ("CARDS = HERE", {"a.yaml": CARD.format(name="A", type="STS") + "benchmark: mteb\n"}, "'mteb' is a shipped"),
        ("CARDS = HERE", {n: CARD.format(name="A", type="STS") for n in ("a.yaml", "b.yml")}, "a.yaml too: rename one"),
        ("CARDS = HERE", {"a.yaml": CARD.format(name="A", type="STS") + "metric: no_such\n"}, "metric: unknown value"),
    ],
)
def test_tasks_that_are_none(install: Install, cli: Run, code: str, files: dict[str, str], words: str) -> None:
    here = "from pathlib import Path\nHERE = Path(__file__).parent\n"
    site = install("evil", {"tasks": {"evil": "evil:CARDS"}}, here + code)
    for name, text in files.items():
        (site / name).write_text(text, encoding="utf-8")
    assert [c.name for c in cards.select(["ArguAna"])] == ["ArguAna"]  # what does not need it goes on
    assert words in refusal(lambda: cards.select(["NoSuchTask"]))
    assert words in refusal(lambda: cards.select([], ["evil"]))
    listed = cli("tasks")
    assert listed.code == 0
    assert words in listed.err
    assert "56 mteb, 3 billboard, 11 prompt-retrieval, 4 demo, 1 probe, 3 demo-pictures" in listed.out


def test_a_function_may_give_the_folder_and_other_packages_stay(install: Install, cli: Run) -> None:
    site = install(
        "evil_good",
        {"tasks": {"good": "evil_good:cards"}},
        "import pathlib\ndef cards(): return pathlib.Path(__file__).parent",
    )
    (site / "a.yaml").write_text(CARD.format(name="Good", type="STS"))
    install("evil_bad", {"tasks": {"bad": "evil_bad:cards"}}, RAISES)
    [card] = cards.select(["Good"])
    assert (card.benchmark, card.folder) == ("good", site / "data")
    assert cards.select([], ["good"]) == [card]
    listed = cli("tasks", "--benchmark", "good", "--format", "csv")
    assert "Good,good,STS" in listed.out
    assert "task bad (evil_bad 6.6) cannot be loaded" in listed.err
    text = cli("tasks", "Goood").error
    assert "did you mean Good?" in text
    assert "task bad" in text


READER = """
class Reader:
    is_cheap = True
    name, fingerprint = {name!r}, {fingerprint!r}
    def __init__(self, rest, **how): pass
    def describe(self): return {described}
    def read(self, questions): yield from ()
    def close(self): pass
"""
GOOD = {
    "name": "odd:x",
    "fingerprint": "0123456789abcdef",
    "described": "{'name': self.name, 'fingerprint': self.fingerprint}",
}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (RAISES, "reader odd (evil 6.6) cannot be loaded"),
        ("Reader = 1", "evil:Reader is no function that makes a reader"),
        ("def Reader(rest): ...", "makes no reader of 'x' (TypeError"),
        ("def Reader(rest, **how): return None", "has no name, fingerprint, is_cheap, describe, read, close"),
        (READER.format(**GOOD | {"name": "nearest"}), "is called 'nearest': a name must start with 'odd:'"),
        (READER.format(**GOOD | {"name": "odd:\x1b[2J"}), "is called"),
        (READER.format(**GOOD | {"fingerprint": "nearest-1"}), "fingerprint is 'nearest-1': give 16 hex digits"),
        (READER.format(**GOOD | {"described": "{'name': 'hf:other'}"}), "lacks its name or fingerprint"),
        (READER.format(**GOOD | {"described": "1 / 0"}), "cannot describe itself (ZeroDivisionError"),
    ],
)
def test_readers_that_are_none(install: Install, code: str, words: str) -> None:
    install("evil", {"readers": {"odd": "evil:Reader"}}, code)
    assert words in refusal(lambda: load_reader("odd:x"))


def test_a_reader_that_answers_badly_fails_its_task_alone(install: Install, cli: Run) -> None:
    install("evil", {"readers": {"odd": "evil:Reader"}}, READER.format(**GOOD))
    done = cli("--task", "DemoPrompts", "--selection", "bm25", "--reader", "odd:x", "--quiet", "--offline")
    assert done.code == 2
    assert "reader odd:x answered 0 of" in done.err
    assert "Traceback" not in done.err
    text = refusal(lambda: load_reader("od:x"))
    assert "did you mean odd" in text
    assert "known are nearest, paper, hf:MODEL, endpoint:URL, odd:..." in refusal(lambda: load_reader("zzzz"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (RAISES, "model evil (evil 6.6) cannot be loaded (ImportError: no libevil at all)"),
        ("make = 3", "evil:make is no function that makes a model"),
        ("def make(rest, serving): raise OSError('gone')", "makes no model of 'x' (OSError: gone)"),
        ("def make(rest, serving): return object()", "does not make a models.served.contract.ServedModel"),
        (MODEL + "    name, identity = 'endpoint:http://x', {}", "must begin with 'evil:'"),
        (MODEL + "    name, identity = 'evil:x', 7", "identity be a mapping"),
        (MODEL + "    name, identity = 'evil:x', {}", "gives an array"),
    ],
)
def test_models_that_are_none(install: Install, code: str, words: str) -> None:
    install("evil", {"models": {"evil": "evil:make", "mteb": "evil:make"}}, code)
    assert kinds.kind_of("evil:x") == "evil"
    assert kinds.kind_of("./evil:x") is None
    assert "evil" not in sys.modules
    assert words in refusal(lambda: kinds.load("evil:x", Serving()))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (RAISES, "search evil (evil 6.6) cannot be loaded (ImportError: no libevil at all)"),
        ("make = 3", "evil:make is no function that makes a store"),
        ("def make(spec): raise OSError('gone')", "makes no store of 'evil:a,b=1' (OSError: gone)"),
        ("def make(spec): return object()", "has no build, start, add, finish"),
    ],
)
def test_searches_that_are_none(install: Install, code: str, words: str) -> None:
    install("evil", {"search": {"evil": "evil:make", "faiss": "evil:make", "exact": "evil:make"}}, code)
    spec = SearchSpec.parse("evil:a,b=1")
    assert "evil" not in sys.modules
    assert words in refusal(lambda: open_store(spec))
    assert type(open_store(SearchSpec.parse("faiss:Flat"))).__name__ == "FaissStore"
    assert "unknown search 'evli'" in refusal(lambda: SearchSpec.parse("evli"))
