"""The reader behind an endpoint, with a server on the loopback that answers from a tiny model and fails as told."""

from __future__ import annotations

import json
import logging
import random
import re
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import completions_server as cs
import pytest
from completions_server import CompletionsServer, Fault, TinyLM
from tiny_lm import build_gpt2
from waiting import LONGEST, wait_for

from instructor_eval.core import http as http_client
from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.openai import EndpointReader, option_tokens

KEY = "sk-very-secret-0123456789"
QUESTIONS = [
    Question("question: is it true? True or False?\nanswer:\n", ("True", "False")),
    Question("How do you feel about it?\nanswer:", (" very positive", " negative", " neutral", " very negative")),
    Question("Café, naïve, 日本語 1 2 3.\nanswer: ", ("Yes.", "No.")),  # characters of several tokens in the prompt
    Question("Zahlen: ", ("日本語", "naïve", "Café 語")),  # and in the options
    Question("How do you feel ab", ("out it?", "ove")),  # tokens that reach over the boundary
    Question("The cat sat on the mat and", max_tokens=12),
    Question("write a title\nWe study bats\ntitle:", max_tokens=8, stop=("\n",)),
    Question("SELECT name", max_tokens=5),
]
BARE = Question("The cat", ("x",))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TinyLM:
    return TinyLM(build_gpt2(tmp_path_factory.mktemp("lm")))


@pytest.fixture(scope="module")
def expected(model: TinyLM) -> list[Answer]:
    return [_directly(model, question) for question in QUESTIONS]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No keys and proxies of the environment; and no thread is left when a test is over."""
    for name in ("INSTRUCTOR_EVAL_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    assert _threads_end()


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


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("endpoint")]


def _threads_end() -> bool:
    return wait_for(lambda: not _threads(), "no thread is left")


def _directly(model: TinyLM, question: Question) -> Answer:
    """The answer by a forward pass over each option, or by transformers' own `generate`."""
    import torch

    if not question.options:
        ids = model.tokenizer(question.prompt, return_tensors="pt")
        out = model.model.generate(**ids, max_new_tokens=question.max_tokens, do_sample=False, pad_token_id=0)
        text = model.tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        for stop in question.stop:
            text = text.split(stop)[0]
        return Answer(text)
    losses = []
    for option in question.options:
        encoded = model.tokenizer(question.prompt + option, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0]
        own = [k for k, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(question.prompt)]
        nll = [torch.nn.functional.cross_entropy(logits[k - 1], torch.tensor(ids[k])).item() for k in own]
        losses.append(sum(nll) / len(nll))
    return Answer(question.options[losses.index(min(losses))], tuple(losses))


def _reader(server: CompletionsServer, **options: Any) -> EndpointReader:
    return EndpointReader(server.url, **({"wait": 0.001, "timeout": LONGEST} | options))


def _read(reader: EndpointReader, questions: Sequence[Question] = QUESTIONS) -> list[Answer]:
    found = dict(reader.read(questions))
    assert sorted(found) == list(range(len(questions)))
    return [found[place] for place in range(len(questions))]


