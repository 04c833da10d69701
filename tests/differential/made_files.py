"""Folders of many layouts, kinds of weights and damages."""

import json
import shutil
from pathlib import Path

import torch
from differential.judge import Made
from differential.steps import (
    NEW,
    Step,
    adapter,
    chain,
    dense,
    edit,
    ending,
    inside,
    modules,
    pickled,
    pooling,
    remove,
    sharded,
    text,
    transformer,
    usual,
    weights,
    write_json,
)

MODULE = "sentence_bert_config.json"


def _half(dtype: torch.dtype) -> Step:
    name = str(dtype).removeprefix("torch.")
    return chain(weights(lambda s: {k: w.to(dtype) for k, w in s.items()}), edit("config.json", dtype=name))


def _renamed(prefix: str) -> Step:
    return weights(lambda s: {f"{prefix}.{k}": w for k, w in s.items()})


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _reversed(folder: Path) -> None:
    """modules.json numbers its modules against their order, which is what counts."""
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", [m | {"idx": 9 - n} for n, m in enumerate(listed)])


def _of_one_name(folder: Path) -> None:
    """The later of two modules of one name takes the place of the earlier."""
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", [m | {"name": str(min(n, 2))} for n, m in enumerate(listed)])


def _deep(folder: Path) -> None:
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    listed[1]["path"] = "parts/two/1_Pooling"
    (folder / "parts" / "two").mkdir(parents=True)
    shutil.move(folder / "1_Pooling", folder / "parts" / "two" / "1_Pooling")
    write_json(folder / "modules.json", listed)


FILES = [
    Made(
        "old-subfolder",
        chain(
            inside("0_Transformer", transformer("bert"), edit(MODULE, max_seq_length=20)),
            modules("Transformer", "Pooling", first="0_Transformer"),
            pooling("mean"),
        ),
    ),
    Made(
        "old-subfolder-t5",
        chain(
            inside("0_Transformer", transformer("t5")),
            modules("Transformer", "Pooling", first="0_Transformer"),
            pooling("mean"),
        ),
    ),
    Made(
        "new-types",
        chain(
            transformer("bert"),
            modules("Transformer", "Pooling", "Dense", "Normalize", types=NEW),
            pooling("max"),
            dense(),
        ),
    ),
    Made("kwargs-listed", chain(transformer("bert"), modules("Transformer", "Pooling", kwargs=[]), pooling("mean"))),
    Made(
        "module-extra-key", chain(transformer("bert"), modules("Transformer", "Pooling", comment="x"), pooling("mean"))
    ),
    Made("modules-out-of-order", chain(ending("bert", "Normalize", "Dense"), dense("3_Dense"), _reversed)),
    Made(
        "modules-of-one-name",
        chain(ending("bert", "Dense", "Dense"), dense(activation="Tanh"), dense("3_Dense", out=10), _of_one_name),
        either=True,
        refused="name|modules.json",
    ),
    Made("deep-path", chain(usual("bert"), _deep)),
    Made(
        "path-outside",
        chain(transformer("bert"), modules("Transformer", "Pooling", first="../elsewhere"), pooling("mean")),
        refused="modules.json|outside",
    ),
    Made("modules-cut", chain(usual("bert"), text("modules.json", '[{"idx": 0,')), refused="modules.json"),
    Made("modules-a-mapping", chain(usual("bert"), text("modules.json", '{"0": 1}')), refused="modules.json"),
    Made("config-cut", chain(usual("bert"), text("config.json", '{"model_type": "bert",')), refused="config.json"),
    Made(
        "config-unknown-type",
        chain(usual("bert"), edit("config.json", model_type="hyperbert")),
        refused="hyperbert|model_type",
    ),
    Made("config-missing", chain(usual("bert"), remove("config.json")), refused="config.json"),
    Made("sharded", chain(usual("bert"), sharded)),
    Made(
        "sharded-incomplete",
        chain(usual("bert"), sharded, remove("model-00002-of-00002.safetensors")),
        refused="model-00002-of-00002|missing",
    ),
    Made("pickled", chain(usual("bert"), pickled), refused="pytorch_model.bin|pickle"),
    Made("weights-missing", chain(usual("bert"), remove("model.safetensors")), refused="safetensors"),
    Made("weights-cut", chain(usual("bert"), _cut), refused="safetensors"),
    Made("stored-bfloat16", chain(usual("bert"), _half(torch.bfloat16)), half=True),
    Made("stored-float16", chain(usual("mpnet"), _half(torch.float16)), half=True),
    Made("stored-float16-t5", chain(usual("t5"), _half(torch.float16)), half=True),
    Made(
        "stored-float16-dense",
        chain(ending("t5", "Dense", "Normalize"), dense(bias=False, half=True), _half(torch.float16)),
        half=True,
    ),
    Made("stored-float64", chain(usual("bert"), _half(torch.float64)), half=True),
    Made("weights-prefixed", chain(usual("bert"), _renamed("bert"))),
    Made("weights-prefixed-roberta", chain(usual("roberta"), _renamed("roberta"))),
    Made(
        "weights-of-a-whole-t5",
        chain(
            usual("t5"),
            weights(
                lambda s: {**s, "decoder.final_layer_norm.weight": torch.ones(16), "lm_head.weight": torch.ones(9, 16)}
            ),
        ),
    ),
    Made("weights-of-a-head", chain(usual("bert"), weights(lambda s: {**s, "cls.predictions.bias": torch.ones(9)}))),
    Made(
        "weights-without-pooler",
        chain(usual("bert"), weights(lambda s: {k: w for k, w in s.items() if "pooler" not in k})),
    ),
    Made(
        "weights-without-a-layer",
        chain(usual("bert"), weights(lambda s: {k: w for k, w in s.items() if "layer.1.output" not in k})),
        refused="layer.1.output|weights|tensor",
    ),
    Made(
        "weights-of-another-size",
        chain(usual("bert"), edit("config.json", intermediate_size=32)),
        refused="size|shape|config.json|fit",
    ),
    Made("layers-fewer", chain(usual("bert"), edit("config.json", num_hidden_layers=1))),
    Made("adapter-beside", chain(usual("bert"), adapter("acme/base")), refused="adapter"),
    Made("adapter-beside-without-modules", chain(transformer("bert"), adapter("acme/base")), refused="adapter"),
    Made(
        "adapter-alone",
        chain(usual("bert"), adapter("acme/base"), remove("model.safetensors", "config.json")),
        refused="adapter",
    ),
    Made(
        "adapter-in-subfolder",
        chain(
            inside("0_Transformer", transformer("bert"), adapter("acme/base")),
            modules("Transformer", "Pooling", first="0_Transformer"),
            pooling("mean"),
        ),
        refused="adapter",
    ),
    Made(
        "files-of-others",
        chain(
            usual("bert"),
            text("README.md", "# A model\n"),
            text("training_args.json", "{}"),
            inside("onnx", edit("config.json", a=1)),
        ),
    ),
]
