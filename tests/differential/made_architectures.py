"""Folders of many architectures and poolings."""

from differential import vocabularies as v
from differential.judge import Made
from differential.steps import (
    chain,
    dense,
    edit,
    ending,
    modules,
    pooling,
    remove,
    tokenizer,
    transformer,
    usual,
)
from differential.transformers_made import WIDTH

MEAN = (
    "bert roberta xlm-roberta distilbert mpnet albert electra deberta deberta-v2 t5 mt5 umt5 longt5 modernbert camembert "
    "xlnet convbert mobilebert squeezebert nomic_bert jina_embeddings_v3 big_bird roformer ernie fnet bart opt longformer "
    "rembert data2vec-text ibert megatron-bert xlm clip_text_model funnel eurobert"
).split()
LAST = "gpt2 gpt_neox gptj bloom llama qwen2 qwen3 mistral phi3 olmo gemma gemma3_text".split()


def _causal_without_modules(architecture: str, name: str, **more: object) -> Made:
    steps = (transformer(architecture), edit("config.json", architectures=[name], **more))
    return Made(f"{architecture}-without-modules-{name.lower()}{''.join(more)}", chain(*steps))


ARCHITECTURES = [
    *(Made(f"{name}-mean", usual(name)) for name in MEAN),
    *(Made(f"{name}-lasttoken", usual(name, "lasttoken")) for name in LAST),
    Made("gpt2-mean", usual("gpt2")),
    Made("gpt2-weightedmean", usual("gpt2", "weightedmean")),
    Made("llama-mean", usual("llama")),
    Made("llama-cls", usual("llama", "cls")),
    Made("qwen2-left-padding", chain(usual("qwen2", "lasttoken"), edit("tokenizer_config.json", padding_side="left"))),
    Made("bert-cls-left-padding", chain(usual("bert", "cls"), edit("tokenizer_config.json", padding_side="left"))),
    Made("llama-bidirectional", usual("llama", is_causal=False)),
    Made("gemma3-bidirectional", usual("gemma3_text", use_bidirectional_attention=True)),
    Made("bert-decoder", usual("bert", is_decoder=True)),
    Made("t5-gated", usual("t5", feed_forward_proj="gated-gelu")),
    Made("t5-scaled", usual("t5", relative_attention_max_distance=16, relative_attention_num_buckets=8)),
    Made("mt5-relu", usual("mt5", feed_forward_proj="relu")),
    Made("longt5-transient-global", usual("longt5", encoder_attention_type="transient-global", global_block_size=4)),
    Made("bert-relative-key", usual("bert", position_embedding_type="relative_key"), either=True, refused="position_embedding_type"),
    Made("bert-relu", usual("bert", hidden_act="relu")),
    Made("bert-gelu-new", usual("bert", hidden_act="gelu_new")),
    Made("bert-one-type", usual("bert", type_vocab_size=1)),
    Made("bert-other-eps", usual("bert", layer_norm_eps=0.05)),
    Made("bert-more-heads", usual("bert", num_attention_heads=4)),
    Made("roberta-other-padding", usual("roberta", pad_token_id=3), either=True, refused="pad"),
    Made("bert-vocabulary-larger", usual("bert", vocabulary=1000)),
    Made("big-bird-sparse", usual("big_bird", attention_type="block_sparse", block_size=4, num_random_blocks=1)),
    Made("modernbert-cls", usual("modernbert", "cls")),
    Made("mpnet-cls", usual("mpnet", "cls")),
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
]  # fmt: skip


def _new(mode: object) -> Made:
    name = mode if isinstance(mode, str) else "-".join(mode)  # type: ignore[arg-type]
    steps = (usual("bert"), remove("1_Pooling/config.json"))
    return Made(
        f"pooling-new-{name}",
        chain(*steps, edit("1_Pooling/config.json", embedding_dimension=WIDTH, pooling_mode=mode)),
    )


ALL = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
NO_PROMPT = "include_prompt"
POOLINGS = [
    *(Made(f"pooling-{mode}", usual("bert", mode)) for mode in "cls max mean_sqrt_len weightedmean lasttoken".split()),
    *(_new(mode) for mode in ["mean", "mean_sqrt_len_tokens", "weightedmean", ["cls"], ["mean", "max"], ["max", "cls"]]),
    _new(ALL),
    Made("pooling-none", usual("bert", "no such")),
    Made("pooling-cls-and-max", usual("bert", "cls", "max")),
    Made("pooling-cls-and-mean", usual("bert", "cls", "mean")),
    Made("pooling-mean-and-sqrt", usual("roberta", "mean", "mean_sqrt_len")),
    Made("pooling-several-of-t5", usual("t5", "mean", "max")),
    Made("pooling-both-keys", chain(usual("bert", "cls"), edit("1_Pooling/config.json", pooling_mode="max"))),
    Made("pooling-oldest-keys", chain(usual("bert"), edit("1_Pooling/config.json", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"))),
    Made("pooling-unknown-mode", chain(usual("bert"), edit("1_Pooling/config.json", pooling_mode="median")), refused="median"),
    Made("pooling-unknown-key", chain(usual("bert"), edit("1_Pooling/config.json", pooling_temperature=2.0)), refused="pooling_temperature"),
    Made("pooling-without-config", chain(usual("bert"), remove("1_Pooling/config.json")), refused="1_Pooling"),
    Made("pooling-dimension-wrong", chain(usual("bert"), edit("1_Pooling/config.json", word_embedding_dimension=7)), either=True, refused="word_embedding_dimension|1_Pooling"),
    Made("max-left-padding", chain(usual("bert", "max"), edit("tokenizer_config.json", padding_side="left"))),
    Made("pooling-with-prompt", chain(usual("bert"), edit("1_Pooling/config.json", include_prompt=True))),
    Made("pooling-no-prompt", chain(usual("bert"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-cls", chain(usual("bert", "cls"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-max", chain(usual("bert", "max"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-lasttoken", chain(usual("qwen2", "lasttoken"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-weightedmean", chain(usual("bert", "weightedmean"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-sqrt", chain(usual("bert", "mean_sqrt_len"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-no-closing", chain(usual("gpt2"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-opening-only", chain(usual("bert"), tokenizer("word_piece", v.BERT, "[CLS] $A"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("pooling-no-prompt-forced", chain(usual("bert"), edit("1_Pooling/config.json", include_prompt=False)), either=True, refused=NO_PROMPT),
    Made("pooling-no-prompt-t5", chain(usual("t5"), edit("1_Pooling/config.json", include_prompt=False)), family=None),
    Made("instructor", chain(ending("t5", "Dense", "Normalize"), dense(bias=False), edit("1_Pooling/config.json", include_prompt=False)), family=None),
]  # fmt: skip
