"""Folders that sentence-transformers computes: who computes and why, the same vectors, and what stands around them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from checkpoints import NAME, copy, edit_json, edit_weights, engine, largest, one_line, read
from sentence_transformers import SentenceTransformer
from through_folders import edited, set_modules, set_pooling, with_dense, with_layer_norm, with_static, with_words

from instructor_eval import load_encoder
from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.pooling import EXCLUDED

TEXTS = ["the river and the city", "A. B? C!", "  two  spaces ", "question " * 200, "naïve 日本"]
PROMPTS = ["", "Represent the question: "]
TOLERANCE = 2e-6


def theirs(folder: Path, prompt: str, **settings: object) -> np.ndarray:
    """The vectors that sentence-transformers gives each text alone."""
    peer = SentenceTransformer(str(folder), device="cpu", local_files_only=True, **settings)
    return np.concatenate([peer.encode([t], prompt=prompt, show_progress_bar=False) for t in TEXTS])


OWN = "sentence_bert_config.json"
COMPUTED = {
    "several poolings": (set_pooling(["cls", "mean"]), "1_Pooling/config.json: pooling cls and mean", 64),
    "weighted mean": (set_pooling("weightedmean"), "pooling weightedmean", 32),
    "SiLU": (lambda f: with_dense(f, activation_function="torch.nn.SiLU"), "activation_function torch.nn.SiLU", 8),
    "residual": (lambda f: with_dense(f, use_residual=True), "2_Dense/config.json: use_residual", 8),
    "an unknown key of Dense": (lambda f: with_dense(f, future=1), "2_Dense/config.json: future", 8),
    "layer norm": (with_layer_norm, "modules.json: LayerNorm", 32),
    "layer norm, as an archive": (lambda f: with_layer_norm(f, safe=False), "modules.json: LayerNorm", 32),
    "normalised twice": (
        lambda f: set_modules(f, "Transformer", "Pooling", "Normalize", "Normalize"),
        "Normalize, Normalize in this order",
        32,
    ),
    "truncation on the left": (edited("tokenizer_config.json", truncation_side="left"), "truncation_side left", 32),
    "fewer layers": (edited(OWN, config_args={"num_hidden_layers": 1}), f"{OWN}: config_args", 32),
    "the tokenizer's limit": (edited(OWN, tokenizer_args={"model_max_length": 9}), f"{OWN}: tokenizer_args", 32),
    "a tokenizer that minds case": (edited("tokenizer_config.json", do_lower_case=False), "tokenises otherwise", 32),
    "an unknown key": (edited("config_sentence_transformers.json", future=1), "transformers.json: future", 32),
    "a decoder": (edited("config.json", is_decoder=True), "config.json: is_decoder", 32),
    "static": (with_static, "modules.json: StaticEmbedding", 8),
    "cut": (
        lambda f: (with_layer_norm(f), edit_json(f / "config_sentence_transformers.json", truncate_dim=5)),
        "LayerNorm",
        5,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "why", "dim"), COMPUTED.values(), ids=COMPUTED)
def test_vectors_are_those_of_sentence_transformers(tmp_path: Path, plain_folder: Path, change, why, dim: int) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    change(folder)
    encoder = engine(folder)
    assert why in encoder.checkpoint.through
    assert "by sentence-transformers 6" in encoder.checkpoint.about
    assert encoder.checkpoint.dim == dim
    for prompt in PROMPTS:
        ours = encoder.encode(TEXTS, prompt)
        assert ours.shape == (len(TEXTS), dim)
        assert largest(ours, theirs(folder, prompt)) < TOLERANCE * np.abs(ours).max() * 10
        alone = np.concatenate([encoder.encode([t], prompt) for t in TEXTS])
        assert largest(ours, alone) < TOLERANCE * max(1, np.abs(ours).max())


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "archive"])
def test_words(tmp_path: Path, plain_folder: Path, safe: bool) -> None:
    """A text without a known word has no vector: sentence-transformers gives zeros."""
    folder = copy(plain_folder, tmp_path / "model")
    with_words(folder, safe=safe)
    encoder = engine(folder)
    known = ["River city", "question question two"]
    peer = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert largest(encoder.encode(known, "two "), peer.encode(known, prompt="two ")) < TOLERANCE
    assert encoder.input_lengths(known, "two ") == [3, 4]
    with one_line("all-zero", kind=ModelOutputError):
        encoder.encode(["nothing known"], "")


def test_token_embeddings(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    peer = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    [want] = peer.encode([TEXTS[0]], prompt="a ", output_value="token_embeddings")
    assert largest(engine(folder).token_vectors(TEXTS[0], "a "), want.numpy()) < 1e-5
    static = copy(plain_folder, tmp_path / "static")
    with_static(static)
    with one_line("token_embeddings"):
        engine(static).token_vectors(TEXTS[0], "")


@pytest.mark.parametrize("form", ["bf16", "fp16"])
def test_forms(tmp_path: Path, plain_folder: Path, form: str) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    encoder = load_encoder(folder, device="cpu", variant=form)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[form]
    want = theirs(folder, "", model_kwargs={"dtype": kind})
    assert largest(encoder.encode(TEXTS), want.astype(np.float32)) < 1e-6
    assert encoder.engine.network.proof().endswith(str(kind).removeprefix("torch."))


@pytest.mark.parametrize("form", ["int8", "onnx-int8", "int4-weight", "int8-dynamic"])
def test_other_forms_are_refused(tmp_path: Path, plain_folder: Path, form: str) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    with one_line(f"variant {form}", "LayerNorm", "fp32"):
        load_encoder(folder, device="cpu", variant=form)
    with one_line("--compile", "LayerNorm"):
        load_encoder(folder, device="cpu", compiled=True)


def test_cut_vectors_of_our_own(tmp_path: Path, plain_folder: Path) -> None:
    """truncate_dim cuts after Normalize, as sentence-transformers does; a variant cuts further."""
    folder = copy(plain_folder, tmp_path / "model")
    edit_json(folder / "config_sentence_transformers.json", truncate_dim=7)
    encoder = engine(folder)
    assert (encoder.checkpoint.through, encoder.dim, encoder.checkpoint.normalize) == ("", 7, False)
    assert largest(encoder.encode(TEXTS, "a "), theirs(folder, "a ")) < TOLERANCE
    assert encoder.fingerprint != engine(plain_folder).fingerprint
    assert load_encoder(folder, device="cpu", variant="fp32@3").encode(TEXTS).shape == (len(TEXTS), 3)
    edit_json(folder / "config_sentence_transformers.json", truncate_dim=32)
    assert engine(folder).fingerprint == engine(plain_folder).fingerprint, "nothing is cut"


CLOSINGS = {"none": "[CLS] $A", "not even an opening": "$A", "as usual": "[CLS] $A [SEP]"}


@pytest.mark.parametrize("template", CLOSINGS.values(), ids=CLOSINGS)
@pytest.mark.parametrize("family", [None, "prefix"])
def test_a_prompt_left_out_of_pooling(tmp_path: Path, plain_folder: Path, template: str, family: str | None) -> None:
    """However the tokenizer closes texts: the instruction's tokens are left out, and no token more or less."""
    from tokenizers import Tokenizer, processors

    folder = copy(plain_folder, tmp_path / "model")
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    edit_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = engine(folder, family=family)
    assert encoder.checkpoint.prompt_rule == EXCLUDED
    for prompt in (*PROMPTS, "query"):
        assert largest(encoder.encode(TEXTS, prompt), theirs(folder, prompt)) < TOLERANCE


