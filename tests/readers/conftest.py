"""Tiny language models, and an environment without keys."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_lm
from completions_server import TinyLM
from endpoint_asking import QUESTIONS, directly, threads_end

from instructor_eval.core import http as http_client
from instructor_eval.readers.contract import Answer


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model's folder; it is read by one thread: on a busy machine tiny models wait for threads, not for numbers."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny_lm.build_gpt2(tmp_path_factory.mktemp("gpt2"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folders(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of several kinds, by kind."""
    root = tmp_path_factory.mktemp("readers")
    gptj = {"n_embd": 48, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 512}
    rwkv = {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "context_length": 512}
    return {
        "gpt2": gpt2,
        "gptj": tiny_lm.build(root / "gptj", "GPTJ", **gptj),
        "llama": tiny_lm.build_llama(root / "llama"),
        # A window shorter than most prompts.
        "mistral": tiny_lm.build_llama(root / "mistral", kind="Mistral", sliding_window=24),
        # Positions that nobody can give, and states that are no keys and values.
        "bloom": tiny_lm.build(root / "bloom", "Bloom", hidden_size=48, n_layer=2, n_head=4),
        "rwkv": tiny_lm.build(root / "rwkv", "Rwkv", **rwkv),
    }


@pytest.fixture(scope="session")
def model(gpt2: Path) -> TinyLM:
    """The model behind the server."""
    return TinyLM(gpt2)


@pytest.fixture(scope="session")
def expected(model: TinyLM) -> list[Answer]:
    """The answers that the server must give, computed directly."""
    return [directly(model, question) for question in QUESTIONS]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No keys and proxies of the environment; and no thread is left when a test is over."""
    for name in ("INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    assert threads_end()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of all pauses between tries, which take no time."""
    return _noted(monkeypatch, waiting=False)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of all pauses between tries that have begun; a server may ask for an hour."""
    monkeypatch.setattr(http_client, "_MOST_SECONDS", 3600.0)
    return _noted(monkeypatch, waiting=True)


def _noted(monkeypatch: pytest.MonkeyPatch, *, waiting: bool) -> list[float]:
    noted: list[float] = []

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            noted.append(timeout or 0)
            return waiting and super().wait(timeout)

    monkeypatch.setattr(http_client, "threading", types.SimpleNamespace(Event=Noting, Lock=threading.Lock))
    return noted
