"""Models of open_clip: an architecture with a pretrained tag or a file of weights, or a folder in its hub's layout."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.hub import snapshot
from instructor_eval.core.libraries import folder_of, quiet_transformers, require
from instructor_eval.core.outside import as_user_error, is_folder
from instructor_eval.models.folder.files import content_hash, read_mapping, readable_files
from instructor_eval.models.folder.safetensors_file import check_safetensors
from instructor_eval.models.images.model import ImageModel, Towers, hashes, read_state, weights_of, with_family
from instructor_eval.models.images.preprocessing import of_open_clip

if TYPE_CHECKING:
    from torch import Tensor

_CONFIG = "open_clip_config.json"
_SAFE = "open_clip_model.safetensors"
_SMALL = ["*.json", "*.txt", "*.model"]
"""Configuration and vocabulary."""
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
_GIVE = "give open-clip:ARCHITECTURE/TAG, open-clip:ARCHITECTURE/FILE or open-clip:FOLDER"


@dataclass(frozen=True, kw_only=True)
class OpenClipModel(ImageModel):
    """A model of open_clip."""

    config: Mapping[str, Any]
    """Its architecture: `embed_dim`, `vision_cfg`, `text_cfg`."""
    weights: tuple[Path, ...]
    architecture: str
    """The name of a known architecture, or the path of a folder."""
    folder: Path | None = None

    def load(self) -> Towers:
        """Load the network with open_clip; no file is fetched but a tokenizer that its configuration names."""
        from instructor_eval.models.library_model import errors_in_one_line

        with errors_in_one_line(self.name, "cannot be loaded by open_clip"):
            return OpenClipTowers(self)


class OpenClipTowers:
    """A model loaded by open_clip."""

    def __init__(self, model: OpenClipModel) -> None:
        import logging

        import open_clip
        from open_clip.factory import load_checkpoint

        logger = logging.getLogger()
        before = logger.level
        logger.setLevel(logging.ERROR)  # open_clip logs to the root
        source = f"local-dir:{model.folder}" if model.folder else model.architecture
        try:
            with quiet_transformers(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = open_clip.create_model(source, load_weights=False, pretrained_text=False)
                self._tokenizer = open_clip.get_tokenizer(source)
                with _unpickled(model.weights, model.name) as file:
                    load_checkpoint(network, str(file), strict=True)
        finally:
            logger.setLevel(before)
        self.network = network.float().eval().requires_grad_(requires_grad=False)

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the tokens of texts, padded to the model's maximum as open_clip does."""
        return {"text": self._tokenizer(list(texts))}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, truncated."""
        return [int(n) for n in (self._tokenizer(list(texts)) != 0).sum(dim=1)]

    def of_texts(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors of tokenised texts."""
        found: Tensor = self.network.encode_text(tokens["text"])
        return found

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """Return the vectors of prepared pictures."""
        found: Tensor = self.network.encode_image(pixels)
        return found


@contextlib.contextmanager
def _unpickled(weights: Sequence[Path], name: str) -> Iterator[Path]:
    """Give weights as one file of safetensors, for as long as the block runs: open_clip would unpickle an archive."""
    if [file.suffix for file in weights] == [".safetensors"]:
        yield weights[0]
        return
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(prefix="instructor-eval-") as made:
        file = Path(made) / "model.safetensors"
        save_file(read_state(weights, name), file)
        yield file


def read(text: str, *, family: str | None, offline: bool) -> OpenClipModel:
    """Return the model of `open-clip:ARCHITECTURE/TAG`, `open-clip:ARCHITECTURE/FILE` or `open-clip:FOLDER`.

    Raises:
        UserError: open_clip is not installed, or the architecture, the tag or the file is not there.
    """
    name = f"open-clip:{text}"
    require(["open_clip", "torchvision"], "open-clip", f"model {name[:200]}")
    with as_user_error(
        "open_clip cannot be imported", "install the torchvision that belongs to your torch (docs/images.md)"
    ):
        importlib.import_module("open_clip")
    if is_folder(Path(text)) and (Path(text) / _CONFIG).exists():
        return _of_folder(Path(text), name, family, revision="local")
    architecture, _, rest = text.partition("/")
    config = _architecture(architecture, name)
    if not rest:
        tags = _tags(architecture)
        raise UserError(f"{name}: it names no weights: {_GIVE} (tags: {', '.join(tags)[:150] or 'none'})")
    preprocessing: Mapping[str, Any] = {}
    revision = "local"
    borrows = isinstance(config.get("text_cfg"), dict) and "hf_tokenizer_name" in config["text_cfg"]
    if Path(rest).is_file():
        file = Path(rest)
        if borrows:  # of whatever commit: no fingerprint would hold it
            raise UserError(f"{name}: the tokenizer of {architecture} is another repository's: name open-clip:FOLDER")
        if file.suffix == ".safetensors":
            check_safetensors(file, name)
    else:
        file, preprocessing, revision = _of_tag(architecture, config, rest, name, offline=offline)
        if borrows:
            return _of_folder(file.parent, name, family, revision=revision)
    vocabulary = folder_of("open_clip")
    assert vocabulary is not None  # required above
    return _model(
        name, config, preprocessing, [file], family, revision=revision, architecture=architecture,
        files=[["vocabulary", content_hash(vocabulary / _VOCABULARY)]],
    )  # fmt: skip


