"""Servers of completions that answer prompts: the same failures, and those of log-probabilities and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hostile_case import Case
from hostile_server import Failure, Request, good, of, serving
from made_hostile_embeddings import KEY, MODELS
from reply_failures import JSON, LONG, STATUSES, WIRE, WITHIN, Fields, edited, status

RUN = ("--selection", "bm25", "--limit", "3", "--results", "r", "--tries", "1", "--quiet", "--task")
OPTIONS = "{input: 'Of what? {text} ', embed: '{text}', labels: [apple, bread], most: 2}"
GENERATED = "{input: 'Of what? {text} ', embed: '{text}', output: '{label}', most: 2}"
NO_ECHO = "returns no log-probabilities for the prompt (echo)"


def _card(folder: Path, options: str) -> str:
    (folder / "data").mkdir()
    for name in ("pool", "test"):
        rows = (f'{{"text": "{name} {i} has it", "label": "{("apple", "bread")[i % 2]}"}}\n' for i in range(6))
        (folder / "data" / f"{name}.jsonl").write_text("".join(rows))
    (folder / "mine.yaml").write_text(f"name: Mine\ntype: PromptRetrieval\ndata: data\noptions: {options}\n")
    return "mine.yaml"


def _logprobs(**members: Any) -> Failure:
    return edited(lambda reply, _key: reply["choices"][0]["logprobs"].update(members))


def _value(value: Any) -> Failure:
    def edit(reply: Fields, _key: str) -> None:
        given = reply["choices"][0]["logprobs"]
        given["token_logprobs"] = [value] * len(given["tokens"])

    return edited(edit)


def _text(text: Any) -> Failure:
    return edited(lambda reply, key: reply["choices"][0].update(text=text(key) if callable(text) else text))


def _chat_shaped(request: Request) -> list[bytes]:
    """As llama.cpp, which takes no notice of `echo`."""
    fields = good(request)
    fields["choices"][0] |= {"text": " a", "logprobs": {"content": [{"token": " a", "logprob": -0.5}]}}
    return [of(fields)]


SCORES: dict[str, tuple[Failure, str]] = {
    "llama.cpp's": (_chat_shaped, "llama.cpp does not"),
    "400 of echo": (status("400", message="echo and logprobs are not supported"), NO_ECHO),
    "no choices": (edited(lambda r, k: {"choices": [], k: k}), "no reply to /completions"),
    "choices: an object": (edited(lambda r, k: {"choices": {k: k}}), "no reply to /completions"),
    "a choice of no object": (edited(lambda r, k: {"choices": [k]}), "no reply to /completions"),
    "text: null": (_text(None), "no reply to /completions"),
    "logprobs: a text": (edited(lambda r, k: r["choices"][0].update(logprobs=k)), NO_ECHO),
    "tokens: null": (_logprobs(tokens=None), NO_ECHO),
    "tokens: numbers": (_logprobs(tokens=[1, 2, 3], token_logprobs=[0, 0, 0]), "do not spell the prompt"),
    "tokens: of another text": (_logprobs(tokens=["a", "b"], token_logprobs=[0, 0]), "do not spell the prompt"),
    "tokens: 300,000 parts": (
        _logprobs(tokens=["\ufffd"] * 300_000, token_logprobs=[0] * 300_000),
        "do not spell the prompt",
    ),
    "tokens: fewer logprobs": (_logprobs(token_logprobs=[-1.0, -1.0]), "do not spell the prompt"),
    "logprobs: 1e308": (_value(1e308), NO_ECHO),
    "logprobs: -1e308": (_value(-1e308), NO_ECHO),
    "logprobs: 400 digits": (_value(-(10**400)), NO_ECHO),
    "logprobs: NaN": (_value(float("nan")), NO_ECHO),
    "logprobs: texts": (_value("-0.5"), NO_ECHO),
    "logprobs: booleans": (_value(False), NO_ECHO),
    "500 of a long prompt": (status("500", message=LONG), "give a server (or a model) of a longer context"),
    "422": (status("422"), "refuses the prompt of question 1 of 3"),
}
ANSWERS: dict[str, tuple[Failure, str]] = {
    "text: 1 MB": (_text("x" * 2**20), "an answer of 1,048,576 characters"),
    "text: a list": (_text(["x"]), "no reply to /completions"),
    "500 of a long prompt": (status("500", message=LONG), "of a longer context"),
}
GOES_ON: dict[str, Failure] = {
    "the key": _text(lambda key: f"yes {key} {key[3:12]} {key.swapcase()}"),
    "escapes": _text("yes\x1b[2J\x9b\u202e\0\ud800"),
    "markup": _text("<script>alert(1)</script>|`=cmd|' /C calc'!A0`"),
    "nothing": _text(""),
    "usage: 400 digits": edited(lambda r, k: r.update(usage={"prompt_tokens": 10**400})),
}
SOME = ("400", "401", "404", "429 and the key", "500", "502 and a page", "308 and no UTF-8", "400 in escapes",
        "closes at once", "ends in the body", "drips a header", "drips the body", "says nothing", "HTTP/0.9",
        "a header of 1 MB", "a gzip bomb", "endless interim replies", "100,000 lists in each other",
        "300,000 lists", "a list", "an error with 200")  # fmt: skip
NAMES = ("the key", "a part of the key", "1 MB", "ESC", "none", "10,000")


def _case(name: str, failure: Failure, says: Sequence[str], options: str, spec: str = "#m", code: int = 2) -> Case:
    def make(folder: Path) -> Sequence[str]:
        timeout = "0.6" if WITHIN in says else "60"
        return (*RUN, _card(folder, options), "--reader", f"endpoint:{{url}}/v1{spec}", "--timeout", timeout)

    says = [word.replace("/embeddings", "/completions").replace("even alone", "refuses the prompt") for word in says]
    lines = None if code == 0 else 1
    return Case(name, make, says, code, lines, lambda: serving(failure), {"INSTRUCTOR_EVAL_API_KEY": KEY})


EVERY = STATUSES | WIRE | JSON
CASES = [
    *(_case(name, EVERY[name][0], (EVERY[name][1],), OPTIONS) for name in SOME),
    *(_case(f"models: {name}", MODELS[name][0], (MODELS[name][1],), OPTIONS, "") for name in NAMES),
    *(_case(f"scores: {name}", failure, (says,), OPTIONS) for name, (failure, says) in SCORES.items()),
    *(_case(f"answers: {name}", failure, (says,), GENERATED) for name, (failure, says) in ANSWERS.items()),
    *(_case(f"answers, goes on: {name}", failure, (), GENERATED, code=0) for name, failure in GOES_ON.items()),
]
