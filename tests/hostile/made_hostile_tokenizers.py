"""Tokenizers that contradict themselves, grow every text, take all memory, or name tokens that no weights have."""

# a case is a line

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_inputs import Spoil, edited, sparse, spoilt, written

_FILE = "tokenizer.json"
_REGEX_ERROR = "retry-limit-in-match over"


def _with(change: Callable[[dict[str, Any]], None]) -> Spoil:
    def spoil(folder: Path) -> None:
        raw = json.loads((folder / _FILE).read_text())
        change(raw)
        (folder / _FILE).write_text(json.dumps(raw))

    return spoil


def _set(**changes: Any) -> Spoil:
    return _with(lambda raw: raw.update(changes))


def _model(**changes: Any) -> Spoil:
    return _with(lambda raw: raw["model"].update(changes))


def _vocabulary(change: Callable[[dict[str, int]], object]) -> Spoil:
    return _with(lambda raw: change(raw["model"]["vocab"]) and None)


def _added(content: Any, number: Any = 5000, times: int = 1) -> Spoil:
    token = {
        "id": number,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
    }
    return _with(
        lambda raw: raw["added_tokens"].extend(
            {**token, "id": number + i, "content": f"{content}{i}" if i else content} if times > 1 else token
            for i in range(times)
        )
    )


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _replace(pattern: dict[str, str], content: str, times: int) -> dict[str, Any]:
    part = {"type": "Replace", "pattern": pattern, "content": content}
    return {"type": "Sequence", "normalizers": [part] * times}


def _nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        found = {"type": "Sequence", "normalizers": [found]}
    return found


def _special(ids: int, pieces: int) -> dict[str, Any]:
    token = {"id": "[SEP]", "ids": [3] * ids, "tokens": ["[SEP]"] * ids}
    single = [{"Sequence": {"id": "A", "type_id": 0}}, *[{"SpecialToken": {"id": "[SEP]", "type_id": 0}}] * pieces]
    return {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {"[SEP]": token}}


def _unigram(*vocabulary: Any, unknown: Any = 0) -> Spoil:
    return _set(model={"type": "Unigram", "unk_id": unknown, "vocab": list(vocabulary)})


