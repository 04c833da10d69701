"""Folders of many architectures and poolings."""

from differential.judge import PADDED, Made
from differential.steps import (
    chain,
    edit,
    pooling,
    transformer,
    usual,
)

MEAN = [
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "mpnet",
    "albert",
    "electra",
    "deberta",
    "deberta-v2",
    "t5",
    "mt5",
    "umt5",
    "longt5",
    "modernbert",
    "camembert",
    "xlnet",
    "squeezebert",
    "nomic_bert",
    "jina_embeddings_v3",
    "big_bird",
    "roformer",
    "ernie",
    "bart",
    "opt",
    "longformer",
    "rembert",
    "data2vec-text",
    "ibert",
    "megatron-bert",
    "xlm",
    "clip_text_model",
    "eurobert",
]
LAST = [
    "gpt2",
    "gpt_neox",
    "gptj",
    "bloom",
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "phi3",
    "olmo",
    "gemma",
    "gemma3_text",
]


def _causal_without_modules(architecture: str, name: str, **more: object) -> Made:
    steps = (transformer(architecture), edit("config.json", architectures=[name], **more))
    return Made(f"{architecture}-without-modules-{name.lower()}{''.join(more)}", chain(*steps))


ARCHITECTURES = [
    *(Made(f"{name}-mean", usual(name)) for name in MEAN),
    *(Made(f"{name}-mean", usual(name), **PADDED) for name in ["convbert", "mobilebert", "fnet", "funnel"]),
    *(Made(f"{name}-lasttoken", usual(name, "lasttoken")) for name in LAST),
    Made("gpt2-mean", usual("gpt2")),
    Made("gpt2-weightedmean", usual("gpt2", "weightedmean")),
    Made("llama-mean", usual("llama")),
    Made("llama-cls", usual("llama", "cls", is_causal=False)),
    Made("qwen2-left-padding", chain(usual("qwen2", "lasttoken"), edit("tokenizer_config.json", padding_side="left"))),
    Made(
        "bert-cls-left-padding",
        chain(usual("bert", "cls"), edit("tokenizer_config.json", padding_side="left")),
        **PADDED,
    ),
    Made("llama-bidirectional", usual("llama", is_causal=False)),
    Made("gemma3-bidirectional", usual("gemma3_text", use_bidirectional_attention=True)),
    Made("bert-decoder", usual("bert", is_decoder=True)),
    Made("t5-gated", usual("t5", feed_forward_proj="gated-gelu")),
    Made("t5-scaled", usual("t5", relative_attention_max_distance=16, relative_attention_num_buckets=8)),
    Made("mt5-relu", usual("mt5", feed_forward_proj="relu")),
    Made("longt5-transient-global", usual("longt5", encoder_attention_type="transient-global", global_block_size=4)),
    Made(
        "bert-relative-key",
        usual("bert", position_embedding_type="relative_key"),
        either=True,
        refused="position_embedding_type",
    ),
    Made("bert-relu", usual("bert", hidden_act="relu")),
    Made("bert-gelu-new", usual("bert", hidden_act="gelu_new")),
    Made("bert-one-type", usual("bert", type_vocab_size=1)),
    Made("bert-other-eps", usual("bert", layer_norm_eps=0.05)),
    Made("bert-more-heads", usual("bert", num_attention_heads=4)),
    Made("roberta-other-padding", usual("roberta", pad_token_id=3), either=True, refused="pad"),
    Made("bert-vocabulary-larger", usual("bert", vocabulary=1000)),
    # It leaves sparse attention for good with the first short batch.
    Made(
        "big-bird-sparse",
        usual("big_bird", attention_type="block_sparse", block_size=4, num_random_blocks=1),
        refused="attention_type",
    ),
    Made("modernbert-cls", usual("modernbert", "cls")),
    Made("mpnet-cls", usual("mpnet", "cls")),
    Made("funnel-base", usual("funnel", architectures=["FunnelBaseModel"]), **PADDED),
    Made("xlnet-lasttoken", usual("xlnet", "lasttoken")),
    # Without modules.json sentence-transformers reads the transformer alone, and none of its own files.
    Made("bert-without-modules", transformer("bert")),
    Made("t5-without-modules", transformer("t5")),
    Made(
        "bert-without-modules-other-files",
        chain(
            transformer("bert"),
            edit("sentence_bert_config.json", max_seq_length=9, do_lower_case=True),
            edit("config_sentence_transformers.json", truncate_dim=5, prompts={"query": "q: "}),
            pooling("cls"),
        ),
    ),
    _causal_without_modules("gpt2", "GPT2LMHeadModel"),
    _causal_without_modules("qwen2", "Qwen2ForCausalLM"),
    _causal_without_modules("llama", "LlamaForCausalLM"),
    _causal_without_modules("llama", "LlamaForCausalLM", is_causal=False),
    _causal_without_modules("llama", "LlamaModel"),
    _causal_without_modules("bert", "BertForMaskedLM"),
    Made(
        "llama-without-modules-chat",
        chain(
            transformer("llama"),
            edit("config.json", architectures=["LlamaForCausalLM"]),
            edit(
                "tokenizer_config.json",
                chat_template="{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}",
            ),
        ),
        either=True,
        refused="chat_template",
    ),
]
