"""Rules for a checkpoint's folder: settings that are refused, and facts about a model of sentence-transformers.

No torch here.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core import libraries
from instructor_eval.core.errors import UserError, fitted, printable
from instructor_eval.models.folder.files import (
    check_module_weights,
    check_transformer_weights,
    module_weights,
    read_mapping,
    readable_files,
)
from instructor_eval.models.folder.numbers import check_fit, check_numbers
from instructor_eval.models.folder.safetensors_file import check_safetensors, tensor_shapes
from instructor_eval.models.folder.settings import MODEL_FILE, FolderSettings

# Modules with weights of their own, in model.safetensors or a torch archive.
WEIGHTED = (
    "Dense", "LayerNorm", "CNN", "LSTM", "WordEmbeddings", "WeightedLayerPooling", "StaticEmbedding",
)  # fmt: skip
FORMS = ("fp32", "bf16", "fp16")
"""Numeric forms that sentence-transformers computes in."""
_TRANSFORMERS = ("Transformer", "CLIPModel")
# Names of the number of positions where it is not max_position_embeddings.
_POSITIONS = {
    "gpt2": "n_positions",
    "gptj": "n_positions",
    "openai-gpt": "n_positions",
    "ctrl": "n_positions",
    "codegen": "n_positions",
}
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.[A-Z]\w*", re.ASCII)
"""Path of a class in a Python module; never something else that the module has imported."""
_SPARSE = ("big_bird", "bigbird_pegasus")
_LONGEST = 200
ENDLESS = 1_000_000
"""A limit of this many tokens or more counts as no limit."""


def refuse(settings: FolderSettings, *, trust_remote_code: bool) -> None:
    """Refuse settings that would run code, read other files, or compute something else than asked for.

    Raises:
        UserError: a setting is refused; the line names file and key.
    """
    name = settings.name
    check_numbers(settings.config, name)
    _ = settings.truncate_dim
    if settings.config.get("quantization_config"):
        raise UserError(
            f"model {name}: config.json: quantization_config: its weights are quantised already, and no form here says "
            "so: use the checkpoint it was made from, with --variant"
        )
    _refuse_code(settings, trust_remote_code=trust_remote_code)
    if settings.own.get("tokenizer_name_or_path"):
        raise UserError(
            f"model {name}: {settings.own_file}: tokenizer_name_or_path names a tokenizer outside the folder: copy it "
            "in and take the key out"
        )
    length = settings.own.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or not 1 <= length < 2**31):
        raise UserError(
            f"model {name}: {settings.own_file}: max_seq_length {str(length)[:40]!r} is no whole number of at least 1: "
            "correct it or take it out"
        )
    kind, inputs = str(settings.config.get("model_type")), settings.tokenizer.get("model_input_names")
    if kind in _SPARSE and settings.config.get("attention_type", "block_sparse") != "original_full":
        raise UserError(
            f"model {name}: config.json: attention_type block_sparse: transformers leaves it for good with the first "
            "short batch, so no score could be repeated: set it to original_full"
        )
    if isinstance(inputs, list) and "attention_mask" not in inputs:
        raise UserError(
            f"model {name}: tokenizer_config.json: model_input_names without attention_mask: padding would be read "
            "like text, so no score could be repeated: add it"
        )
    kwargs = _kwargs(settings.own, "model")
    attention = str(kwargs.get("attn_implementation") or settings.config.get("attn_implementation") or "")
    if "/" in attention:
        raise UserError(
            f"model {name}: attn_implementation {attention[:60]!r} would be downloaded and run: take it out of its "
            "configuration"
        )
    prompts, default = settings.model.get("prompts", {}), settings.model.get("default_prompt_name")
    if not isinstance(prompts, Mapping):
        raise UserError(
            f"model {name}: {MODEL_FILE}: prompts is no mapping of names to texts: correct it, or take it out"
        )
    known = {*prompts, "query", "document"}
    if default is not None and not (isinstance(default, str) and default in known):
        raise UserError(
            f"model {name}: {MODEL_FILE}: default_prompt_name '{str(default)[:60]}' is none of its prompts: correct "
            "it, or take it out"
        )


def _refuse_code(settings: FolderSettings, *, trust_remote_code: bool) -> None:
    name = settings.name
    strange = next((m for m in settings.modules if m.known and not _CLASS.fullmatch(m.type)), None)
    if strange:
        raise UserError(f"model {name}: modules.json: {strange.type[:100]} is no class: correct it")
    foreign = next((m for m in settings.modules if not m.known), None)
    if foreign and not trust_remote_code:
        raise UserError(
            f"model {name}: modules.json: {foreign.type[:100]} is code of its own: read it, then run again with "
            "--trust-remote-code"
        )
    for module in settings.dense:
        named = str(settings.settings_of(module).get("activation_function", "torch.nn.Tanh"))
        if named.startswith("torch.") and not named.rpartition(".")[2][:1].isupper():
            raise UserError(
                f"model {name}: {module.path}/config.json: activation_function {named[:80]} is no class of "
                "torch.nn: correct it"
            )
        if not named.startswith("torch.") and not trust_remote_code:
            raise UserError(
                f"model {name}: {module.path}/config.json: activation_function {named[:80]} is code of its own: read "
                "it, then run again with --trust-remote-code"
            )
    refs = [(f"modules.json: {m.name}", m.type) for m in settings.modules]
    for file, source in (("config.json", settings.config), ("tokenizer_config.json", settings.tokenizer)):
        mapped = source.get("auto_map")
        refs += [
            (f"{file}: auto_map", str(value)) for value in (mapped.values() if isinstance(mapped, Mapping) else ())
        ]
    for where, ref in refs:
        if "--" in ref and trust_remote_code:
            raise UserError(
                f"model {name}: {where} names code of another repository ({ref[:80]}), which no fingerprint would "
                "hold: copy the code into the folder"
            )


def _kwargs(own: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Return `model_kwargs` or `processor_kwargs` under its new or old name."""
    given = own.get(f"{what}_args") or own.get(f"{what}_kwargs") or {}
    if what == "processor":
        given = own.get("tokenizer_args") or own.get("processor_kwargs") or {}
    return given if isinstance(given, Mapping) else {}


