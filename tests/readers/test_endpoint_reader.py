"""The reader behind an endpoint, with a server on the loopback that answers from a tiny model and fails on request."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import completions_server as cs
import pytest
from completions_server import CompletionsServer, TinyLM
from endpoint_asking import BARE, KEY, QUESTIONS, assert_same, directly, error, read, reader_of

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.openai import EndpointReader

pytestmark = pytest.mark.usefixtures("bare")


def test_equals_direct_computation_and_generate(model: TinyLM, expected: list[Answer]) -> None:
    with CompletionsServer(model) as server:
        reader = reader_of(server)
        assert_same(read(reader), expected)
        assert any(len(set(answer.losses)) > 1 for answer in expected)
        assert server.asked() == sum(len(question.options) or 1 for question in QUESTIONS)
        assert server.asked("models") == 1
        reader.close()
        assert_same(read(reader), expected)  # again after `close`


def test_equals_hf_reader(model: TinyLM) -> None:
    from instructor_eval.readers.transformers import HfReader

    local = HfReader(model.tokenizer.name_or_path, device="cpu")
    with CompletionsServer(model) as server:
        assert_same(read(reader_of(server)), [answer for _, answer in sorted(local.read(QUESTIONS))])
    local.close()


def test_name_fingerprint_describe(model: TinyLM) -> None:
    with CompletionsServer(model, models=("org/tiny",)) as server:
        reader = reader_of(server)
        assert (reader.name, reader.is_cheap, server.requests) == (f"endpoint:{server.url}", False, [])
        fingerprint = reader.fingerprint
        assert re.fullmatch("[0-9a-f]{16}", fingerprint)
        assert reader.name == f"endpoint:{server.url}#org/tiny"
        assert reader.describe() == {
            "name": reader.name, "fingerprint": fingerprint, "url": server.url, "model": "org/tiny",
        }  # fmt: skip
        assert list(reader.read([])) == []
        assert [asked.path for asked in server.requests] == ["/v1/models"]
        named = EndpointReader(f"{server.url}/#org/tiny")
        assert (named.name, named.fingerprint) == (reader.name, fingerprint)
        assert EndpointReader(f"{server.url}#other").fingerprint != fingerprint
        assert EndpointReader(f"{server.url}/x#org/tiny").fingerprint != fingerprint
        assert len(server.requests) == 1  # a model that is named is not asked for


def test_request_is_what_servers_take(model: TinyLM) -> None:
    stops = ("", "aaa", "bbb", "ccc", "ddd", "\n", "e")
    with CompletionsServer(model) as server:
        text = directly(model, Question("The cat sat", max_tokens=9, stop=stops[1:])).text
        assert read(reader_of(server), [Question("The cat sat", max_tokens=9, stop=stops), BARE])[0] == Answer(text)
        generated, scored = (asked.body for asked in server.requests[1:])
    assert generated == {
        "model": "tiny", "prompt": "The cat sat", "max_tokens": 9, "temperature": 0,
        "stop": ["aaa", "bbb", "ccc", "ddd"],
    }  # fmt: skip
    assert scored == {
        "model": "tiny", "prompt": "The catx", "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True,
    }  # fmt: skip


def test_stop_is_cut_here_where_the_server_has_no_stop(model: TinyLM) -> None:
    def ramble(reply: dict[str, Any]) -> None:
        reply["choices"][0]["text"] = "one two three four"

    with CompletionsServer(model, failures=[None, ramble]) as server:
        [answer] = read(reader_of(server), [Question("x", stop=("a", "b", "c", "d", "four", " t"))])
        assert answer == Answer("one")


DIALECTS = [cs.no_offsets, cs.summed_offsets, cs.with_bos, cs.no_spaces, cs.no_usage, cs.end_hidden]
WHOLE = [0, 1, 2, 4]  # questions whose options have no part of a character, which some dialects cannot tell apart


@pytest.mark.parametrize("reshape", DIALECTS)
def test_dialects(model: TinyLM, expected: list[Answer], reshape: cs.Reshape) -> None:
    """Servers may treat `text_offset`, what a model puts in front and spaces as they like: nothing changes."""
    asked = WHOLE if reshape in (cs.no_spaces, cs.no_usage) else range(len(QUESTIONS))
    with CompletionsServer(model, reshape=reshape) as server:
        assert_same(read(reader_of(server), [QUESTIONS[i] for i in asked]), [expected[i] for i in asked])


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (("a", "b"), "the server has 2 models (a, b): add #MODEL to the URL"),
        (tuple("abcdefg"), "the server has 7 models (a, b, c, d, e, ...): add #MODEL to the URL"),
        ((), "the server lists no model: add #MODEL to the URL"),
    ],
)
def test_several_models(model: TinyLM, models: tuple[str, ...], line: str) -> None:
    with CompletionsServer(model, models=models) as server:
        assert error(reader_of(server)) == f"endpoint:URL: {line}"
        with pytest.raises(UserError, match="add #MODEL"):
            _ = reader_of(server).fingerprint
        if models:
            assert len(read(EndpointReader(f"{server.url}#b"), [BARE])) == 1


def test_models_are_not_listed(model: TinyLM) -> None:
    with CompletionsServer(model, failures=["404"]) as server:
        line = error(reader_of(server))
    assert (
        line == "endpoint:URL: HTTP 404 (asked to answer 404): check the URL "
        "(the API's root, as in http://localhost:8000/v1; some servers have theirs without /v1), or add #MODEL to it"
    )


@pytest.mark.parametrize(
    "spec",
    ["localhost:8000/v1", "ftp://h/v1", "http:///v1", "http://h:port/v1", "http://[::1/v1", "http://h /v1", "#m"],
)
def test_bad_specs(spec: str) -> None:
    with pytest.raises(UserError, match="not a URL that can be used: give the root of an API") as caught:
        EndpointReader(spec)
    assert str(caught.value).startswith(f"endpoint:{spec.strip()}")


@pytest.mark.parametrize(
    "spec",
    ["http://u:hush@h/v1", "https://hush@h/v1#m", "http://u:hu#hush@h/v1", "http://h/v1?key=hush", "ftp://u:hush@h"],
)
def test_no_secret_in_a_spec_is_shown(spec: str) -> None:
    with pytest.raises(UserError) as caught:
        EndpointReader(spec)
    assert "hush" not in str(caught.value)
    assert str(caught.value) == (
        "endpoint:...: not a URL that can be used: give the root of an API, as in endpoint:http://localhost:8000/v1, "
        "without user, password or query; a key goes into INSTRUCTOR_EVAL_API_KEY"
    )


def test_key_is_sent_and_never_shown(
    model: TinyLM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with CompletionsServer(model, key=KEY) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)  # is for OpenAI alone
        assert error(reader_of(server)) == (
            "endpoint:URL: HTTP 401 (Incorrect API key provided: none): set INSTRUCTOR_EVAL_API_KEY to its key"
        )
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", f"{KEY}\n")  # as `$(cat file)` may leave it
        reader = reader_of(server)
        read(reader)
        assert {asked.headers["Authorization"] for asked in server.requests[1:]} == {f"Bearer {KEY}"}
        with_key = reader.fingerprint
        shown = [repr(reader), json.dumps(reader.describe()), reader.name]
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY * 5)
        wrong = error(reader_of(server))  # the server repeats the key that it was sent
        assert wrong == (
            "endpoint:URL: HTTP 401 (Incorrect API key provided: Bearer ***): check the key in INSTRUCTOR_EVAL_API_KEY"
        )
        server.failures = lambda _: f"redirect:http://elsewhere/?{KEY * 5}"
        moved = error(reader_of(server))
        assert moved == ("endpoint:URL: redirects to http://elsewhere/?***, which is not followed: give the URL meant")
        for bad in (f"{KEY}\n{KEY}", f"{KEY} {KEY}", f"{KEY}é"):
            monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", bad)
            line = error(reader_of(server))
            assert line == "INSTRUCTOR_EVAL_API_KEY: has characters that are in no API key: set it again"
        monkeypatch.delenv("INSTRUCTOR_EVAL_API_KEY")
        assert EndpointReader(f"{server.url}#tiny").fingerprint == with_key
    assert KEY not in "".join([*shown, caplog.text])


def test_netrc_is_not_sent(model: TinyLM, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hush\n")
    (tmp_path / ".netrc").chmod(0o600)
    with CompletionsServer(model) as server:
        read(reader_of(server), [BARE])
        assert all("Authorization" not in asked.headers for asked in server.requests)


@pytest.mark.parametrize(
    ("spec", "sent"),
    [
        ("https://api.openai.com/v1", True),
        ("https://api.openai.com:443/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.example/v1", False),
        ("https://example/api.openai.com/v1", False),
    ],
)
def test_openai_key_goes_to_openai_alone(monkeypatch: pytest.MonkeyPatch, spec: str, sent: bool) -> None:
    import requests

    seen: list[str | None] = []

    def send(_: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(request.headers.get("Authorization"))
        raise requests.ConnectionError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UserError):
        list(EndpointReader(f"{spec}#m", tries=1).read([BARE]))
    assert seen == [f"Bearer {KEY}" if sent else None]


def test_importing_is_light() -> None:
    code = "import sys, instructor_eval.readers.openai; print('requests' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_lone_surrogate_is_read(model: TinyLM) -> None:
    with CompletionsServer(model) as server:
        odd, even = (Question(f"The {c} cat", (f" sat {c}", " no")) for c in ("\ud800", "\ufffd"))
        first, second = read(reader_of(server), [odd, even])
    assert first.losses == second.losses
    assert first.text in odd.options
