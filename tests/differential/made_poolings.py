"""Folders of many poolings."""

from differential import vocabularies as v
from differential.judge import PADDED, Made
from differential.steps import chain, dense, edit, ending, remove, tokenizer, usual
from differential.transformers_made import WIDTH


def _new(mode: object) -> Made:
    name = mode if isinstance(mode, str) else "-".join(mode)
    steps = (usual("bert"), remove("1_Pooling/config.json"))
    return Made(
        f"pooling-new-{name}",
        chain(*steps, edit("1_Pooling/config.json", embedding_dimension=WIDTH, pooling_mode=mode)),
    )


ALL = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
NO_PROMPT = edit("1_Pooling/config.json", include_prompt=False)
POOLINGS = [
    *(
        Made(f"pooling-{mode}", usual("bert", mode))
        for mode in ["cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"]
    ),
    *(
        _new(mode)
        for mode in ["mean", "mean_sqrt_len_tokens", "weightedmean", ["cls"], ["mean", "max"], ["max", "cls"]]
    ),
    _new(ALL),
    Made("pooling-none", usual("bert", "no such")),
    Made("pooling-cls-and-max", usual("bert", "cls", "max")),
    Made("pooling-cls-and-mean", usual("bert", "cls", "mean")),
    Made("pooling-mean-and-sqrt", usual("roberta", "mean", "mean_sqrt_len")),
    Made("pooling-several-of-t5", usual("t5", "mean", "max")),
    Made("pooling-both-keys", chain(usual("bert", "cls"), edit("1_Pooling/config.json", pooling_mode="max"))),
    Made(
        "pooling-oldest-keys",
        chain(
            usual("bert"), edit("1_Pooling/config.json", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken")
        ),
    ),
    Made(
        "pooling-unknown-mode",
        chain(usual("bert"), edit("1_Pooling/config.json", pooling_mode="median")),
        refused="median",
    ),
    Made(
        "pooling-unknown-key",
        chain(usual("bert"), edit("1_Pooling/config.json", pooling_temperature=2.0)),
        refused="pooling_temperature",
    ),
    Made("pooling-without-config", chain(usual("bert"), remove("1_Pooling/config.json")), refused="1_Pooling"),
    Made(
        "pooling-dimension-wrong",
        chain(usual("bert"), edit("1_Pooling/config.json", word_embedding_dimension=7)),
        either=True,
        refused="word_embedding_dimension|1_Pooling",
    ),
    Made("max-left-padding", chain(usual("bert", "max"), edit("tokenizer_config.json", padding_side="left")), **PADDED),
    Made("pooling-with-prompt", chain(usual("bert"), edit("1_Pooling/config.json", include_prompt=True))),
    Made("pooling-no-prompt", chain(usual("bert"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-cls", chain(usual("bert", "cls"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-max", chain(usual("bert", "max"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-lasttoken", chain(usual("qwen2", "lasttoken"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-weightedmean", chain(usual("bert", "weightedmean"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-sqrt", chain(usual("bert", "mean_sqrt_len"), NO_PROMPT), family=None, stripped=True),
    Made("pooling-no-prompt-no-closing", chain(usual("gpt2"), NO_PROMPT), family=None, stripped=True),
    Made(
        "pooling-no-prompt-opening-only",
        chain(usual("bert"), tokenizer("word_piece", v.BERT, "[CLS] $A"), NO_PROMPT),
        family=None,
        stripped=True,
    ),
    Made("pooling-no-prompt-forced", chain(usual("bert"), NO_PROMPT)),
    Made("pooling-no-prompt-t5", chain(usual("t5"), NO_PROMPT), family=None, stripped=True),
    Made(
        "instructor",
        chain(ending("t5", "Dense", "Normalize"), dense(bias=False), NO_PROMPT),
        family=None,
        stripped=True,
    ),
]
