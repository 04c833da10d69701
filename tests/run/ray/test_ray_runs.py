"""Whole runs on a cluster of three nodes against the same runs in one process; with workers and a node lost.

The failures are made when a job has come so far, not at a given time, so that every run of the tests sees the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from completions_server import CompletionsServer, TinyLM
from tiny_lm import build_gpt2

from instructor_eval.cache.database import FILE_NAME
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.ray import cluster as ray_cluster
from instructor_eval.run.ray import run as ray_run
from instructor_eval.run.ray.job import State
from instructor_eval.run.ray.view import View

pytestmark = pytest.mark.ray

Run = Callable[..., Any]
SAME = 1e-6
DEMO = ("--benchmark", "demo", "--device", "cpu", "--family", "instructor")
# These two do not need mteb, which takes seconds to import.
KINDS = ("apple", "bread")
SMALL = ("--task", "DemoBillboard", "--task", "DemoPrompts")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "instructor-tiny")


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is there: two seconds a run saved. `test_ray_cluster` looks at the probe itself."""
    monkeypatch.setattr(ray_cluster, "_probe", lambda address: None)


class Watched:
    """The states that jobs sent; `at` is called with each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.attempts: dict[int, list[str]] = {}
        self.at: Callable[[State], None] = lambda _: None
        hear = View.hear

        def watched_hear(view: View, state: State) -> None:
            hear(view, state)
            seen = self.attempts.setdefault(state.job, [])
            if state.attempt not in seen:
                seen.append(state.attempt)
            self.at(state)

        monkeypatch.setattr(View, "hear", watched_hear)

    @property
    def tries(self) -> int:
        """Of the job that was begun most often."""
        return max(map(len, self.attempts.values()))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def processes(cluster: Any, title: str) -> dict[int, Any]:
    """The workers of the cluster with this in their title, and the node of each."""
    nodes = {info.process.pid: n for n in cluster.list_all_nodes() for info in n.all_processes.get("raylet", ())}
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in nodes and title in (path / "cmdline").read_text():
                found[int(path.name)] = nodes[parent]
        except (OSError, IndexError):
            continue
    return found


def long_task(folder: Path, name: str, rows: int = 6000) -> Path:
    """A card on texts that keep a worker busy for a while."""
    (folder / name).mkdir()
    lines = [f"{'word ' * (300 - i // 30)}{name} {i}\t{'other ' * (i % 7)}{name} {i}\t{i % 5}" for i in range(rows)]
    (folder / name / "test.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(lines) + "\n")
    (folder / f"{name}.yaml").write_text(f"name: {name}\ntype: STS\ndata: {name}\n")
    return folder / f"{name}.yaml"


@pytest.fixture
def on_ray(cli: Run, cluster: Any) -> Run:
    return lambda *arguments: cli(*arguments, "--executor", f"ray:{cluster.address}")


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo in this process: what the others must come to. Its folders are `results` and `cache`."""
    from instructor_eval.cli.main import main

    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        where = ["--results", str(folder / "results"), "--cache", str(folder / "cache"), "--cost", "off", "--quiet"]
        assert main(["--model", str(model), *DEMO, *where]) == 0
    yield folder


def scores(folder: Path) -> dict[str, Score]:
    return {score.task: score for score in Store(folder).scores()}


def vectors(folder: Path) -> dict[bytes, np.ndarray]:
    """Every key of a cache with its vector."""
    found: dict[bytes, np.ndarray] = {}
    if not (folder / FILE_NAME).exists():  # it comes with its first vector
        return found
    with sqlite3.connect(folder / FILE_NAME) as connection:
        query = "SELECT keys, vectors, dim FROM blocks b JOIN uses u ON u.block = b.id JOIN spaces s ON s.id = u.space"
        for keys, data, dim in connection.execute(query):
            rows = np.frombuffer(data, dtype=np.float32).reshape(-1, dim)
            found |= {keys[16 * i : 16 * i + 16]: row for i, row in enumerate(rows)}
    connection.close()
    return found


def same_results(ours: Path, theirs: Path, *tasks: str) -> None:
    """Scores and items of the two folders are equal; of these tasks, or of all."""
    here, there = scores(ours), scores(theirs)
    assert here.keys() == set(tasks or there)
    for task, score in here.items():
        other = there[task]
        assert (score.status, score.identity, score.data, score.n_items) == (
            "ok", other.identity, other.data, other.n_items,
        )  # fmt: skip
        assert score.score == pytest.approx(other.score, abs=SAME)
        items, others = Store(ours).items(score), Store(theirs).items(other)
        assert items.keys() == others.keys()
        for column, values in items.items():
            if values and isinstance(np.ravel(values[0])[0], float):
                assert np.allclose(values, others[column], rtol=0, atol=1e-5), (task, column)
            else:
                assert values == others[column], (task, column)


def same_cache(ours: Path, theirs: Path, *, all_of_them: bool = False) -> None:
    """The same vectors to 1e-6, of those jobs that ran on the run's own node, or of all."""
    here, there = vectors(ours), vectors(theirs)
    assert here.keys() == there.keys() if all_of_them else here.keys() <= there.keys()
    assert max((np.abs(here[key] - there[key]).max() for key in here), default=0.0) < SAME


