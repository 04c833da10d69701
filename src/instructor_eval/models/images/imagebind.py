"""ImageBind's towers of texts and pictures, from a file of weights; its other four (sound, depth, ...) are left out."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from instructor_eval.core.environment import installed
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.libraries import folder_of, require
from instructor_eval.core.output import warn
from instructor_eval.core.outside import as_user_error, is_folder
from instructor_eval.models.folder.files import content_hash
from instructor_eval.models.folder.safetensors_file import check_safetensors
from instructor_eval.models.folder.weights import archive_shapes
from instructor_eval.models.images.model import ImageModel, Towers, hashes, of_unknown_kind, read_state, with_family
from instructor_eval.models.images.preprocessing import of_imagebind

if TYPE_CHECKING:
    from torch import Tensor

DISTRIBUTIONS = ("imagebind-unofficial", "imagebind")
"""The registry's package, and what Meta's repository installs as; both have the module `imagebind`."""
HEADS = 16
"""Of both towers: as in imagebind_huge, the one size that was published. No tensor's shape shows it."""
_LENGTH = 77
_VOCABULARY = "bpe/bpe_simple_vocab_16e6.txt.gz"
_OTHERS = ("audio", "depth", "thermal", "imu")
_KEY = re.compile(rf"modality_(preprocessors|trunks|heads|postprocessors)\.(vision|text|{'|'.join(_OTHERS)})\..+")
_GIVE = "give imagebind:FILE, the weights as imagebind_huge has them"
_LICENCE = (
    "imagebind: its package says that ImageBind's code and weights are under CC BY-NC 4.0, and has CC BY-NC-SA 4.0 as "
    "its LICENSE file: for no commercial use"
)


@dataclass(frozen=True, kw_only=True)
class ImageBindModel(ImageModel):
    """Texts and pictures of an ImageBind."""

    file: Path
    sizes: Mapping[str, Any]
    """Arguments of its class."""

    def load(self) -> Towers:
        """Load the two towers with ImageBind's own classes."""
        from instructor_eval.models.library_model import errors_in_one_line

        with errors_in_one_line(self.name, "cannot be loaded by imagebind"):
            return ImageBindTowers(self)


class ImageBindTowers:
    """The towers of texts and pictures, by ImageBind's own classes."""

    def __init__(self, model: ImageBindModel) -> None:
        from torch import nn

        networks, preprocessors = _modules()
        state = {k: v for k, v in read_state([model.file], model.name).items() if not _is_of_others(k)}
        network = _empty(networks.ImageBindModel, model.sizes)
        for modules in network.children():
            for other in _OTHERS:
                del modules[other]
        network.load_state_dict(state, strict=True, assign=True)
        for block in (b for trunk in network.modality_trunks.values() for b in trunk.blocks):
            block.attn.__class__ = nn.MultiheadAttention  # with which numeric forms know what to do
            block.attn = _attention(block.attn)
        self.network = network.float().eval().requires_grad_(requires_grad=False)
        self._tokenizer = preprocessors.SimpleTokenizer(bpe_path=str(_package() / _VOCABULARY))

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the tokens of texts, cut at 77 and padded to as many."""
        found: Tensor = self._tokenizer(list(texts))
        return {"text": found.reshape(len(texts), _LENGTH)}  # one text alone has no rows

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""
        return [len(self._tokenizer.encode(text)) + 2 for text in texts]

    def of_texts(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors of tokenised texts, as long as ImageBind's temperature."""
        found: Tensor = self.network({"text": tokens["text"]})["text"]
        return found

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """Return the vectors of prepared pictures, of length 1."""
        found: Tensor = self.network({"vision": pixels})["vision"]
        return found


def _empty(make: Any, sizes: Mapping[str, Any]) -> Any:
    """Return a network without memory: no gigabytes are drawn at random that the file's take the place of."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Counted(TorchFunctionMode):
        """Computes `linspace`, from whose values the class takes numbers."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}), **({"device": "cpu"} if func is torch.linspace else {}))

    small = {f"{other}_{key}": n for other in _OTHERS for key, n in (("embed_dim", 1), ("num_blocks", 0))}
    with torch.device("meta"), Counted():
        return make(**sizes, **small, vision_num_heads=HEADS, text_num_heads=HEADS)


