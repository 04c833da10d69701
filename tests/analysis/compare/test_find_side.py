from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.analysis.compare import find_side
from instructor_eval.analysis.compare.baselines import set_baseline
from instructor_eval.analysis.compare.side import Side
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol

MakeScore = Callable[..., Score]
Put = Callable[..., Score]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PRINTS = {"fp32": "a" * 16, "int8": "b" * 16, "int8@256": "c" * 16}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def put(results: Path, make_score: MakeScore) -> Put:
    """File a score with items, each with an identity of its own."""
    numbers = iter(range(1000))

    def write(task: str = "STSBenchmark", value: float | None = 0.5, *, revision: str = "main", **fields: Any) -> Score:
        variant = fields.setdefault("variant", "fp32")
        fields.setdefault("fingerprint", PRINTS.get(variant, "d" * 16))
        score = make_score(
            task, value, identity=f"{next(numbers):016x}", **{"model": MINILM, "revision": revision} | fields
        )
        items: Items = {"id": ["0", "1"], "gold": [0.0, 1.0], "cosine": [0.1, 0.2]}
        Store(results).write(score, items if value is not None else None)
        return score

    return write


@pytest.fixture
def find(results: Path) -> Callable[..., Side]:
    def resolve(text: str, *choices: str, limit: int | None = None, reader: str | None = None) -> Side:
        return find_side.resolve(
            text, results=results, protocol=protocol.parse(choices), limit=limit, reader=reader,
            baselines=results / "baselines",
        )  # fmt: skip

    return resolve