def _of_folder(folder: Path, name: str, family: str | None, *, revision: str) -> OpenClipModel:
    whole = read_mapping(folder / _CONFIG, name)
    config, preprocessing = whole.get("model_cfg"), whole.get("preprocess_cfg", {})
    if not isinstance(config, dict) or not isinstance(preprocessing, dict):
        raise UserError(f"model {name}: {_CONFIG} has no model_cfg: copy or download the checkpoint again")
    weights = weights_of(folder, name, preferred=_SAFE)
    files = hashes([f for f in readable_files(folder, name) if f.suffix not in (".safetensors", ".bin")])
    return _model(
        name, config, preprocessing, weights, family,
        revision=revision, architecture=str(folder), folder=folder, files=files,
    )  # fmt: skip


def _model(
    name: str,
    config: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    weights: Sequence[Path],
    family: str | None,
    *,
    files: list[list[str]],
    **more: Any,
) -> OpenClipModel:
    texts, pictures = config.get("text_cfg"), config.get("vision_cfg")
    width = config.get("embed_dim")
    length = texts.get("context_length", 77) if isinstance(texts, dict) else None
    known = all(isinstance(n, int) and 0 < n <= 2**20 for n in (width, length)) and isinstance(pictures, dict)
    if not known or width is None or length is None or not isinstance(pictures, dict):
        raise UserError(f"model {name}: its configuration lacks embed_dim, vision_cfg or text_cfg: use another model")
    return OpenClipModel(
        name=name,
        max_length=length,
        preprocessing=of_open_clip(preprocessing, pictures.get("image_size"), name),
        width=width,
        parts={"weights": hashes(weights), "config": copy.deepcopy(dict(config)), "files": files},
        libraries=("open_clip_torch", "pillow"),
        config=config,
        weights=tuple(weights),
        **with_family(family, name),
        **more,
    )


def _architecture(architecture: str, name: str) -> dict[str, Any]:
    """Return the configuration of an architecture, from the package's files.

    Raises:
        UserError: there is none; the line has near names.
    """
    package = folder_of("open_clip")
    assert package is not None  # required before
    known = {file.stem: file for file in sorted((package / "model_configs").glob("*.json"))}
    if architecture not in known:
        hint = did_you_mean(architecture, known) or f": {_GIVE}"
        raise UserError(f"{name[:200]}: open_clip has no architecture '{architecture[:100]}'{hint}")
    found: dict[str, Any] = json.loads(known[architecture].read_text(encoding="utf-8"))
    return found


def _tags(architecture: str) -> list[str]:
    from open_clip.pretrained import list_pretrained_tags_by_model

    return list(list_pretrained_tags_by_model(architecture))


def _of_tag(
    architecture: str, config: Mapping[str, Any], tag: str, name: str, *, offline: bool
) -> tuple[Path, Mapping[str, Any], str]:
    """Return the weights of a pretrained tag, its preprocessing and its commit.

    Raises:
        UserError: there is no such tag, its weights are pickled, or they cannot be had.
    """
    from open_clip.pretrained import get_pretrained_cfg

    tags = _tags(architecture)
    if tag not in tags:
        files = "" if "/" in tag or "." in tag else f", of {', '.join(tags)[:200] or 'none'}"
        hint = did_you_mean(tag, tags) or f"{files}: {_GIVE}"
        raise UserError(f"{name[:200]}: '{tag[-100:]}' is neither a file nor a pretrained tag of {architecture}{hint}")
    found = dict(get_pretrained_cfg(architecture, tag))
    if bool(found.get("quick_gelu")) != bool(config.get("quick_gelu")):
        other = architecture.removesuffix("-quickgelu") + ("-quickgelu" if found.get("quick_gelu") else "")
        raise UserError(f"{name}: '{tag}' was trained with the activation of {other}: name open-clip:{other}/{tag}")
    repo, _, given = str(found.get("hf_hub") or "").strip("/").rpartition("/")
    if "/" not in repo:
        repo, given = str(found.get("hf_hub") or "").strip("/"), ""
    if not repo:
        raise UserError(
            f"{name}: its weights are pickled, at {str(found.get('url'))[:120]} alone: convert them to safetensors, "
            f"and name open-clip:{architecture}/FILE"
        )
    wanted = given if given.endswith(".safetensors") else _SAFE
    folder = snapshot("model", repo, None, offline=offline, wanted=[wanted, *_SMALL])
    if not (folder / wanted).exists():
        raise UserError(f"{name}: {repo} has no {wanted}: convert its weights, and name open-clip:{architecture}/FILE")
    check_safetensors(folder / wanted, name)
    return folder / wanted, found, folder.name
