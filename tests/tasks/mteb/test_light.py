"""Tasks without mteb: what is stored of them, when it is read, and that nothing heavy is imported then."""

import dataclasses
import json
import os
import subprocess
import sys

import by_type
import mteb
import numpy as np
import pytest
from made_up import MIRRORS, FakeEncoder, card, settings

from instructor_eval.core.hub import tables_folder
from instructor_eval.core.mteb import scores_as
from instructor_eval.models.variant import Variant
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.mteb import light
from instructor_eval.tasks.mteb import load as mirror
from instructor_eval.tasks.types.mteb_type import MtebType

LIGHT = ["BIOSSES", "STS22", "SciFact", "AskUbuntuDupQuestions", "TwitterSemEval2015", "EmotionClassification",
         "MTOPDomainClassification", "AmazonCounterfactualClassification"]  # fmt: skip

CLASSIFICATION = [card.name for card in shipped_cards().values() if card.type == "Classification" and not card.parts]


def refuse(*_args, **_kwargs):
    raise AssertionError("mteb was asked")


def stored(own_datasets_cache):
    return sorted(own_datasets_cache.rglob("task-*.bin"))


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("name", LIGHT)
def test_mteb_reads_a_data_set_once(tmp_path, own_datasets_cache, monkeypatch, name, limit):
    MIRRORS[name](tmp_path)
    first, again = FakeEncoder(), FakeEncoder()
    outcome = by_type.run(card(name), first, settings(tmp_path, limit=limit))
    assert len(stored(own_datasets_cache)) == 1
    monkeypatch.setattr(mirror, "load", refuse)
    assert by_type.run(card(name), again, settings(tmp_path, limit=limit)) == outcome
    assert again.calls == first.calls


@pytest.mark.parametrize("variant", ["binary", "ubinary", "binary-rescore", "int8", "float16"])
@pytest.mark.parametrize("name", ["AskUbuntuDupQuestions", "TwitterSemEval2015", "AmazonCounterfactualClassification"])
def test_scores_without_mteb_are_those_with_it(tmp_path, monkeypatch, name, variant):
    class Bound(FakeEncoder):
        def encode(self, texts, role, *, bare=False):
            vectors = super().encode(texts, role, bare=bare)
            has_signs = "binary" in variant and not (variant == "binary-rescore" and role == "query")
            return np.where(vectors > 0, np.float32(1), np.float32(-1)) if has_signs else vectors

    Bound.variant = Variant.parse(f"fp32+{variant}")
    MIRRORS[name](tmp_path)
    without = by_type.run(card(name), Bound(), settings(tmp_path))
    monkeypatch.setattr(MtebType, "light_task", lambda *_: None)
    monkeypatch.setattr(MtebType, "keep", lambda *_: None)
    assert by_type.run(card(name), Bound(), settings(tmp_path)) == without


@pytest.mark.parametrize("name", ["AskUbuntuDupQuestions", "TwitterSemEval2015", "MTOPDomainClassification"])
def test_a_dry_run_without_mteb_passes_the_same_texts(tmp_path, monkeypatch, name):
    MIRRORS[name](tmp_path)
    without, using = FakeEncoder(), FakeEncoder()
    asked = dataclasses.replace(settings(tmp_path), texts_only=True)
    by_type.run(card(name), without, asked)
    monkeypatch.setattr(MtebType, "light_task", lambda *_: None)
    monkeypatch.setattr(MtebType, "keep", lambda *_: None)
    by_type.run(card(name), using, asked)
    assert without.calls == using.calls and without.calls


def test_another_content_is_read_by_mteb(tmp_path, monkeypatch):
    MIRRORS["BIOSSES"](tmp_path)
    by_type.run(card("BIOSSES"), FakeEncoder(), settings(tmp_path))
    [file] = (path for path in (tmp_path / "datasets").rglob("*.jsonl") if "test" in path.name)
    rows = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(rows[1:]), encoding="utf-8")
    monkeypatch.setattr(mirror, "load", refuse)
    with pytest.raises(AssertionError, match="mteb was asked"):
        by_type.run(card("BIOSSES"), FakeEncoder(), settings(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "a folder"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, own_datasets_cache, damage):
    MIRRORS["SciFact"](tmp_path)
    outcome = by_type.run(card("SciFact"), FakeEncoder(), settings(tmp_path))
    [path] = stored(own_datasets_cache)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"cut": content[:100], "a bit": content, "empty": b""}[damage])
    assert by_type.run(card("SciFact"), FakeEncoder(), settings(tmp_path)) == outcome
    read = light.read(card("SciFact"), by_type.data_key(card("SciFact"), settings(tmp_path)))
    assert path.is_dir() == (read is None) == (damage == "a folder")


