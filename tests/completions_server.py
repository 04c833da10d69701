"""A loopback server of OpenAI-compatible completions, answering from a tiny language model, and failing on request.

Failures: `429` or any other status, `429:0.2` with a Retry-After; `hang`, `truncated`, `malformed`, `html`,
`no-members`, `huge`, `redirect:URL`; or a function that reshapes the reply; None: nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openai_server import ApiHandler, ApiServer, Failure, Reshape, error


def no_logprobs(reply: dict[str, Any]) -> None:
    """As a server that ignores what was asked."""
    reply["choices"][0]["logprobs"] = None


def no_echo(reply: dict[str, Any]) -> None:
    """As a server that has log-probabilities only of what it generates."""
    choice = reply["choices"][0]
    choice["text"] = choice["logprobs"]["tokens"][-1]
    choice["logprobs"] = {name: values[-1:] for name, values in choice["logprobs"].items()}


def null_logprob(reply: dict[str, Any]) -> None:
    """As a server that has no number for the prompt's last token."""
    reply["choices"][0]["logprobs"]["token_logprobs"][-2] = None


def no_offsets(reply: dict[str, Any]) -> None:
    """As a server that leaves `text_offset` out."""
    del reply["choices"][0]["logprobs"]["text_offset"]


def summed_offsets(reply: dict[str, Any]) -> None:
    """As vLLM: an offset is the length of all tokens before, whether they are in the text or not."""
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["text_offset"] = [sum(map(len, logprobs["tokens"][:i])) for i in range(len(logprobs["tokens"]))]


def with_bos(reply: dict[str, Any]) -> None:
    """As vLLM with a model that begins each text with a token of its own, which the echo does not show."""
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["tokens"].insert(0, "<|begin|>")
    logprobs["token_logprobs"][:1] = [None, -1.0]
    reply["usage"]["prompt_tokens"] += 1
    summed_offsets(reply)


def no_spaces(reply: dict[str, Any]) -> None:
    """As a server that decodes each token by itself with a tokenizer that then drops the space before it."""
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["tokens"] = [token.lstrip(" ") for token in logprobs["tokens"]]
    summed_offsets(reply)


def no_usage(reply: dict[str, Any]) -> None:
    """As a server that does not count."""
    del reply["usage"]


def end_hidden(reply: dict[str, Any]) -> None:
    """As a server that does not show the token that it generated, where that is the end."""
    choice = reply["choices"][0]
    choice["text"] = choice["text"].removesuffix(choice["logprobs"]["tokens"][-1])
    choice["logprobs"] = {name: values[:-1] for name, values in choice["logprobs"].items()}


