"""Settings in a checkpoint's folder, and the decision who computes: this package or sentence-transformers.

Every file and key that sentence-transformers' loading code (6.2) reads is read here. `library_reason` names the first
one that this package does not support: then sentence-transformers computes. A setting that neither may follow is
refused in one line that names file and key. docs/models.md is this module as a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from instructor_eval.core.errors import UserError, fitted, printable
from instructor_eval.core.outside import read_json, why
from instructor_eval.models.folder.files import read_mapping

MODEL_FILE = "config_sentence_transformers.json"
# Names of a Transformer module's own configuration, in sentence-transformers' order.
TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
POOLINGS = ("mean", "cls", "max", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU")
# In the order in which several poolings are joined.
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_LONGEST_PATH, _LONGEST_REASON = 200, 200
_OURS = ("Transformer", "Pooling", "Dense", "Normalize")
# Their names in sentence-transformers: of all releases, then of 6.
_CLASSES = frozenset({
    *(f"sentence_transformers.{home}{kind}" for kind in _OURS
      for home in ("models.", f"models.{kind}.", "sentence_transformer.modules.")),
    *(f"sentence_transformers.base.modules.{home}{kind}" for kind in _OURS if kind != "Pooling"
      for home in ("", f"{kind.lower()}.")),
    "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
})  # fmt: skip
# Architectures whose last hidden states do not depend on padding, and whose whole configuration transformers follows
# when it loads them.
ARCHITECTURES = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "gemma", "gemma2", "llama", "megatron-bert", "mistral", "modernbert", "mpnet", "mt5", "nomic_bert",
    "qwen2", "qwen3", "rembert", "roberta", "roberta-prelayernorm", "roformer", "squeezebert", "t5", "xlm-roberta",
    "xlm-roberta-xl",
})  # fmt: skip
# Architectures that count positions from the first token that is not padding, or that have none.
_LEFT_PADDED = frozenset({
    "camembert", "data2vec-text", "gemma", "gemma2", "llama", "mistral", "modernbert", "mpnet", "mt5", "nomic_bert",
    "qwen2", "qwen3", "roberta", "roberta-prelayernorm", "t5", "xlm-roberta", "xlm-roberta-xl",
})  # fmt: skip
_MODEL_KEYS = frozenset({
    "__version__", "prompts", "default_prompt_name", "similarity_fn_name", "model_type", "truncate_dim",
})  # fmt: skip
_POOLING_KEYS = frozenset({
    "embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt", *_LEGACY_POOLING,
})  # fmt: skip
_DENSE_KEYS = frozenset({
    "in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name",
    "use_residual",
})  # fmt: skip
_TRANSFORMER_KEYS = frozenset({
    "max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name", "unpad_inputs",
})  # fmt: skip
# Keys of a Transformer's configuration that change nothing if they are empty.
_EMPTY_TRANSFORMER_KEYS = frozenset({
    "processing_kwargs", "query_length", "document_length", "query_expansion", "tokenizer_name_or_path",
    *(f"{what}_{end}" for what in ("model", "tokenizer", "processor", "config") for end in ("args", "kwargs")),
})  # fmt: skip
_WHOLE_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Module:
    """One entry of modules.json."""

    name: str
    path: str
    type: str
    plain: bool
    """True if it has the usual keys and no others."""

    @property
    def kind(self) -> str:
        """`Pooling` for "sentence_transformers.models.Pooling", "InstructorEmbedding.instructor.INSTRUCTOR_Pooling"."""
        return self.type.rsplit(".", 1)[-1].removeprefix("INSTRUCTOR_")

    @property
    def of_instructor(self) -> bool:
        """True for one of InstructorEmbedding's classes."""
        return self.type.startswith("InstructorEmbedding.")

    @property
    def known(self) -> bool:
        """True for a class of sentence-transformers or InstructorEmbedding."""
        return self.of_instructor or self.type.startswith("sentence_transformers.")

    @property
    def ours(self) -> bool:
        """True for a class that is computed here."""
        return self.type in _CLASSES or (self.of_instructor and self.kind in _OURS)


_TRANSFORMER = Module("0", "", "sentence_transformers.models.Transformer", plain=True)