_ENDLESS = "(x|x|x)+$(?<=[yz])"
_READ: dict[str, tuple[Spoil, str]] = {
    "empty": (written(_FILE, ""), "cannot be read"),
    "no JSON": (written(_FILE, "{"), "cannot be read"),
    "a list": (written(_FILE, "[]"), "cannot be read"),
    "null": (written(_FILE, "null"), "cannot be read"),
    "a pickle": (written(_FILE, b"\x80\x04\x95"), "cannot be read"),
    "UTF-16": (written(_FILE, "{}".encode("utf-16")), "cannot be read"),
    "brackets without end": (written(_FILE, "[" * 200_000), "nested too deeply"),
    "objects without end": (written(_FILE, '{"a":' * 100_000), "nested too deeply"),
    "of another version": (_set(version="9.9"), "cannot be read"),
    "no model": (_set(model=None), "cannot be read"),
    "an unknown model": (_model(type="Evil"), "cannot be read"),
    "a vocabulary that is a list": (_model(vocab=[]), "cannot be read"),
    "a vocabulary of negative ids": (_vocabulary(lambda v: v.update(the=-1)), "cannot be read"),
    "a vocabulary of floats": (_vocabulary(lambda v: v.update(the=1.5)), "cannot be read"),
    "an empty vocabulary": (_model(vocab={}), "fails on a text"),
    "no unknown token": (_vocabulary(lambda v: v.pop("[UNK]")), "fails on a text"),
    "Unigram of nothing": (_unigram(), "cannot be read"),
    "Unigram, unknown token out of range": (_unigram(["a", 0.0], unknown=5), "cannot be read"),
    "Unigram, no unknown token": (_unigram(["a", 0.0], unknown=None), "fails on a text"),
    "BPE with merges of nothing": (
        _set(model={"type": "BPE", "vocab": {"a": 0}, "merges": ["x y"]}),
        "cannot be read",
    ),
    "BPE with dropout 5": (
        _set(model={"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 5.0}),
        "cannot be read",
    ),
    "a regex that is none": (_set(pre_tokenizer=_split("(((")), "cannot be read"),
    "a regex of a million repeats": (_set(pre_tokenizer=_split("x{1000000}")), "cannot be read"),
    "a regex of two megabytes": (_set(pre_tokenizer=_split("x|" * 1_000_000)), "a text of 2,000,000 characters"),
    "a regex of brackets": (_set(pre_tokenizer=_split("(" * 100_000 + ")" * 100_000)), "a text of 200,000 characters"),
    "a regex without end": (_set(normalizer=_replace({"Regex": _ENDLESS}, "", 1)), _REGEX_ERROR),
    "a normalizer that grows": (_set(normalizer=_replace({"String": "e"}, "e" * 1000, 4)), "its normalizer makes"),
    "one that grows rare letters": (
        _set(normalizer=_replace({"String": "\u0416"}, "\u0416" * 1000, 4)),
        "its normalizer makes",
    ),
    "one that doubles, and doubles": (_set(normalizer=_replace({"Regex": "(?=.)"}, "a", 25)), "its normalizer makes"),
    "one that prepends a megabyte": (
        _set(normalizer={"type": "Prepend", "prepend": "x" * 1_000_000}),
        "1,000,000 characters",
    ),
    "normalizers in normalizers": (_set(normalizer=_nested(100)), "cannot be read"),
    "a broken table of characters": (
        _set(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "Cannot parse precompiled_charsmap",
    ),
    "a table of characters beyond its end": (
        _set(normalizer={"type": "Precompiled", "precompiled_charsmap": "CAAAAP" + "/" * 29}),
        "cannot be read",
    ),
    "an added token of megabytes": (_added("x" * 5_000_000), "added tokens of 5,000,000 characters"),
    "added tokens of megabytes together": (_added("x" * 9_000, times=300), "added tokens of 9,003 characters"),
    "an added token of a negative id": (_added("the", -1), "cannot be read"),
    "an added token of a number": (_added(5), "cannot be read"),
    "special tokens that are not there": (
        _with(lambda raw: raw["post_processor"].update(special_tokens={})),
        "fails on a text",
    ),
    "a hundred million special tokens": (
        _set(post_processor=_special(1000, 100_000)),
        "puts 100,000,000 special tokens",
    ),
    "a Metaspace of two characters": (
        _set(pre_tokenizer={"type": "Metaspace", "replacement": "xx", "prepend_scheme": "always", "split": True}),
        "cannot be read",
    ),
}
_RUN: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "an id of 2**32 - 1": (_vocabulary(lambda v: v.update(the=2**32 - 1)), ("a token's id", "beyond its embeddings")),
    "an id beyond the weights": (
        _vocabulary(lambda v: v.update(the=10_000)),
        ("a token's id", "beyond its embeddings"),
    ),
    "a closing token beyond the weights": (
        _set(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 2**32 - 1], "cls": ["[CLS]", 2]}),
        ("a token's id", "do not belong together"),
    ),
    "no token of any text": (
        _set(
            post_processor={"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
            pre_tokenizer={"type": "Split", "pattern": {"Regex": "."}, "behavior": "Removed", "invert": False},
        ),
        (),
    ),
    "a maximum of 10**30": (edited("tokenizer_config.json", model_max_length=10**30), ()),
    "a maximum of NaN": (edited("tokenizer_config.json", model_max_length=float("nan")), ()),
    "padding of 10**15": (
        _set(
            padding={
                "strategy": {"Fixed": 10**15},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            }
        ),
        (),
    ),
    "a stride beyond its maximum": (
        _set(truncation={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 100}),
        (),
    ),
}

CASES = [
    *(spoilt(name, spoil, "model m: the tokenizer in m", says, "again") for name, (spoil, says) in _READ.items()),
    spoilt("of a terabyte", sparse(_FILE, 2**40), "model m: m/tokenizer.json: it is larger than 128 MB"),
    # Some do no harm: what they ask for is not done.
    *(spoilt(name, spoil, *says, code=2 if says else 0) for name, (spoil, says) in _RUN.items()),
    spoilt(
        "no tokenizer at all", lambda folder: [(folder / f).unlink() for f in (_FILE, "vocab.txt")], "no vocabulary"
    ),
    spoilt(
        "a vocabulary that is no text",
        lambda folder: [written("vocab.txt", bytes(range(256)))(folder), (folder / _FILE).unlink()],
        "model m",
    ),
    spoilt(
        "through sentence-transformers",
        lambda folder: [
            edited("1_Pooling/config.json", pooling_mode="weightedmean")(folder),
            _READ["a broken table of characters"][0](folder),
        ],
        "model m: the tokenizer in m cannot be read",
    ),
    spoilt("tokenizer_class: a module", edited("tokenizer_config.json", tokenizer_class="os.system"), code=0),
    spoilt("pad_token: a list", edited("tokenizer_config.json", pad_token=[1]), code=0),
    spoilt("added_tokens_decoder: a text", edited("tokenizer_config.json", added_tokens_decoder="x"), "model m"),
    spoilt(
        "model_input_names without a mask",
        edited("tokenizer_config.json", model_input_names=["input_ids"]),
        "model_input_names",
    ),
    spoilt(
        "auto_map: code of its own", edited("tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]}), code=0
    ),
]
