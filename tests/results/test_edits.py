"""Every edit of one file of a stored result is found: results of every type as runs file them, edited field by field.

`evaluate validate --results` is what finds them; the runs are of a made-up model on made-up mirrors and the demo.
"""

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from edits import edits, inner_of, other
from made_scores import edited
from made_up import MIRRORS
from rewritten import as_before, rewrite

from instructor_eval.analysis.check.check import check_results
from instructor_eval.cli.main import main
from instructor_eval.core.errors import UserError
from instructor_eval.results.store import Store, read_items, read_score

MIRRORED = ("SciFact", "AskUbuntuDupQuestions", "TwentyNewsgroupsClustering", "TwitterSemEval2015",
            "MTOPDomainClassification", "BIOSSES", "SummEval")  # fmt: skip
DEMO = ("DemoRetrieval", "DemoBillboard", "DemoPrompts")
RESULTS = (*MIRRORED, *DEMO, "variant", "search", "bm25", "failed")
"""Of tasks with fp32 and exact search; of a variant, a search, a choice without a model, and a task that failed."""
IDENTITY = {
    "SciFact": {
        "task": "ArguAna", "type": "Reranking", "metric_origin": "ndcg_at_10 of else 1.0", "protocol_version": "2",
        "seed": 43, "limit": 9, "protocol": {"empty_text": "error"}, "model/fingerprint": "f" * 16,
        "instructions/roles/query/text": "Represent it: ", "data/key": "other", "data/split": "train",
        "data/subset": "en", "data/options": {"a": 1},
    },
    "search": {"search/backend": "faiss:HNSW32"},
    "bm25": {"reader/fingerprint": "f" * 16, "reader/selection": "random"},
}  # fmt: skip
EDITS = [(label, field) for label, fields in IDENTITY.items() for field in fields]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The name of a result here -> its score file."""
    root, before = tmp_path_factory.mktemp("runs"), Path.cwd()
    for name in MIRRORED:
        MIRRORS[name](root / "hub")
    tiny.build_plain(root / "model")
    folders = [word for name in ("model", "hub", "results", "cache") for word in (f"--{name}", str(root / name))]
    common = (*folders, "--offline", "--device", "cpu", "--cost", "off", "--quiet")
    tasks = [word for name in (*MIRRORED, *DEMO) for word in ("--task", name)]
    os.chdir(root)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "datasets")
            assert main([*tasks, *common]) == 0
            assert main(["--task", "SciFact", *common, "--variant", "fp32+binary", "--search", "exact"]) == 0
            assert main(["--task", "DemoRetrieval", *common, "--search", "faiss:Flat"]) == 0
            assert main(["--task", "DemoPrompts", *common, "--selection", "bm25"]) == 0
            assert main(["--task", "STS12", *common]) == 2  # its data is not there
    finally:
        os.chdir(before)
    found = {}
    for path in (root / "results/scores").rglob("*.json"):
        score = read_score(path)
        kinds = {
            "failed": score.status == "failed",
            "search": score.search is not None,
            "bm25": score.reader is not None and score.reader.selection == "bm25",
            "variant": score.model.variant != "fp32",
            score.task: True,
        }
        label = next(kind for kind, holds in kinds.items() if holds)
        found[label] = path
    assert set(found) == set(RESULTS)
    return found


@pytest.fixture
def filed(runs: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The score file of the result that the test is asked for, alone in a folder of results."""
    return alone(runs[request.param], tmp_path)


def alone(path: Path, root: Path) -> Path:
    """Copy a result into a folder of its own."""
    target = root / path.relative_to(path.parents[3])
    target.parent.mkdir(parents=True)
    for suffix in (".json", ".parquet"):
        if path.with_suffix(suffix).exists():
            shutil.copy(path.with_suffix(suffix), target.with_suffix(suffix))
    return target


def errors(path: Path) -> list[str]:
    """The errors found in the folder of results that a score file is in."""
    return [text for checked in check_results(path.parents[3]) for text in checked.errors]