def test_instructors_rule_through_sentence_transformers(tmp_path: Path, instructor_folder: Path) -> None:
    """The rule of 1.0.1 is the same function whoever computes."""
    folder = copy(instructor_folder, tmp_path / "model")
    edit_json(folder / "config_sentence_transformers.json", future=True)
    through, ours = (engine(f, family="instructor") for f in (folder, instructor_folder))
    assert through.checkpoint.through and not ours.checkpoint.through
    for instruction in ("Represent the question: ", "query", "  ", "", "a b c " * 300):
        assert largest(through.encode(TEXTS, instruction), ours.encode(TEXTS, instruction)) < 1e-5


def test_the_cache_serves_without_loading(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    cache = MemoryCache()
    first = engine(folder, cache=cache).encode(TEXTS, "a ")
    again = engine(folder, cache=cache)
    assert np.array_equal(again.encode(TEXTS, "a "), first)
    assert again.totals.hits == len(TEXTS) and again._network is None


FILES = {
    "a module's configuration": edited("2_LayerNorm/config.json", more=1),
    "a module's weights": lambda f: edit_weights(f / "2_LayerNorm" / "model.safetensors", _nudge),
    "the tokenizer's configuration": edited("tokenizer_config.json", model_max_length=77),
    "a file of a kind that may be read": lambda f: (f / "vocab.txt").write_text("a"),
}


def _nudge(tensors: dict[str, np.ndarray]) -> None:
    tensors["norm.bias"][0] += 1


@pytest.mark.parametrize("change", FILES.values(), ids=FILES)
def test_the_fingerprint_holds_every_file_that_may_be_read(tmp_path: Path, plain_folder: Path, change) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    before = read(folder)
    (folder / "README.md").write_text("# A model\n")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.json").write_text("{}")
    assert read(folder).fingerprint == before.fingerprint
    assert (
        read_checkpoint(copy(folder, tmp_path / "other"), name="other", revision="x").fingerprint == before.fingerprint
    )
    change(folder)
    assert read(folder).fingerprint != before.fingerprint
    assert read(folder, family="prefix").fingerprint == read(folder).fingerprint


def adapter(folder: Path) -> None:
    tiny.write_json(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "absent/base"})