def _attention(inner: Any) -> Any:
    from torch import nn

    class Attention(nn.Module):
        """A sequence's attention to itself, called as ImageBind calls its own class."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor, attn_mask: Tensor | None) -> Tensor:
            found: Tensor = self.inner(x, x, x, need_weights=False, attn_mask=attn_mask)[0]
            return found

    return Attention()


def read(text: str, *, family: str | None) -> ImageBindModel:
    """Return the model of `imagebind:FILE`; nothing is fetched.

    Raises:
        UserError: a package is missing, or the file is not there or holds no ImageBind.
    """
    name = f"imagebind:{text}"
    require(
        ["imagebind", "einops", "ftfy", "iopath", "regex", "timm", "torchvision"], "imagebind", f"model {name[:200]}"
    )
    file = _file(text, name)
    with as_user_error(
        "imagebind cannot be imported", "install the torchvision that belongs to your torch (docs/images.md)"
    ):
        _modules()
    if file.suffix == ".safetensors":
        shapes = {key: tensor.shape for key, tensor in check_safetensors(file, name).items()}
    elif file.suffix in (".bin", ".pt", ".pth"):
        shapes = archive_shapes(file)
    else:
        raise of_unknown_kind(file, name)
    sizes = _sizes(shapes, name)
    _say_licence()
    vocabulary = _package() / _VOCABULARY
    return ImageBindModel(
        name=name,
        revision="local",
        max_length=_LENGTH,
        preprocessing=of_imagebind(),
        width=sizes["out_embed_dim"],
        parts={
            "weights": hashes([file]),
            "files": [["vocabulary", content_hash(vocabulary)]],
            "package": installed(DISTRIBUTIONS),
            "heads": HEADS,
        },
        libraries=(next(iter(installed(DISTRIBUTIONS)), DISTRIBUTIONS[0]), "pillow"),
        file=file,
        sizes=sizes,
        **with_family(family, name),
    )


def _file(text: str, name: str) -> Path:
    file = Path(text)
    with as_user_error(f"{name[:200]}: its file cannot be looked for", _GIVE):
        if text and file.is_file():
            return file
        if is_folder(file):
            raise UserError(f"{name[:200]} is a folder: {_GIVE}")
        near = did_you_mean(file.name, [f.name for f in file.parent.iterdir()] if is_folder(file.parent) else [])
    raise UserError(f"{name[:200]}: there is no file '{text[-200:]}'{near or f': {_GIVE}'}")


def _sizes(shapes: Mapping[str, tuple[int, ...]], name: str) -> dict[str, Any]:
    """Return the arguments of ImageBind's class that give tensors of these shapes.

    Raises:
        UserError: they are those of another model.
    """
    strange = [key for key in shapes if not _KEY.fullmatch(key)]
    if strange:
        raise UserError(f"model {name}: {strange[0][:100]!r} is no tensor of ImageBind: {_GIVE}")
    wanted = {
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight": 5,
        "modality_preprocessors.text.token_embedding.weight": 2,
        "modality_heads.text.proj.1.weight": 2,
    }
    for key, dimensions in wanted.items():
        if len(shapes.get(key, ())) != dimensions or 0 in shapes[key]:
            found = f"has the shape {list(shapes[key])}" if key in shapes else "is not there"
            raise UserError(f"model {name}: {key} {found}, unlike ImageBind's: {_GIVE}")
    pictures, texts, out = (shapes[key] for key in wanted)
    for tower, width in (("vision", pictures[0]), ("text", texts[1])):
        if width % HEADS:
            raise UserError(f"model {name}: its {tower} tower is {width:,} wide, no multiple of {HEADS} heads: {_GIVE}")
    return {
        "kernel_size": tuple(pictures[2:]), "vision_embed_dim": pictures[0], "text_embed_dim": texts[1],
        "out_embed_dim": out[0], "vision_num_blocks": _blocks(shapes, "vision"),
        "text_num_blocks": _blocks(shapes, "text"),
    }  # fmt: skip


def _blocks(shapes: Mapping[str, Any], tower: str) -> int:
    block = re.compile(rf"modality_trunks\.{tower}\.blocks\.(\d+)\..+", re.ASCII)
    return len({found[1] for key in shapes if (found := block.fullmatch(key))})


def _is_of_others(key: str) -> bool:
    found = _KEY.fullmatch(key)
    return found is not None and found[2] in _OTHERS


def _package() -> Path:
    folder = folder_of("imagebind")
    assert folder is not None  # required before
    return folder


@cache
def _modules() -> tuple[ModuleType, ModuleType]:
    """Import ImageBind's network and preprocessors, without the package's `__init__`.

    That imports what reads sound and films, some of which works with no current torchvision or setuptools.
    """
    package = ModuleType("imagebind")
    package.__path__ = [str(_package())]
    before = {name: sys.modules.pop(name) for name in _imported()}
    sys.modules["imagebind"] = package
    try:
        network = importlib.import_module("imagebind.models.imagebind_model")
        return network, importlib.import_module("imagebind.models.multimodal_preprocessors")
    finally:
        for name in _imported():
            del sys.modules[name]
        sys.modules.update(before)


def _imported() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "imagebind"]


@cache
def _say_licence() -> None:
    warn(f"evaluate: {_LICENCE}")
