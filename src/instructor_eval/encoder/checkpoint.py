"""What a checkpoint's own files say: its modules, maximum length, family and fingerprint. No torch here.

The layout is that of sentence-transformers (`modules.json` and one folder a module), which INSTRUCTOR checkpoints use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from instructor_eval.encoder import family as family_rules
from instructor_eval.encoder.described import Described
from instructor_eval.errors import UserError
from instructor_eval.paths import file_sha256
from instructor_eval.variants import form, form_of

POOLINGS = ("mean", "cls", "max", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU")
_LEGACY_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
DEFAULT_MAX_LENGTH = 512
# Transformers that number positions from pad_token_id + 1 on: they read so many tokens fewer than they have positions.
_OFFSET_POSITIONS = ("camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl")
# Names of the same file in old uploads, in the order in which sentence-transformers looks for them.
_ST_CONFIGS = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
)
FINGERPRINT_VERSION = 1
_VOCABULARIES = ("*.model", "vocab.txt", "vocab.json")
# Strings whose token ids stand for a tokenizer's behaviour: case, accents, spaces, scripts, special pieces, numbers.
PROBES = (
    "", " ", "Hello world", "hello  WORLD ", "Represent the Science title: ", "naïve café ﬁne", "日本語 текст العربية",
    "😀👍🏽", "a\tb\nc", "12345.678e-9", "</s> <pad> [CLS] [MASK]", "don't re-read: x_y/z", "\u00a0nbsp\u200b",
    "supercalifragilisticexpialidocious",
)  # fmt: skip


@dataclass(frozen=True)
class Dense:
    """A linear layer after pooling: [dim_in] -> [dim_out]."""

    folder: Path
    dim_in: int
    dim_out: int
    bias: bool
    activation: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Described):
    """A checkpoint folder, read but not loaded."""

    folder: Path
    transformer: Path
    config: Mapping[str, Any]
    pooling: str
    dense: tuple[Dense, ...]
    lowercase: bool

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.dense[-1].dim_out if self.dense else hidden_size(self.config)

    @property
    def skips_instruction(self) -> bool:
        """Whether pooling leaves the instruction's tokens out."""
        return self.family == "instructor"

    @cached_property
    def tokenizer(self) -> Any:
        """The fast tokenizer, without truncation and padding."""
        return read_tokenizer(self.transformer, self.name)

    def _hash(self, variant: str) -> str:
        """Hash of everything that changes a vector.

        Weights and configuration by content, the tokenizer by content and by its behaviour on `PROBES` (library
        versions have changed one without the other), pooling, normalisation, maximum length, family, numeric form.
        """
        weights = [*sorted(self.transformer.glob("*.safetensors")), *(dense_file(d.folder) for d in self.dense)]
        tokenizer = self.transformer / "tokenizer.json"
        parts = {
            "version": FINGERPRINT_VERSION,
            "weights": [[p.relative_to(self.folder).as_posix(), _sha256(p)] for p in weights],
            "config": file_sha256(self.transformer / "config.json"),
            "tokenizer": file_sha256(tokenizer) if tokenizer.exists() else None,
            "probes": [self.tokenizer.encode(p).ids for p in PROBES],
            "pooling": self.pooling,
            "dense": [[d.dim_in, d.dim_out, d.bias, d.activation] for d in self.dense],
            "normalize": self.normalize,
            "max_length": self.max_length,
            "lowercase": self.lowercase,
            "skips_instruction": self.skips_instruction,
            "variant": variant,
        }
        recipe = form(form_of(variant)).recipe
        if recipe:  # what this form's name stands for may change
            parts["recipe"] = recipe
        code = sorted(self.transformer.glob("*.py"))  # what --trust-remote-code lets run
        if code:
            parts["code"] = [[p.name, file_sha256(p)] for p in code]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    """A weight file's hash; one file is read once however many variants are made of it."""
    stat = path.stat()
    return _sha256_of(path, stat.st_size, stat.st_mtime_ns)


@cache
def _sha256_of(path: Path, _size: int, _modified: int) -> str:
    return file_sha256(path)


def hidden_size(config: Mapping[str, Any]) -> int:
    """Width of a transformer's last layer, under any of the names configurations use."""
    return int(config.get("hidden_size") or config.get("d_model") or config.get("dim") or 0)