class TinyLM:
    """Greedy answers and honest log-probabilities of a checkpoint."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self._lock = threading.Lock()

    def logprobs(self, ids: Sequence[int]) -> Any:
        """Per position the log-probabilities of what comes next."""
        import torch

        with self._lock, torch.inference_mode():
            return self.model(torch.tensor([list(ids)])).logits[0].float().log_softmax(-1)

    def complete(self, prompt: str, tokens: int) -> tuple[str, list[int]]:
        """The text that follows the prompt, and its ids, the end not counted."""
        ids, new = self.tokenizer(prompt)["input_ids"], list[int]()
        while len(new) < tokens and (best := int(self.logprobs(ids + new)[-1].argmax())) != 0:
            new.append(best)
        return self.tokenizer.decode(new), new

    def echo(self, prompt: str) -> dict[str, Any]:
        """The choice where a prompt is echoed and one token generated."""
        encoded = self.tokenizer(prompt, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        table = self.logprobs(ids)
        ids.append(int(table[-1].argmax()))
        tokens = [self.tokenizer.decode([i]) for i in ids]
        logprobs = [None, *(float(table[k - 1, ids[k]]) for k in range(1, len(ids)))]
        offsets = [a for a, _ in encoded["offset_mapping"]] + [len(prompt)]
        top = [None, *({self.tokenizer.decode([int(row.argmax())]): float(row.max())} for row in table)]
        found = {"tokens": tokens, "token_logprobs": logprobs, "text_offset": offsets, "top_logprobs": top}
        return {"text": prompt + tokens[-1], "logprobs": found}


class _Handler(ApiHandler):
    def _reply(self, ours: CompletionsServer, body: dict[str, Any], failure: Failure) -> None:
        if isinstance(failure, str):
            kind, _, detail = failure.partition(":")
            if kind.isdecimal():
                headers = {"Retry-After": detail} if detail else {}
                self._send(error(f"asked to answer {kind}"), int(kind), headers)
            elif kind == "redirect":
                self._send(b"", 307, {"Location": detail})
            elif kind == "hang":
                ours._stopped.wait()
                self.close_connection = True
            elif kind == "huge":
                self._send(b'{"a": "' + b"a" * (33 * 2**20) + b'"}')
            else:
                bodies = {"malformed": b'{"choices": [', "html": b"<html>busy</html>", "no-members": b'{"choices": []}'}
                self._send(bodies.get(kind, b'{"choices"'), length=1000 if kind == "truncated" else None)
                self.close_connection = kind == "truncated"
            return
        path = urlsplit(self.path).path
        if ours.key and self.headers.get("Authorization") != f"Bearer {ours.key}":
            sent = self.headers.get("Authorization", "none")
            self._send(error(f"Incorrect API key provided: {sent}"), 401)
        elif (self.command, path) == ("GET", "/v1/models"):
            listed = [{"id": name, "object": "model"} for name in ours.models]
            self._send(json.dumps({"object": "list", "data": listed}).encode())
        elif (self.command, path) == ("POST", "/v1/completions"):
            self._complete(ours, body, failure)
        else:
            self._send(json.dumps({"detail": "Not Found"}).encode(), 404)

    def _complete(self, ours: CompletionsServer, body: dict[str, Any], reshape: Reshape | None) -> None:
        prompt, stops = body["prompt"], body.get("stop", [])
        if body["model"] not in ours.models:
            self._send(error(f"The model `{body['model']}` does not exist."), 404)
        elif body.get("echo") and not ours.echoes:
            self._send(error("Setting 'echo' and 'logprobs' at the same time is not supported."), 400)
        elif len(stops) > 4:
            self._send(error("stop: at most 4 sequences"), 400)
        else:
            assert body["temperature"] == 0
            if body.get("echo"):
                assert (body["max_tokens"], body["logprobs"]) == (1, 1)
                choice = ours.model.echo(prompt)
            else:
                text, _ = ours.model.complete(prompt, body["max_tokens"])
                text = text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)]
                choice = {"text": text, "logprobs": None}
            used = {"prompt_tokens": len(ours.model.tokenizer(prompt)["input_ids"])}
            choices = [{"index": 0, "finish_reason": "length", **choice}]
            reply = {"object": "text_completion", "model": body["model"], "choices": choices, "usage": used}
            for change in (ours.reshape if body.get("echo") else None, reshape):
                if change is not None:
                    change(reply)
            self._send(json.dumps(reply).encode())


class CompletionsServer(ApiServer):
    """`with CompletionsServer(TinyLM(folder)) as server:` serves it at `server.url`, the root of an API.

    Args:
        model: Answers.
        failures: What happens to each request, in order, then nothing more; or a function of the request's number.
        models: What the server says it has; all of them are `model`.
        key: The API key without which it refuses; none by default.
        echoes: Whether it knows `echo`, or answers 400.
        reshape: Changes every reply with log-probabilities.
        delay: Seconds before each answer.
    """

    def __init__(
        self,
        model: TinyLM,
        *,
        failures: list[Failure] | Callable[[int], Failure] | None = None,
        models: Sequence[str] = ("tiny",),
        key: str = "",
        echoes: bool = True,
        reshape: Reshape | None = None,
        delay: float = 0.0,
    ) -> None:
        super().__init__(_Handler, failures=failures, models=models, key=key, delay=delay)
        self.model, self.echoes, self.reshape = model, echoes, reshape

    def asked(self, name: str = "completions") -> int:
        """How many requests there were to that path."""
        return sum(asked.path == f"/v1/{name}" for asked in self.requests)