def error(find: Callable[..., Side], text: str, *choices: str, **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        find(text, *choices, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Labels


@pytest.mark.parametrize(
    ("text", "variant", "instructions"),
    [
        ("minilm@int8", "int8", "paper"),
        ("minilm@int8@256", "int8@256", "paper"),
        ("all-MiniLM-L6-v2@int8:paper", "int8", "paper"),
        (f"{MINILM}@int8@256:paper", "int8@256", "paper"),
        ("minilm:none", "fp32", "none"),
        (f"{MINILM}@fp32:none", "fp32", "none"),
        (f"{MINILM}@abcdef12:none", "fp32", "none"),
        ("minilm@abcdef1@int8@256:paper", "int8@256", "paper"),
        ("minilm@fp32:paper", "fp32", "paper"),
        (f"minilm@int8#{'b' * 6}", "int8", "paper"),
    ],
)
def test_a_label_is_matched_never_taken_apart(
    put: Put, find: Callable[..., Side], text: str, variant: str, instructions: str
) -> None:
    for form in PRINTS:
        put(variant=form, revision="abcdef1234567890")
    put(instructions="none", revision="abcdef1234567890")
    side = find(text)
    assert side.label == f"{MINILM}@{variant}:{instructions}"
    [score] = side.scores.values()
    assert (score.model.variant, score.instructions.set) == (variant, instructions)
    assert side.read is not None
    assert side.read(score)["cosine"] == [0.1, 0.2]


def test_without_a_variant_the_baseline_variant_is_meant(put: Put, find: Callable[..., Side]) -> None:
    put(variant="int8", value=0.4)
    assert find("minilm").values == {"STSBenchmark": 0.4}  # the only one there is
    put(value=0.6)
    assert find("minilm").values == {"STSBenchmark": 0.6}
    assert find(MINILM).label == f"{MINILM}@fp32:paper"


def test_several_rows_are_an_error_that_lists_them(put: Put, find: Callable[..., Side]) -> None:
    put()
    put(instructions="none")
    message = error(find, "minilm")
    assert f"'minilm' may be any of {MINILM}@fp32:none, {MINILM}@fp32:paper: give one of them in full" in message


def test_a_label_in_full_is_that_row_though_it_ends_anothers(put: Put, find: Callable[..., Side]) -> None:
    put(model="x", value=0.3)
    put(model="../x", value=0.4)
    assert "'x' may be any of ../x@fp32:paper, x@fp32:paper: give one of them in full" in error(find, "x")
    assert find("x@fp32:paper").values == {"STSBenchmark": 0.3}
    assert find("../x@fp32:paper").values == {"STSBenchmark": 0.4}


def test_labels_have_revisions_only_where_rows_need_them(put: Put, find: Callable[..., Side]) -> None:
    put("STS12", 0.1, model="org/m", revision="1111111111", fingerprint="1" * 16)
    assert find("m").label == "org/m@fp32:paper"
    put("STS12", 0.2, model="org/m", revision="2222222222", fingerprint="2" * 16)
    assert "org/m@11111111@fp32:paper, org/m@22222222@fp32:paper" in error(find, "m")
    assert find("org/m@2222222").values == {"STS12": 0.2}
    assert find("org/m@22222222@fp32:paper").label == "org/m@22222222@fp32:paper"
    assert "no row of" in error(find, "org/m@222222")  # six characters of a revision are too few
    for value, letter in ((0.3, "3"), (0.4, "4")):
        put("STS12", value, model="ckpt", revision="local", fingerprint=letter * 16)
    assert "ckpt@fp32:paper#33333333, ckpt@fp32:paper#44444444" in error(find, "./ckpt/")
    assert find("ckpt@fp32:paper#44444444").values == {"STS12": 0.4}


def test_an_unknown_label_gets_a_suggestion_or_the_list(put: Put, find: Callable[..., Side]) -> None:
    put()
    put(variant="int8")
    assert "did you mean minilm" in error(find, "minlm")
    assert "minilm@int8" in error(find, "minilm@int4")
    assert f"there are {MINILM}@fp32:paper, {MINILM}@int8:paper" in error(find, "quite-another-thing")
    assert "no row of" in error(find, "MINILM@int8@25")
    assert len(error(find, "x" * 5000)) < 500
    assert "no row of" in error(find, "a\0b")
    assert error(find, "") == "a side is empty: give a file, a results folder, or the label of a row"


def test_a_missing_folder_and_an_empty_one(find: Callable[..., Side], results: Path) -> None:
    assert f"no results folder at {results}" in error(find, "minilm")
    (results / "scores").mkdir(parents=True)
    assert "no results in" in error(find, "minilm")
    assert "nothing.json: no such file" in error(find, "nothing.json")


# Which scores a row is made of


def test_the_newest_good_score_counts(put: Put, find: Callable[..., Side]) -> None:
    put(value=0.7, created="2026-03-01T00:00:00+00:00")
    put(value=0.6, created="2026-02-01T00:00:00+00:00")
    put(value=None, created="2026-04-01T00:00:00+00:00", error="out of luck")
    put("STS12", None, error="no data")
    side = find("minilm")
    assert side.values == {"STSBenchmark": 0.7}
    assert side.failed == {"STS12": "no data"}


def test_the_error_names_results_of_other_limits_or_protocols(put: Put, find: Callable[..., Side]) -> None:
    put(limit=20)
    message = error(find, "minilm")
    assert "no results of whole tasks (no --limit), only with --limit 20" in message
    assert find("minilm", limit=20).values
    put(instructions="none")
    assert find("minilm").label == f"{MINILM}@fp32:none"  # the one that has results
    put(limit=5, instructions="none")
    message = error(find, "minilm:none", limit=7)
    assert "no results with --limit 7, only with no --limit or --limit 5: give that, or run it again" in message
    put("SprintDuplicateQuestions", type="PairClassification", instructions="x")
    assert "only results of another protocol: give --protocol pair_ap=max, or" in (
        error(find, "minilm:x", "pair_ap=cosine")
    )


def test_no_other_variant_is_taken_for_the_one_named(put: Put, find: Callable[..., Side]) -> None:
    put(limit=20)
    put(variant="int8")
    assert "only with --limit 20" in error(find, "minilm")


def test_prompts_are_those_of_one_reader(put: Put, find: Callable[..., Side], results: Path) -> None:
    def asked(reader: str, value: float, fingerprint: str) -> None:
        put(
            "RTE", value, type="PromptRetrieval", metric="rougeL", reader={"name": reader, "fingerprint": fingerprint},
        )  # fmt: skip

    asked("hf:org/gpt", 0.3, "gpt-1")
    assert find("minilm").values == {"RTE": 0.3}
    asked("nearest", 0.2, "nearest-1")
    assert find("minilm").values == {"RTE": 0.2}
    assert find("minilm", reader="gpt-1").values == find("minilm", reader="hf:org/gpt").values == {"RTE": 0.3}
    assert "there are hf:org/gpt (gpt-1), nearest (nearest-1)" in error(find, "minilm", reader="other")
    asked("hf:org/gpt", 0.4, "gpt-2")
    assert "hf:org/gpt (gpt-1), hf:org/gpt (gpt-2): give the fingerprint" in error(find, "minilm", reader="hf:org/gpt")


def test_parts_stay_but_are_no_values_beside_their_whole(put: Put, find: Callable[..., Side]) -> None:
    put("CQADupstackGisRetrieval", 0.3, type="Retrieval", metric="ndcg_at_10")
    assert find("minilm").values == {"CQADupstackGisRetrieval": 0.3}
    put("CQADupstackRetrieval", 0.4, type="Retrieval", metric="mean_of_parts")
    side = find("minilm")
    assert side.values == {"CQADupstackRetrieval": 0.4}
    assert set(side.scores) == {"CQADupstackRetrieval", "CQADupstackGisRetrieval"}


# Files and folders


def test_a_score_file_is_read_as_it_is(put: Put, find: Callable[..., Side], results: Path) -> None:
    score = put(limit=20, variant="int8@256", items_file="../../../elsewhere.parquet")
    [path] = (results / "scores").rglob("*.json")
    side = find(str(path))
    assert side.label == f"{MINILM}@int8@256:paper"
    assert side.source == str(path)
    assert side.read is not None
    assert side.read(score)["id"] == ["0", "1"]
    path.with_suffix(".parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="items missing or cut short"):
        side.read(score)
    path.with_suffix(".parquet").unlink()
    with pytest.raises(UserError, match="items missing or cut short"):
        side.read(score)


def test_a_path_that_exists_wins_over_a_label(
    put: Put, find: Callable[..., Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(model="folder", value=0.2)
    assert find("folder").values == {"STSBenchmark": 0.2}
    (tmp_path / "folder").mkdir()  # a model's folder, say: no results in it
    assert find("./folder").values == {"STSBenchmark": 0.2}
    (tmp_path / "folder" / "scores").mkdir()
    assert "no results in folder" in error(find, "folder")


def test_a_folder_with_several_rows_must_be_narrowed(put: Put, find: Callable[..., Side], results: Path) -> None:
    put(limit=5, instructions="none")  # not asked for
    put()
    assert find(str(results)).label == f"{MINILM}@fp32:paper"
    put(variant="int8")
    message = error(find, str(results))  # not fp32 by itself: int8 may have been meant
    assert f"{MINILM}@fp32:paper, {MINILM}@int8:paper: give {results}#LABEL" in message
    side = find(f"{results}#minilm@int8")
    assert side.label == f"{MINILM}@int8:paper"
    assert side.source == str(results)
    assert "no row of" in error(find, f"{results}#minilm@int4")


def manifest(results: Path, *scores: Score, name: str = "run") -> Path:
    entries = [{"task": s.task, "identity": s.identity, "status": s.status} for s in scores]
    Store(results).write_run(name, {"schema_version": 1, "command": [], "scores": entries})
    return results / "runs" / f"{name}.json"


def test_a_run_holds_what_it_made_whatever_was_made_since(put: Put, find: Callable[..., Side], results: Path) -> None:
    made = [put(value=0.4, limit=3), put("STS12", 0.3, limit=3), put("STS13", None, error="no data")]
    put(value=0.9, limit=3, created="2027-01-01T00:00:00+00:00")
    path = manifest(results, *made)
    side = find(str(path))
    assert side.values == {"STSBenchmark": 0.4, "STS12": 0.3}
    assert side.failed == {"STS13": "no data"}
    assert side.read is not None
    assert side.read(side.scores["STS12"])["id"] == ["0", "1"]


def test_a_run_of_several_rows_must_be_narrowed(put: Put, find: Callable[..., Side], results: Path) -> None:
    path = manifest(results, put(), put(variant="int8"))
    assert f"{MINILM}@fp32:paper, {MINILM}@int8:paper: give {path}#LABEL" in error(find, str(path))
    assert find(f"{path}#minilm@int8").label == f"{MINILM}@int8:paper"


def test_a_run_whose_results_are_gone_or_not_there_yet(
    put: Put, find: Callable[..., Side], results: Path, make_score: MakeScore
) -> None:
    path = manifest(results, put(), make_score(identity="f" * 16))
    assert "1 of its 2 results are no longer in" in error(find, str(path))
    assert "no results yet" in error(find, str(manifest(results, name="empty")))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", b"null", b"\xff\xfe", b'{"scores": 3, "command": []}'])
def test_files_that_are_something_else(put: Put, find: Callable[..., Side], tmp_path: Path, content: bytes) -> None:
    put()
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert str(path) in error(find, str(path))


# Baselines and published scores


def test_baselines_by_name_folder_and_file(put: Put, find: Callable[..., Side], results: Path) -> None:
    score = put(metric="cosine_spearman", value=1.0)  # what its two items give
    path, _ = set_baseline(find("minilm"), folder=results / "baselines")
    for text in ("baseline:main", "baseline:main/pinned", str(path.parent), str(path)):
        side = find(text)
        assert side.label == f"{MINILM}@fp32:paper"
        assert side.values == {"STSBenchmark": 1.0}
        assert side.read is not None
        assert side.read(score)["cosine"] == [0, 1]
    assert "did you mean main?" in error(find, "baseline:mian")
    assert "there are baseline:main and baseline:main/pinned" in error(find, "baseline:main/items")
    assert "is no name for a baseline" in error(find, "baseline:")


def test_published_scores_have_no_items(find: Callable[..., Side]) -> None:
    side = find("published:instructor-large")
    assert side == find("published:hkunlp/instructor-large")
    assert side.label == "published:hkunlp/instructor-large"
    assert side.values["ArguAna"] == pytest.approx(0.57, abs=0.01)
    assert len(side.values) == 56  # forums of CQADupstack are left out
    assert (side.scores, side.read, side.failed) == ({}, None, {})
    assert find("published:minilm").label == f"published:{MINILM}"
    assert "did you mean instructor-large" in error(find, "published:instructr-large")
    assert "there are hkunlp/instructor-base" in error(find, "published:zzz")
    assert "only means over categories" in error(find, "published:SimCSE (110M)")
