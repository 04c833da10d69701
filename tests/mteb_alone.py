"""mteb's own scores of a task, computed without the package's adapters."""

import warnings
from pathlib import Path

from made_up import ROLE_INSTRUCTION, embed


class OwnMtebModel:
    """An encoder for mteb, written for the tests only: reads the loader batch by batch."""

    def __init__(self, encode=None, *, bare_second_call=False) -> None:
        from mteb.models.model_meta import ModelMeta

        self.mteb_model_meta = ModelMeta.create_empty({"name": "tests/own", "revision": "r"})
        self._embed = encode or (lambda texts, role: embed(texts, ROLE_INSTRUCTION[role]))
        self._bare_second_call = bare_second_call
        self._calls = 0

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        self._calls += 1
        texts = [text for batch in inputs for text in batch["text"]]
        if self._bare_second_call and self._calls == 2:
            return embed(texts, "")
        return self._embed(texts, "text" if prompt_type is None else prompt_type.value)

    def similarity(self, a, b):
        import torch

        a, b = torch.atleast_2d(torch.as_tensor(a)), torch.atleast_2d(torch.as_tensor(b))
        return torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T

    def similarity_pairwise(self, a, b):
        import torch

        return torch.nn.functional.cosine_similarity(torch.as_tensor(a), torch.as_tensor(b), dim=-1)


def run_mteb(task_name: str, folder: Path, cache: Path, model=None, *, split="test", subset=None) -> dict:
    """Mteb's own scores of a task on a local folder: `mteb.evaluate` with a task object made here."""
    import datasets
    import mteb

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = cache
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            task = mteb.get_task(task_name, eval_splits=[split], hf_subsets=[subset] if subset else None)
            where = {**task.metadata.dataset, "path": str(folder), "revision": "local"}
            task.metadata = task.metadata.model_copy(update={"dataset": where})
            result = mteb.evaluate(model or OwnMtebModel(), [task], cache=None, show_progress_bar=False)
    finally:
        datasets.config.HF_DATASETS_CACHE = before
    (scores,) = result.task_results[0].scores[split]
    return scores
