"""A model at a hosted provider (OpenAI, Gemini, Bedrock, Cohere, Voyage and others), asked through litellm.

Keys and addresses come from litellm's usual variables (`OPENAI_API_KEY`, `GEMINI_API_KEY`, `AWS_ACCESS_KEY_ID`, ...;
`<PROVIDER>_API_BASE`), and are neither stored nor shown. litellm's own look-ups (prices, telemetry, `.env`) and retries
are off: requests are repeated here, as for any server.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from instructor_eval.core import libraries
from instructor_eval.core.errors import UserError, did_you_mean, one_line
from instructor_eval.core.http import PassingError, UnansweredError, pause_after, times
from instructor_eval.core.http_replies import is_too_much, may_pass, seconds_of
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.core.values import Vectors
from instructor_eval.models.served import bounded_httpx, openai
from instructor_eval.models.served.contract import ServedModel, Serving, TooMuchError
from instructor_eval.models.served.engine import FEW_TRIES, FIRST_TRIES

_SPEC = re.compile(r"([a-z0-9_]+)/(\w[\w.:/@-]*)", re.ASCII)
_NO_KEY = re.compile("missing (credentials|.*api key)", re.IGNORECASE)
_MESSAGE = re.compile(r"""['"]message['"]: ?(['"])(.*?)\1[,}]""")
_TWICE = re.compile(r"^(\w+: )(?:litellm\.)?\1")
_LONGEST = 4000
_FILES = re.compile("data:|files/|gs://")
"""Beginnings of a text that litellm would mistake for a file's name."""
_COHERE = (
    "input_type",
    {"query": "search_query", "document": "search_document", "classification": "classification",
     "clustering": "clustering"},
)  # fmt: skip
_GEMINI = (
    "task_type",
    {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT", "classification": "CLASSIFICATION",
     "clustering": "CLUSTERING", "similarity": "SEMANTIC_SIMILARITY"},
)  # fmt: skip
INPUT_TYPES: dict[str, tuple[str, Mapping[str, str]]] = {
    "cohere": _COHERE,
    "bedrock/cohere.": _COHERE,
    "gemini": _GEMINI,
    "voyage": ("input_type", {"query": "query", "document": "document"}),
}
"""Provider, or beginning of its models' names -> parameter for a text's purpose, and its values.
Without a value the parameter is left out, and the provider's default (or litellm's) applies."""


