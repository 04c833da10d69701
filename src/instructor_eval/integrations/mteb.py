"""A model of this package for `mteb.evaluate`: our encoder under each task's own instructions.

import mteb
from instructor_eval.integrations.mteb import Encoder

mteb.evaluate(Encoder("hkunlp/instructor-base"), mteb.get_tasks(tasks=["STSBenchmark"]))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mteb.models.model_meta import ModelMeta

from instructor_eval.core.values import Template, Vectors
from instructor_eval.models.library import load_encoder
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import known_cards
from instructor_eval.tasks.encoder import BoundEncoder
from instructor_eval.tasks.instructions import ModelRule, check_roles, parse_set, resolve_all
from instructor_eval.tasks.mteb.encoder import MtebEncoder
from instructor_eval.tasks.protocol import parse, relevant
from instructor_eval.tasks.task import Card


class Encoder:
    """A model in the form that mteb calls.

    Args:
        model_name: As for `evaluate --model`.
        revision: A commit or branch of a hub id.
        device: auto, cpu, cuda, cuda:1; None means auto.
        instructions: As for `--instructions`: paper, template, none, or a YAML file.
        variant: As for `--variant`.
        options: Further arguments of `load_encoder`: `family`, `offline`, `cache`, ...

    Raises:
        UserError: the model cannot be had, or the instructions cannot be read.
    """

    def __init__(
        self,
        model_name: str | Path,
        revision: str | None = None,
        *,
        device: str | None = None,
        instructions: str = "paper",
        variant: str = "auto",
        **options: Any,
    ) -> None:
        name = f"{model_name}@{revision}" if revision else model_name
        encoder = load_encoder(name, device=device or "auto", variant=variant, **options)
        self._engine, self._variant = encoder.engine, encoder.precision.variant
        self._cards = known_cards()
        self._set = parse_set(instructions, set(self._cards))
        check_roles(self._set, self._cards.values())
        self._bound: dict[str, MtebEncoder] = {}
        model = self._engine.model
        known = {"name": _mteb_name(model.name), "revision": model.revision, "embed_dim": encoder.dim}
        self.mteb_model_meta = ModelMeta.create_empty({**known, "use_instructions": model.family == "instructor"})

    def encode(self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **options: Any) -> Vectors:
        """Embed a split's texts under the task's instruction for their role: float32 [texts, dim].

        Raises:
            UserError: there is no instruction for the task, or the model gives no usable vector.
        """
        return self._of(task_metadata).encode(inputs, prompt_type=prompt_type, **options)

    def similarity(self, a: Any, b: Any) -> Any:
        """Return the cosine of every pair."""
        return self._any().similarity(a, b)

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        """Return the cosine of corresponding rows."""
        return self._any().similarity_pairwise(a, b)

    def _any(self) -> MtebEncoder:
        return next(iter(self._bound.values()))

    def _of(self, metadata: Any) -> MtebEncoder:
        """Return the encoder bound to a task's instructions."""
        if metadata.name not in self._bound:
            card = self._cards.get(metadata.name) or _card_of(metadata)
            bound = BoundEncoder(
                self._engine,
                resolve_all(card, self._set, ModelRule.of(self._engine.model)),
                relevant(parse([]), card.type, card.name),
                task=card.name,
                variant=self._variant,
                task_type=card.type,
                purpose=types.get(card.type).purpose,
            )
            self._bound[metadata.name] = MtebEncoder(bound)
        return self._bound[metadata.name]


def _card_of(metadata: Any) -> Card:
    """Return a card with the general wording of its type, for a task that is in no card here."""
    kind = str(metadata.type)
    template = Template(roles={**types.GENERAL_WORDING, **types.get(kind).wording})
    return Card(metadata.name, "mteb", kind, "", template=template, template_is_default=True)


def _mteb_name(name: str) -> str:
    """Return a model's name as mteb wants it: `org/name`."""
    return name if name.count("/") == 1 and not name.startswith("/") else f"local/{Path(name).name}"
