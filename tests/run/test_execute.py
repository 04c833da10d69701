"""The runner: plan, run, file, resume; failures and kills lose nothing that was finished."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from made_scores import score_of
from waiting import vectors_in, wait_for

from instructor_eval import metrics
from instructor_eval.analysis.statistics.filed import measure
from instructor_eval.core.errors import UserError
from instructor_eval.results.reading import known
from instructor_eval.results.store import Store
from instructor_eval.run import execute
from instructor_eval.run import scores as filing
from instructor_eval.run.plan import Request
from instructor_eval.run.task import Summary
from instructor_eval.search.spec import EXACT_SEARCH, SearchSpec
from instructor_eval.tasks import protocol, types
from instructor_eval.tasks.cards import read_cards, select, shipped_cards
from instructor_eval.tasks.instructions import parse_set
from instructor_eval.tasks.task import Card, RunSettings

STS_ROWS = [
    ("a cat sits on the mat", "a cat is on a mat", 5),
    ("a cat sits on the mat", "stocks fell sharply today", 0),
    ("the train was late", "the train arrived behind schedule", 4),
    ("the train was late", "the soup is cold", 1),
    ("she plays the violin", "she plays an instrument", 3),
    ("she plays the violin", "he repairs bicycles", 0.5),
]


def write_sts(folder: Path, name: str, extra: str = "") -> Path:
    data = folder / name
    data.mkdir(parents=True)
    rows = "\n".join(f"{a}\t{b}\t{c}" for a, b, c in STS_ROWS)
    (data / "test.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}\n")
    card = folder / f"{name}.yaml"
    card.write_text(f"name: {name}\ntype: STS\ndata: {name}\n{extra}")
    return card


@pytest.fixture(scope="module")
def instructor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny INSTRUCTOR in a local folder, with the sign that real checkpoints have: the title of its model card."""
    folder = tiny.build_instructor(tmp_path_factory.mktemp("instructor") / "tiny-instructor")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# hkunlp/instructor-large\n")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("plain") / "tiny-plain")