class HostedModel(ServedModel):
    """A model of a hosted provider, asked through litellm.

    Args:
        spec: The text after `hosted:`: `provider/model`, as for litellm.
        how: Settings of requests.

    Raises:
        UserError: litellm is not installed, or does not know the provider.
    """

    libraries = ("litellm",)

    def __init__(self, spec: str, how: Serving) -> None:
        libraries.require(self.libraries, "hosted", f"hosted:{spec}")
        named = _SPEC.fullmatch(spec)
        if not named:
            raise UserError(
                f"hosted:{spec[:200]}: give a provider and its model, as in hosted:cohere/embed-english-v3.0"
            )
        self._provider, model = named.groups()
        self._litellm = _quiet_litellm(how.timeout)
        providers = [str(getattr(p, "value", p)) for p in self._litellm.provider_list]
        if self._provider not in providers:
            hint = did_you_mean(self._provider, providers) or ": give one that litellm knows, as openai or gemini"
            raise UserError(f"hosted:{spec}: unknown provider '{self._provider}'{hint}")
        self._spec, self._how = spec, how
        self._base = os.environ.get(f"{self._provider.upper()}_API_BASE") or None
        if self._base and "@" in self._base:
            place = f"{self._provider.upper()}_API_BASE"
            raise UserError(f"hosted:{spec}: {place} has a user or password in it: give the address alone")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._totals = {"requests": 0, "retries": 0, "tokens": 0}
        self._dim: int | None = None
        table = self._litellm.model_cost.get(spec) or self._litellm.model_cost.get(model) or {}
        listed = table.get("input_cost_per_token")
        self._price = how.price if how.price is not None else listed * 1e6 if isinstance(listed, int | float) else None
        self.max_length = table.get("max_input_tokens") or 0
        self.limits = how.limits
        self.name = f"hosted:{spec}"
        self.card_name = model
        self.revision = how.label or "served"
        self.family, self.family_rule = openai.family_of(model, how.family)
        prefix = next((p for p in INPUT_TYPES if f"{spec}/".startswith(p if p.endswith(".") else f"{p}/")), None)
        self._typed = INPUT_TYPES[prefix] if prefix else None
        if self._typed:
            self.family_rule += f"; {self._typed[0]} by role and type of task"
        self.identity = {"kind": "hosted", "model": spec, "base": self._base, "label": how.label}

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """Return the text's purpose for the provider, and the instruction after it."""
        if self._typed is None:
            return instruction
        parameter, values = self._typed
        return f"{parameter}={values.get(role, '')}\n{instruction}"

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed with one call of litellm, repeated after errors that may pass."""
        return self._ask(texts, instruction, self._how.tries if self._dim else min(self._how.tries, FIRST_TRIES))

    def embed_briefly(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed with one call of litellm, repeated at most once."""
        return self._ask(texts, instruction, min(self._how.tries, FEW_TRIES))

    def _ask(self, texts: Sequence[str], instruction: str, tries: int) -> Vectors:
        given: dict[str, Any] = {}
        if self._typed is not None and instruction.startswith(f"{self._typed[0]}="):  # probes have no purpose
            head, _, instruction = instruction.partition("\n")
            parameter, _, kind = head.partition("=")
            given = {parameter: kind} if kind else {}
        if self._provider in ("openai", "azure"):
            given["encoding_format"] = "float"
        inputs = [self._text(instruction + text) for text in texts]
        stop, attempt = self._stop, 0
        while True:
            attempt += 1
            with self._lock:
                self._totals["requests"] += 1
                self._totals["retries"] += attempt > 1
            try:
                return self._once(inputs, given)
            except PassingError as e:
                error = e
            if attempt >= min(tries, error.most) or stop.wait(pause_after(attempt - 1, openai.WAIT, error)):
                break
        said = f"{error}, asked {times(attempt)}"
        step = error.step or "see that the provider can be reached and your quota is not used up, then run again"
        raise UnansweredError(f"{self.name}: {said}: {step}", said, error)

    def totals(self) -> dict[str, float]:
        """Return calls of litellm, retries, tokens as it reports them, and their price if it is known."""
        with self._lock:
            found: dict[str, float] = dict(self._totals)
        return found if self._price is None else found | {"usd": found["tokens"] * self._price / 1e6}

    def stop(self) -> None:
        """Stop further tries."""
        self._stop.set()
        self._stop = threading.Event()

    def _once(self, inputs: list[str], given: dict[str, Any]) -> Vectors:
        def call() -> Any:
            return self._litellm.embedding(
                model=self._spec, input=inputs, api_base=self._base, timeout=self._how.timeout, max_retries=0,
                num_retries=0, **given,
            )  # fmt: skip

        try:
            reply = bounded_httpx.call_within(self._how.timeout, call)
        except PassingError:
            raise
        except Exception as e:  # noqa: BLE001 # litellm's own types, and errors of its parsers
            raise self._error(e) from None  # litellm's error quotes request and reply
        try:
            data = [entry if isinstance(entry, dict) else entry.model_dump() for entry in reply.data]
            rows = openai.vectors_of(data, inputs)
        except (LookupError, TypeError, AttributeError):
            raise PassingError("no reply of embeddings") from None
        tokens = getattr(getattr(reply, "usage", None), "prompt_tokens", 0)
        with self._lock:
            if self._dim is None:
                self._dim = rows.shape[1]
            self._totals["tokens"] += openai.counted(tokens) or 0
        if rows.shape[1] != self._dim:
            raise PassingError(f"vectors of {rows.shape[1]} values, and of {self._dim} before")
        return rows

    def _error(self, e: Exception) -> Exception:
        """Translate an exception of litellm: it may pass, or the request was too large, or it is final."""
        if bounded_httpx.was_too_long(e):
            return UserError(f"{self.name}: a reply of more than {bounded_httpx.SIZE >> 20} MB: check its API base")
        code, said = getattr(e, "status_code", None), self._said(e)
        code = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 500
        if code in (401, 403) or _NO_KEY.search(said):
            step = "set or check the provider's key, in litellm's variable for it (OPENAI_API_KEY is openai's)"
            return UserError(f"{self.name}: {said}: {step}")
        if code in openai.UNRELATED_STATUSES:
            return UserError(f"{self.name}: {said}: change what it names, run again")
        if is_too_much(code, said) or not may_pass(code):
            return TooMuchError(f"{self.name}: {said}")
        headers = getattr(getattr(e, "response", None), "headers", None) or {}
        return PassingError(said, seconds_of(headers.get("retry-after")), by_request=code != 429)

    @staticmethod
    def _said(e: Exception) -> str:
        text = one_line(without_secrets(str(e)[:_LONGEST].partition("Traceback (most")[0], environment_secrets()))
        said = _MESSAGE.search(text)  # in the reply that the exception quotes
        code = getattr(e, "status_code", None)
        text = f"HTTP {code} ({said[2]})" if said else _TWICE.sub(r"\1", text.removeprefix("litellm."))
        return text if len(text) <= 200 else f"{text[:197]}..."

    @staticmethod
    def _text(text: str) -> str:
        """Return a text that is valid UTF-8 and that litellm cannot mistake for a file's name."""
        text = openai.SURROGATE.sub("\ufffd", text)
        return f" {text}" if _FILES.match(text) else text


def _quiet_litellm(timeout: float) -> Any:
    """Import litellm so that it talks to nobody but the provider."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import downloads a table
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else its import reads .env
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.request_timeout = timeout
    litellm.client_session = litellm.client_session or bounded_httpx.client(timeout)
    litellm.DEFAULT_MAX_RETRIES = 0  # it ignores `max_retries=0`
    litellm.drop_params = False
    # pydantic warns on stderr, and quotes the reply.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydantic(\.|$)")
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm
