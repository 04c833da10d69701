"""From what `--reader` says to a reader."""

from __future__ import annotations

from instructor_eval.errors import UserError, did_you_mean
from instructor_eval.readers.nearest import NearestReader
from instructor_eval.readers.types import Reader

PAPER_READER = "hf:EleutherAI/gpt-j-6b"
KINDS = ("nearest", "paper", "hf:MODEL", "endpoint:URL")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_reader(text: str, *, device: str = "auto", dtype: str = "auto", offline: bool = False) -> Reader:
    """The reader that `text` names: nearest, paper (GPT-J, the paper's), hf:MODEL or endpoint:URL[#MODEL].

    Its files are found here; it is loaded when it is first asked.

    Raises:
        UserError: there is no such reader, or it cannot be had.
    """
    kind, colon, rest = (PAPER_READER if text == "paper" else text).partition(":")
    if (kind, colon) == ("nearest", ""):
        return NearestReader()
    if kind in ("hf", "endpoint") and not rest:
        raise UserError(f"reader '{text}': give {'a model, hf:org/name or hf:FOLDER' if kind == 'hf' else 'a URL'}")
    if kind == "hf":
        from instructor_eval.readers.hf import HfReader

        return HfReader(rest, device=device, dtype=dtype, offline=offline)
    if kind == "endpoint":
        from instructor_eval.readers.endpoint import EndpointReader

        return EndpointReader(rest)
    hint = did_you_mean(kind, ("nearest", "paper", "hf", "endpoint")) or f": known are {', '.join(KINDS)}"
    raise UserError(f"unknown reader '{text[:200]}'{hint}")
