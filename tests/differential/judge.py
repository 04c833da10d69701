"""A folder's vectors here and in sentence-transformers, and how the two differ."""

import functools
import re
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from differential.steps import Step

from instructor_eval import load_encoder
from instructor_eval.core.errors import UserError
from instructor_eval.models.library import LibraryEncoder

TOLERANCE = 1e-5
LONGEST_LINE = 500
PROMPTS = ("", "query: ", "Represent the question for retrieval: ")
BATCHES = (2, 32)
TEXTS = (
    "the river and the city",
    "What is the best way to pay by card?",
    "na\u00efve caf\u00e9 \ufb01ne",
    "日本語 текст العربية",
    "😀👍🏽 in the sky",
    " \t two  spaces\tand tabs ",
    "line one\nline two\r\nthree",
    "e\u0301 combining a\u0308\u0323 marks",
    "a",
    ".",
    "THE RIVER AND THE CITY",
    "the river and the city",
    "x" * 150,
    "\u00a0nbsp\u200bzero width\ufeff",
    "12,345.678e-9 (x_y/z) don't re-read",
    "\U00020000 ₿ ꙮ rare",
    "[CLS] in [SEP] it [MASK] <s> and </s> <pad> <|endoftext|> [PAD]",
    "time data model " * 30,
    "good question about the virus in the water " * 90,
    "",
    " ",
    "\n\t",
)
Vector = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Made:
    """A folder to be made, and what is expected of it."""

    name: str
    make: Step
    refused: str = ""
    """A pattern of what the refusing line must name; none where the folder must be computed."""
    either: bool = False
    """The vectors of sentence-transformers are as good as a refusal."""
    half: bool = False
    """Weights are stored in half precision: fp32 computes with them in float32, and so does the peer here."""
    family: str | None = "prefix"
    loose: bool = False
    """sentence-transformers itself fails on some texts (longer than its positions): there is nothing to equal."""
    trusted: bool = False
    """Loaded with --trust-remote-code, here and there."""
    stripped: bool = False
    """Only texts without white space around them are compared: InstructorEmbedding takes it off, and so do we."""


# sentence-transformers' own vectors of these change with the padding, so with the texts in the same batch: refused, or
# each text has the vector that it has alone.
PADDED: dict[str, Any] = {"either": True, "refused": "padding"}


@dataclass
class Outcome:
    """The result of judging a folder."""

    errors: list[str] = field(default_factory=list)
    refusal: str | None = None
    fingerprint: str | None = None
    theirs: dict[tuple[str, str], Vector | None] = field(default_factory=dict)
    padded: float = 0.0
    """How far sentence-transformers' vectors of a batch are from those of each text alone."""


def peer(folder: Path, made: Made) -> Any:
    """The folder in sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    kwargs = {"dtype": "float32"} if made.half else None
    model = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs=kwargs, trust_remote_code=made.trusted
    )
    return model.float() if made.half else model


def ours(folder: Path, made: Made) -> LibraryEncoder:
    """The folder here."""
    return load_encoder(str(folder), device="cpu", variant="fp32", family=made.family, trust_remote_code=made.trusted)


def texts_of(made: Made) -> tuple[str, ...]:
    """The texts on which both are asked."""
    return tuple(text for text in TEXTS if text and text == text.strip()) if made.stripped else TEXTS


def truth(model: Any, texts: Sequence[str]) -> dict[tuple[str, str], Vector | None]:
    """Their vector of each text alone, under each prompt: a batch's padding moves some. None: there is none."""
    found: dict[tuple[str, str], Vector | None] = {}
    for prompt in PROMPTS:
        for text in texts:
            try:
                [vector] = model.encode([text], prompt=prompt, show_progress_bar=False)
            except Exception:  # noqa: BLE001 - whatever it is, there is no vector
                vector = None
            usable = vector is not None and np.isfinite(vector).all() and vector.any()
            found[prompt, text] = np.asarray(vector, dtype=np.float32) if usable else None
    return found


def far(got: Vector, want: Vector) -> float:
    """The largest difference, as a share of the wanted vector's length; infinite for another shape."""
    if got.shape != want.shape:
        return float("inf")
    return float((np.abs(got - want).max(axis=-1) / np.linalg.norm(want, axis=-1)).max())


def judge(made: Made, folder: Path) -> Outcome:
    """Compare all that the two give of a folder: every error is a line."""
    outcome = Outcome()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = peer(folder, made)
            together = _together(model, texts_of(made))  # first: some models change for good with the first short text
            outcome.theirs = truth(model, texts_of(made))
            outcome.padded = _moved_by_padding(together, outcome)
            why = "it gives no vector"
        except Exception as e:  # noqa: BLE001 - a raw error is one of the things looked for
            model, why = None, f"{type(e).__name__}: {str(e)[:120]}"
        _ours(made, folder, outcome, model, why=why)
        if outcome.fingerprint is not None:
            _compare_facts(model, outcome, folder, made)
    return outcome


