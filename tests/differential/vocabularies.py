"""Small tokenizers of the four kinds that checkpoints have, written as `tokenizer.json` and its configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5 = ["<pad>", "</s>", "<unk>"]
LLAMA = ["<unk>", "<s>", "</s>"]
GPT2 = ["<|endoftext|>"]
CLIP = ["<|startoftext|>", "<|endoftext|>"]
GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>"]
MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
XLNET = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]
QWEN_WORDS = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
ROLES = {
    "[PAD]": "pad_token",
    "[UNK]": "unk_token",
    "[CLS]": "cls_token",
    "[SEP]": "sep_token",
    "[MASK]": "mask_token",
    "<pad>": "pad_token",
    "<unk>": "unk_token",
    "<mask>": "mask_token",
    "<s>": "bos_token",
    "</s>": "eos_token",
    "<bos>": "bos_token",
    "<eos>": "eos_token",
    "<cls>": "cls_token",
    "<sep>": "sep_token",
    "<|endoftext|>": "eos_token",
    "<|startoftext|>": "bos_token",
}


def word_piece(specials: Sequence[str], *, lowercase: bool = True) -> Tokenizer:
    """BERT's kind: whole words, then `##` pieces."""
    pieces = list(dict.fromkeys([*specials, *tiny.word_pieces()[5:]]))
    unknown = "[UNK]" if "[UNK]" in specials else "<unk>"
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def byte_pairs(specials: Sequence[str], *, prefix_space: bool = False) -> Tokenizer:
    """GPT-2's kind: every byte is a piece, some words are merged; nothing is unknown."""
    pieces = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: list[tuple[str, str]] = []
    for word in tiny.WORDS.split()[:70]:
        left = "Ġ"
        for char in word:
            if left + char not in pieces:
                merges.append((left, char))
                pieces.append(left + char)
            left += char
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def composed_byte_pairs(specials: Sequence[str]) -> Tokenizer:
    """Qwen's kind: the same after composing accents, with another rule of where words end."""
    tokenizer = byte_pairs(specials)
    tokenizer.normalizer = normalizers.NFC()
    words_end = pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words_end, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return tokenizer


def unigram(specials: Sequence[str]) -> Tokenizer:
    """SentencePiece's kind: `▁` for a space, pieces with a score."""
    words = [f"▁{word}" for word in tiny.WORDS.split()]
    characters = [piece for piece in tiny.word_pieces()[5:] if len(piece) == 1]
    scored = [(special, 0.0) for special in specials]
    scored += [(word, -4.0 - 0.01 * n) for n, word in enumerate(words)]
    scored += [(piece, -8.0 - 0.01 * n) for n, piece in enumerate(["▁", *characters, *tiny.ENDINGS])]
    scored = list(dict(scored).items())
    unknown = next(n for n, special in enumerate(specials) if "unk" in special)
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=unknown, byte_fallback=False))
    whole = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(whole)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def words(specials: Sequence[str]) -> Tokenizer:
    """Whole words or nothing."""
    pieces = list(dict.fromkeys([*specials, *tiny.WORDS.split(), ".", ",", "?"]))
    unknown = next(s for s in specials if "unk" in s.lower())
    tokenizer = Tokenizer(models.WordLevel({p: n for n, p in enumerate(pieces)}, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def write(
    folder: Path,
    tokenizer: Tokenizer,
    specials: Sequence[str],
    template: str | None = None,
    **config: Any,
) -> int:
    """Write tokenizer.json and tokenizer_config.json, and return the number of pieces.

    `template` is what is put around a text, `[CLS] $A [SEP]`; None puts nothing there. A value None in `config`
    takes that key out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_special_tokens(list(specials))
    if template is not None:
        around = [(piece, tokenizer.token_to_id(piece)) for piece in template.split() if not piece.startswith("$")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(f"{piece}:0" for piece in template.split()), special_tokens=around
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {ROLES[special]: special for special in specials if special != "[UNK]" or "<unk>" not in specials}
    given = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **named, **config}
    tiny.write_json(folder / "tokenizer_config.json", {k: v for k, v in given.items() if v is not None})
    return int(tokenizer.get_vocab_size())
