"""A model of mteb's registry, encoding through mteb's own protocol, with mteb's prompts.

Those prompts depend on the task and on the text's role in it (query, document, neither): both are in the cache's key.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from instructor_eval.core.errors import UserError, did_you_mean, one_line
from instructor_eval.core.mteb import own_metadata
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.core.values import Vectors
from instructor_eval.models.device import pick_device
from instructor_eval.models.served.contract import Limits, ServedModel, Serving

_WINDOW = 1024
_BATCH = 32
_LONGEST = 4000


class RegistryModel(ServedModel):
    """A model that mteb's registry loads.

    At most one such model is in memory: the first text of another one removes it.

    Args:
        spec: The text after `mteb:`, a name in the registry.
        how: The device, and whether the model may run code of its own.

    Raises:
        UserError: there is no such model, or it gives no vectors of texts, or flags do not go with it.
    """

    libraries = ("sentence-transformers",)
    _loaded: ClassVar[RegistryModel | None] = None

    def __init__(self, spec: str, how: Serving) -> None:
        self._meta = _meta(spec)
        self.name = f"mteb:{self._meta.name}"
        if how.family not in (None, "plain"):
            raise UserError(f"{self.name}: mteb puts its own prompts before the texts: leave --family {how.family} out")
        if self._meta.loader_kwargs.get("trust_remote_code") and not how.trust_remote_code:
            raise UserError(f"{self.name} runs code of its own: read it, then add --trust-remote-code")
        self._device = pick_device(how.device)
        self._model: Any = None
        self.card_name = str(self._meta.name)
        self.revision = how.label or str(self._meta.revision or "registry")
        self.family, self.family_rule = "plain", "mteb's own prompts for this model, by task and query or document"
        self.max_length = int(length) if np.isfinite(length := self._meta.max_tokens or 0) else 0
        self.where = self._device
        self.limits = Limits(texts=_WINDOW, tokens=2**31, concurrency=1)
        self.identity = {
            "kind": "mteb",
            "model": self._meta.name,
            "revision": self._meta.revision,
            "loader": json.dumps(self._meta.loader_kwargs, sort_keys=True, default=_stable),
            "label": how.label,
        }

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """Return `mteb:<task>:<type>:<query, document or nothing>`."""
        return f"mteb:{task}:{task_type}:{role if role in ('query', 'document') else ''}"

    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Return the vectors that mteb would get from this model for that task."""
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        task, kind, role = instruction.removeprefix("mteb:").rsplit(":", 2) if instruction else ("", "", "")
        inputs = DataLoader(Dataset.from_dict({"text": list(texts)}), batch_size=_BATCH)
        with self._errors():
            found = self._get().encode(
                inputs,
                task_metadata=_metadata(task, kind),
                hf_split="test",
                hf_subset="default",
                prompt_type=PromptType(role) if role else None,
                batch_size=_BATCH,
                show_progress_bar=False,
            )
            found = found.detach().cpu().float().numpy() if hasattr(found, "detach") else found
            return np.ascontiguousarray(found, dtype=np.float32)

    def _get(self) -> Any:
        if self._model is None:
            if RegistryModel._loaded is not None:
                RegistryModel._loaded._model = None
            RegistryModel._loaded = self
            self._model = self._meta.load_model(device=self._device)
            if not callable(getattr(self._model, "encode", None)):
                raise UserError(f"{self.name}: gives no vectors of texts, and cannot be evaluated here: choose another")
        return self._model

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn any error of a model's libraries into one line that names the model; hide their logs and bars."""
        from instructor_eval.core.mteb import quiet_mteb

        try:
            with quiet_mteb():
                yield
        except UserError:
            raise
        except Exception as e:
            step = "install or download what it names, then run again"
            said = one_line(without_secrets(str(e)[:_LONGEST], environment_secrets()))[:300]
            raise UserError(f"{self.name}: {type(e).__name__}: {said}: {step}") from e


def _meta(name: str) -> Any:
    """Return the registry's entry of that name.

    Raises:
        UserError: there is none, or the model does not give one vector for each text.
    """
    import mteb
    from mteb.models.get_model_meta import MODEL_REGISTRY

    known = MODEL_REGISTRY.keys()
    if name not in known:
        hint = did_you_mean(name, [str(k) for k in known]) or ": `mteb available-models` lists them"
        raise UserError(f"mteb:{name[:200]}: no model of mteb's registry{hint}")
    meta = mteb.get_model_meta(name)
    if meta.loader is None:
        raise UserError(f"mteb:{name}: mteb has no loader for it: choose another")
    if "dense" not in meta.model_type or "text" not in meta.modalities:
        kinds = ", ".join(meta.model_type)
        raise UserError(f"mteb:{name}: a model of kind {kinds} gives no single vector of a text: choose a dense one")
    return meta


@cache
def _metadata(task: str, kind: str) -> Any:
    """Return mteb's metadata of a task; for an unknown task, metadata with its name and type."""
    import mteb

    try:
        return mteb.get_task(task).metadata
    except KeyError:
        pass
    name = "".join(c for c in task if c.isalnum()) or "OwnTask"
    return own_metadata(kind, name=name)


def _stable(value: Any) -> str:
    """Return a loader's argument as text that is the same in every process: no address of an object."""
    return str(getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value)))
