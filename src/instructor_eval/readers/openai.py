"""The reader behind an endpoint: a server of OpenAI-compatible completions.

Questions with options need a server that gives log-probabilities of the prompt for `echo`, such as vLLM; llama.cpp's
server ignores `echo`, and can only generate. An option's tokens are found in the echo of prompt and option together.
Servers echo tokens in different forms, so tokens are used only if they spell the text; otherwise there is an error and
no doubtful loss.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from instructor_eval.core.crew import Crew
from instructor_eval.core.errors import UserError
from instructor_eval.core.http import Client, Refused, checked, checked_name
from instructor_eval.core.http_replies import is_too_much, may_pass
from instructor_eval.models.served.openai import UNRELATED_STATUSES
from instructor_eval.readers.contract import Answer, Question, RefusedPromptError

_BESIDE = "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
_STOPS = 4  # OpenAI takes no more
_BESIDE_TEXT = 16
"""Tokens beyond a text's bytes at most: those before it, and the generated one."""
_SCORE = {"max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
_GENERATE = {"temperature": 0}
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEAST_LOGPROB, _MOST_LOGPROB = -1e5, 1e-2
"""Log-probabilities of a server are between these; rounding may give a little more than 0."""
_CHARACTERS_A_TOKEN = 1000
_PART = re.compile("\ufffd|^bytes:|^\\Z")
"""A token that is part of a character, in servers' forms."""


class EndpointReader:
    """A reader behind a server of completions, asked several questions at a time.

    Args:
        spec: The text after `endpoint:`: the URL of the API's root, with `#MODEL` if the server has several.
        concurrency: Questions asked at the same time.
        timeout: Seconds to wait for a silent server.
        tries: Tries of a request at most.
        wait: Seconds before the second try; doubled before each further one.

    Raises:
        UserError: `spec` is not such a URL.
    """

    is_cheap = False

    def __init__(
        self, spec: str, *, concurrency: int = 8, timeout: float = 60.0, tries: int = 5, wait: float = 1.0
    ) -> None:
        url, _, model = spec.partition("#")
        self._url = checked(url, spec)
        self._model = checked_name(model, f"endpoint:{self._url}: the model's name") if model else ""
        self._concurrency, self._timeout, self._tries, self._wait = concurrency, timeout, tries, wait
        self.name = f"endpoint:{self._url}" + (f"#{self._model}" if self._model else "")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of address, model and requests. UserError if the server does not name its model when asked."""
        if not self._model:
            with self._client() as client:
                self._find_model(client)
        parts = [self._url, self._model, _SCORE, _GENERATE, _STOPS]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Return name, fingerprint, address and model. UserError if the server does not name its model when asked."""
        fingerprint = self.fingerprint  # first, since it finds the model's name
        return {"name": self.name, "fingerprint": fingerprint, "url": self._url, "model": self._model}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Yield the server's answers; after the iterator is closed, only requests in flight go on.

        Raises:
            UserError: the server is not there, refuses, or gives no log-probabilities of a prompt.
        """
        if not questions:
            return
        with self._client() as client:
            if not self._model:
                self._find_model(client)
            yield 0, self._placed(client, questions, 0)  # alone: a bad key fails once
            places = range(1, len(questions))
            yield from Crew(lambda place: self._placed(client, questions, place), places, self._concurrency)

    def close(self) -> None:
        """Do nothing: connections end with each reading."""

    def _client(self) -> Client:
        otherwise = "change what it names, or use hf: or nearest"
        return Client(self._url, self._concurrency, self._timeout, self._tries, self._wait, otherwise=otherwise)

    def _find_model(self, client: Client) -> None:
        self._model = client.only_model()
        self.name = f"endpoint:{self._url}#{self._model}"

    def _placed(self, client: Client, questions: Sequence[Question], place: int) -> Answer:
        try:
            return self._answer(client, questions[place])
        except RefusedPromptError as e:
            e.place = place
            raise

    def _answer(self, client: Client, question: Question) -> Answer:
        # A lone surrogate has no UTF-8; one character replaces it, as in the hf reader.
        prompt, *options = (_SURROGATE.sub("\ufffd", text) for text in (question.prompt, *question.options))
        if options:
            losses = tuple(self._loss(client, prompt, option) for option in options)
            return Answer(question.options[losses.index(min(losses))], losses)
        stops = [stop for stop in question.stop if stop]
        body = {"model": self._model, "prompt": prompt, "max_tokens": question.max_tokens, **_GENERATE}
        body |= {"stop": stops[:_STOPS]} if stops else {}
        choice = client.ask("completions", _choice, body, refused=self._refusal(prompt))
        text: str = choice["text"]
        if len(text) > _CHARACTERS_A_TOKEN * question.max_tokens:
            what = f"an answer of {len(text):,} characters where at most {question.max_tokens} tokens were asked for"
            raise UserError(f"endpoint:{self._url}: {what}: use another server, hf:, or nearest")
        return Answer(text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)])

    def _refusal(self, text: str) -> Refused:
        """Return the function that translates a refusal of this text to an error."""

        def refused(code: int, said: str) -> UserError | None:
            if code < 400 or code in UNRELATED_STATUSES:
                return None
            if is_too_much(code, said):
                return RefusedPromptError(self._url, text, said, "give a server (or a model) of a longer context")
            return None if may_pass(code) else RefusedPromptError(self._url, text, said, "change what the server names")

        return refused

    def _loss(self, client: Client, prompt: str, option: str) -> float:
        text = prompt + option
        refusal = self._refusal(text)

        def refused(code: int, said: str) -> Exception | None:
            if code in (400, 422) and re.search("echo|logprob", said, re.IGNORECASE):
                return _no_logprobs(self._url, said)
            return refusal(code, said)

        body = {"model": self._model, "prompt": text, **_SCORE}
        choice = client.ask("completions", _choice, body, refused=refused)
        given = choice.get("logprobs")
        given = given if isinstance(given, dict) else {}
        tokens, logprobs = given.get("tokens"), given.get("token_logprobs")
        if not isinstance(tokens, list) or not isinstance(logprobs, list) or len(tokens) < 2:  # not even an echo
            raise _no_logprobs(self._url)
        places: list[int] = []
        if all(isinstance(token, str) for token in tokens) and len(logprobs) == len(tokens):
            places = option_tokens(text, len(prompt), tokens, choice["count"])
        if not places:
            raise _no_logprobs(self._url, "its tokens do not spell the prompt", "gives no usable log-probabilities")
        found = [logprobs[place] for place in places]
        if not all(type(x) in (int, float) and _LEAST_LOGPROB <= x <= _MOST_LOGPROB for x in found):
            raise _no_logprobs(self._url)
        return -math.fsum(found) / len(found)


def _no_logprobs(
    url: str, said: str = "", what: str = "returns no log-probabilities for the prompt (echo)"
) -> UserError:
    """Return the error for a server that does not score prompts."""
    return UserError(f"endpoint:{url}: the server {what}{said and ': '}{said}: {_BESIDE}")


def option_tokens(text: str, start: int, tokens: Sequence[str], count: object = None) -> list[int]:
    """Return the places of tokens that end after `start`, without the generated one; empty if they are unclear.

    `text_offset` is not used: vLLM's is a sum of lengths, and wrong after the first token that looks otherwise than in
    the text: `<s>`, part of a character, or a word whose space the tokenizer drops. Instead all tokens are matched with
    the text, from its end.

    Args:
        text: Prompt and option.
        start: Where the option begins.
        tokens: The server's echo, with the generated token unless the server hides it as an end.
        count: The server's number of tokens of the text.
    """
    most = len(tokens)
    if most > len(text.encode()) + _BESIDE_TEXT:
        return []
    counts = [count] if isinstance(count, int) and most - 1 <= count <= most else [most - 1, most]
    found = [own for n in counts if (own := _match(text, start, tokens[:n]))]
    return found[0] if len(found) == 1 else []


def _match(text: str, start: int, tokens: Sequence[str]) -> list[int]:
    own: list[int] = []
    parts: list[int] = []  # tokens that look otherwise than in the text, since the last matched one
    at, room = len(text), 0  # the matched end of the text, and the most characters of `parts`
    for place, token in [*reversed(list(enumerate(tokens))), (-1, "")]:
        if place >= 0 and _PART.search(token):
            parts.insert(0, place)
            room += max(len(token), 1)
            continue
        lead = _PART.split(tokens[parts[0]])[0] if parts else ""  # as the space before the first byte of a character
        low, high = (max(0, at - room - 1 - len(token)), at) if place >= 0 else (0, len(lead))
        found = text.rfind(token + lead, low, high)
        if found < 0 and place == 0:
            continue  # <s>, or another token that a model puts in front
        end = found + len(token)
        dropped = at < len(text) and text.startswith(" ", end)  # the space before the next token
        if found < 0 or at - end > room + dropped or end + len(lead) < start < at or (parts and end == len(text)):
            return []
        own += [*(parts if end + len(lead) >= start else ()), *([place] if end > start else ())]
        at, room, parts = found, 0, []
    return sorted(own)


def _choice(reply: Any) -> dict[str, Any]:
    choice, usage = reply["choices"][0], reply.get("usage")
    text = choice["text"]
    if not isinstance(text, str):
        raise TypeError
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return {**choice, "text": _SURROGATE.sub("\ufffd", text), "count": count}
