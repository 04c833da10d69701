"""Checks of result files, of their data, and of several results against each other."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import by_type
import pytest
from made_scores import edited
from made_up import FakeEncoder, settings
from rewritten import rewrite
from stored_results import FORUMS, Result, errors, filed, of, stored

from instructor_eval import metrics
from instructor_eval.analysis.check.check import check_results
from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import files_key
from instructor_eval.results.score import Data, Score
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import own_cards, select


def test_one_bad_file_hides_no_other(real: Mapping[str, Result], tmp_path: Path) -> None:
    labels = ("DemoSTS", "DemoBillboard", "DemoPrompts", "SciFact", "BIOSSES", "SummEval", "DemoRetrieval")
    paths = dict(zip(labels, stored(tmp_path, *(real[label] for label in labels)), strict=True))
    paths["DemoSTS"].write_text('{"schema_version": 1, "task"')
    rewrite(paths["DemoBillboard"], schema_version=9)
    parquet = paths["DemoPrompts"].with_suffix(".parquet")
    parquet.write_bytes(parquet.read_bytes()[:-20])
    paths["SciFact"].with_suffix(".parquet").unlink()
    rewrite(paths["BIOSSES"], model={})
    rewrite(paths["SummEval"], metric="cosine_spearman", data=None, protocol=[1])
    found = {c.file.rpartition("/")[2].partition(".")[0]: c for c in check_results(tmp_path)}
    assert set(found) == set(labels)
    assert "not a readable score file" in found["DemoSTS"].verdict
    assert "schema version 9 is not 2" in found["DemoBillboard"].verdict
    assert "items missing or cut short" in found["DemoPrompts"].verdict
    assert "items missing or cut short" in found["SciFact"].verdict
    assert "not a whole score file" in found["BIOSSES"].verdict
    assert found["SummEval"].verdict.startswith("ERROR ")
    assert found["DemoRetrieval"].verdict == "ok: 184 items, as in the data"


def test_the_identity_is_in_the_file_name(real: Mapping[str, Result], tmp_path: Path) -> None:
    (path,) = stored(tmp_path, real["DemoSTS"])
    moved = path.with_name("DemoSTS.0000000000000000.json")
    path.with_suffix(".parquet").rename(moved.with_suffix(".parquet"))
    path.rename(moved)
    [wrong, items_file] = errors(tmp_path)
    assert wrong == f"filed as fake__encoder/paper/{moved.name}, its content says fake__encoder/paper/{path.name}"
    assert items_file == f"items_file is {path.stem}.parquet, the file beside it {moved.stem}.parquet"


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("model", {"name": "other/model", "family": "plain", "fingerprint": "f" * 16, "variant": "fp32"}),
     ("instructions", {"set": "none", "roles": {}}), ("task", "BIOSSES")],
)  # fmt: skip
def test_the_folders_agree_with_the_content(
    real: Mapping[str, Result], tmp_path: Path, field_name: str, value: object
) -> None:
    (path,) = stored(tmp_path, real["DemoSTS"])
    rewrite(path, **{field_name: value})
    assert any(text.startswith("filed as ") for text in errors(tmp_path))


def test_items_are_counted_in_the_data(real: Mapping[str, Result], tmp_path: Path) -> None:
    score, items = of(real, "DemoSTS")
    items = {name: values[:-3] for name, values in items.items()}
    score = edited(score, n_items=190, metrics={}, score=metrics.compute(score.metric, items))
    stored(tmp_path, (score, items))
    assert errors(tmp_path) == ["190 items, the data has 193"]


def test_data_that_changed_since_proves_nothing(real: Mapping[str, Result], tmp_path: Path) -> None:
    score, items = of(real, "DemoSTS")
    stored(tmp_path, (edited(score, data={"key": "files:sha256:other"}), items))
    [checked] = check_results(tmp_path)
    assert (checked.counted, checked.verdict) == (False, "ok: 193 items")


@pytest.mark.parametrize(
    ("type_", "files", "whole", "cut"),
    [
        ("Retrieval", {"corpus.jsonl": '{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "b"}\n',
                       "queries.jsonl": '{"_id": "q0", "text": "x"}\n{"_id": "q1", "text": "y"}\n{"_id": "q2", '
                       '"text": "z"}\n{"_id": "q3", "text": "unjudged"}\n',
                       "qrels/test.jsonl": '{"query-id": "q0", "corpus-id": "d1", "score": 0}\n'
                       '{"query-id": "q1", "corpus-id": "d1", "score": 1}\n'
                       '{"query-id": "q2", "corpus-id": "d2", "score": 2}\n'}, 3, 2),
        ("Reranking", {"test.jsonl": '{"query": "a", "positive": ["b"], "negative": ["c"]}\n' * 3}, 3, 2),
        ("Classification", {"train.jsonl": '{"text": "a b", "label": "x"}\n{"text": "c d", "label": "y"}\n' * 4,
                            "test.jsonl": '{"text": "a", "label": "x"}\n{"text": "c", "label": "y"}\n' * 2}, 4, 2),
        ("PairClassification", {"test.jsonl": '{"sentence1": "a", "sentence2": "b", "label": 1}\n'
                                '{"sentence1": "a c", "sentence2": "d", "label": 0}\n' * 2}, 4, 2),
        ("Clustering", {"test.jsonl": '{"sentences": ["a b", "c d", "e f"], "labels": ["x", "y", "x"]}\n' * 3}, 3, 2),
        ("STS", {"test.jsonl": '{"sentence1": "a", "sentence2": "b", "score": 1}\n'
                 '{"sentence1": "a c", "sentence2": "d", "score": 30}\n' * 2}, 4, 2),
    ],
)  # fmt: skip
def test_own_data_is_counted_as_a_run_counts_it(
    tmp_path: Path, type_: str, files: dict[str, str], whole: int, cut: int
) -> None:
    for name, text in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "mine.yaml").write_text(f"name: Mine\ntype: {type_}\ndata: data\n")
    [card] = own_cards(str(tmp_path / "mine.yaml"))
    for limit, expected in ((None, whole), (2, cut)):
        asked = settings(limit=limit)
        outcome = by_type.run(card, FakeEncoder(), asked)
        score = filed(card, outcome, limit=limit, protocol=dict(asked.protocol), key=files_key(tmp_path / "data"))
        assert score.n_items == expected
        stored(tmp_path / "results", (score, outcome.items))
    without, given = check_results(tmp_path / "results"), check_results(tmp_path / "results", {"Mine": card})
    assert [c.errors for c in (*without, *given)] == [[]] * 4
    assert [c.counted for c in (*without, *given)] == [False, False, True, True]


def test_a_failed_run_is_no_error_but_must_say_why(make_score: Callable[..., Score], tmp_path: Path) -> None:
    good = make_score(value=None, error="the disk\nis full", identity="1" * 16)
    silent = make_score(value=None, error=" ", identity="2" * 16)
    scored = dataclasses.replace(make_score(value=0.5, identity="3" * 16), status="failed", error="x")
    odd = dataclasses.replace(make_score(value=None, identity="4" * 16), status="half", error="x")
    for score in (good, silent, scored, odd):
        Store(tmp_path).write(score)
    assert [c.verdict for c in check_results(tmp_path)] == [
        "failed: the disk is full",
        "ERROR status is failed, and there is no error that says why",
        "ERROR status is failed, and there is a score: 0.5",
        "ERROR status is 'half', it must be ok or failed",
    ]


# Several results


def test_a_part_is_worth_in_the_whole_what_it_is_worth_alone(real: Mapping[str, Result], tmp_path: Path) -> None:
    whole, values = of(real, "whole")
    assert [c.name for c in select(["CQADupstackRetrieval"])][-1] == whole.task
    part, items = of(real, "DemoRetrieval")
    part = dataclasses.replace(part, task=FORUMS[0], benchmark="mteb", data=Data(), identity="a" * 16)
    values["value"][0] = part.score
    whole = edited(whole, score=metrics.compute("mean_of_parts", values))
    paths = stored(tmp_path, (whole, values), (part, items))
    assert errors(tmp_path) == []
    values["value"][0] = 0.25
    whole = edited(whole, score=metrics.compute("mean_of_parts", values))
    stored(tmp_path, (whole, values))
    assert errors(tmp_path) == [f"part {FORUMS[0]}: 0.25 here, its own result has {part.score!r}"]
    paths[1].unlink()  # no result of its own any more: nothing to compare with
    paths[1].with_suffix(".parquet").unlink()
    other = dataclasses.replace(part, limit=500, identity="b" * 16)
    stored(tmp_path, (other, items))
    assert errors(tmp_path) == []  # measured in another way


def variants(result: Result, n: int) -> list[Result]:
    score, items = result
    made = []
    for i in range(n):
        model = {"variant": f"v{i}", "fingerprint": f"{i:016x}"}
        made.append((edited(score, model=model, identity=f"{i:016x}"), copy.deepcopy(items)))
    return made


def test_results_of_the_same_data_have_the_same_gold_values(real: Mapping[str, Result], tmp_path: Path) -> None:
    found = variants(of(real, "SciFact"), 3)
    for values in found[1][1].values():  # the order of items means nothing
        values.reverse()
    paths = stored(tmp_path, *found)
    assert errors(tmp_path) == []
    score, items = found[2]
    at = items["relevant"].index(2)
    several = {name: values[:at] + values[at + 1 :] for name, values in items.items()}
    value = metrics.compute(score.metric, several)
    stored(tmp_path, (edited(score, n_items=len(several["id"]), metrics={}, score=value), several))
    n = len(items["id"])
    assert errors(tmp_path) == [
        f"{n - 1} items, other items or gold values than the {n} of "
        f"{paths[0].relative_to(tmp_path).as_posix()}, whose data hash is the same"
    ]
    paths[0].unlink()  # now it is one against one
    paths[0].with_suffix(".parquet").unlink()
    assert len(errors(tmp_path)) == 2


def test_an_empty_folder_is_no_good_result(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results folder at .*nowhere: run something first"):
        check_results(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no results in "):
        check_results(tmp_path)