def _same(found: Sequence[Answer], expected: Sequence[Answer]) -> None:
    assert [answer.text for answer in found] == [answer.text for answer in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.losses == pytest.approx(other.losses, abs=1e-4)


def _error(reader: EndpointReader, question: Question = BARE) -> str:
    with pytest.raises(UserError) as caught:
        list(reader.read([question]))
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(reader.describe()["url"] if reader.name.count("#") else reader.name.split(":", 1)[1], "URL")


def test_equals_direct_computation_and_generate(model: TinyLM, expected: list[Answer]) -> None:
    with CompletionsServer(model) as server:
        reader = _reader(server)
        _same(_read(reader), expected)
        assert any(len(set(answer.losses)) > 1 for answer in expected)
        assert server.asked() == sum(len(question.options) or 1 for question in QUESTIONS)
        assert server.asked("models") == 1
        reader.close()
        _same(_read(reader), expected)  # anew after `close`


def test_equals_hf_reader(model: TinyLM) -> None:
    from instructor_eval.readers.transformers import HfReader

    local = HfReader(model.tokenizer.name_or_path, device="cpu")
    with CompletionsServer(model) as server:
        _same(_read(_reader(server)), [answer for _, answer in sorted(local.read(QUESTIONS))])
    local.close()


def test_name_fingerprint_describe(model: TinyLM) -> None:
    with CompletionsServer(model, models=("org/tiny",)) as server:
        reader = _reader(server)
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
        text = _directly(model, Question("The cat sat", max_tokens=9, stop=stops[1:])).text
        assert _read(_reader(server), [Question("The cat sat", max_tokens=9, stop=stops), BARE])[0] == Answer(text)
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

    with CompletionsServer(model, faults=[None, ramble]) as server:
        [answer] = _read(_reader(server), [Question("x", stop=("a", "b", "c", "d", "four", " t"))])
        assert answer == Answer("one")


FAULTS: list[Fault] = ["429", "429:0", "408", "500", "503:0", "truncated", "malformed", "html", "no-members"]


@pytest.mark.parametrize("spread", [1, 2, 3])
def test_same_answers_whatever_fails(model: TinyLM, expected: list[Answer], spread: int) -> None:
    """Faults one after another, and between answers; the first requests are met as well as the later ones."""
    script: list[Fault] = [fault for name in FAULTS for fault in (name, *[None] * (spread - 1))]
    with CompletionsServer(model, faults=[*script]) as server:
        _same(_read(_reader(server, tries=len(FAULTS) + 1)), expected)
        assert not any(server.faults)  # all of them came up


def test_silent_server_is_asked_again(model: TinyLM, expected: list[Answer]) -> None:
    with CompletionsServer(model, faults=[None, "hang", None, None, "hang"]) as server:
        _same(_read(_reader(server, timeout=1.0, tries=14)), expected)  # the last pause takes 8 s: any machine is ready


DIALECTS = [cs.no_offsets, cs.summed_offsets, cs.with_bos, cs.no_spaces, cs.no_usage, cs.end_hidden]
WHOLE = [0, 1, 2, 4]  # questions whose options have no part of a character, which some dialects cannot tell apart


@pytest.mark.parametrize("reshape", DIALECTS)
def test_dialects(model: TinyLM, expected: list[Answer], reshape: cs.Reshape) -> None:
    """What servers make of `text_offset`, of what a model puts in front and of blanks changes nothing."""
    asked = WHOLE if reshape in (cs.no_spaces, cs.no_usage) else range(len(QUESTIONS))
    with CompletionsServer(model, reshape=reshape) as server:
        _same(_read(_reader(server), [QUESTIONS[i] for i in asked]), [expected[i] for i in asked])


def test_part_of_a_character_at_the_end_is_not_guessed(model: TinyLM) -> None:
    """Whether the last of several parts was generated is known from the server's count alone."""
    tokens = ["a", "\ufffd", "\ufffd", "\ufffd"]
    assert option_tokens("a日", 1, tokens, 3) == [1, 2]
    assert option_tokens("a日", 1, tokens, 4) == [1, 2, 3]
    for count in (None, 2, 5, "3", True):
        assert option_tokens("a日", 1, tokens, count) == []


def test_option_tokens_are_right_or_none(model: TinyLM) -> None:
    """Random texts: what the tokenizer's own offsets say, or nothing where the server's view does not tell."""
    rng = random.Random(0)
    plain = ["very", " positive", " ", "  ", "\n", "a", "aa", "the", "True", " True", ".", "bytes:"]
    pieces = [*plain, "日", "本", "é", "ï", "😀", "\u0301", "\ufffd", "日本語"]
    known = 0
    for number in range(3000):
        some = pieces if number % 2 else plain
        prompt, option = ("".join(rng.choices(some, k=rng.randint(1, 5))) for _ in range(2))
        encoded = model.tokenizer(prompt + option, return_offsets_mapping=True)
        ids, first = encoded["input_ids"], rng.choice([0, 1])
        own = [k + first for k, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(prompt)]
        generated = rng.choices(range(len(model.tokenizer)), k=rng.choice([0, 1, 1]))
        tokens = ["<s>"] * first + [model.tokenizer.decode([i]) for i in (*ids, *generated)]
        count = rng.choice([None, len(ids) + first])
        if number % 5 == 0:
            tokens = [token.removeprefix(" ") for token in tokens]
        found = option_tokens(prompt + option, len(prompt), tokens, count)
        assert found in (own, []), (prompt, option, tokens, count)
        if count is not None and not number % 2 and number % 5:
            assert found == own
        known += bool(found)
    assert known > 2000


def test_tokens_of_another_text(model: TinyLM) -> None:
    def lose(reply: dict[str, Any]) -> None:
        logprobs = reply["choices"][0]["logprobs"]
        del logprobs["tokens"][1], logprobs["token_logprobs"][1]

    with CompletionsServer(model, reshape=lose) as server:
        assert _error(_reader(server), QUESTIONS[0]) == (
            "endpoint:URL: the server gives no usable log-probabilities: its tokens do not spell the prompt: "
            "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        )


NO_ECHO = "endpoint:URL: the server returns no log-probabilities for the prompt (echo)"


@pytest.mark.parametrize("reshape", [cs.no_logprobs, cs.no_echo, cs.null_logprob])
def test_no_logprobs(model: TinyLM, reshape: cs.Reshape) -> None:
    with CompletionsServer(model, reshape=reshape) as server:
        line = _error(_reader(server))
        assert line == f"{NO_ECHO}: use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        assert server.asked() == 1  # asking again would not help


def test_echo_refused(model: TinyLM) -> None:
    with CompletionsServer(model, echoes=False) as server:
        assert _error(_reader(server)) == (
            f"{NO_ECHO}: HTTP 400 (Setting 'echo' and 'logprobs' at the same time is not supported.): "
            "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        )
        assert server.asked() == 1
        assert _read(_reader(server), [Question("x", max_tokens=1)])  # generation needs no echo


STEP = "see that the server runs there and is not overloaded, then run again"


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("429", "HTTP 429 (told to answer 429)"),
        ("500", "HTTP 500 (told to answer 500)"),
        ("hang", "no answer within 0.2 s"),
        ("truncated", "the connection ended before the reply did"),
        ("malformed", "the reply is not JSON"),
        ("html", "the reply is not JSON"),
        ("no-members", 'no reply to /completions ({"choices": []})'),
    ],
)
def test_exhausted_tries(model: TinyLM, fault: str, what: str) -> None:
    with CompletionsServer(model, faults=lambda number: fault) as server:
        patience = 0.2 if fault == "hang" else LONGEST
        line = _error(EndpointReader(f"{server.url}#tiny", tries=3, wait=0.001, timeout=patience))
        assert line == f"endpoint:URL: {what}, asked 3 times: {STEP}"
        assert server.asked() == 3


def test_answers_before_an_error_are_stored(model: TinyLM) -> None:
    with CompletionsServer(model, faults=lambda number: "500" if number > 30 else None) as server:
        found: dict[int, Answer] = {}
        with pytest.raises(UserError, match="HTTP 500"):
            for place, answer in _reader(server, tries=2).read([BARE] * 200):
                found[place] = answer
        assert 30 - 8 < len(found) <= 30  # less those in flight when the error came
        assert server.asked() < 30 + 2 * 8 + 16


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            "400",
            "refuses the prompt (8 characters, 'The catx'...): HTTP 400 (told to answer 400): change what the server "
            "names, or use hf: or nearest",
        ),
        (
            "404",
            "HTTP 404 (told to answer 404): check the URL (the API's root, as in http://localhost:8000/v1; "
            "some servers have theirs without /v1) "
            "and the model",
        ),
        ("403", "HTTP 403 (told to answer 403): set INSTRUCTOR_EVAL_API_KEY to its key"),
        (
            "redirect:https://elsewhere.example/v1",
            "redirects to https://elsewhere.example/v1, which is not followed: give the URL meant",
        ),
        ("huge", "a reply of more than 4 MB: check that this is an API's root"),
    ],
)
def test_final_at_once(model: TinyLM, fault: str, line: str) -> None:
    with CompletionsServer(model, faults=[None, fault]) as server:
        assert _error(_reader(server)) == f"endpoint:URL: {line}"
        assert server.asked() == 1


