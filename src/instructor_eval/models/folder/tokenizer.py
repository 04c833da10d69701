"""A checkpoint's tokenizer: read from its own file, and compared with transformers' tokenizer for the folder.

`tokenizers` reads `tokenizer.json`. transformers 5 rebuilds the tokenizers of many classes from the vocabulary and
`tokenizer_config.json`, so sentence-transformers may get other ids than the file gives. Where they differ,
sentence-transformers computes (`differs_in_transformers`); INSTRUCTORs use the file, as they were published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core.libraries import quiet_transformers
from instructor_eval.core.output import quiet_output
from instructor_eval.core.outside import as_user_error, panics_raised
from instructor_eval.models.folder.tokenizer_checks import raw_tokenizer, read_tokenizer_file

_VOCABULARIES = ("*.model", "vocab.txt", "vocab.json")
# Strings whose token ids stand for a tokenizer's behaviour: case, accents, spaces, scripts, special pieces, numbers.
PROBES = (
    "", " ", "Hello world", "hello  WORLD ", "Represent the Science title: ", "naïve café ﬁne", "日本語 текст العربية",
    "😀👍🏽", "a\tb\nc", "12345.678e-9", "</s> <pad> [CLS] [MASK]", "don't re-read: x_y/z", "\u00a0nbsp\u200b",
    "supercalifragilisticexpialidocious",
)  # fmt: skip
# More of them, for the comparison with transformers: pieces that each class treats in its own way.
_MORE = (
    "[SEP] [UNK] [PAD]x", "<s>a<mask> b<unk>", "<|endoftext|><extra_id_0>", " leading", "trailing \n", "x" * 150,
    "\u0130STANBUL \u0391\u03a3", "e\u0301 a\u0308\u0323", "\u0000\ufffd\ufeff", "\U00020000 ꙮ", "I'm we'LL 3,000",
    "\r\nA\r\n", "\uff46\uff55\uff4c\uff4c ①②", "▁a ▁▁ b",
)  # fmt: skip
_NAMED = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "bos_token", "eos_token")
_BERT_DEFAULTS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
}  # fmt: skip
# Settings that transformers applies to a tokenizer of any class.
_REBUILDING = ("add_bos_token", "add_eos_token", "split_special_tokens", "tokenizer_file", "gguf_file")


def read_tokenizer(folder: Path, name: str, *, lowercase: bool = False) -> Any:
    """Read the fast tokenizer of a folder, exactly as in its `tokenizer.json`, without truncation and padding.

    Args:
        folder: The tokenizer's folder.
        name: The model's, for errors.
        lowercase: Lower the case first, as sentence-transformers does for `do_lower_case`.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        tokenizer = read_tokenizer_file(path, name, "".join((*PROBES, *_MORE)))
    else:
        with as_user_error(f"model {name}: the tokenizer in {folder} cannot be read", "copy or download it again"):
            if not any(f for pattern in _VOCABULARIES for f in folder.glob(pattern)):
                # transformers 5 would make an empty tokenizer, and every text the same unknown token.
                raise FileNotFoundError("it has no tokenizer.json and no vocabulary")
            tokenizer = _by_transformers(folder).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lowercase:
        _lower_case(tokenizer)
    wrong = f"model {name}: the tokenizer in {folder} fails on a text"
    with as_user_error(wrong, "copy or download it again"), quiet_output():
        tokenizer.encode_batch(PROBES)
    return tokenizer


def _lower_case(tokenizer: Any) -> None:
    """Lower the case first in a tokenizer, unless it does already: the rule of sentence-transformers' Transformer."""
    from tokenizers import normalizers

    own = tokenizer.normalizer
    parts: list[Any] = [own] if own is not None else []
    if isinstance(own, normalizers.Sequence):
        parts = [own[i] for i in range(len(own))]
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])


def _by_transformers(folder: Path) -> Any:
    from transformers import AutoTokenizer

    with quiet_transformers(), quiet_output():
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