Run = Callable[..., tuple[Summary, list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(
        models: list[Path],
        cards: list[Card],
        sets: tuple[str, ...] = ("paper",),
        limit: int | None = None,
        **more: object,
    ) -> tuple[Summary, list[str]]:
        names = {c.name for c in cards} | set(shipped_cards())
        lines: list[str] = []
        request = Request(
            models=[str(m) for m in models],
            cards=cards,
            instruction_sets=[parse_set(s, names) for s in sets],
            settings=RunSettings(protocol=protocol.parse([]), limit=limit, offline=True),
            store=Store(tmp_path / "results"),
            command=["evaluate", "test"],
            **more,
        )
        return execute.execute(request, lines.append), lines

    return go


@pytest.mark.slow
def test_two_instruction_sets_give_two_rows_and_other_vectors(run: Run, instructor: Path, tmp_path: Path) -> None:
    card = write_sts(tmp_path, "Mine", 'instructions: {text: "Represent the statement: "}\n')
    other = tmp_path / "other.yaml"
    other.write_text('Mine: "Represent the medical report for clustering: "\n')
    summary, lines = run([instructor], select([str(card)]), ("paper", "none", str(other)))
    assert summary.ran == 3
    by_set = {s.instructions.set: s for s in summary.scores}
    assert set(by_set) == {"paper", "none", "other"}
    paper = by_set["paper"].instructions.roles["text"]
    assert (paper.text, paper.rule) == ("Represent the statement: ", "card: default")
    assert by_set["none"].instructions.roles["text"].text == ""
    cosines = {name: Store(tmp_path / "results").items(s)["cosine"] for name, s in by_set.items()}
    assert cosines["paper"] != cosines["none"] != cosines["other"] != cosines["paper"]
    assert any("family instructor" in line for line in lines)
    assert any("'Represent the statement: '" in line for line in lines)


@pytest.mark.slow
def test_no_instruction_gets_the_unified_template_and_says_so(run: Run, instructor: Path, tmp_path: Path) -> None:
    card = write_sts(tmp_path, "Mine", "template: {domain: news, text: [headline, clustering]}\n")
    summary, lines = run([instructor], select([str(card)]))
    role = summary.scores[0].instructions.roles["text"]
    assert role.text == "Represent the news headline for clustering: "
    assert "unified template" in role.rule
    assert any("unified template" in line for line in lines)


@pytest.mark.slow
def test_a_plain_model_runs_once_whatever_instruction_sets(run: Run, plain: Path, tmp_path: Path) -> None:
    summary, _ = run([plain], select([str(write_sts(tmp_path, "Mine"))]), ("paper", "template", "none"))
    assert [s.instructions.set for s in summary.scores] == ["none"]


@pytest.mark.slow
def test_a_plain_model_beside_others_ignores_the_file(run: Run, plain: Path, instructor: Path, tmp_path: Path) -> None:
    cards = select([str(write_sts(tmp_path, "Mine"))])
    mine = tmp_path / "mine.yaml"
    mine.write_text('Mine: "Represent the headline: "\n')
    summary, lines = run([instructor, plain], cards, (str(mine),))
    assert {(s.model.family, s.instructions.set) for s in summary.scores} == {
        ("instructor", "mine"),
        ("plain", "none"),
    }
    assert sum("takes no instructions" in line and "mine.yaml is not used" in line for line in lines) == 1
    with pytest.raises(UserError, match="takes no instructions"):
        run([plain], cards, (str(mine),))


def test_every_stored_score_is_recomputed_from_its_items(run: Run, plain: Path, tmp_path: Path) -> None:
    run([plain], select([], ["demo"]), limit=20)
    store = Store(tmp_path / "results")
    scores = list(store.scores())
    assert {s.task for s in scores} == {"DemoRetrieval", "DemoSTS", "DemoBillboard", "DemoPrompts"}
    assert len(scores) == 4
    for score in scores:
        items = store.items(score)
        assert metrics.compute(score.metric, items) == score.score
        assert len(items["id"]) == score.n_items
        assert score.statistics == measure(dataclasses.replace(score, statistics=None), items)
        assert score.counts.texts >= score.counts.unique > 0
        assert score.counts.tokens > score.counts.unique
        assert score.environment.versions["torch"]
        assert score.environment.hardware.peak_memory_mb > 0
        assert score.data.hash
        assert score.command == ("evaluate", "test")


def test_same_identity_is_reused_anything_else_runs_again(run: Run, plain: Path, tmp_path: Path) -> None:
    card_file = write_sts(tmp_path, "Mine")
    cards = select([str(card_file)])
    assert run([plain], cards)[0].ran == 1
    assert run([plain], cards)[0].reused == 1
    assert run([plain], cards, limit=4)[0].ran == 1
    data = tmp_path / "Mine" / "test.tsv"
    data.write_text(data.read_text() + "one more\tand another\t2\n")
    assert run([plain], cards)[0].ran == 1
    assert run([tiny.build_plain(tmp_path / "tiny-plain", seed=7)], cards)[0].ran == 1
    assert len(list(Store(tmp_path / "results").scores())) == 4


def test_lost_items_or_a_damaged_score_are_not_taken_for_results(run: Run, plain: Path, tmp_path: Path) -> None:
    cards = select([str(write_sts(tmp_path, "Mine"))])
    run([plain], cards)
    next((tmp_path / "results").rglob("*.parquet")).unlink()
    assert run([plain], cards)[0].ran == 1
    path = next((tmp_path / "results" / "scores").rglob("*.json"))
    path.write_bytes(path.read_bytes()[:100])
    assert run([plain], cards)[0].ran == 1
    changed = json.loads(path.read_text()) | {"schema_version": 99}
    path.write_text(json.dumps(changed))
    with pytest.raises(UserError, match="schema version 99"):
        run([plain], cards)
    assert json.loads(path.read_text()) == changed


def test_a_failing_task_is_stored_and_does_not_end_the_others(run: Run, plain: Path, tmp_path: Path) -> None:
    good, bad = write_sts(tmp_path, "Good"), write_sts(tmp_path, "Bad")
    (tmp_path / "Bad" / "test.tsv").write_text("sentence1\tsentence2\tscore\na\tb\tmany\n")
    summary, lines = run([plain], select([str(bad), str(good)]))
    assert (summary.ran, summary.failed) == (1, 1)
    assert any("Bad" in line and "FAILED" in line and "line 2" in line for line in lines)
    stored = {s.task: s for s in Store(tmp_path / "results").scores()}
    assert stored["Bad"].status == "failed"
    assert stored["Good"].status == "ok"
    write_back = "\n".join(f"{a}\t{b}\t{c}" for a, b, c in STS_ROWS)
    (tmp_path / "Bad" / "test.tsv").write_text(f"sentence1\tsentence2\tscore\n{write_back}\n")
    assert run([plain], select([str(bad), str(good)]))[0].failed == 0


def test_an_unexpected_error_is_one_line_and_debug_raises_it(
    run: Run, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(types.STS):
        def data_key(self, *_: object) -> str:
            raise ZeroDivisionError("a\nlibrary's error")

    monkeypatch.setitem(types.TYPES, "STS", Broken())
    cards = select([str(write_sts(tmp_path, "Mine"))])
    summary, _ = run([plain], cards)
    assert summary.scores[0].error == "unexpected ZeroDivisionError: a library's error (--debug shows where)"
    with pytest.raises(ZeroDivisionError):
        run([plain], cards, debug=True)


def test_a_score_that_its_items_do_not_give_is_never_filed(tmp_path: Path) -> None:
    from instructor_eval.tasks.task import Outcome

    score = score_of(
        identity="i", status="failed", task="T", benchmark="b", type="STS", metric="pearson",
        model={"name": "m", "family": "plain", "fingerprint": "f", "variant": "fp32"}, instructions={"set": "none"},
    )  # fmt: skip
    outcome = Outcome("pearson", 0.5, {"id": ["1", "2", "3"], "gold": [1.0, 2.0, 3.0], "value": [1.0, 2.0, 3.0]})
    with pytest.raises(RuntimeError, match="is not pearson"):
        filing.finish(score, outcome, "hash")


def test_cqadupstack_is_the_mean_of_its_parts(
    run: Run, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {part: 0.1 + i / 100 for i, part in enumerate(shipped_cards()["CQADupstackRetrieval"].parts)}

    class Fake(types.Retrieval):
        def data_key(self, card: Card, _settings: object) -> str:
            return f"fake:{card.name}"

        def run(self, card: Card, _encoder: object, _settings: object) -> object:
            from instructor_eval.tasks.task import Outcome

            items = {"id": ["q"], "ndcg_at_10": [values[card.name]]}
            return Outcome("ndcg_at_10", metrics.compute("ndcg_at_10", items), items)

    monkeypatch.setitem(types.TYPES, "Retrieval", Fake())
    summary, _ = run([plain], select(["CQADupstackRetrieval"]))
    whole = summary.scores[-1]
    assert whole.task == "CQADupstackRetrieval"
    assert whole.n_items == 12
    assert whole.score == pytest.approx(sum(round(v, 5) for v in values.values()) / 12, abs=1e-12)
    assert run([plain], select(["CQADupstackRetrieval"]))[0].reused == 13


def test_a_mean_of_parts_has_the_figures_of_their_searches(
    run: Run, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = shipped_cards()["CQADupstackRetrieval"].parts
    recalls = {part: 0.5 + i / 100 for i, part in enumerate(parts)}

    class Fake(types.Retrieval):
        def data_key(self, card: Card, _settings: object) -> str:
            return f"fake:{card.name}"

        def run(self, card: Card, _encoder: object, settings: RunSettings) -> object:
            from instructor_eval.tasks.task import Outcome

            search = {"k": 10, "recall": recalls[card.name], "exact_score": 0.5, "loss": 0.25, "documents": 10,
                      "build_seconds": 1.0, "queries_per_second": 40.0, "index_bytes": 100, "library": "l"}  # fmt: skip
            items = {"id": ["q"], "ndcg_at_10": [0.25 if settings.search else 0.5]}
            found = search if settings.search else {}
            return Outcome("ndcg_at_10", metrics.compute("ndcg_at_10", items), items, search=found)

    monkeypatch.setitem(types.TYPES, "Retrieval", Fake())
    searches = [EXACT_SEARCH, SearchSpec.parse("faiss:Flat")]
    summary, lines = run([plain], select(["CQADupstackRetrieval"]), searches=searches)
    exact, stored = [s for s in summary.scores if s.task == "CQADupstackRetrieval"]
    assert (exact.score, exact.search) == (0.5, None)
    assert stored.score == 0.25
    assert known(stored.search) == {
        "backend": "faiss:Flat", "k": 10, "library": "l", "recall": pytest.approx(sum(recalls.values()) / 12),
        "exact_score": 0.5, "loss": 0.25, "documents": 120, "build_seconds": 12.0, "index_bytes": 1200,
        "queries_per_second": pytest.approx(40.0),
    }  # fmt: skip
    assert exact.identity != stored.identity
    assert any("fp32/faiss:Flat" in line and "recall@10 0.555" in line for line in lines)
    assert run([plain], select(["CQADupstackRetrieval"]), searches=searches)[0].reused == 26


def test_two_models_in_one_run(run: Run, plain: Path, instructor: Path, tmp_path: Path) -> None:
    summary, _ = run([plain, instructor], select([str(write_sts(tmp_path, "Mine"))]))
    assert {s.model.family for s in summary.scores} == {"plain", "instructor"}
    manifest = json.loads(next((tmp_path / "results" / "runs").glob("*.json")).read_text())
    assert manifest["ended"]
    assert [s["status"] for s in manifest["scores"]] == ["ok", "ok"]


def test_bad_input_is_found_before_anything_is_computed(run: Run, plain: Path, tmp_path: Path) -> None:
    cards = select([str(write_sts(tmp_path, "Mine"))])
    with pytest.raises(UserError, match="unknown device 'gpu'"):
        run([plain], cards, device="gpu")
    with pytest.raises(UserError, match="this is not a whole checkpoint"):
        run([tmp_path], cards)
    assert not list((tmp_path / "results").rglob("*.json"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="cannot write results"):
        request = Request([str(plain)], cards, [parse_set("paper", set())], RunSettings({}), Store(blocked / "r"))
        execute.execute(request, print)


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "INSTRUCTOR_EVAL_HUB"} | {"HF_HUB_OFFLINE": "1"}


def _start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "instructor_eval.cli.main", *arguments],
        cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _two_tasks(tmp_path: Path) -> list[str]:
    """A quick task, then one long enough to be killed in."""
    quick, slow = write_sts(tmp_path, "Quick"), write_sts(tmp_path, "Slow")
    rows = "\n".join(f"{'word ' * 200}{i}\t{'other ' * 200}{i}\t{i % 5}" for i in range(4000))
    (tmp_path / "Slow" / "test.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}\n")
    return ["--model", "minilm", "--task", str(quick), "--task", str(slow)]


def _wait_for_first_result(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("Quick ") and "cosine_spearman" in line:
            return line
    raise AssertionError(f"the quick task never finished: {process.stderr.read() if process.stderr else ''}")


def _wait_for_the_second_task(process: subprocess.Popen[str]) -> None:
    """Until it is computed: the cache has more than the texts of the quick one."""
    cache = Path(os.environ["INSTRUCTOR_EVAL_CACHE"])
    wait_for(lambda: vectors_in(cache) > 2 * len(STS_ROWS) or process.poll() is not None, "the slow task began")


@pytest.mark.slow
def test_after_a_kill_finished_tasks_are_not_run_again(tmp_path: Path) -> None:
    arguments = _two_tasks(tmp_path)
    process = _start(tmp_path, *arguments)
    _wait_for_first_result(process)
    _wait_for_the_second_task(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = Store(tmp_path / "results")
    [first] = list(store.scores())
    assert first.task == "Quick"
    created = first.created
    # The same command again, on less of the slow task so that the test ends soon.
    rows = (tmp_path / "Slow" / "test.tsv").read_text().splitlines()[:20]
    (tmp_path / "Slow" / "test.tsv").write_text("\n".join(rows) + "\n")
    again = subprocess.run(
        [sys.executable, "-m", "instructor_eval.cli.main", *arguments],
        cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "1 run, 1 reused, 0 failed" in again.stdout
    by_task = {s.task: s for s in store.scores()}
    assert by_task["Quick"].created == created
    assert by_task["Slow"].status == "ok"
    assert not list((tmp_path / "results" / "scores").rglob("*.tmp"))


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_130(tmp_path: Path) -> None:
    process = _start(tmp_path, *_two_tasks(tmp_path))
    _wait_for_first_result(process)
    _wait_for_the_second_task(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert [
        line for line in errors.splitlines() if line.strip() and not line.startswith(("  Quick: ", "  Slow: "))
    ] == ["evaluate: interrupted: finished results are filed, the same command goes on from there"]
    assert [s.task for s in Store(tmp_path / "results").scores()] == ["Quick"]


def test_read_cards_of_the_demo_run_from_their_own_folder() -> None:
    file = shipped_cards()["DemoSTS"].file
    assert file is not None
    folders = {c.name: c.folder for c in read_cards(file)}
    assert all(folder is not None and folder.is_dir() for folder in folders.values())