def check_through(settings: FolderSettings) -> None:
    """Check that sentence-transformers is installed, and that it can read all weights without unpickling.

    Raises:
        UserError: weights are missing, cut short or pickled; or a library is not installed.
    """
    libraries.require(("sentence_transformers",), "run", f"model {settings.name}")
    adapter = adapter_base(settings)
    for module in settings.modules:
        place = settings.folder / module.path
        if module.kind in _TRANSFORMERS and module.known:
            if adapter is None:
                check_fit(settings.config, check_transformer_weights(place, settings.name), settings.name)
        elif module.kind in WEIGHTED and module.known:
            check_module_weights(place, settings.name)
    for file in readable_files(settings.folder, settings.name):
        if file.suffix == ".safetensors":
            check_safetensors(file, settings.name)


def adapter_base(settings: FolderSettings) -> Path | None:
    """Return the folder of the base that a PEFT adapter names; None without an adapter.

    Raises:
        UserError: peft is not installed, the base is not here, or the adapter is pickled.
    """
    place = next((p for p in (settings.transformer, settings.folder) if (p / "adapter_config.json").exists()), None)
    if place is None:
        return None
    name = settings.name
    libraries.require(
        ("peft",),
        "peft",
        f"model {name}: adapter_config.json: a PEFT adapter",
        otherwise="or merge the adapter into its base (merge_and_unload) and save that",
    )
    if not (place / "adapter_model.safetensors").exists():
        raise UserError(f"model {name}: no adapter_model.safetensors in {place}: this is not a whole checkpoint")
    base = read_mapping(place / "adapter_config.json", name).get("base_model_name_or_path")
    found = _local(str(base)) if base else None
    if found is None:
        raise UserError(
            f"model {name}: adapter_config.json: base_model_name_or_path {str(base)[:100]!r} is neither a folder here "
            "nor in the local hub cache: download the base first, or merge the adapter into it (merge_and_unload)"
        )
    readable_files(found, name)
    config = read_mapping(found / "config.json", name)
    check_numbers(config, name)
    check_fit(config, check_transformer_weights(found, name), name)
    return found


