"""llama.cpp's server, as docs/model-servers.md says that it is asked and what it answers."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from real_server import HERE, RealServer, environment, free_port
from served_runs import LONG, SPACES, card, check_kill, check_scores, cosines, scores, vectors

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Question
from instructor_eval.readers.openai import EndpointReader

pytestmark = pytest.mark.servers
WITHIN = 1e-3
"""Of a score of 1: its arithmetic is not that of torch (cosines of 0.999999)."""


def healthy(port: int) -> Callable[[], bool]:
    """Return a function that says whether the server at a port answers."""

    def answers() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return reply.status == 200

    return answers


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(environments, minilm_folder, port, tmp_path_factory) -> Iterator[RealServer]:
    folder, python = tmp_path_factory.mktemp("llama"), environment("llama", environments) / "python"
    script = [python, HERE / "llama_server.py"]
    subprocess.run([*script, "gguf", minilm_folder, folder / "minilm.gguf"], check=True, timeout=600)

    with RealServer([*script, "serve", folder / "minilm.gguf", str(port)], healthy(port), folder / "log") as found:
        yield found
    (folder / "minilm.gguf").unlink()  # 90 MB, and pytest keeps the folders of three runs


@pytest.fixture
def model(server, port) -> str:
    return f"endpoint:http://127.0.0.1:{port}/v1#minilm"


def test_the_scores_of_the_model_run_here(cli, model, tmp_path):
    check_scores(cli, model, tmp_path, tasks=("DemoRetrieval", "DemoSTS"), within=WITHIN)


@pytest.mark.realdata
def test_a_real_task(cli, model, hub, tmp_path):
    check_scores(cli, model, tmp_path, "--hub", hub, "--limit", "100", tasks=("STSBenchmark",), within=WITHIN)


def test_its_vectors_are_those_of_the_model(model):
    texts = ["A boat", "naïve 日本語 12.5 %", SPACES, "", "Under the bridge " * 70]
    assert cosines(model, texts) == pytest.approx([1.0] * len(texts), abs=1e-5)


def test_a_text_of_spaces_is_embedded(cli, model, tmp_path):
    done = cli("--model", model, "--task", card(tmp_path, ["A boat", SPACES, "Two boats"]), "--results", "r")
    assert done.code == 0, done.out + done.err
    assert scores(tmp_path / "r")["Mine", True].status == "ok"


def test_a_wrong_name_is_answered_by_the_model_there_is(cli, model, tmp_path):
    root = model.partition("#")[0]
    done = cli("--model", f"{root}#no/such", "--task", "DemoSTS", "--limit", "10", "--results", "r")
    assert done.code == 0, done.out + done.err
    assert vectors(f"{root}#no/such", ["A boat"]).tolist() == vectors(model, ["A boat"]).tolist()


def test_a_killed_server_costs_what_had_not_come(cli, model, server, tmp_path, monkeypatch):
    check_kill(cli, model, server, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def completions(environments, tmp_path_factory) -> Iterator[str]:
    """The address of a language model."""
    folder, port = tmp_path_factory.mktemp("gpt2"), free_port()
    script = [environment("llama", environments) / "python", HERE / "llama_server.py"]
    subprocess.run([*script, "gpt2", folder / "tiny.gguf"], check=True, timeout=600)
    with RealServer([*script, "complete", folder / "tiny.gguf", str(port)], healthy(port), folder / "log"):
        yield f"http://127.0.0.1:{port}/v1"


def test_it_answers_freely_as_a_reader(completions):
    reader = EndpointReader(completions)
    questions = [Question(prompt, max_tokens=8) for prompt in ("Hello world", "Of what?", "Hello world")]
    answers = [answer for _, answer in sorted(reader.read(questions), key=lambda found: found[0])]
    assert reader.describe()["model"].endswith("/tiny.gguf")  # the file, as it was named at its start
    assert all(answer.text for answer in answers)
    assert answers[0] == answers[2]


def test_options_cannot_be_scored_through_it(completions):
    """It takes no notice of `echo`: there is one line, and no doubtful loss."""
    with pytest.raises(UserError) as e:
        list(EndpointReader(completions).read([Question("Of what? ", options=("apple", "bread"))]))
    assert str(e.value) == (
        f"endpoint:{completions}: the server returns no log-probabilities for the prompt (echo): use a server that "
        "does (vLLM does, llama.cpp does not), hf:, or nearest"
    )


def test_a_long_text_is_named_in_one_line_and_asked_once(cli, model, tmp_path):
    """Its 500 is no overload: the same text would be refused for ever."""
    assert len(LONG.split()) > 3000
    run = ("--model", model, "--task", card(tmp_path, ["A boat", LONG, "Two boats"]), "--results", "r", "--quiet")
    line = cli(*run).error
    assert re.search(r"input \(\d+ tokens\) is too large to process", line)
    assert "A long text about rivers" in line
    assert "overloaded" not in line
    assert scores(tmp_path / "r")["Mine", True].served["retries"] == 0