def differs_in_transformers(
    folder: Path, name: str, config: Mapping[str, Any], settings: Mapping[str, Any], *, lowercase: bool
) -> str:
    """Return how sentence-transformers would tokenise otherwise than `read_tokenizer`; empty: it would not.

    Args:
        folder: The tokenizer's folder.
        name: The model's, for errors.
        config: The transformer's config.json.
        settings: tokenizer_config.json, with special_tokens_map.json.
        lowercase: As for `read_tokenizer`.

    Raises:
        UserError: there is no tokenizer, or it is damaged.
    """
    ours = read_tokenizer(folder, name, lowercase=lowercase)
    if any(ours.encode("a").type_ids):
        return "tokenizer.json: token types"
    raw = _raw(folder)
    side = settings.get("truncation_side") or str(((raw or {}).get("truncation") or {}).get("direction", "")).lower()
    if side == "left":
        return "tokenizer_config.json: truncation_side left"
    if raw and _reads_alike(raw, config, settings):
        return ""
    try:
        with panics_raised(), quiet_output():
            theirs = _by_transformers(folder)
            if lowercase:
                _lower_case(theirs.backend_tokenizer)
            wanted = theirs([*PROBES, *_MORE], verbose=False)["input_ids"]
    except Exception:  # noqa: BLE001 # sentence-transformers will raise it again
        return "tokenizer_config.json: transformers cannot read this tokenizer"
    if [e.ids for e in ours.encode_batch([*PROBES, *_MORE])] != wanted:
        return "tokenizer_config.json: transformers tokenises otherwise than tokenizer.json"
    return "" if theirs.pad_token is not None else "tokenizer_config.json: no pad_token"


def _raw(folder: Path) -> dict[str, Any] | None:
    try:
        return raw_tokenizer(folder / "tokenizer.json")
    except (OSError, ValueError):
        return None


def check_tokenizers(files: Iterable[Path], name: str) -> None:
    """Check every tokenizer.json among the files that a library reads.

    Raises:
        UserError: one is damaged, or would take too much memory.
    """
    for path in files:
        if path.name == "tokenizer.json":
            read_tokenizer_file(path, name, "".join((*PROBES, *_MORE)))


def _reads_alike(raw: Mapping[str, Any], config: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether transformers certainly reads the same tokenizer: a BERT's, or one without a class of its own.

    Importing transformers takes seconds; this saves them for the most common models.
    """
    if any(key in settings for key in _REBUILDING) or not raw.get("post_processor"):
        return False
    declared = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or "").removesuffix("Fast")
    kind = str(config.get("model_type", ""))
    if declared in ("", "BertTokenizer") and kind == "bert":
        named = {key: _content(settings.get(key, default)) for key, default in _BERT_DEFAULTS.items()}
        return _names_only(raw, settings, named) and _is_plain_bert(raw, settings, named)
    if declared in ("PreTrainedTokenizer", "TokenizersBackend") and kind in ("bert", "roberta", "distilbert", "mpnet"):
        named = {key: _content(settings[key]) for key in _NAMED if settings.get(key)}
        return bool(named.get("pad_token")) and _names_only(raw, settings, named)
    return False


def _content(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token)


def _names_only(raw: Mapping[str, Any], settings: Mapping[str, Any], named: Mapping[str, str]) -> bool:
    """Return whether the named special tokens are in the file, and the configuration adds no others."""
    try:
        there = {str(token["content"]) for token in raw.get("added_tokens") or []}
        decoder = settings.get("added_tokens_decoder") or {}
        added = {_content(token) for token in decoder.values()}
        more = settings.get("additional_special_tokens") or settings.get("extra_special_tokens")
    except (AttributeError, TypeError, KeyError):
        return False
    return not more and set(named.values()) <= there and added <= there


def _is_plain_bert(raw: Mapping[str, Any], settings: Mapping[str, Any], named: Mapping[str, str]) -> bool:
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
        "strip_accents": settings.get("strip_accents"),
        "lowercase": settings.get("do_lower_case", True),
    }
    model = {k: v for k, v in (raw.get("model") or {}).items() if k != "vocab"}
    pieces = {
        "type": "WordPiece",
        "unk_token": named["unk_token"],
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    closed = _opening_and_closing(raw["post_processor"]) == (named["cls_token"], named["sep_token"])
    same = raw.get("normalizer") == normalizer and raw.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
    return same and closed and model == pieces


def _opening_and_closing(post: Any) -> tuple[str, str]:
    """Return the two special tokens around a single text."""
    try:
        if post["type"] == "BertProcessing":
            return str(post["cls"][0]), str(post["sep"][0])
        if post["type"] == "TemplateProcessing":
            first, text, last = post["single"]
            if text == {"Sequence": {"id": "A", "type_id": 0}}:
                return str(first["SpecialToken"]["id"]), str(last["SpecialToken"]["id"])
    except (KeyError, ValueError, TypeError, IndexError):
        pass
    return "", ""