def test_a_run_on_three_nodes_equals_one_process(on_ray: Run, model: Path, alone: Path, tmp_path: Path) -> None:
    done = on_ray("--model", str(model), *DEMO, "--results", "results", "--cache", "cache")
    assert (done.code, done.err) == (0, "")
    same_results(tmp_path / "results", alone / "results")
    same_cache(tmp_path / "cache", alone / "cache")
    filed = scores(tmp_path / "results")
    for task, score in scores(alone / "results").items():
        assert filed[task].counts == score.counts
        assert filed[task].environment.executor == "ray"
        assert filed[task].environment.workers == 3
        assert filed[task].environment.hardware.device == "cpu"
        assert filed[task].environment.fresh is True
        assert filed[task].environment.probe.startswith(score.model.fingerprint)
        assert list((tmp_path / "results/probes").rglob(f"{filed[task].environment.probe}.npz"))
    order = [line.split()[0] for line in done.out.splitlines() if "items" in line and line.startswith("  Demo")]
    assert sorted(order) == sorted(filed)


def test_rows_with_the_same_vectors_are_one_job(
    on_ray: Run, cli: Run, watched: Watched, model: Path, tmp_path: Path
) -> None:
    variants = ("--model", str(model), *DEMO[2:], "--task", "DemoBillboard", "--truncate-dim", "8")
    variants += ("--truncate-dim", "16")
    done = on_ray(*variants, "--results", "results", "--no-cache")
    assert (done.code, done.err) == (0, "")
    assert len(watched.attempts) == 1
    assert cli(*variants, "--results", "alone", "--no-cache").code == 0
    here, there = ({s.identity: s.score for s in Store(tmp_path / f).scores()} for f in ("results", "alone"))
    assert len(here) == 2
    assert here == pytest.approx(there, abs=SAME)