def _local(base: str) -> Path | None:
    """Return a folder, or the snapshot of a hub id in the local cache; None: there is neither."""
    if os.path.isdir(base):  # noqa: PTH112 # false, not an error, for what cannot be a path
        return Path(base)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(base, local_files_only=True))
    except Exception:  # noqa: BLE001 # many types, for a bad id or a missing snapshot
        return None


def known_dim(settings: FolderSettings) -> int | None:
    """Return the length of the vectors by the files, before truncate_dim; None: the files do not say."""
    if has_default_modules(settings):
        return None
    for module in reversed(settings.modules):
        if not module.known:
            return None
        config = settings.settings_of(module)
        found: Any = None
        if module.kind in ("Normalize", "Dropout", "WordWeights"):
            continue
        if module.kind == "Dense":
            found = config.get("out_features")
        elif module.kind == "LayerNorm":
            found = config.get("dimension")
        elif module.kind == "Pooling":
            width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
            found = width * len(settings.pooling) if isinstance(width, int) else None
        elif module.kind == "BoW":
            words = config.get("vocab")
            found = len(set(map(str, words))) if isinstance(words, list) else None
        elif module.kind == "StaticEmbedding":
            found = _columns(settings.folder / module.path, ("embedding.weight", "embeddings"))
        return found if isinstance(found, int) and found > 0 else None
    return None


def _columns(folder: Path, names: tuple[str, ...]) -> int | None:
    file = module_weights(folder)
    shapes = tensor_shapes(file) if file.suffix == ".safetensors" else {}
    return next((shapes[n][1] for n in names if len(shapes.get(n, ())) == 2), None)


def known_length(settings: FolderSettings) -> int:
    """Return how many tokens of a text sentence-transformers reads at most; 0: no limit, or the files do not say."""
    first = settings.modules[0]
    if first.kind == "WordEmbeddings":
        given = settings.settings_of(first, "wordembedding_config.json").get("max_seq_length")
        return given if isinstance(given, int) and 0 < given < ENDLESS else 0
    if first.kind not in _TRANSFORMERS:
        return 0
    processor = _kwargs(settings.own, "processor").get("model_max_length")
    explicit = processor if processor is not None else settings.own.get("max_seq_length")
    if isinstance(explicit, int) and explicit > 0:
        return explicit if explicit < ENDLESS else 0
    config = settings.config
    text = config.get("text_config")
    key = _POSITIONS.get(str(config.get("model_type")), "max_position_embeddings")
    positions = config.get(key, text.get(key) if isinstance(text, Mapping) and first.kind == "CLIPModel" else None)
    limits = [tokenizer_limit(settings.tokenizer), positions]
    found = [n for n in limits if isinstance(n, int) and 0 < n < ENDLESS]
    return min(found, default=0)


def tokenizer_limit(tokenizer: Mapping[str, Any]) -> int | None:
    """Return the maximum in tokenizer_config.json; None: it has none."""
    given = tokenizer.get("model_max_length", tokenizer.get("max_len"))
    return int(given) if isinstance(given, int | float) and 0 < given < ENDLESS else None


def modules_text(settings: FolderSettings) -> str:
    """Return in a word or two how a vector is made: the pooling, or the modules if there is none."""
    if has_default_modules(settings):
        return "lasttoken" if _is_causal(settings.config) else "mean"
    found = " and ".join(settings.pooling) or " and ".join(m.kind for m in settings.modules)
    return fitted(printable(found), _LONGEST)


def has_default_modules(settings: FolderSettings) -> bool:
    """Return whether sentence-transformers uses default modules: there are none, or another kind of model's."""
    return not settings.saved or settings.model.get("model_type", "SentenceTransformer") != "SentenceTransformer"


def _is_causal(config: Mapping[str, Any]) -> bool:
    architectures = config.get("architectures")
    first = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    return first.endswith("ForCausalLM") and bool(config.get("is_causal", True))


def version() -> str:
    """Return the installed version of sentence-transformers, or an empty text."""
    try:
        return importlib.metadata.version("sentence-transformers")
    except importlib.metadata.PackageNotFoundError:
        return ""