def read_checkpoint(folder: Path, *, name: str, revision: str, family: str | None = None) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: Its files, in sentence-transformers' layout; without `modules.json`, mean pooling is taken.
        name: What tables call the model.
        revision: The commit, or where the folder came from.
        family: Overrides the family that the files show.

    Raises:
        UserError: a file is missing, cut short or of an unsupported kind; only pickled weights are there.
    """
    modules = _modules(folder, name)
    transformer = folder / modules[0]["path"]
    config = _json(transformer / "config.json", name)
    _check_weights(transformer, name)
    pooling, include_prompt = _pooling(folder, modules, name)
    st_config = next((c for f in _ST_CONFIGS if (c := _json(transformer / f, name, optional=True))), {})
    dense = tuple(_dense(folder / m["path"], name) for m in modules if _kind(m) == "Dense")
    _check_widths(config, dense, name)
    decided, rule = family_rules.decide(folder, modules, config, include_prompt, name)
    if family:
        decided, rule = family, "--family"
    prompts, prompts_rule = family_rules.prompts(folder)
    return Checkpoint(
        name=name,
        revision=revision,
        folder=folder,
        transformer=transformer,
        config=config,
        pooling=pooling,
        dense=dense,
        normalize=any(_kind(m) == "Normalize" for m in modules),
        max_length=_max_length(transformer, config, st_config, name),
        lowercase=bool(st_config.get("do_lower_case", False)),
        family=decided,
        family_rule=rule,
        prompts=prompts,
        prompts_rule=prompts_rule,
    )


def _json(path: Path, name: str, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise UserError(
            f"model {name}: {path.name} is missing from {path.parent}: this is not a whole checkpoint"
        ) from e
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f"model {name}: {path} cannot be read ({e}): copy or download the checkpoint again") from e
    if not isinstance(value, dict):
        raise UserError(f"model {name}: {path} holds no mapping: this is not a whole checkpoint")
    return value


def _kind(module: Mapping[str, Any]) -> str:
    """`Pooling` for "sentence_transformers.models.Pooling", "InstructorEmbedding.instructor.INSTRUCTOR_Pooling", ..."""
    return str(module["type"]).rsplit(".", 1)[-1].removeprefix("INSTRUCTOR_")


def _modules(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / "modules.json"
    if not path.exists():
        return [{"path": "", "type": "Transformer"}]
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        modules = sorted(modules, key=lambda m: m["idx"])
        kinds = [_kind(m) for m in modules]
        paths = [Path(m["path"]) for m in modules]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as e:
        raise UserError(f"model {name}: {path} is not a list of modules ({e})") from e
    # InstructorEmbedding's own save() writes the Python module, not the class: its first two are known by position.
    if kinds[:2] == ["instructor", "instructor"]:
        modules[0]["type"], modules[1]["type"] = (
            f"{modules[0]['type']}.INSTRUCTOR_Transformer",
            f"{modules[1]['type']}.INSTRUCTOR_Pooling",
        )
        kinds = [_kind(m) for m in modules]
    if any(p.is_absolute() or ".." in p.parts for p in paths):
        raise UserError(f"model {name}: {path} names a folder outside the checkpoint: it is not used")
    expected = ("Transformer", "Pooling", "Dense", "Normalize")
    unknown = [k for k in kinds if k not in expected]
    if (
        unknown
        or not kinds
        or kinds[0] != "Transformer"
        or kinds.count("Transformer") > 1
        or kinds.count("Pooling") > 1
        or "Pooling" in kinds[2:]
    ):
        raise UserError(
            f"model {name}: modules {', '.join(kinds) or '(none)'} are not supported: expected Transformer, Pooling "
            "and then Dense or Normalize"
        )
    if "Normalize" in kinds[:-1]:
        raise UserError(f"model {name}: modules {', '.join(kinds)}: Normalize before the last place is not supported")
    return list(modules)


def _pooling(folder: Path, modules: list[dict[str, Any]], name: str) -> tuple[str, bool]:
    """The pooling mode, and whether the prompt takes part in it."""
    module = next((m for m in modules if _kind(m) == "Pooling"), None)
    if module is None:
        return "mean", True
    config = _json(folder / module["path"] / "config.json", name)
    mode = config.get("pooling_mode") or [v for k, v in _LEGACY_POOLING.items() if config.get(k)]
    mode = mode[0] if isinstance(mode, list) and len(mode) == 1 else mode
    if mode not in POOLINGS:
        raise UserError(f"model {name}: pooling {mode or '(none)'} is not supported: known are {', '.join(POOLINGS)}")
    return str(mode), bool(config.get("include_prompt", True))


def _dense(folder: Path, name: str) -> Dense:
    config = _json(folder / "config.json", name)
    named = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = named.rsplit(".", 1)[-1]
    if activation not in ACTIVATIONS or not named.startswith("torch.nn."):
        raise UserError(f"model {name}: activation {named} of {folder.name} is not supported")
    reads, writes = (config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output"))
    if config.get("use_residual") or {reads, writes} != {"sentence_embedding"}:
        raise UserError(
            f"model {name}: {folder.name} has a residual connection or is no layer of sentence vectors: not supported"
        )
    try:
        size_in, size_out = int(config["in_features"]), int(config["out_features"])
    except (KeyError, ValueError, TypeError) as e:
        raise UserError(f"model {name}: {folder / 'config.json'} names no in_features and out_features") from e
    if not dense_file(folder).exists():
        raise UserError(f"model {name}: {folder} holds no model.safetensors: this is not a whole checkpoint")
    if dense_file(folder).suffix == ".safetensors":
        check_safetensors(dense_file(folder), name)
    return Dense(folder, size_in, size_out, bool(config.get("bias", True)), activation)


def _check_widths(config: Mapping[str, Any], dense: tuple[Dense, ...], name: str) -> None:
    width = hidden_size(config)
    if width <= 0:
        raise UserError(f"model {name}: config.json names no hidden_size: the kind of transformer is not supported")
    for layer in dense:
        if layer.dim_in != width:
            raise UserError(
                f"model {name}: {layer.folder.name} expects vectors of {layer.dim_in} values and is given {width}: "
                "the checkpoint's files do not belong together"
            )
        width = layer.dim_out


def dense_file(folder: Path) -> Path:
    """The file of a Dense module's weights: safetensors where there is one, else the torch archive of old uploads."""
    safe = folder / "model.safetensors"
    legacy = folder / "pytorch_model.bin"
    return legacy if legacy.exists() and not safe.exists() else safe


