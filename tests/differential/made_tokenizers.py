"""Folders that say something of how texts become tokens."""

import json
from pathlib import Path
from typing import Any

from differential import vocabularies as v
from differential.judge import PADDED, Made
from differential.steps import (
    chain,
    edit,
    modules,
    pooling,
    remove,
    text,
    tokenizer,
    transformer,
    usual,
    write_json,
)

TOKENIZER = "tokenizer_config.json"
MODULE = "sentence_bert_config.json"


def _tokenizer(
    name: str,
    architecture: str = "bert",
    *drop: str,
    refused: str = "",
    either: bool = False,
    loose: bool = False,
    mode: str = "mean",
    **settings: Any,
) -> Made:
    steps = (usual(architecture, mode), edit(TOKENIZER, *drop, **settings))
    return Made(name, chain(*steps), refused=refused, either=either, loose=loose)


def _change(folder: Path, change: Any) -> None:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    write_json(path, value)


def _cased(folder: Path) -> None:
    _change(folder, lambda t: t["normalizer"].update(lowercase=False))


def _added(folder: Path) -> None:
    def add(value: dict[str, Any]) -> None:
        one = {"id": len(value["model"]["vocab"]), "content": "river and", "single_word": False}
        value["added_tokens"].append({**one, "lstrip": False, "rstrip": False, "normalized": False, "special": False})

    _change(folder, add)


def _stored(folder: Path) -> None:
    """Truncation and padding as all-MiniLM's tokenizer.json has them; sentence-transformers asks for its own."""

    def add(value: dict[str, Any]) -> None:
        value["truncation"] = {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0}
        pad = {"strategy": {"Fixed": 6}, "direction": "Right", "pad_to_multiple_of": None}
        value["padding"] = {**pad, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}

    _change(folder, add)


