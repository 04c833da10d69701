"""GPT-2's tokens by OpenAI's own library, from the files that are rebuilt here: an implementation by others."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

from instructor_eval.tasks.prompts import budget

VOCABULARY = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
"""SHA-256 of OpenAI's `encoder.json`, as tiktoken names it."""
MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
"""SHA-256 of OpenAI's `vocab.bpe`."""


def write_files(folder: Path) -> tuple[Path, Path]:
    """Write `vocab.bpe` and `encoder.json` as OpenAI released them, and return their paths."""
    merges, vocabulary = folder / "vocab.bpe", folder / "encoder.json"
    merges.write_bytes(gzip.decompress((Path(budget.__file__).parent / "gpt2" / "vocab.bpe.gz").read_bytes()))
    vocabulary.write_text(json.dumps(budget.vocabulary()), encoding="ascii")
    return merges, vocabulary


@cache
def _encoding() -> tiktoken.Encoding:
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"TIKTOKEN_CACHE_DIR": ""}):
        merges, vocabulary = write_files(Path(folder))
        ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(vocabulary))
    return tiktoken.Encoding("gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={})


def encode(text: str) -> list[int]:
    return _encoding().encode(text, disallowed_special=())


def decode(ids: list[int]) -> str:
    return _encoding().decode(ids)