REFUSED = {
    "quantised weights": (edited("config.json", quantization_config={"bits": 4}), ["config.json: quantization_config"]),
    "a module of someone's own": (
        lambda f: tiny.write_json(f / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "evil.Code"}]),
        ["modules.json: evil.Code", "--trust-remote-code"],
    ),
    "a tokenizer elsewhere": (edited(OWN, tokenizer_name_or_path="bert-base"), [f"{OWN}: tokenizer_name_or_path"]),
    "a kernel": (edited(OWN, model_args={"attn_implementation": "org/kernel"}), ["attn_implementation 'org/kernel'"]),
    "a cut that is none": (
        edited("config_sentence_transformers.json", truncate_dim="8"),
        ["config_sentence_transformers.json: truncate_dim '8'"],
    ),
    "half an adapter": (adapter, ["no adapter_model.safetensors"]),
    "an unknown key of Pooling": (edited("1_Pooling/config.json", future=1), ["future"]),
    "an unknown key of a Transformer": (edited(OWN, future=1), ["future"]),
    "an unknown task": (edited(OWN, transformer_task="dance"), ["dance"]),
    "a requirement": (edited("config_sentence_transformers.json", requirements={"torch": ">=99"}), ["torch"]),
    "a pooling mode of null": (set_pooling(None), ["NoneType"]),
    "no pooling mode at all": (set_pooling([]), ["empty list"]),
    "a pooling without its width": (
        edited("1_Pooling/config.json", "word_embedding_dimension"),
        ["embedding_dimension"],
    ),
    "arguments of null": (edited(OWN, model_args=None), ["NoneType"]),
    "a class that is not there": (
        lambda f: tiny.write_json(f / "modules.json", [{"path": "", "type": "sentence_transformers.base.Transformer"}]),
        ["sentence_transformers.base"],
    ),
    "no pooling": (lambda f: set_modules(f, "Transformer"), ["sentence_embedding"]),
    "padding on the left": (edited("tokenizer_config.json", padding_side="left"), ["padding_side left", "right"]),
    "a weight that is missing": (
        lambda f: (
            with_layer_norm(f),
            edit_weights(f / "model.safetensors", lambda t: t.pop("encoder.layer.1.output.dense.weight")),
        ),
        ["lacks"],
    ),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_what_neither_computes_is_one_line(tmp_path: Path, plain_folder: Path, change, words: list[str]) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    change(folder)
    with one_line(f"model {NAME}", *words):
        engine(folder).encode(["a text"], "")


def test_an_adapter_without_peft(tmp_path: Path, plain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    adapter(folder)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "peft" else find(name, *a))
    with one_line("adapter_config.json", "instructor-eval[peft]"):
        read(folder)