def test_server_down(model: TinyLM) -> None:
    with CompletionsServer(model) as server:
        url = server.url
    for spec in (url, f"{url}#tiny"):
        with pytest.raises(UserError) as caught:
            list(EndpointReader(spec, wait=0.001, tries=4).read([BARE] * 20))
        assert str(caught.value) == f"endpoint:{url}: connection failed (Connection refused), asked 4 times: {STEP}"
    with pytest.raises(UserError, match="Connection refused"):
        _ = EndpointReader(url, wait=0.001, tries=1).fingerprint


def test_first_question_is_asked_alone(model: TinyLM) -> None:
    with CompletionsServer(model, faults=lambda _: "503") as server:
        with pytest.raises(UserError, match="HTTP 503"):
            list(EndpointReader(f"{server.url}#tiny", wait=0.001, tries=3).read([BARE] * 20))
        assert (server.asked(), server.most_at_once) == (3, 1)


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
        assert _error(_reader(server)) == f"endpoint:URL: {line}"
        with pytest.raises(UserError, match="add #MODEL"):
            _ = _reader(server).fingerprint
        if models:
            assert len(_read(EndpointReader(f"{server.url}#b"), [BARE])) == 1


def test_models_are_not_listed(model: TinyLM) -> None:
    with CompletionsServer(model, faults=["404"]) as server:
        line = _error(_reader(server))
    assert (
        line == "endpoint:URL: HTTP 404 (told to answer 404): check the URL "
        "(the API's root, as in http://localhost:8000/v1; some servers have theirs without /v1), or add #MODEL to it"
    )


