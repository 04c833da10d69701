"""Tiny causal language models for tests: random weights, a byte-level BPE tokenizer trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LINES = [
    "The cat sat on the mat and looked at the moon.", "question: is it true? True or False?\nanswer:\nTrue",
    "How do you feel about the following sentence?\nI liked it very much.\nanswer:\nvery positive",
    "write a title\nWe study bats and find viruses.\ntitle: Bats and viruses",
    "SELECT name FROM city WHERE state = 1 ;",
    "Zahlen 1 2 3 4 5 6 7 8 9 0, Café, naïve, 日本語.",
    "very negative negative neutral positive equivalent False No. Yes.",
]  # fmt: skip


def build_gpt2(folder: Path, *, positions: int = 512, layers: int = 2, width: int = 48, seed: int = 0) -> Path:
    """Write a checkpoint: config.json, model.safetensors, tokenizer.json. Weights are large enough to differ."""
    return build(folder, "GPT2", n_positions=positions, n_embd=width, n_layer=layers, n_head=4, seed=seed)


def build_llama(folder: Path, **config: Any) -> Path:
    """As `build_gpt2` in Llama's shape: rotary positions, and a tokenizer that puts <s> in front and </s> behind."""
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "max_position_embeddings": 512}
    return build(folder, config.pop("kind", "Llama"), with_ends=True, **(sizes | config))


def build(folder: Path, kind: str, *, seed: int = 0, with_ends: bool = False, **config: Any) -> Path:
    """Write a checkpoint of the architecture `kind` ("GPT2", "Llama", ...), with these settings of its configuration.

    Args:
        folder: Where to.
        kind: What transformers' classes begin with.
        seed: Of the weights.
        with_ends: The tokenizer puts <s> in front of a text and </s> behind it.
        config: Settings of the configuration.
    """
    import torch
    import transformers

    tokenizer = train_tokenizer(with_ends=with_ends)
    torch.manual_seed(seed)
    settings = {"vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "initializer_range": 0.2}
    settings |= {"eos_token_id": 1 if with_ends else 0} | config
    model_class = getattr(transformers, f"{kind}LMHeadModel", None) or getattr(transformers, f"{kind}ForCausalLM")
    model_class(getattr(transformers, f"{kind}Config")(**settings)).eval().save_pretrained(folder)
    end = "</s>" if with_ends else "<|endoftext|>"
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end).save_pretrained(folder)
    return folder


def train_tokenizer(*, with_ends: bool = False) -> Any:
    """A byte-level BPE tokenizer of 420 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"] if with_ends else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES * 3, trainer)
    if with_ends:
        ends = [("<s>", 0), ("</s>", 1)]
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return tokenizer