def _slow(folder: Path) -> None:
    """The vocabulary as a file of words only."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (folder / "vocab.txt").write_text(
        "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8"
    )
    (folder / "tokenizer.json").unlink()


def _spaces(folder: Path) -> None:
    """Leave spaces in, which the class would split at."""
    _change(folder, lambda t: t.update(pre_tokenizer=t["pre_tokenizer"]["pretokenizers"][1]))


def _not_composed(folder: Path) -> None:
    _change(folder, lambda t: t.update(normalizer=None))


# Where the tokenizer's class makes another tokenizer than tokenizer.json says: obeyed as by the peer, or refused.
UNLIKE: dict[str, Any] = {"either": True, "refused": "tokenizer"}
MPNET: dict[str, Any] = {
    "tokenizer_class": "MPNetTokenizer",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "[UNK]",
}
TOKENIZERS = [
    _tokenizer("length-of-tokenizer", model_max_length=10),
    _tokenizer("length-absent", "bert", "model_max_length"),
    _tokenizer("length-absent-t5", "t5", "model_max_length"),
    _tokenizer("length-huge-t5", "t5", model_max_length=int(1e30)),
    _tokenizer("length-absent-roberta", "roberta", "model_max_length", loose=True),
    _tokenizer("length-beyond-positions", model_max_length=5000),
    _tokenizer("truncation-left", truncation_side="left"),
    _tokenizer("truncation-left-t5", "t5", truncation_side="left", model_max_length=20),
    _tokenizer("padding-left-mean", padding_side="left", **PADDED),
    _tokenizer("padding-left-roberta", "roberta", padding_side="left"),
    _tokenizer("padding-left-t5", "t5", padding_side="left"),
    _tokenizer("own-class-bert", tokenizer_class="BertTokenizer", do_lower_case=True),
    _tokenizer("own-class-bert-cased", tokenizer_class="BertTokenizer", do_lower_case=False, **UNLIKE),
    _tokenizer(
        "own-class-bert-accents", tokenizer_class="BertTokenizer", do_lower_case=True, strip_accents=False, **UNLIKE
    ),
    _tokenizer("own-class-distilbert", "distilbert", tokenizer_class="DistilBertTokenizer", do_lower_case=True),
    Made(
        "own-class-mpnet",
        chain(usual("mpnet", vocabulary=400), tokenizer("word_piece", v.MPNET, "<s> $A </s>", **MPNET)),
    ),
    _tokenizer("own-class-roberta", "roberta", tokenizer_class="RobertaTokenizer", add_prefix_space=False),
    _tokenizer(
        "own-class-roberta-prefix", "roberta", tokenizer_class="RobertaTokenizer", add_prefix_space=True, **UNLIKE
    ),
    _tokenizer("own-class-xlm-roberta", "xlm-roberta", tokenizer_class="XLMRobertaTokenizer"),
    _tokenizer("own-class-bert-of-unigram", "xlm-roberta", tokenizer_class="PreTrainedTokenizerFast"),
    _tokenizer("own-class-t5", "t5", tokenizer_class="T5Tokenizer"),
    Made(
        "class-unlike-file-xlm-roberta",
        chain(usual("xlm-roberta"), _spaces, edit(TOKENIZER, tokenizer_class="XLMRobertaTokenizer")),
        **UNLIKE,
    ),
    Made("class-unlike-file-t5", chain(usual("t5"), _spaces, edit(TOKENIZER, tokenizer_class="T5Tokenizer"))),
    Made("class-unlike-file-qwen2", chain(usual("qwen2", "lasttoken"), _not_composed), **UNLIKE),
    _tokenizer("own-class-gpt2", "gpt2", tokenizer_class="GPT2Tokenizer", mode="lasttoken"),
    _tokenizer("own-class-qwen2", "qwen2", tokenizer_class="Qwen2Tokenizer", mode="lasttoken"),
    _tokenizer("own-class-llama", "llama", tokenizer_class="LlamaTokenizer", mode="lasttoken"),
    _tokenizer(
        "llama-add-eos",
        "llama",
        tokenizer_class="LlamaTokenizer",
        add_eos_token=True,
        add_bos_token=True,
        mode="lasttoken",
    ),
    _tokenizer("llama-no-bos", "llama", tokenizer_class="LlamaTokenizer", add_bos_token=False, mode="lasttoken"),
    _tokenizer("fast-add-eos", "gpt2", add_eos_token=True, mode="lasttoken"),
    _tokenizer("clean-up-spaces", clean_up_tokenization_spaces=True),
    _tokenizer("split-specials", split_special_tokens=True),
    _tokenizer("no-attention-mask", model_input_names=["input_ids"], either=True, refused="padding|model_input_names"),
    _tokenizer("no-pad-token", "bert", "pad_token", refused="pad"),
    _tokenizer("no-pad-token-gpt2", "gpt2", "pad_token", refused="pad", mode="lasttoken"),
    _tokenizer("unknown-tokenizer-key", flavour="vanilla"),
    Made("no-special-tokens", chain(usual("bert"), tokenizer("word_piece", v.BERT, None))),
    Made("closing-only", chain(usual("bert"), tokenizer("word_piece", v.BERT, "$A [SEP]"))),
    Made("cased", chain(usual("bert"), tokenizer("word_piece", v.BERT, "[CLS] $A [SEP]"), _cased)),
    Made(
        "word-level",
        chain(
            transformer("bert", vocabulary=400),
            tokenizer("words", v.BERT, "[CLS] $A [SEP]"),
            modules("Transformer", "Pooling"),
            pooling("mean"),
        ),
    ),
    Made(
        "words-without-specials",
        chain(
            transformer("bert", vocabulary=400),
            tokenizer("words", ["[UNK]", "[PAD]"], None),
            modules("Transformer", "Pooling"),
            pooling("mean"),
        ),
    ),
    Made(
        "unigram-of-bert",
        chain(
            transformer("bert", vocabulary=400),
            tokenizer("unigram", v.ROBERTA, "<s> $A </s>"),
            modules("Transformer", "Pooling"),
            pooling("mean"),
        ),
    ),
    Made(
        "special-tokens-map",
        chain(usual("bert"), edit("special_tokens_map.json", pad_token="[PAD]", unk_token="[UNK]")),
    ),
    Made(
        "added-tokens",
        chain(
            usual("bert"),
            edit(
                TOKENIZER,
                added_tokens_decoder={
                    str(n): {
                        "content": s,
                        "special": True,
                        "lstrip": False,
                        "rstrip": False,
                        "normalized": False,
                        "single_word": False,
                    }
                    for n, s in enumerate(v.BERT)
                },
            ),
        ),
    ),
    Made("added-word", chain(usual("bert", vocabulary=1000), _added)),
    Made("stored-truncation", chain(usual("bert"), _stored)),
    Made(
        "slow-vocabulary",
        chain(usual("bert"), _slow, edit(TOKENIZER, tokenizer_class="BertTokenizer", do_lower_case=True)),
    ),
    Made(
        "slow-vocabulary-cased",
        chain(usual("bert"), _slow, edit(TOKENIZER, tokenizer_class="BertTokenizer", do_lower_case=False)),
    ),
    Made("tokenizer-cut", chain(usual("bert"), text("tokenizer.json", '{"version": "1.0", "mod')), refused="tokenizer"),
    Made("tokenizer-missing", chain(usual("bert"), remove("tokenizer.json", TOKENIZER)), refused="tokenizer"),
    Made("vocabulary-too-large", usual("bert", vocabulary=150), refused="vocab|embedding", either=True),
    Made(
        "tokenizer-elsewhere",
        chain(usual("bert"), edit(MODULE, tokenizer_name_or_path="acme/no-such-tokenizer")),
        refused="tokenizer_name_or_path|no-such-tokenizer",
    ),
]