@pytest.mark.parametrize(
    "spec",
    ["", "localhost:8000/v1", "ftp://h/v1", "http://", "http:///v1", "http://h:port/v1", "http://[::1/v1", "//h/v1",
     "http://h/v1\n", "http://h /v1", "#m"],
)  # fmt: skip
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
        assert _error(_reader(server)) == (
            "endpoint:URL: HTTP 401 (Incorrect API key provided: none): set INSTRUCTOR_EVAL_API_KEY to its key"
        )
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", f"{KEY}\n")  # as `$(cat file)` may leave it
        reader = _reader(server)
        _read(reader)
        assert {asked.headers["Authorization"] for asked in server.requests[1:]} == {f"Bearer {KEY}"}
        with_key = reader.fingerprint
        shown = [repr(reader), json.dumps(reader.describe()), reader.name]
        monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", KEY * 5)
        wrong = _error(_reader(server))  # the server repeats the key that it was sent
        assert wrong == (
            "endpoint:URL: HTTP 401 (Incorrect API key provided: Bearer ***): check the key in INSTRUCTOR_EVAL_API_KEY"
        )
        server.faults = lambda _: f"redirect:http://elsewhere/?{KEY * 5}"
        moved = _error(_reader(server))
        assert moved == ("endpoint:URL: redirects to http://elsewhere/?***, which is not followed: give the URL meant")
        for bad in (f"{KEY}\n{KEY}", f"{KEY} {KEY}", f"{KEY}é"):
            monkeypatch.setenv("INSTRUCTOR_EVAL_API_KEY", bad)
            line = _error(_reader(server))
            assert line == "INSTRUCTOR_EVAL_API_KEY: has characters that are in no API key: set it again"
        monkeypatch.delenv("INSTRUCTOR_EVAL_API_KEY")
        assert EndpointReader(f"{server.url}#tiny").fingerprint == with_key
    assert KEY not in "".join([*shown, caplog.text])