def _ours(made: Made, folder: Path, outcome: Outcome, model: Any, *, why: str) -> None:
    computed = any(v is not None for v in outcome.theirs.values())
    try:
        encoder = ours(folder, made)
        encoder.encode([TEXTS[0]], PROMPTS[1])
    except UserError as e:
        outcome.refusal = str(e)
    except Exception as e:  # noqa: BLE001 - a raw error is one of the things looked for
        outcome.errors.append(f"raw {type(e).__name__}: {str(e)[:200]!r}")
        return
    if outcome.refusal is not None:
        outcome.errors += _errors_of(outcome.refusal, made, computed=computed)
        return
    if not computed:
        outcome.errors.append(f"sentence-transformers refuses it ({why}); ours gives vectors")
        return
    if made.refused and not made.either:
        outcome.errors.append(f"must be refused (naming {made.refused!r}); ours gives vectors")
        return
    outcome.fingerprint = encoder.fingerprint
    outcome.errors += _by_default(encoder, model)
    outcome.errors += _differences(encoder, outcome.theirs, made)


def _errors_of(line: str, made: Made, *, computed: bool) -> list[str]:
    errors = []
    if "\n" in line or len(line) > LONGEST_LINE:
        errors.append(f"refused in {len(line.splitlines())} lines, {len(line)} characters")
    if computed and not made.refused:
        errors.append(f"refused, though sentence-transformers computes it: {line[:300]}")
    if made.refused and not re.search(made.refused, line.replace(made.name, "")):
        errors.append(f"the refusal does not name {made.refused!r}: {line[:300]}")
    if "Traceback" in line:
        errors.append(f"the refusal is a raw error: {line[:200]}")
    return errors


def _differences(encoder: Any, theirs: dict[tuple[str, str], Vector | None], made: Made) -> list[str]:
    errors = []
    for prompt in PROMPTS:
        texts = [text for text in texts_of(made) if theirs[prompt, text] is not None]
        want = [theirs[prompt, text] for text in texts]
        if not texts:
            continue
        batches = [("one by one", 1), *((f"batches of {size}", size) for size in BATCHES)]
        for how, size in batches:
            try:
                got = encoder.encode(texts, prompt, batch_size=size)
            except Exception as e:  # noqa: BLE001 - a raw error is one of the things looked for
                errors.append(f"{how} under {prompt!r}: {type(e).__name__}: {str(e)[:200]!r}")
                break
            off = [far(g, w) for g, w in zip(got, want, strict=True)]
            worst = int(np.argmax(off))
            if off[worst] > TOLERANCE:
                wrong = sum(o > TOLERANCE for o in off)
                errors.append(
                    f"{how} under {prompt!r}: {wrong} of {len(off)} texts differ, by {off[worst]:.1e} of its length "
                    f"in {texts[worst][:40]!r} (shapes {got.shape[1:]}, {want[worst].shape})"
                )
        for text in texts_of(made):
            if theirs[prompt, text] is None and not made.loose:
                errors += _given_for_nothing(encoder, prompt, text)
    return errors


def _by_default(encoder: Any, model: Any) -> list[str]:
    """No prompt given: the folder's default, where it has one."""
    text = TEXTS[0]
    off = far(encoder.encode([text])[0], model.encode([text], show_progress_bar=False)[0])
    return [f"without a prompt: {off:.1e} off"] if off > TOLERANCE else []


def _given_for_nothing(encoder: Any, prompt: str, text: str) -> list[str]:
    """Where sentence-transformers has no vector that a score could be computed from, ours is one clear line."""
    try:
        encoder.encode([text], prompt)
    except UserError as e:
        return ["more than one line"] if "\n" in str(e) else []
    except Exception as e:  # noqa: BLE001 - a raw error is one of the things looked for
        return [f"raw {type(e).__name__} for {text[:40]!r} under {prompt!r}: {str(e)[:200]!r}"]
    return [f"a vector for {text[:40]!r} under {prompt!r}; sentence-transformers has none (or zeros, or NaN)"]


def _compare_facts(model: Any, outcome: Outcome, folder: Path, made: Made) -> None:
    encoder = ours(folder, made)
    dim = next(len(v) for v in outcome.theirs.values() if v is not None)
    if encoder.dim != dim:
        outcome.errors.append(f"dim {encoder.dim}, theirs {dim}")
    theirs, here = model.max_seq_length, encoder.engine.checkpoint.max_length
    if isinstance(theirs, int) and theirs < 1_000_000 and here != theirs and not made.loose:
        outcome.errors.append(f"maximum length {here}, theirs {theirs}")


def _together(model: Any, texts: Sequence[str]) -> dict[str, Vector]:
    """Their vectors of one batch, padded to the longest text; nothing where the batch fails."""
    try:
        vectors = model.encode(list(texts), prompt=PROMPTS[1], show_progress_bar=False)
    except Exception:  # noqa: BLE001 - a text fails, or all do
        return {}
    return dict(zip(texts, vectors, strict=True))


def _moved_by_padding(together: dict[str, Vector], outcome: Outcome) -> float:
    alone = {text: outcome.theirs[PROMPTS[1], text] for text in together}
    return max((far(together[text], v) for text, v in alone.items() if v is not None), default=0.0)


def same(one: Outcome, other: Outcome) -> bool:
    """Return whether sentence-transformers' vectors of both folders are the same, text by text."""
    pairs: Sequence[tuple[Any, Any]] = [(one.theirs[key], other.theirs[key]) for key in one.theirs]
    return all((a is None) == (b is None) and (a is None or far(a, b) <= TOLERANCE) for a, b in pairs)


@functools.cache
def outcome_of(made: Made) -> Outcome:
    """Make the folder and judge it, once a process."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(scratch) / made.name
        made.make(folder)
        with patch("transformers.dynamic_module_utils.HF_MODULES_CACHE", f"{scratch}/code"):
            return judge(made, folder)
