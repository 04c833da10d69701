"""INSTRUCTOR-shaped checkpoints of random weights, and texts of mixed lengths: what the speed benchmarks run on.

Speed does not depend on the values of weights; quality does, so nothing here says anything about quality.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import tiny

VOCABULARY = 32_128
INSTRUCTION = "Represent the Wikipedia document for retrieval: "


@dataclass(frozen=True)
class Shape:
    """A T5 encoder's sizes; the three are those of hkunlp/instructor-{base,large,xl}."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    head_width: int

    @property
    def matmul_parameters(self) -> int:
        """Weights that every token is multiplied with."""
        inner = self.heads * self.head_width
        return self.layers * (4 * self.width * inner + 2 * self.width * self.feed_forward)

    def flops(self, lengths: np.ndarray) -> float:
        """Floating-point operations of one pass over texts of these lengths, without any padding."""
        inner = self.heads * self.head_width
        attention = 4.0 * inner * self.layers * float((lengths.astype(np.float64) ** 2).sum())
        return 2.0 * self.matmul_parameters * float(lengths.sum()) + attention


SHAPES = {
    "base": Shape(12, 768, 3072, 12, 64),
    "large": Shape(24, 1024, 4096, 16, 64),
    "xl": Shape(24, 1024, 16384, 32, 128),
}


def build(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """Write an INSTRUCTOR checkpoint of this shape: T5, mean pooling, Dense to 768, Normalize."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tiny.write_t5_tokenizer(folder, hub_tokenizer=False)
    config = tiny.t5_config(VOCABULARY, shape.width, shape.layers)
    config |= {"d_ff": shape.feed_forward, "d_kv": shape.head_width, "num_heads": shape.heads}
    tiny.write_json(folder / "config.json", config)
    random = np.random.default_rng(seed)

    def draw(rows: int, columns: int, scale: float) -> np.ndarray:
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale)

    width, inner = shape.width, shape.heads * shape.head_width
    tensors = {
        "shared.weight": draw(VOCABULARY, width, 1.0),
        "encoder.final_layer_norm.weight": np.ones(width, np.float32),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": draw(32, shape.heads, 1.0),
    }
    for i in range(shape.layers):
        attention, dense = f"encoder.block.{i}.layer.0.", f"encoder.block.{i}.layer.1."
        for letter in "qkv":
            scale = width**-0.5 * (shape.head_width**-0.25 if letter in "qk" else 1.0)
            tensors[f"{attention}SelfAttention.{letter}.weight"] = draw(inner, width, scale)
        tensors[f"{attention}SelfAttention.o.weight"] = draw(width, inner, inner**-0.5)
        tensors[f"{dense}DenseReluDense.wi.weight"] = draw(shape.feed_forward, width, width**-0.5)
        tensors[f"{dense}DenseReluDense.wo.weight"] = draw(width, shape.feed_forward, shape.feed_forward**-0.5)
        for part in (attention, dense):
            tensors[f"{part}layer_norm.weight"] = np.ones(width, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tiny.write_pooling(folder, width)
    tiny.write_modules(folder, ["Transformer", "Pooling", "Dense", "Normalize"])
    dense_config = {
        "in_features": width,
        "out_features": 768,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    tiny.write_json(folder / "2_Dense" / "config.json", dense_config)
    tiny.write_weights(folder / "2_Dense", {"linear.weight": draw(768, width, width**-0.5)}, safetensors=True)
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    return folder


def mixed_texts(count: int, *, median: int = 40, seed: int = 0) -> list[str]:
    """Texts of log-normal length around `median` words, as corpora have them: many short, a few very long."""
    random = np.random.default_rng(seed)
    words = np.array(sorted(set(tiny.WORDS.split())))
    lengths = np.clip(random.lognormal(np.log(median), 0.8, count), 1, 2000).astype(int)
    return [" ".join(random.choice(words, n)) + f" {i}" for i, n in enumerate(lengths)]