def test_netrc_is_not_sent(model: TinyLM, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hush\n")
    (tmp_path / ".netrc").chmod(0o600)
    with CompletionsServer(model) as server:
        _read(_reader(server), [BARE])
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


def test_retry_after_is_honoured(model: TinyLM, waited: list[float]) -> None:
    with CompletionsServer(
        model, faults=["429:0.5", "429:0", "503:Wed, 21 Oct 2015 07:28:00 GMT", "503:nan"]
    ) as server:
        _read(EndpointReader(f"{server.url}#tiny", wait=0.2), [BARE])
    assert waited[:2] == [0.5, 0]
    # What is no number of seconds to come is waited for as ever.
    assert 0.75 * 0.8 <= waited[2] <= 1.25 * 0.8 <= 0.75 * 1.6 <= waited[3] <= 1.25 * 1.6
    assert len(waited) == 4


def test_waits_grow_and_have_a_limit(model: TinyLM, waited: list[float]) -> None:
    faults: list[Fault] = [*["500"] * 8, "429:3600"]
    with CompletionsServer(model, faults=faults) as server:
        _read(EndpointReader(f"{server.url}#tiny", tries=10), [BARE])
    assert len(waited) == 9
    for attempt in range(5):
        assert 0.75 * 2**attempt <= waited[attempt] <= 1.25 * 2**attempt
    assert waited[7:] == [60.0, 60.0]


def test_many_at_once_but_bounded(model: TinyLM) -> None:
    six = threading.Barrier(6)
    with CompletionsServer(
        model, faults=lambda number: (lambda _: six.wait(LONGEST)) if number > 1 else None
    ) as server:
        _read(
            _reader(server, concurrency=6), [Question("a", max_tokens=1)] * 31
        )  # the first alone, then six times five
        assert (server.most_at_once, server.asked()) == (6, 31)
        assert _threads_end()


def test_only_a_bounded_number_is_asked_ahead(model: TinyLM) -> None:
    with CompletionsServer(model) as server:
        answers = _reader(server, concurrency=2).read([Question("a", max_tokens=1)] * 100)
        next(answers)
        time.sleep(0.2)
        assert server.asked() == 1
        next(answers)
        time.sleep(0.3)  # a slow consumer
        assert server.asked() <= 1 + 2 * 2
        answers.close()
        assert _threads_end()
        assert server.asked() <= 1 + 2 * 2


def test_closed_early(model: TinyLM, pauses: list[float]) -> None:
    """Requests that were sent end by themselves; waiting ones and pauses between tries end at once."""
    with CompletionsServer(model, faults=lambda number: "429:3600" if number > 10 else None) as server:
        answers = _reader(server).read([Question("a", max_tokens=1)] * 100)
        for _ in range(6):
            next(answers)
        wait_for(lambda: len(pauses) == 8, "all are in a pause of an hour")
        asked = server.asked()
        answers.close()
        assert _threads_end()
        assert server.asked() == asked
        assert pauses == [3600.0] * 8


def test_closed_while_the_server_is_silent(model: TinyLM) -> None:
    with CompletionsServer(model, faults=lambda number: "hang" if number > 3 else None) as server:
        answers = _reader(server, timeout=3600.0, concurrency=3).read([Question("a", max_tokens=1)] * 100)
        next(answers)
        next(answers)
        wait_for(lambda: server.asked() == 3 + 3, "all three wait for the server")
        answers.close()
        assert len(_threads()) == 3, "closing did not wait for the server"
        assert server.asked() == 3 + 3
    assert _threads_end()


def test_error_ends_what_waits(model: TinyLM, pauses: list[float]) -> None:
    """One question is refused for good while others wait for their next try."""

    def fault(number: int) -> Fault:
        return "400" if number == 6 else "429:3600" if number > 2 else None

    with CompletionsServer(model, faults=fault) as server:
        with pytest.raises(UserError, match="HTTP 400"):
            list(_reader(server).read([Question("a", max_tokens=1)] * 100))
        assert _threads_end()
        assert set(pauses) <= {3600.0}


def test_ctrl_c_ends_the_process(model: TinyLM) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job's children ignore it
        "from instructor_eval.core import http as http_client\n"
        "http_client._MOST_SECONDS = 3600.0\n"
        "from instructor_eval.readers.openai import EndpointReader\n"
        "from instructor_eval.readers.contract import Question\n"
        "answers = EndpointReader(sys.argv[1]).read([Question('a', max_tokens=1)] * 50)\n"
        "next(answers)\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n"
        "    list(answers)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    with CompletionsServer(model, faults=lambda number: "429:3600" if number > 1 else None) as server:
        command = [sys.executable, "-W", "error", "-c", code, server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda: server.asked() == 1 + 8, "one is answered, eight are asked to wait")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONGEST)
            assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_importing_is_light() -> None:
    code = "import sys, instructor_eval.readers.openai; print('requests' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_lone_surrogate_is_read(model: TinyLM) -> None:
    with CompletionsServer(model) as server:
        odd, even = (Question(f"The {c} cat", (f" sat {c}", " no")) for c in ("\ud800", "\ufffd"))
        first, second = _read(_reader(server), [odd, even])
    assert first.losses == second.losses
    assert first.text in odd.options


