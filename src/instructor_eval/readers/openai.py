"""The reader behind an endpoint: a server of OpenAI-compatible completions.

Questions with options take one that gives log-probabilities of the prompt when asked to `echo` it, as vLLM does;
llama.cpp's takes no notice of `echo`, and can only generate. An option's tokens are found in the echo of prompt and
option together. Servers differ in what they echo, so their tokens are never trusted before they spell the text; where
they do not, there is an error and no doubtful loss.
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
from instructor_eval.readers.contract import Answer, Question, RefusedPromptError

_BESIDE = "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
_STOPS = 4  # OpenAI takes no more
_NO_REQUEST = (401, 402, 403, 404, 405, 407, 410)
"""Statuses that say nothing of the prompt."""
_BESIDE_TEXT = 16
"""Tokens that stand for no byte of a text: those before it, and the one that was generated."""
_SCORE = {"max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
_GENERATE = {"temperature": 0}
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEAST_LOGPROB, _MOST_LOGPROB = -1e5, 1e-2
"""What a server may give; a rounded one is a little above 0."""
_CHARACTERS_A_TOKEN = 1000
_PART = re.compile("\ufffd|^bytes:|^\\Z")
"""In a token that is part of a character, as servers show it."""


class EndpointReader:
    """Asks a server of completions, several questions at a time.

    Args:
        spec: What stands after `endpoint:`: the URL of the API's root, with `#MODEL` if the server has several.
        concurrency: Questions asked at the same time.
        timeout: Seconds to wait for a server that says nothing.
        tries: How often a request is sent at most.
        wait: Seconds before the second try; twice as many before each further one.

    Raises:
        UserError: `spec` is no such URL.
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
        """Hash of address, model and requests. UserError where the server is asked for its model and does not say."""
        if not self._model:
            with self._client() as client:
                self._find_model(client)
        parts = [self._url, self._model, _SCORE, _GENERATE, _STOPS]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Name, fingerprint, address and model; UserError where the server is asked for its model and does not say."""
        fingerprint = self.fingerprint  # first, since the model is known afterwards
        return {"name": self.name, "fingerprint": fingerprint, "url": self._url, "model": self._model}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answer as the server does; when the iterator is closed, only requests that were sent already go on.

        Raises:
            UserError: the server is not there, refuses, or gives no log-probabilities of a prompt.
        """
        if not questions:
            return
        with self._client() as client:
            if not self._model:
                self._find_model(client)
            yield 0, self._placed(client, questions, 0)  # alone: what fails for all fails once
            places = range(1, len(questions))
            yield from Crew(lambda place: self._placed(client, questions, place), places, self._concurrency)

    def close(self) -> None:
        """Nothing is held between readings."""

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
        # A lone surrogate has no UTF-8; one character stands for it, as in the hf reader.
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
        """What a refusal means of which that text may be the reason."""

        def refused(code: int, said: str) -> UserError | None:
            if code < 400 or code in _NO_REQUEST:
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
    """The error for a server that does not score what it is given."""
    return UserError(f"endpoint:{url}: the server {what}{said and ': '}{said}: {_BESIDE}")


def option_tokens(text: str, start: int, tokens: Sequence[str], count: object = None) -> list[int]:
    """The places of the tokens that reach beyond `start`, the generated one left out; none where that cannot be told.

    `text_offset` is not looked at: vLLM's is a sum of lengths, and wrong from the first token that is shown otherwise
    than it stands in the text. That is `<s>`, part of a character, or a word whose blank the tokenizer drops. Instead
    the tokens are laid along the text, from its end and all of them.

    Args:
        text: Prompt and option.
        start: Where the option begins.
        tokens: As the server echoes them, with the one that it generated unless that is hidden as an end.
        count: How many tokens the server says that the text has.
    """
    most = len(tokens)
    if most > len(text.encode()) + _BESIDE_TEXT:
        return []
    counts = [count] if isinstance(count, int) and most - 1 <= count <= most else [most - 1, most]
    found = [own for n in counts if (own := _laid(text, start, tokens[:n]))]
    return found[0] if len(found) == 1 else []


def _laid(text: str, start: int, tokens: Sequence[str]) -> list[int]:
    own: list[int] = []
    parts: list[int] = []  # tokens shown otherwise than they stand in the text, since the last one that is not
    at, room = len(text), 0  # how far the text is laid out, and how many characters `parts` can be
    for place, token in [*reversed(list(enumerate(tokens))), (-1, "")]:
        if place >= 0 and _PART.search(token):
            parts.insert(0, place)
            room += max(len(token), 1)
            continue
        lead = _PART.split(tokens[parts[0]])[0] if parts else ""  # as the blank before the first byte of a character
        low, high = (max(0, at - room - 1 - len(token)), at) if place >= 0 else (0, len(lead))
        found = text.rfind(token + lead, low, high)
        if found < 0 and place == 0:
            continue  # <s>, or what else a model puts in front
        end = found + len(token)
        dropped = at < len(text) and text.startswith(" ", end)  # the blank before the token that follows
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
