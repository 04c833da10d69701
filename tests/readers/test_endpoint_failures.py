"""The reader behind an endpoint that fails, is slow or says no; and what is left when reading ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import completions_server as cs
import pytest
from completions_server import CompletionsServer, Failure, TinyLM
from endpoint_asking import BARE, STEP, assert_same, error, read, reader_of, threads, threads_end
from waiting import LONGEST, wait_for

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.openai import EndpointReader

pytestmark = pytest.mark.usefixtures("bare")


FAILURES: list[Failure] = ["429", "429:0", "408", "500", "503:0", "truncated", "malformed", "html", "no-members"]


@pytest.mark.parametrize("spread", [1, 3])
def test_same_answers_whatever_fails(model: TinyLM, expected: list[Answer], spread: int) -> None:
    """Failures one after another, and between answers; the first requests are met as well as the later ones."""
    script: list[Failure] = [failure for name in FAILURES for failure in (name, *[None] * (spread - 1))]
    with CompletionsServer(model, failures=[*script]) as server:
        assert_same(read(reader_of(server, tries=len(FAILURES) + 1)), expected)
        assert not any(server.failures)  # all of them came up


def test_silent_server_is_asked_again(model: TinyLM, expected: list[Answer]) -> None:
    with CompletionsServer(model, failures=[None, "hang", None, None, "hang"]) as server:
        found = read(reader_of(server, timeout=1.0, tries=14))  # the last pause takes 8 s: any machine is ready
        assert_same(found, expected)


NO_ECHO = "endpoint:URL: the server returns no log-probabilities for the prompt (echo)"


@pytest.mark.parametrize("reshape", [cs.no_logprobs, cs.no_echo, cs.null_logprob])
def test_no_logprobs(model: TinyLM, reshape: cs.Reshape) -> None:
    with CompletionsServer(model, reshape=reshape) as server:
        line = error(reader_of(server))
        assert line == f"{NO_ECHO}: use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        assert server.asked() == 1  # asking again would not help


def test_echo_refused(model: TinyLM) -> None:
    with CompletionsServer(model, echoes=False) as server:
        assert error(reader_of(server)) == (
            f"{NO_ECHO}: HTTP 400 (Setting 'echo' and 'logprobs' at the same time is not supported.): "
            "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        )
        assert server.asked() == 1
        assert read(reader_of(server), [Question("x", max_tokens=1)])  # generation needs no echo


@pytest.mark.parametrize(
    ("failure", "what"),
    [
        ("500", "HTTP 500 (asked to answer 500)"),
        ("hang", "no answer within 0.2 s"),
        ("no-members", 'no reply to /completions ({"choices": []})'),
    ],
)
def test_exhausted_tries(model: TinyLM, failure: str, what: str) -> None:
    with CompletionsServer(model, failures=lambda number: failure) as server:
        patience = 0.2 if failure == "hang" else LONGEST
        line = error(EndpointReader(f"{server.url}#tiny", tries=3, wait=0.001, timeout=patience))
        assert line == f"endpoint:URL: {what}, asked 3 times: {STEP}"
        assert server.asked() == 3


def test_answers_before_an_error_are_stored(model: TinyLM) -> None:
    with CompletionsServer(model, failures=lambda number: "500" if number > 30 else None) as server:
        found: dict[int, Answer] = {}
        with pytest.raises(UserError, match="HTTP 500"):
            for place, answer in reader_of(server, tries=2).read([BARE] * 200):
                found[place] = answer
        assert 30 - 8 < len(found) <= 30  # less those in flight when the error came
        assert server.asked() < 30 + 2 * 8 + 16


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (
            "400",
            "refuses the prompt (8 characters, 'The catx'...): HTTP 400 (asked to answer 400): change what the server "
            "names, or use hf: or nearest",
        ),
        (
            "redirect:https://elsewhere.example/v1",
            "redirects to https://elsewhere.example/v1, which is not followed: give the URL meant",
        ),
        ("huge", "a reply of more than 4 MB: check that this is an API's root"),
    ],
)
def test_final_at_once(model: TinyLM, failure: str, line: str) -> None:
    with CompletionsServer(model, failures=[None, failure]) as server:
        assert error(reader_of(server)) == f"endpoint:URL: {line}"
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
    with CompletionsServer(model, failures=lambda _: "503") as server:
        with pytest.raises(UserError, match="HTTP 503"):
            list(EndpointReader(f"{server.url}#tiny", wait=0.001, tries=3).read([BARE] * 20))
        assert (server.asked(), server.most_at_once) == (3, 1)


def test_retry_after_is_honoured(model: TinyLM, waited: list[float]) -> None:
    with CompletionsServer(
        model, failures=["429:0.5", "429:0", "503:Wed, 21 Oct 2015 07:28:00 GMT", "503:nan"]
    ) as server:
        read(EndpointReader(f"{server.url}#tiny", wait=0.2), [BARE])
    assert waited[:2] == [0.5, 0]
    # What is no number of seconds to come is waited for as ever.
    assert 0.75 * 0.8 <= waited[2] <= 1.25 * 0.8 <= 0.75 * 1.6 <= waited[3] <= 1.25 * 1.6
    assert len(waited) == 4


def test_many_at_once_but_bounded(model: TinyLM) -> None:
    six = threading.Barrier(6)
    with CompletionsServer(
        model, failures=lambda number: (lambda _: six.wait(LONGEST)) if number > 1 else None
    ) as server:
        read(
            reader_of(server, concurrency=6), [Question("a", max_tokens=1)] * 31
        )  # the first alone, then six times five
        assert (server.most_at_once, server.asked()) == (6, 31)
        assert threads_end()


def test_only_a_bounded_number_is_asked_ahead(model: TinyLM) -> None:
    with CompletionsServer(model) as server:
        answers = reader_of(server, concurrency=2).read([Question("a", max_tokens=1)] * 100)
        next(answers)
        time.sleep(0.2)
        assert server.asked() == 1
        next(answers)
        time.sleep(0.3)  # a slow consumer
        assert server.asked() <= 1 + 2 * 2
        answers.close()
        assert threads_end()
        assert server.asked() <= 1 + 2 * 2


def test_closed_early(model: TinyLM, pauses: list[float]) -> None:
    """Requests that were sent end by themselves; waiting ones and pauses between tries end at once."""
    with CompletionsServer(model, failures=lambda number: "429:3600" if number > 10 else None) as server:
        answers = reader_of(server).read([Question("a", max_tokens=1)] * 100)
        for _ in range(6):
            next(answers)
        wait_for(lambda: len(pauses) == 8, "all are in a pause of an hour")
        asked = server.asked()
        answers.close()
        assert threads_end()
        assert server.asked() == asked
        assert pauses == [3600.0] * 8


def test_closed_while_the_server_is_silent(model: TinyLM) -> None:
    with CompletionsServer(model, failures=lambda number: "hang" if number > 3 else None) as server:
        answers = reader_of(server, timeout=3600.0, concurrency=3).read([Question("a", max_tokens=1)] * 100)
        next(answers)
        next(answers)
        wait_for(lambda: server.asked() == 3 + 3, "all three wait for the server")
        answers.close()
        assert len(threads()) == 3, "closing did not wait for the server"
        assert server.asked() == 3 + 3
    assert threads_end()


def test_error_ends_what_waits(model: TinyLM, pauses: list[float]) -> None:
    """One question is refused for good while others wait for their next try."""

    def failure(number: int) -> Failure:
        return "400" if number == 6 else "429:3600" if number > 2 else None

    with CompletionsServer(model, failures=failure) as server:
        with pytest.raises(UserError, match="HTTP 400"):
            list(reader_of(server).read([Question("a", max_tokens=1)] * 100))
        assert threads_end()
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
    with CompletionsServer(model, failures=lambda number: "429:3600" if number > 1 else None) as server:
        command = [sys.executable, "-W", "error", "-c", code, server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda: server.asked() == 1 + 8, "one is answered, eight are asked to wait")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONGEST)
            assert (process.returncode, out, err) == (0, "interrupted\n", "")