@dataclass(frozen=True)
class FolderSettings:
    """The settings in a folder's files that decide how its vectors are made."""

    folder: Path
    name: str
    saved: bool
    """True if there is a modules.json; without one, sentence-transformers uses default modules."""
    modules: tuple[Module, ...]
    config: Mapping[str, Any]
    """config.json of the transformer, or empty."""
    transformer: Path
    own: Mapping[str, Any]
    """The Transformer module's own configuration, as far as sentence-transformers reads it."""
    own_file: str
    model: Mapping[str, Any]
    """config_sentence_transformers.json, as far as it is read."""
    tokenizer: Mapping[str, Any]
    """tokenizer_config.json and special_tokens_map.json."""

    @property
    def dense(self) -> list[Module]:
        """Its Dense layers."""
        return [m for m in self.modules if m.kind == "Dense"]

    def settings_of(self, module: Module, file: str = "config.json") -> dict[str, Any]:
        """Read a module's own configuration; empty if it does not exist."""
        return read_mapping(self.folder / module.path / file, self.name, optional=True)

    @property
    def pooling(self) -> tuple[str, ...]:
        """The pooling modes, in the order in which their results are joined; none without a Pooling module."""
        module = next((m for m in self.modules if m.kind == "Pooling"), None)
        if module is None:
            return ()
        config = read_mapping(self.folder / module.path / "config.json", self.name)
        legacy = [v for k, v in _LEGACY_POOLING.items() if config.get(k)] or "mean"
        mode = config.get("pooling_mode", legacy)
        return tuple(map(str, mode)) if isinstance(mode, list) else (str(mode),)

    @property
    def include_prompt(self) -> bool:
        """True if the prompt takes part in pooling."""
        poolings = [self.settings_of(m) for m in self.modules if m.kind == "Pooling"]
        return all(bool(config.get("include_prompt", True)) for config in poolings)

    @property
    def default_prompt(self) -> str:
        """The prompt that `default_prompt_name` names, or an empty text."""
        prompts, name = self.model.get("prompts"), self.model.get("default_prompt_name")
        found = prompts.get(name) if isinstance(prompts, dict) and name is not None else None
        return found if isinstance(found, str) else ""

    @property
    def truncate_dim(self) -> int | None:
        """The length that vectors are cut to; None: they are not cut.

        Raises:
            UserError: it is not a whole number of at least 1.
        """
        given = self.model.get("truncate_dim")
        if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
            raise UserError(
                f"model {self.name}: {MODEL_FILE}: truncate_dim {str(given)[:40]!r} is no whole number of at least 1: "
                "correct it or take it out"
            )
        return given


def read_settings(folder: Path, name: str) -> FolderSettings:
    """Read a folder's settings.

    Raises:
        UserError: a file is missing, damaged, or names a path outside the folder.
    """
    saved = (folder / "modules.json").exists()
    modules = tuple(_modules(folder, name)) if saved else (_TRANSFORMER,)
    model = read_mapping(folder / MODEL_FILE, name, optional=True) if saved else {}
    first = modules[0]
    transformer = folder / first.path
    has_config = first.kind in ("Transformer", "CLIPModel")
    adapter = (transformer / "adapter_config.json").exists()
    config = read_mapping(transformer / "config.json", name, optional=adapter or not has_config)
    own_file, own = "", dict[str, Any]()
    if saved and has_config:
        for own_file in TRANSFORMER_FILES:
            own = read_mapping(transformer / own_file, name, optional=True)
            if own:
                break
    tokenizer = {
        **read_mapping(transformer / "special_tokens_map.json", name, optional=True),
        **read_mapping(transformer / "tokenizer_config.json", name, optional=True),
    }
    return FolderSettings(folder, name, saved, modules, config, transformer, own, own_file, model, tokenizer)


