"""Folders with other modules after, before or in place of transformer and pooling."""

from differential.judge import Made
from differential.steps import (
    Step,
    chain,
    dense,
    edit,
    ending,
    inside,
    modules,
    pooling,
    remove,
    saved,
    transformer,
)
from differential.transformers_made import LAYERS, WIDTH
from sentence_transformers.sentence_transformer.modules import (
    LSTM,
    Dropout,
    LayerNorm,
    WeightedLayerPooling,
)

ACTIVATIONS = ["Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "LeakyReLU", "ELU", "Softplus", "Mish", "Hardswish"]
NARROW = 12


def _dense(name: str, *more: Step, kinds: tuple[str, ...] = ("Dense",), architecture: str = "bert") -> Made:
    return Made(name, chain(ending(architecture, *kinds), *more))


DENSE = [
    *(_dense(f"dense-{a.lower()}", dense(activation=a)) for a in ACTIVATIONS),
    _dense("dense-identity", dense()),
    _dense("dense-without-bias", dense(bias=False)),
    _dense("dense-wider", dense(out=40, activation="Tanh")),
    _dense("dense-default-activation", dense(), edit("2_Dense/config.json", "activation_function")),
    _dense("dense-default-bias", dense(), edit("2_Dense/config.json", "bias")),
    _dense("dense-short-activation", dense(activation="torch.nn.ReLU")),
    _dense("dense-residual-same", dense(out=WIDTH, use_residual=True, activation="Tanh")),
    _dense("dense-residual-other", dense(use_residual=True, activation="ReLU")),
    _dense("dense-residual-false", dense(use_residual=False)),
    _dense("dense-two", dense(activation="ReLU"), dense("3_Dense", NARROW, 9), kinds=("Dense", "Dense")),
    _dense("dense-normalize", dense(), kinds=("Dense", "Normalize")),
    _dense("dense-of-t5", dense(bias=False), kinds=("Dense", "Normalize"), architecture="t5"),
    _dense("dense-half", dense(half=True)),
    _dense("dense-archive", dense(pickled=True, activation="Tanh")),
    _dense("dense-unknown-key", dense(scale=2.0)),
    _dense("dense-names", dense(module_input_name="sentence_embedding", module_output_name="sentence_embedding")),
    Made(
        "dense-of-tokens",
        chain(
            transformer("bert"),
            modules("Transformer", "Dense", "Pooling"),
            dense("1_Dense", module_input_name="token_embeddings", activation="Tanh"),
            pooling("mean", where="2_Pooling", dim=NARROW),
        ),
    ),
    Made(
        "dense-to-another-name",
        chain(ending("bert", "Dense"), dense(out=WIDTH, module_output_name="other")),
    ),
    Made(
        "dense-foreign-activation",  # 6.2 takes Tanh in the place of what it does not trust
        chain(ending("bert", "Dense"), dense(activation="my_package.Swish")),
        refused="my_package.Swish|activation_function",
        either=True,
    ),
    Made(
        "dense-function-activation",
        chain(ending("bert", "Dense"), dense(activation="torch.tanh")),
        refused="torch.tanh|activation_function",
    ),
    Made("dense-wrong-size", chain(ending("bert", "Dense"), dense(size_in=20)), refused="2_Dense"),
    Made(
        "dense-wrong-config",
        chain(ending("bert", "Dense"), dense(), edit("2_Dense/config.json", out_features=9)),
        refused="2_Dense",
    ),
    Made(
        "dense-without-weights",
        chain(ending("bert", "Dense"), dense(), remove("2_Dense/model.safetensors")),
        refused="2_Dense",
    ),
    Made(
        "dense-missing-bias",
        chain(ending("bert", "Dense"), dense(bias=False), edit("2_Dense/config.json", bias=True)),
        refused="2_Dense|bias",
    ),
]
OTHERS = [
    Made("normalize", chain(ending("bert", "Normalize"))),
    Made("normalize-without-folder", chain(ending("bert", "Normalize"), lambda f: (f / "2_Normalize").rmdir())),
    Made("normalize-twice", chain(ending("bert", "Normalize", "Normalize"))),
    Made("normalize-then-dense", chain(ending("bert", "Normalize", "Dense"), dense("3_Dense", activation="Tanh"))),
    Made(
        "dense-normalize-dense", chain(ending("bert", "Dense", "Normalize", "Dense"), dense(), dense("4_Dense", 12, 8))
    ),
    Made(
        "normalize-tokens",
        chain(
            transformer("bert"),
            modules("Transformer", "Normalize", "Pooling"),
            edit("1_Normalize/config.json", module_input_name="token_embeddings"),
            pooling("mean", where="2_Pooling"),
        ),
    ),
    Made("normalize-unknown-key", chain(ending("bert", "Normalize"), edit("2_Normalize/config.json", epsilon=1.0))),
    Made(
        "normalize-another-name",
        chain(ending("bert", "Normalize"), edit("2_Normalize/config.json", module_output_name="other")),
    ),
    Made("layer-norm", chain(ending("bert", "LayerNorm"), saved("2_LayerNorm", lambda: LayerNorm(WIDTH)))),
    Made(
        "layer-norm-normalize",
        chain(ending("bert", "LayerNorm", "Normalize"), saved("2_LayerNorm", lambda: LayerNorm(WIDTH))),
    ),
    Made(
        "dense-layer-norm",
        chain(ending("roberta", "Dense", "LayerNorm"), dense(), saved("3_LayerNorm", lambda: LayerNorm(NARROW))),
    ),
    Made(
        "layer-norm-wrong",
        chain(ending("bert", "LayerNorm"), saved("2_LayerNorm", lambda: LayerNorm(9))),
        refused="LayerNorm|normalized_shape",
    ),
    Made("dropout", chain(ending("bert", "Dropout"), saved("2_Dropout", lambda: Dropout(0.5)))),
    Made(
        "dropout-dense",
        chain(ending("bert", "Dropout", "Dense"), saved("2_Dropout", lambda: Dropout(0.1)), dense("3_Dense")),
    ),
    Made(
        "transformer-only",
        chain(transformer("bert"), modules("Transformer")),
        refused="Pooling|modules.json|sentence_embedding",
    ),
    Made(
        "pooling-first",
        chain(
            modules("Pooling", "Transformer"), pooling("mean", where=""), inside("1_Transformer", transformer("bert"))
        ),
        refused="modules.json|Pooling",
    ),
    Made("no-modules-listed", chain(transformer("bert"), modules()), refused="modules"),
    Made("unknown-module", chain(ending("bert", "Whitening")), refused="Whitening"),
    Made(
        "sparse-module",
        chain(transformer("bert"), modules("Transformer", "sentence_transformers.sparse_encoder.models.SpladePooling")),
    ),
    Made(
        "weighted-layer-pooling",
        chain(
            transformer("bert"),
            modules("Transformer", "WeightedLayerPooling", "Pooling"),
            edit("sentence_bert_config.json", config_args={"output_hidden_states": True}),
            saved(
                "1_WeightedLayerPooling", lambda: WeightedLayerPooling(WIDTH, num_hidden_layers=LAYERS, layer_start=1)
            ),
            pooling("mean", where="2_Pooling"),
        ),
    ),
    Made(
        "weighted-layer-pooling-idle",  # without the hidden states it does nothing
        chain(
            transformer("bert"),
            modules("Transformer", "WeightedLayerPooling", "Pooling"),
            saved(
                "1_WeightedLayerPooling", lambda: WeightedLayerPooling(WIDTH, num_hidden_layers=LAYERS, layer_start=1)
            ),
            pooling("mean", where="2_Pooling"),
        ),
    ),
    Made(
        "lstm-of-transformer",
        chain(
            transformer("bert"),
            modules("Transformer", "LSTM", "Pooling"),
            saved("1_LSTM", lambda: LSTM(WIDTH, 6)),
            pooling("mean", where="2_Pooling", dim=12),
        ),
        refused="LSTM|sentence_lengths",
    ),
    Made("pooling-twice", chain(ending("bert", "Pooling"), pooling("max", where="2_Pooling"))),
]