def low_rank(folder: Path, base: Path, **more: object) -> Path:
    """A LoRA adapter beside `base`, as peft saves it, in a folder of its own with all but the weights."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    copy(base, folder)
    for file in ("model.safetensors", "config.json"):  # a config beside it would say that the weights are here, too
        (folder / file).unlink()
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False, **more)
    get_peft_model(AutoModel.from_pretrained(base), config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's use of transformers
def test_an_adapter_beside_its_base(tmp_path: Path, plain_folder: Path) -> None:
    base = copy(plain_folder, tmp_path / "base")
    folder = low_rank(tmp_path / "adapter", base)
    encoder = engine(folder)
    found = encoder.encode(TEXTS, "")
    assert largest(found, theirs(folder, "")) < TOLERANCE
    assert largest(found, engine(base).encode(TEXTS, "")) > 0.01
    assert encoder.libraries == ("sentence-transformers", "peft")
    before = read(folder).fingerprint
    edit_weights(base / "model.safetensors", lambda tensors: tensors["embeddings.LayerNorm.bias"].fill(1))
    assert read(folder).fingerprint != before, "the base's weights are part of the model"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("weights", ["one is gone", "magnitudes that transformers does not find"])
def test_an_adapter_whose_weights_would_be_drawn_at_random(tmp_path: Path, plain_folder: Path, weights: str) -> None:
    gone = weights == "one is gone"
    folder = low_rank(tmp_path / "adapter", copy(plain_folder, tmp_path / "base"), use_dora=not gone)
    if gone:
        edit_weights(folder / "adapter_model.safetensors", lambda tensors: tensors.pop(min(tensors)))
    assert largest(theirs(folder, ""), theirs(folder, "")) > 0.01, "sentence-transformers gives others each time"
    with one_line("lora_" if gone else "lora_magnitude", "adapter_model.safetensors", "merge_and_unload"):
        engine(folder).encode(TEXTS, "")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_of_another_rank(tmp_path: Path, plain_folder: Path) -> None:
    folder = low_rank(tmp_path / "adapter", copy(plain_folder, tmp_path / "base"))
    edit_json(folder / "adapter_config.json", r=5)
    with one_line("lora_A", "is of 2 x 32, and the configuration wants 5 x 32"):
        engine(folder).encode(TEXTS, "")


class Sentinel:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["2_LayerNorm", "."])
def test_no_pickle_is_opened(tmp_path: Path, plain_folder: Path, place: str) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    with_layer_norm(folder)
    (folder / place / "model.safetensors").unlink()
    torch.save({"norm.weight": Sentinel(tmp_path / "sentinel")}, folder / place / "pytorch_model.bin")
    with one_line("pytorch_model.bin"):
        engine(folder).encode(["a text"], "")
    assert not (tmp_path / "sentinel").exists()


CODE = """
import torch
from pathlib import Path
Path({sentinel!r}).touch()

class Doubled(torch.nn.Module):
    def forward(self, features):
        features["sentence_embedding"] = 2 * features["sentence_embedding"]
        return features

    @classmethod
    def load(cls, path):
        return cls()
"""


@pytest.mark.filterwarnings("ignore")
def test_code_of_a_module_runs_only_if_asked(tmp_path: Path, plain_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = copy(plain_folder, tmp_path / "model")
    (folder / "doubled.py").write_text(CODE.format(sentinel=str(tmp_path / "sentinel")))
    modules = json.loads((folder / "modules.json").read_text())
    tiny.write_json(
        folder / "modules.json", [*modules, {"idx": 3, "name": "3", "path": "3_Own", "type": "doubled.Doubled"}]
    )
    (folder / "3_Own").mkdir()
    with one_line("modules.json: doubled.Doubled", "--trust-remote-code"):
        load_encoder(folder, device="cpu")
    assert not (tmp_path / "sentinel").exists()
    encoder = load_encoder(folder, device="cpu", trust_remote_code=True)
    assert largest(encoder.encode(TEXTS), 2 * engine(plain_folder).encode(TEXTS, "")) < 1e-5
    assert (tmp_path / "sentinel").exists()


def test_the_default_prompt(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    config = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    edit_json(folder / "config_sentence_transformers.json", **config)
    encoder = load_encoder(folder, device="cpu")
    assert "default prompt 'query: '" in encoder.engine.checkpoint.about
    assert np.array_equal(encoder.encode(TEXTS), encoder.encode(TEXTS, "query: "))
    assert np.array_equal(np.concatenate(list(encoder.stream(TEXTS))), encoder.encode(TEXTS))
    assert largest(encoder.encode(TEXTS, ""), engine(plain_folder).encode(TEXTS, "")) == 0


def test_what_a_run_says_of_it(plain: Engine) -> None:
    assert plain.checkpoint.about == "pooling mean, 32 values, at most 128 tokens, computed here"


def test_without_modules_the_defaults_hold(tmp_path: Path, plain_folder: Path) -> None:
    """No file beside the transformer's own is read then."""
    folder = copy(plain_folder, tmp_path / "model")
    (folder / "modules.json").unlink()
    edit_json(folder / "config_sentence_transformers.json", truncate_dim=3)
    edit_json(folder / OWN, max_seq_length=5)
    encoder = engine(folder)
    assert (encoder.checkpoint.through, encoder.dim) == ("", 32)
    assert largest(encoder.encode(TEXTS, "a "), theirs(folder, "a ")) < 1e-5
    edit_json(folder / "config.json", architectures=["BertForCausalLM"])
    causal = engine(folder)
    assert causal.checkpoint.pooling == "lasttoken"
    assert largest(causal.encode(TEXTS, "a "), theirs(folder, "a ")) < 1e-5
