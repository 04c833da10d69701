"""Folders that say something in the settings of sentence-transformers itself and of its Transformer module."""

from typing import Any

from differential.judge import Made
from differential.steps import (
    chain,
    dense,
    edit,
    ending,
    modules,
    text,
    transformer,
    usual,
)
from differential.transformers_made import POSITIONS

OWN, MODULE, TOKENIZER = "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer_config.json"


def _own(name: str, *, refused: str = "", either: bool = False, **settings: Any) -> Made:
    return Made(name, chain(usual("bert"), edit(OWN, **settings)), refused=refused, either=either)


def _module(
    name: str,
    architecture: str = "bert",
    *,
    mode: str = "mean",
    refused: str = "",
    either: bool = False,
    half: bool = False,
    loose: bool = False,
    file: str = MODULE,
    **settings: Any,
) -> Made:
    steps = (usual(architecture, mode), edit(file, **settings))
    return Made(name, chain(*steps), refused=refused, either=either, half=half, loose=loose)


PROMPTED = {"query": "query: ", "document": "passage: "}
SENTENCE_TRANSFORMERS = [
    _own("truncate-dim", truncate_dim=8),
    _own("truncate-dim-larger", truncate_dim=100),
    _own("truncate-dim-null", truncate_dim=None),
    _own("truncate-dim-one", truncate_dim=1),
    Made("truncate-dim-normalized", chain(ending("bert", "Normalize"), edit(OWN, truncate_dim=8))),
    Made("truncate-dim-dense", chain(ending("bert", "Dense", "Normalize"), dense(), edit(OWN, truncate_dim=5))),
    _own("prompts", prompts=PROMPTED),
    _own("prompts-default", prompts=PROMPTED, default_prompt_name="query"),
    _own(
        "prompts-default-unknown",
        prompts=PROMPTED,
        default_prompt_name="missing",
        refused="default_prompt_name|missing",
    ),
    _own("prompts-null", prompts={"query": None}),
    _own("similarity-dot", similarity_fn_name="dot"),
    _own("similarity-unknown", similarity_fn_name="maxsim"),
    _own("unknown-keys", color="blue", __version__={"sentence_transformers": "9.9.9"}),
    _own("requirements-met", requirements={"sentence-transformers": ">=1"}),
    _own(
        "requirements-unmet",
        requirements={"sentence-transformers": ">=99"},
        refused="requirements|sentence-transformers",
    ),
    _own("of-a-cross-encoder", model_type="CrossEncoder", either=True, refused="model_type|CrossEncoder"),
    _own("of-a-sparse-encoder", model_type="SparseEncoder", either=True, refused="model_type|SparseEncoder"),
    Made(
        "of-a-cross-encoder-cls",
        chain(usual("bert", "cls"), edit(OWN, model_type="CrossEncoder")),
        either=True,
        refused="model_type|CrossEncoder",
    ),
    Made("own-config-cut", chain(usual("bert"), text(OWN, '{"prompts": {')), refused=OWN),
    Made("own-config-is-a-list", chain(usual("bert"), text(OWN, "[1]")), refused=OWN),
]
TRANSFORMER = [
    _module("max-seq-length", max_seq_length=12),
    _module("max-seq-length-odd", "mpnet", max_seq_length=7),
    _module("max-seq-length-null", max_seq_length=None),
    _module("max-seq-length-of-t5", "t5", max_seq_length=200),
    _module("max-seq-length-beyond-positions", max_seq_length=POSITIONS + 200, loose=True),
    _module("max-seq-length-one", max_seq_length=3),
    _module("lower-case", "roberta", do_lower_case=True),
    _module("lower-case-bert", do_lower_case=True),
    _module("lower-case-t5", "t5", do_lower_case=True, max_seq_length=30),
    *(
        _module(f"old-name-{kind}", file=f"sentence_{kind}_config.json", max_seq_length=9)
        for kind in ["roberta", "distilbert", "xlm-roberta", "xlnet"]
    ),
    _module("tokenizer-args-length", tokenizer_args={"model_max_length": 9}),
    _module("tokenizer-args-beat-length", max_seq_length=20, tokenizer_args={"model_max_length": 9}),
    _module("processor-kwargs-length", processor_kwargs={"model_max_length": 9}),
    _module("tokenizer-args-truncation-left", max_seq_length=12, tokenizer_args={"truncation_side": "left"}),
    _module("tokenizer-args-padding-left", "qwen2", mode="lasttoken", processor_kwargs={"padding_side": "left"}),
    _module("tokenizer-args-no-fast", tokenizer_args={"use_fast": False}),
    _module(
        "tokenizer-args-prefix-space",
        "roberta",
        tokenizer_args={"add_prefix_space": True},
        either=True,
        refused="add_prefix_space|tokenizer_args",
    ),
    _module("config-args-layers", config_args={"num_hidden_layers": 1}),
    _module("config-kwargs-activation", config_kwargs={"hidden_act": "relu"}),
    _module("config-args-hidden-states", config_args={"output_hidden_states": True}),
    _module("config-kwargs-eps", "t5", config_kwargs={"layer_norm_epsilon": 0.1}),
    _module("config-args-bidirectional", "llama", config_args={"is_causal": False}),
    _module("model-args-pooler", model_args={"add_pooling_layer": False}),
    _module("model-args-eager", model_args={"attn_implementation": "eager"}),
    _module("model-kwargs-half", model_kwargs={"dtype": "bfloat16"}, half=True),
    _module("model-args-half", model_args={"torch_dtype": "float16"}, half=True),
    _module("model-args-trust", model_args={"trust_remote_code": True}),
    _module("processing-length", processing_kwargs={"text": {"max_length": 10}}),
    _module("processing-no-specials", processing_kwargs={"text": {"add_special_tokens": False}}),
    _module("processing-common", processing_kwargs={"common": {"max_length": 11}}),
    _module("processing-fixed-padding", processing_kwargs={"text": {"padding": "max_length", "max_length": 40}}),
    _module(
        "processing-truncation-side",
        max_seq_length=12,
        processing_kwargs={"text": {"truncation_side": "left"}},
        either=True,
        refused="truncation_side|processing_kwargs",
    ),
    _module("task-fill-mask", transformer_task="fill-mask", either=True, refused="transformer_task|dimension"),
    _module("task-unknown", transformer_task="guessing", refused="transformer_task|guessing"),
    _module("query-length", query_length=6, document_length=9),
    _module(
        "query-expansion", query_expansion={"strategy": "fixed", "length": 12}, either=True, refused="query_expansion"
    ),
    _module("unpad", unpad_inputs=True),
    _module("module-unknown-key", pool_temperature=3, refused="pool_temperature"),
    _module(
        "modality-usual",
        modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        module_output_name="token_embeddings",
        transformer_task="feature-extraction",
    ),
    _module(
        "modality-hidden-states",
        modality_config={"text": {"method": "forward", "method_output_name": ["hidden_states", 1]}},
        module_output_name="token_embeddings",
    ),
    Made(
        "modality-pooler-output",
        chain(
            transformer("bert"),
            modules("Transformer"),
            edit(
                MODULE,
                modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}},
                module_output_name="sentence_embedding",
            ),
        ),
    ),
    Made(
        "modality-chat",
        chain(
            usual("llama", "lasttoken"),
            edit(TOKENIZER, chat_template="{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}{% endfor %}"),
            edit(
                MODULE,
                modality_config={
                    "text": {"method": "forward", "method_output_name": "last_hidden_state"},
                    "message": {"method": "forward", "method_output_name": "last_hidden_state", "format": "flat"},
                },
                module_output_name="token_embeddings",
            ),
        ),
        either=True,
        refused="modality_config|chat",
    ),
    Made("chat-template-unused", chain(usual("llama", "lasttoken"), edit(TOKENIZER, chat_template="{{ messages }}"))),
    Made("module-config-cut", chain(usual("bert"), text(MODULE, '{"max_seq_length":')), refused=MODULE),
    Made(
        "xlnet-name-lower-case",
        chain(usual("xlnet"), edit("sentence_xlnet_config.json", max_seq_length=11, do_lower_case=True)),
    ),
]