@pytest.mark.parametrize(
    ("tokens", "places"),
    [
        (["ab", "c", "\n", "Yes", "!"], [3]),
        (["ab", "c", "\n", "Y", "es", "!"], [3, 4]),
        (["ab", "c\nY", "es", "!"], [1, 2]),  # over the boundary
        (["ab", "c\n", "Yes"], [2]),  # nothing generated
        (["ab", "c\n", "Yes", ""], [2]),  # an end without text generated
        (["ab", "c\n", "Yes", "Yes"], [2]),  # the option generated once more
        (["ab", "c\n", "Y", "e", "s", "s"], [2, 3, 4]),
        (["<s>", "ab", "c\n", "Yes", "!"], [3]),
        (["<s>", " ab", "c\n", "Yes", "!"], []),  # a blank that is not in the text, where it could be any
        (["", "abc\n", "Yes", "!"], [2]),
        (["abc\n", "", "", "Yes", "!"], [1, 2, 3]),  # bytes of a character that comes whole with the last
        (["\ufffd", "\ufffd", "c\n", "Yes", "!"], [3]),  # as if "ab" had four bytes
        (["<s>", "\ufffd", "\ufffd", "\ufffd", "c\n", "Y", "es"], [5, 6]),
        (["abc\n", "Y", "\ufffd", "\ufffd", "!"], [1, 2, 3]),
        (["abc\n", "Y", "bytes:\\xc3", "bytes:\\xa9", "!"], [1, 2, 3]),
        (["abc", "\ufffd", "\ufffd", "es", "!"], []),  # which part is which?
        (["abc\n", "\ufffd", "!"], []),  # one token too few
        (["x", "Yes", "!"], []),  # the prompt is another
        (["x", "abc", "Yes", "!"], []),
        (["c\n", "Yes", "!"], []),  # the prompt was cut
        (["<s>", "c\n", "Yes", "!"], []),
        (["Yes", "!"], []),  # no echo of the prompt
        (["ab", "c\n", "No", "!"], []),
        (["", ""], []),
    ],
)
def test_option_tokens(tokens: list[str], places: list[int]) -> None:
    assert option_tokens("abc\nYes", 4, tokens) == places


@pytest.mark.parametrize(
    ("text", "start", "tokens", "places"),
    [
        ("a b:", 2, ["a", " ", "b", ":", "!"], [2, 3]),
        ("say: very good", 4, ["<s>", "say", ":", "very", "good", "!"], [3, 4]),  # blanks dropped
        ("say: very good", 5, ["<s>", "say", ":", "very", "good", "!"], [3, 4]),  # the blank was the prompt's
        ("say:  very", 4, ["say", ":", "", "very", "!"], [2, 3]),
        ("aéYes", 2, ["a", "bytes:\\xc3", "bytes:\\xa9", "Yes", "!"], [3]),
        ("aéYes", 1, ["a", "bytes:\\xc3", "bytes:\\xa9", "Yes", "!"], [1, 2, 3]),
        ("日本語 x", 3, ["\ufffd"] * 7 + ["語", " x", "!"], [8]),
        ("日本語 x", 1, ["\ufffd"] * 7 + ["語", " x", "!"], []),
        ("a: 日本", 3, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], [2, 3, 4]),
        ("a: 日本", 2, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], [2, 3, 4]),
        ("a: 日本", 4, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], []),
        ("ab", 0, ["<s>", "a", "b", "!"], [1, 2]),
        ("aaaa", 3, ["aa", "a", "a", "a"], [2]),
    ],
)
def test_option_tokens_of_other_texts(text: str, start: int, tokens: list[str], places: list[int]) -> None:
    assert option_tokens(text, start, tokens) == places
