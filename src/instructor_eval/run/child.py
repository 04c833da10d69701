"""A process of its own for one form of a model: how long it takes to the first vector, and how much memory.

Started by `cold_start`, with its order as JSON on standard input; the answer is one line of JSON on standard output.
Whatever else is printed there by a library goes to the errors.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instructor_eval.run.samples import Loadable


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Load the model of the order and encode; the values are those of `costs.Cold`, in its words.

    Raises:
        UserError: the model cannot be loaded, or gives no usable vectors.
        RuntimeError: what was loaded is not of the form asked for.
    """
    import torch

    from instructor_eval.core.environment import memory
    from instructor_eval.core.sample_texts import FIRST
    from instructor_eval.models import variant
    from instructor_eval.models.images.engine import ImageEngine
    from instructor_eval.models.images.find import LIBRARIES, is_image_model
    from instructor_eval.run.costs import How, engine_of
    from instructor_eval.run.samples import sample_of

    reads_pictures = is_image_model(order["model"]) and not order["folder"]
    # What loading would import, with the form's own libraries: counted as import, not as load.
    modules = ["instructor_eval.models.network", variant.form(order["form"]).build.partition(":")[0]]
    if reads_pictures:
        modules = ["instructor_eval.models.images.forms", "PIL.Image", LIBRARIES[order["model"].partition(":")[0]]]
    for module in modules:
        importlib.import_module(module)
    imported, (before, _) = time.monotonic(), memory()
    checkpoint = dataclasses.replace(_model(order, reads_pictures=reads_pictures), variant=order["form"])
    # Hashing the weights names results; who only serves vectors does not do it, so the known hash is put in its place.
    vars(checkpoint)["fingerprint"] = vars(checkpoint)["cached_fingerprint"] = order["fingerprint"]
    settings = ("device", "batch_tokens", "trust_remote_code", "compiled")
    engine = engine_of(checkpoint, How(**{name: order[name] for name in settings}))
    _ = engine.network  # it is checked to be of its form when it is made
    if not isinstance(engine, ImageEngine):
        _ = engine.inputs
    loaded = time.monotonic()
    engine.encode([FIRST], order["instruction"])
    first = time.monotonic()
    items = sample_of(checkpoint)(order["texts"])
    engine.encode(items, order["instruction"])
    after, peak = memory()
    on_gpu = engine.device.startswith("cuda")
    return {
        "import_seconds": imported - order["started"],
        "load_seconds": loaded - imported,
        "first_vector_seconds": first - loaded,
        "memory_before_bytes": before,
        "memory_after_bytes": after,
        "memory_peak_bytes": peak,
        "gpu_peak_bytes": torch.cuda.max_memory_allocated(engine.device) if on_gpu else None,
    }


def _model(order: dict[str, Any], *, reads_pictures: bool) -> Loadable:
    from instructor_eval.models.checkpoint import read_checkpoint
    from instructor_eval.models.images.find import read_image_model

    if reads_pictures:
        return read_image_model(order["model"], family=order["family"], offline=True)
    return read_checkpoint(
        Path(order["folder"]),
        name=order["model"],
        revision=order["revision"],
        family=order["family"],
        trust_remote_code=order["trust_remote_code"],
    )


def main() -> int:
    """Carry out the order on standard input."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from instructor_eval.core.errors import UserError

    try:
        answer.write(json.dumps(run(json.load(sys.stdin))) + "\n")
    except UserError as e:  # any other error shows its traceback, of which the last line is passed on
        sys.stderr.write(f"{e}\n")
        return 2
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
