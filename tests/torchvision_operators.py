"""Let a torchvision for CUDA be imported beside a torch for the CPU: no package registry has one for the CPU."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch


@cache  # they are declared as long as the library is held
def declare() -> torch.library.Library | None:
    """Declare what its import asks for where its own library cannot be loaded; no transform of pictures calls it.

    Before transformers or open_clip is imported: both import a torchvision where there is one.
    """
    found = find_spec("torchvision")
    if found is None or torch.version.cuda or "+cu" not in Path(str(found.origin)).with_name("version.py").read_text():
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
