"""`load_encoder`: a model for use as a library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from instructor_eval.encoder.engine import Engine
from instructor_eval.encoder.locate import ModelSpec, locate
from instructor_eval.types import Vectors


class LibraryEncoder:
    """An encoder with the fewest surprises: texts and an instruction in, vectors out."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dim = engine.dim
        self.fingerprint = engine.fingerprint

    def encode(self, texts: str | Sequence[str], instruction: str = "") -> Vectors:
        """Embed `texts` under `instruction`: float32 [len(texts), dim]; a single text gives [dim].

        Raises:
            UserError: the model gives no usable vector for a text.
        """
        if isinstance(texts, str):
            one: Vectors = self.engine.encode([texts], instruction)[0]
            return one
        return self.engine.encode(texts, instruction)


def load_encoder(
    model: str | Path,
    *,
    device: str = "auto",
    batch_tokens: int | None = None,
    family: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
) -> LibraryEncoder:
    """Load a model from a folder, the hub (`org/name[@revision]`) or the embedded default (`minilm`).

    Args:
        model: What `evaluate --model` takes.
        device: auto, cpu, cuda, cuda:1.
        batch_tokens: Tokens in a batch, padding included.
        family: instructor, prefix or plain, where the checkpoint's files do not show it.
        offline: Use the local hub cache only.
        trust_remote_code: Let the checkpoint run code of its own.

    Raises:
        UserError: the model cannot be had or read.
    """
    spec = ModelSpec.parse(str(model))
    checkpoint = locate(spec, offline=offline, known=[], family=family, with_code=trust_remote_code)
    return LibraryEncoder(
        Engine(checkpoint, device=device, batch_tokens=batch_tokens, trust_remote_code=trust_remote_code)
    )