def test_warnings_about_the_data_stay(tmp_path):
    MIRRORS["SciFact"](tmp_path)
    file = tmp_path / "datasets/mteb/scifact/queries.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows[1]["text"] = ""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, again = (by_type.run(card("SciFact"), FakeEncoder(), settings(tmp_path)) for _ in range(2))
    assert first.warnings == again.warnings
    assert any("1 empty text" in warning for warning in again.warnings)


def test_a_branch_is_not_stored():
    assert light.read(card("BIOSSES"), "hub:org/name@main") is None
    assert light._COMMIT.fullmatch(f"hub:org/name@{'0' * 40}")


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("STSBenchmark", "AbsTaskSTS", True),
        ("STS17", "AbsTaskSTS", True),
        ("BIOSSES", "AbsTaskSTS", True),
        ("SciFact", "AbsTaskRetrieval", True),
        ("ArguAna", "AbsTaskRetrieval", True),
        ("AskUbuntuDupQuestions", "AbsTaskRetrieval", True),
        ("SciDocsRR", "AbsTaskRetrieval", True),
        ("StackOverflowDupQuestions", "AbsTaskRetrieval", True),
        ("MindSmallReranking", "AbsTaskRetrieval", False),  # it has figures of its own
        ("SprintDuplicateQuestions", "AbsTaskPairClassification", True),
        ("TwitterSemEval2015", "AbsTaskPairClassification", True),
        ("TwitterURLCorpus", "AbsTaskPairClassification", True),
        *((name, "AbsTaskClassification", True) for name in CLASSIFICATION),
        ("SciFact", "AbsTaskSTS", False),
    ],
)
def test_which_tasks_are_scored_as_their_class_is(name, base, expected):
    assert scores_as(mteb.get_task(name), base) is expected


def test_a_method_of_its_own_leaves_a_task_to_mteb():
    task = mteb.get_task("BIOSSES")
    task.__class__ = type("Changed", (type(task),), {"_calculate_scores": refuse})
    assert not scores_as(task, "AbsTaskSTS")


def test_the_folder_is_that_of_datasets(own_datasets_cache):
    """Of its own settings alone: what else it imports takes a second, for each environment."""
    assert tables_folder("files:sha256:ab").parents[1] == own_datasets_cache
    program = (
        "import os, sys, types, importlib.util as u; from instructor_eval.core.hub import tables_folder as f\n"
        "places, was = list(u.find_spec('datasets').submodule_search_locations), dict(os.environ)\n"
        "for name, value in (('HF_HOME', '/somewhere'), ('XDG_CACHE_HOME', '~/x'), ('HF_DATASETS_CACHE', '/tables')):\n"
        "    os.environ.clear(); os.environ.update(was | {name: value}); a = f('hub:o/n@c')\n"
        "    sys.modules['datasets'] = types.ModuleType('datasets'); sys.modules['datasets'].__path__ = places\n"
        "    import datasets.config; print(a == f('hub:o/n@c'), a)\n"
        "    del sys.modules['datasets'], sys.modules['datasets.config']"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HOME", "HF_DATASETS_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | {"HOME": "/home"}, capture_output=True, text=True, check=True
    )
    end = "instructor-eval/o__n@c"
    assert done.stdout.splitlines() == [
        f"True /somewhere/datasets/{end}", f"True /home/x/huggingface/datasets/{end}", f"True /tables/{end}",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "heavy"),
    [("DemoSTS", {"mteb", "torch", "datasets", "sklearn"}),
     ("SciFact", {"mteb", "datasets", "sklearn"}),
     pytest.param("BIOSSES", {"mteb", "torch", "datasets", "sklearn"}, marks=pytest.mark.slow),
     pytest.param("AskUbuntuDupQuestions", {"mteb", "datasets", "sklearn"}, marks=pytest.mark.slow),
     pytest.param("TwitterSemEval2015", {"mteb", "datasets", "sklearn"}, marks=pytest.mark.slow),
     pytest.param("DemoRetrieval", {"mteb", "datasets", "sklearn"}, marks=pytest.mark.slow)],
)  # fmt: skip
def test_a_cached_run_imports_neither_mteb_nor_what_it_does_not_use(tmp_path, task, heavy):
    if task in MIRRORS:
        MIRRORS[task](tmp_path)
    program = (
        "import sys; from instructor_eval.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        f"print(code, sorted({heavy!r} & set(sys.modules)))"
    )
    (tmp_path / "datasets").mkdir(exist_ok=True)
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "INSTRUCTOR_EVAL_CACHE": str(tmp_path / "cache")}
    for results, expected in (("first", None), ("second", "0 []")):
        command = ["--model", "minilm", "--task", task, "--hub", str(tmp_path), "--results", str(tmp_path / results)]
        done = subprocess.run(
            [sys.executable, "-c", program, *command, "--device", "cpu", "--cost", "off"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        if expected:
            assert done.stdout.splitlines()[-1] == expected
    found = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*/scores/**/*.json")]
    assert len({score["score"] for score in found}) == 1 and len(found) == 2