def _check_weights(folder: Path, name: str) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = sorted(p.name for p in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.pt"))
        if pickles:
            raise pickle_only(name, pickles[0])
        raise UserError(f"model {name}: no model.safetensors in {folder}: this is not a whole checkpoint")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = _json(index, name).get("weight_map")
        if not isinstance(weight_map, dict):
            raise UserError(f"model {name}: {index} holds no weight_map: copy or download the checkpoint again")
        wanted = {str(file) for file in weight_map.values()}
        missing = sorted(wanted - {f.name for f in files})
        if missing:
            raise UserError(f"model {name}: {missing[0]} is missing from {folder}: copy or download it again")
    for file in files:
        check_safetensors(file, name)


def pickle_only(name: str, file: str) -> UserError:
    """The error for a checkpoint without safetensors."""
    return UserError(
        f"model {name}: only pickled weights ({file}), which can run code when read: use a revision that has "
        "model.safetensors, or convert the checkpoint with save_pretrained(..., safe_serialization=True)"
    )


def check_safetensors(file: Path, name: str) -> None:
    """Compare a safetensors file's length with what its header promises.

    Raises:
        UserError: the file is cut short or is none.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as f:
            head = int.from_bytes(f.read(8), "little")
            if not 2 <= head <= size - 8:
                raise ValueError("its header is longer than the file")
            header = json.loads(f.read(head))
        end = max((t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"), default=0)
        if size != 8 + head + end:
            raise ValueError(f"{size:,} bytes, {8 + head + end:,} promised")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise UserError(f"model {name}: {file} is cut short or damaged ({e}): copy or download it again") from e


def _max_length(folder: Path, config: Mapping[str, Any], st_config: Mapping[str, Any], name: str) -> int:
    given = st_config.get("max_seq_length")
    if given is None:
        given = _json(folder / "tokenizer_config.json", name, optional=True).get("model_max_length")
    positions = config.get("max_position_embeddings")
    limit = int(given) if isinstance(given, int | float) and 0 < given < 1e6 else None
    if not isinstance(positions, int) or positions <= 0:
        return limit or DEFAULT_MAX_LENGTH
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id", 1)) + 1
    return min(limit or positions, positions)


def read_tokenizer(folder: Path, name: str) -> Any:
    """The fast tokenizer of a folder, exactly as its `tokenizer.json` says.

    That file is read by `tokenizers` itself: transformers 5 rebuilds T5's normalizer and pre-tokenizer and gives
    other ids than the file (and than the environment INSTRUCTOR was published with).
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        if path.exists():
            tokenizer = Tokenizer.from_file(str(path))
        elif not any(f for pattern in _VOCABULARIES for f in folder.glob(pattern)):
            # transformers 5 makes an empty tokenizer of nothing, and every text the same unknown token.
            raise FileNotFoundError("it has no tokenizer.json and no vocabulary")
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True).backend_tokenizer
    except Exception as e:  # both libraries raise bare Exception for a damaged file
        raise UserError(
            f"model {name}: the tokenizer in {folder} cannot be read ({str(e)[:200]}): copy or download it again"
        ) from e
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