def test_a_killed_worker_is_run_again(
    on_ray: Run, cli: Run, cluster: Any, watched: Watched, model: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(state: State) -> None:
        if state.counts.get("done") and not killed:
            killed.extend(processes(cluster, "ray::Long"))
            os.kill(killed[0], signal.SIGKILL)

    watched.at = kill
    run = ("--model", str(model), *DEMO[2:], "--task", str(long_task(tmp_path, "Long")))
    done = on_ray(*run, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.err
    assert len(killed) == 1
    assert watched.tries == 2
    [line] = [line for line in done.err.splitlines() if "all tasks: " not in line]
    assert line.startswith("  lost the worker on ")
    assert line.endswith("with Long: it is run again")
    assert cli(*run, "--results", "alone", "--cache", "alone-cache").code == 0
    same_results(tmp_path / "results", tmp_path / "alone")
    same_cache(tmp_path / "cache", tmp_path / "alone-cache")


def test_a_worker_killed_each_time_is_one_line(
    on_ray: Run, cluster: Any, watched: Watched, model: Path, tmp_path: Path
) -> None:
    def kill(state: State) -> None:
        if state.counts.get("done"):
            for pid in processes(cluster, "ray::Long"):
                os.kill(pid, signal.SIGKILL)

    watched.at = kill
    tasks = ("--task", str(long_task(tmp_path, "Long")), "--task", "DemoBillboard")
    done = on_ray("--model", str(model), *tasks, "--results", "results", "--quiet")
    assert done.code == 2
    [line] = done.err.splitlines()
    assert line.startswith("evaluate: Long failed: lost 3 times with the worker that computed it (its process died)")
    assert {task: score.status for task, score in scores(tmp_path / "results").items()} == {
        "Long": "failed", "DemoBillboard": "ok",
    }  # fmt: skip


def test_without_a_cache_and_with_a_result_that_is_there(
    on_ray: Run, watched: Watched, model: Path, alone: Path, tmp_path: Path
) -> None:
    shutil.copytree(alone / "results", tmp_path / "results")
    for path in (tmp_path / "results").rglob("DemoBillboard.*"):
        path.unlink()
    done = on_ray("--model", str(model), *DEMO[2:], *SMALL, "--results", "results", "--no-cache")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("reused from an earlier run") == 1
    same_results(tmp_path / "results", alone / "results")
    assert len(watched.attempts) == 1
    assert not list(tmp_path.rglob("*.sqlite3"))


def test_a_long_corpus_is_spread_and_survives_a_killed_actor(
    on_ray: Run, cli: Run, cluster: Any, watched: Watched, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ray_run.LONG_TEXTS, "cpu", 2000)
    killed: list[int] = []

    def kill(state: State) -> None:
        if state.counts.get("done") and not killed:
            killed.extend(processes(cluster, "ray::MapWorker"))
            os.kill(killed[0], signal.SIGKILL)

    watched.at = kill
    run = ("--model", str(model), *DEMO[2:], "--task", str(long_task(tmp_path, "Long")))
    done = on_ray(*run, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.err
    assert killed
    assert [line for line in done.err.splitlines() if "all tasks: " not in line] == []
    assert cli(*run, "--results", "alone", "--cache", "alone-cache").code == 0
    same_results(tmp_path / "results", tmp_path / "alone")
    same_cache(tmp_path / "cache", tmp_path / "alone-cache", all_of_them=True)
    here, there = (scores(tmp_path / folder)["Long"] for folder in ("results", "alone"))
    assert here.counts == there.counts
    assert here.environment.probe.startswith(here.model.fingerprint)
    assert here.environment.hardware.node


@pytest.mark.parametrize("spread", [False, True])
def test_what_the_model_cannot_is_one_line(
    on_ray: Run, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: bool
) -> None:
    monkeypatch.setitem(ray_run.LONG_TEXTS, "cpu", 10 if spread else 10_000)
    broken = tiny.build_instructor(tmp_path / "instructor-broken")
    from safetensors.numpy import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    weights["encoder.final_layer_norm.weight"] = np.full_like(weights["encoder.final_layer_norm.weight"], np.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    done = on_ray("--model", str(broken), "--task", "DemoBillboard", "--results", "results", "--quiet")
    assert done.code == 2
    [line] = done.err.splitlines()
    assert line.startswith("evaluate: DemoBillboard failed: model ")
    assert "NaN" in line
    assert watched.tries == 1 + spread, "it is not tried again"


def test_a_node_with_another_version_is_not_used(
    on_ray: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_run, "VERSION", "0.0.1")  # then every node has another one
    line = on_ray("--model", str(model), *SMALL, "--results", "results", "--quiet").error
    assert line.startswith("evaluate: no worker is left to compute (node ")
    assert "here is 0.0.1: install the same one on every node" in line
    assert not scores(tmp_path / "results")


def test_the_others_do_the_work_of_a_node_that_is_refused(
    on_ray: Run, cluster: Any, model: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, ours = cluster.head_node.node_id, ray_run.remote_function

    def remote_function() -> Callable[..., Any]:
        theirs = ours()

        def compute(*arguments: Any) -> Any:
            import ray

            context = ray.get_runtime_context()
            return (home, "10.0.0.7", "0.0.1") if context.get_node_id() == home else theirs(*arguments)

        return compute

    monkeypatch.setattr(ray_run, "remote_function", remote_function)
    done = on_ray("--model", str(model), *DEMO[2:], *SMALL, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.err
    [line] = done.err.splitlines()
    assert line.startswith("  node 10.0.0.7 has instructor-eval 0.0.1, here is ")
    same_results(tmp_path / "results", alone / "results", "DemoBillboard", "DemoPrompts")
    assert not vectors(tmp_path / "cache"), "other nodes keep vectors to themselves"


def test_a_reader_that_is_asked_is_asked_from_here(on_ray: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("pool", "test"):
        rows = [f'{{"text": "{name} {i} has {KINDS[i % 2]} in it", "label": "{KINDS[i % 2]}"}}' for i in range(8)]
        (tmp_path / "data" / f"{name}.jsonl").write_text("\n".join(rows))
    options = "{input: 'Of what? {text} ', embed: '{text}', labels: [apple, bread], most: 2}"
    card = tmp_path / "mine.yaml"
    card.write_text(f"name: Mine\ntype: PromptRetrieval\ndata: data\noptions: {options}\n")
    tasks = ("--task", str(card), "--task", "DemoBillboard")
    with CompletionsServer(TinyLM(build_gpt2(tmp_path / "lm", positions=256))) as server:
        reader = ("--reader", f"endpoint:{server.url}")
        done = on_ray("--model", str(model), *DEMO[2:], *tasks, *reader, "--results", "results", "--no-cache")
        assert server.requests
    assert done.code == 0, done.out
    filed = scores(tmp_path / "results")
    assert filed["DemoBillboard"].environment.executor == "ray"
    assert filed["Mine"].status == "ok"
    assert not filed["Mine"].environment.executor


def test_a_node_lost_in_the_middle(  # the last test of this file: the node is not there afterwards
    on_ray: Run, cli: Run, cluster: Any, watched: Watched, model: Path, tmp_path: Path
) -> None:
    gone: list[Any] = []

    def end_node(state: State) -> None:
        at_work = processes(cluster, "ray::Long")
        if gone or not state.counts.get("done") or len(at_work) < 3:
            return
        pid, node = next((pid, node) for pid, node in at_work.items() if node in cluster.worker_nodes)
        gone.append(node)
        for info in node.all_processes["raylet"]:
            os.kill(info.process.pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)

    watched.at = end_node
    tasks = [text for n in range(3) for text in ("--task", str(long_task(tmp_path, f"Long{n}")))]
    run = ("--model", str(model), *DEMO[2:], *tasks)
    done = on_ray(*run, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.err
    assert gone
    assert watched.tries == 2
    assert "lost the worker on" in done.err
    assert cli(*run, "--results", "alone", "--cache", "alone-cache").code == 0
    same_results(tmp_path / "results", tmp_path / "alone")
    same_cache(tmp_path / "cache", tmp_path / "alone-cache")