def _modules(folder: Path, name: str) -> Iterator[Module]:
    """Yield the entries of modules.json in the file's order, which is the order in which they run."""
    path = folder / "modules.json"
    try:
        entries = read_json(path)
        found = [
            Module(str(m["name"]) if "name" in m else str(i), str(m["path"]), str(m["type"]), _is_plain(m))
            for i, m in enumerate(entries)
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as e:
        raise UserError(f"model {name}: {path} is not a list of modules ({why(e)}): copy or download it again") from e
    if not found:
        raise UserError(f"model {name}: {path} names no module (none): this is not a whole checkpoint")
    for module in found:
        parts = PureWindowsPath(module.path)
        if parts.anchor or ".." in parts.parts or "\0" in module.path or len(module.path) > _LONGEST_PATH:
            raise UserError(f"model {name}: {path} names a folder outside the checkpoint: it is not used")
    # InstructorEmbedding's own save() writes the Python module, not the class: the first two are known by position.
    bare = [m.type for m in found[:2]] == ["InstructorEmbedding.instructor"] * 2
    for i, module in enumerate(found):
        if bare and i < 2:
            kind = ("INSTRUCTOR_Transformer", "INSTRUCTOR_Pooling")[i]
            yield Module(module.name, module.path, f"{module.type}.{kind}", module.plain)
        else:
            yield module


def _is_plain(entry: Mapping[str, Any]) -> bool:
    return set(entry) <= {"idx", "name", "path", "type"} or (
        set(entry) <= {"idx", "name", "path", "type", "kwargs"} and not entry["kwargs"]
    )


def library_reason(settings: FolderSettings, *, trust_remote_code: bool) -> str:
    """Return the first setting that only sentence-transformers supports; empty if this package supports all.

    `tokenizer.differs_in_transformers` checks the tokenizer.
    """
    return fitted(printable(next(_reasons(settings, trust_remote_code=trust_remote_code), "")), _LONGEST_REASON)


def _reasons(settings: FolderSettings, *, trust_remote_code: bool) -> Iterator[str]:
    yield from _by_files(settings)
    yield from _by_modules(settings)
    yield from _by_model_file(settings)
    yield from _by_config(settings, trust_remote_code=trust_remote_code)
    yield from _by_own_file(settings)
    for module in settings.modules[1:]:
        yield from _by_module_settings(settings, module)


def _by_files(settings: FolderSettings) -> Iterator[str]:
    for place in {settings.folder, settings.transformer}:
        if (place / "adapter_config.json").exists():
            yield "adapter_config.json: a PEFT adapter"
    for file in _PROCESSOR_FILES:
        if (settings.transformer / file).exists():
            yield f"{file}: a processor"
    for key in ("processor_class", "auto_map"):
        if settings.tokenizer.get(key):
            yield f"tokenizer_config.json: {key}"
    if settings.tokenizer.get("padding_side") == "left" and str(settings.config.get("model_type")) not in _LEFT_PADDED:
        yield "tokenizer_config.json: padding_side left"


def _by_modules(settings: FolderSettings) -> Iterator[str]:
    kinds = [m.kind for m in settings.modules]
    for module in settings.modules:
        if not module.ours:
            yield f"modules.json: {module.kind}"
        if not module.plain:
            yield f"modules.json: keys of {module.name} beside idx, name, path and type"
    if len({m.name for m in settings.modules}) < len(kinds):
        yield "modules.json: two modules of one name"
    usual = ["Transformer", "Pooling"] if settings.saved else ["Transformer"]
    if (
        kinds[: len(usual)] != usual
        or {"Transformer", "Pooling"} & set(kinds[len(usual) :])
        or "Normalize" in kinds[:-1]
    ):
        yield f"modules.json: {', '.join(kinds)} in this order"


def _by_model_file(settings: FolderSettings) -> Iterator[str]:
    if settings.model.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        yield f"{MODEL_FILE}: model_type {str(settings.model['model_type'])[:40]}"
    for key in sorted(set(settings.model) - _MODEL_KEYS):
        if key != "requirements" or settings.model[key]:
            yield f"{MODEL_FILE}: {key[:40]}"


def _by_config(settings: FolderSettings, *, trust_remote_code: bool) -> Iterator[str]:
    config, kind = settings.config, str(settings.config.get("model_type", ""))
    if config.get("auto_map") and (trust_remote_code or kind not in ARCHITECTURES):
        yield "config.json: auto_map"
    if kind not in ARCHITECTURES:
        yield f"config.json: model_type {kind[:40] or '(none)'}"
    for key in ("is_decoder", "add_cross_attention", "processor_class", "output_hidden_states"):
        if config.get(key):
            yield f"config.json: {key}"
    if not config.get("return_dict", True):
        yield "config.json: return_dict"
    if not settings.saved:
        architectures = config.get("architectures") or [""]
        if isinstance(architectures, list) and str(architectures[0]).endswith("ForCausalLM"):
            yield "config.json: a causal language model without modules.json"
        template = settings.tokenizer.get("chat_template") or (settings.transformer / "chat_template.jinja").exists()
        if template or (settings.transformer / "chat_template.json").exists():
            yield "tokenizer_config.json: chat_template without modules.json"


def _by_own_file(settings: FolderSettings) -> Iterator[str]:
    own, file = settings.own, settings.own_file
    for key in sorted(set(own) - _TRANSFORMER_KEYS):
        null = own[key] is None and key.endswith(("_args", "_kwargs"))  # sentence-transformers fails on it
        if key not in _EMPTY_TRANSFORMER_KEYS or own[key] or null:
            yield f"{file}: {key[:40]}"
    if own.get("transformer_task", "feature-extraction") != "feature-extraction":
        yield f"{file}: transformer_task {str(own['transformer_task'])[:40]}"
    if "modality_config" in own and own["modality_config"] != {"text": _WHOLE_TEXT}:
        yield f"{file}: modality_config"
    if own.get("module_output_name", "token_embeddings") != "token_embeddings":
        yield f"{file}: module_output_name {str(own['module_output_name'])[:40]}"


def _by_module_settings(settings: FolderSettings, module: Module) -> Iterator[str]:
    config, file = settings.settings_of(module), f"{module.path}/config.json"
    if module.kind == "Normalize" and config:
        names = {config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output")}
        if names != {"sentence_embedding"} or set(config) - {"module_input_name", "module_output_name"}:
            yield f"{file}: {', '.join(sorted(config))[:80]}"
    if module.kind == "Pooling":
        if len(settings.pooling) != 1 or settings.pooling[0] not in POOLINGS:
            yield f"{file}: pooling {' and '.join(settings.pooling)[:80] or '(none)'}"
        if not {"embedding_dimension", "word_embedding_dimension"} & set(config):
            yield f"{file}: no embedding_dimension"
        yield from (f"{file}: {key[:40]}" for key in sorted(set(config) - _POOLING_KEYS))
    if module.kind == "Dense":
        named = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
        if named.rsplit(".", 1)[-1] not in ACTIVATIONS or not named.startswith("torch.nn."):
            yield f"{file}: activation_function {named[:60]}"
        reads, writes = (config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output"))
        if {reads, writes} != {"sentence_embedding"}:
            yield f"{file}: module_input_name"
        if config.get("use_residual"):
            yield f"{file}: use_residual"
        yield from (f"{file}: {key[:40]}" for key in sorted(set(config) - _DENSE_KEYS))