@pytest.mark.slow
@pytest.mark.parametrize("filed", RESULTS, indirect=True)
def test_every_edit_of_a_score_file_is_found_and_its_field_named(filed: Path) -> None:
    assert errors(filed) == []
    whole = json.loads(filed.read_bytes())
    n = 0
    for place, change in edits(whole):
        edited = copy.deepcopy(whole)
        change(edited)
        assert edited != whole, place
        filed.write_bytes(json.dumps(edited, ensure_ascii=False, indent=1).encode() + b"\n")
        [found, *_] = errors(filed)
        assert str(filed) in found
        if place[0] not in ("sums", "checksum", "schema_version", "added"):
            assert f"({place[0]}" in found, place
        n += 1
    assert n > 250


@pytest.mark.parametrize("filed", ["SciFact"], indirect=True)
def test_every_edit_of_a_score_files_text_is_found(filed: Path) -> None:
    whole = filed.read_bytes()
    raw = json.loads(whole)
    line = b' "n_items": 8,\n'
    assert line in whole
    edited = {
        "spaces": whole.replace(b": ", b":  ", 1),
        "at the end": whole + b"\n",
        "at the beginning": b" " + whole,
        "a field twice": whole.replace(line, b' "n_items": 7,\n' + line),
        "another order": json.dumps(dict(sorted(raw.items())), indent=1).encode() + b"\n",
        "a number written otherwise": whole.replace(line, b' "n_items": 8e0,\n'),
        "after the checksum": whole.removesuffix(b"\n}\n") + b',\n "more": 1\n}\n',
        **{f"cut at {n}": whole[:n] for n in (0, 1, len(whole) // 2, len(whole) - 3, len(whole) - 1)},
        "letters": whole.replace(b'"checksum": "', b'"checksum": "0', 1),
    }
    for what, content in edited.items():
        assert content != whole, what
        filed.write_bytes(content)
        assert errors(filed), what
    filed.write_bytes(whole.replace(b"\n", b"\r\n"))  # as git may do
    assert errors(filed) == []


@pytest.mark.parametrize(
    "filed",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("SciFact", "SummEval", "DemoPrompts")))
        for name in RESULTS if name != "failed"
    ],
    indirect=True,
)  # fmt: skip
def test_every_edit_of_items_is_found_and_its_column_named(filed: Path) -> None:
    path = filed.with_suffix(".parquet")
    table = pq.ParquetFile(path).read()
    columns, n = table.to_pydict(), table.num_rows

    def check(change: dict[str, list[Any]] | pa.Table, *named: str) -> None:
        pq.write_table(change if isinstance(change, pa.Table) else pa.table(change), path, compression="zstd")
        [found, *_] = errors(filed)
        assert found.startswith(f"{path}: not the items that were filed ("), found
        assert all(name in found for name in named), (named, found)

    for name, values in columns.items():
        for at in {0, n // 2, n - 1}:
            new = list(values)
            new[at] = (
                [*new[at], *new[at][:1], *([] if new[at] else [1])] if isinstance(new[at], list) else other(new[at])
            )
            check(columns | {name: new}, name)
        check({k: v for k, v in columns.items() if k != name}, f"{name} is missing")
    check(columns | {"more": [1] * n}, "more was added")
    check({k: v[1:] for k, v in columns.items()}, "id")
    check({k: v[:-1] for k, v in columns.items()}, "id")
    check({k: [*v, v[0]] for k, v in columns.items()}, "id")
    check({k: [v[1], v[0], *v[2:]] for k, v in columns.items()}, "id")
    check(dict(reversed(columns.items())), "not its values")
    check(table.replace_schema_metadata({"note": "x"}), "not its values")


@pytest.mark.parametrize("filed", ["SciFact", "BIOSSES"], indirect=True)
def test_files_that_are_cut_gone_moved_or_more_are_found(filed: Path, tmp_path: Path) -> None:
    items = filed.with_suffix(".parquet")
    whole = items.read_bytes()
    for n in (0, 4, len(whole) // 2, len(whole) - 1):
        items.write_bytes(whole[:n])
        assert "items missing or cut short" in errors(filed)[0]
    for at in range(0, len(whole), max(1, len(whole) // 50)):  # a bit that tipped over
        items.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert errors(filed)[0].startswith(f"{items}: ")
    items.unlink()
    assert "items missing or cut short" in errors(filed)[0]
    items.write_bytes(whole)
    assert errors(filed) == []
    for file in (filed, items):
        for target in (file.with_name(f"x{file.name}"), file.parent.parent / file.name, file.with_suffix(".bak")):
            file.rename(target)
            assert any(target.relative_to(tmp_path).as_posix() in c.file for c in check_results(tmp_path) if c.errors)
            target.rename(file)
    hidden = filed.with_name(f".{filed.name}.x.tmp")  # a killed process leaves such a one
    hidden.write_text("half")
    assert errors(filed) == []
    filed.with_name("notes.txt").write_text("mine")
    assert errors(filed) == ["neither a score nor its items: delete it, or move it elsewhere"]


@pytest.mark.parametrize(("label", "field"), EDITS)
def test_a_wrong_identity_is_found_although_checksums_hold(
    label: str, field: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    path = alone(runs[label], tmp_path)
    raw = json.loads(path.read_bytes())
    places = field.split("/")
    inner, new = inner_of(raw, tuple(places[:-1])), IDENTITY[label][field]
    assert inner[places[-1]] != new
    inner[places[-1]] = new
    rewrite(path, **{places[0]: raw[places[0]]})
    assert any(f"identity is {path.stem.rpartition('.')[2]}, its fields give " in text for text in errors(path))


@pytest.mark.parametrize("filed", ["SciFact"], indirect=True)
def test_what_reads_results_stops_at_an_edited_one(filed: Path) -> None:
    store, score = Store(filed.parents[3]), read_score(filed)
    items = filed.with_suffix(".parquet")
    pq.write_table(pa.table(store.items(score) | {"relevant": [9] * score.n_items}), items)
    for read in (store.items, lambda s: store.items(s, without=("relevant",)), lambda s: read_items(items, s)):
        with pytest.raises(UserError, match=r"not the items that were filed \(relevant\): restore it, or run the task"):
            read(score)
    assert store.find(score) is None  # a run scores the task again
    shutil.copy(filed, filed.with_suffix(".keep"))
    text = filed.read_text().replace('"n_items": 8', '"n_items": 9')
    filed.write_text(text)
    with pytest.raises(UserError, match=r"edited since it was filed \(n_items\): restore it, or delete it and run"):
        list(store.scores())
    assert store.find(score) is None


@pytest.mark.parametrize("filed", ["SciFact"], indirect=True)
def test_what_is_added_to_a_score_later_has_its_checksums_too(filed: Path) -> None:
    store = Store(filed.parents[3])
    [score] = store.scores()
    before = filed.read_bytes()
    score = store.write(edited(score, cost={"texts_per_second": 5.0}))
    assert filed.read_bytes() != before
    assert errors(filed) == []
    assert read_score(filed) == score
    pq.write_table(pa.table(store.items(score) | {"relevant": [9] * score.n_items}), filed.with_suffix(".parquet"))
    assert "(relevant)" in errors(filed)[0]


@pytest.mark.parametrize("filed", ["SciFact", "failed"], indirect=True)
def test_files_of_an_earlier_version_are_checked_as_they_were(filed: Path) -> None:
    as_before(filed)
    [checked] = check_results(filed.parents[3])
    assert checked.errors == []
    assert checked.warnings == ["no checksum: written by an earlier version"]
    if checked.failed is None:
        assert checked.verdict == "ok: 8 items; no checksum: written by an earlier version"
        store = Store(filed.parents[3])
        [score] = store.scores()
        assert store.find(score) == score
        store.write(edited(score, cost={"texts_per_second": 5.0}))
        [checked] = check_results(filed.parents[3])
        assert checked.verdict == "ok: 8 items; no checksum of its items: written by an earlier version"


@pytest.mark.parametrize("filed", ["BIOSSES"], indirect=True)
def test_the_command_ends_with_2_at_an_edit(filed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["validate", "--results", str(filed.parents[3])]
    assert main(command) == 0
    filed.write_text(filed.read_text().replace('"seed": 42', '"seed": 43'))
    capsys.readouterr()
    assert main(command) == 2
    out = capsys.readouterr().out
    assert "no checksum" not in out
    assert "edited since it was filed (seed): restore it, or delete it and run the task again" in out
    assert "1 result: 0 good, 0 failed runs, 1 with errors" in out
    text = json.loads(filed.read_bytes()) | {"seed": 42}
    filed.write_text(json.dumps({k: v for k, v in text.items() if k not in ("items_sha256", "sums", "checksum")}))
    assert main(command) == 0
    out = capsys.readouterr().out
    assert " items; no checksum: written by an earlier version" in out
    assert out.endswith("no checksum in 1, written by an earlier version: an edit of these may go unseen\n")
