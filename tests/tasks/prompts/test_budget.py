"""GPT-2's tokens: counts and cuts against OpenAI's own library, and its files to the last byte."""

from pathlib import Path

import gpt2_tokens
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.paths import file_sha256
from instructor_eval.tasks.prompts.budget import BudgetTokenizer, budget_tokenizer

AWKWARD = [
    "", " ", "Hello world", "answer:\n\n\nTrue", "naïve café ﬁne", "日本語 текст", "😀👍🏽", "a\tb\nc  d \n",
    "don't we'll x's", "12345.678e-9", "</s><|endoftext|>", "very negative\n\n\nHow do you", " \n x", "\u00a0nbsp",
]  # fmt: skip
texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=60))


@pytest.fixture(scope="module")
def tokenizer() -> BudgetTokenizer:
    return budget_tokenizer()


def test_counts_are_those_of_another_implementation(tokenizer: BudgetTokenizer) -> None:
    assert tokenizer.counts(AWKWARD) == [len(gpt2_tokens.encode(text)) for text in AWKWARD]
    assert [tokenizer.count(text) for text in AWKWARD] == tokenizer.counts(AWKWARD)


@given(text=texts, n=st.integers(0, 12))
def test_cuts(text: str, n: int) -> None:
    tokenizer = budget_tokenizer()
    head, tail = tokenizer.head(text, n), tokenizer.tail(text, n)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert tokenizer.count(tail) <= n
    if tokenizer.count(text) <= n:
        assert head == tail == text
    elif text.isascii():
        assert head == gpt2_tokens.decode(gpt2_tokens.encode(text)[:n])


def test_half_a_surrogate_pair_is_counted(tokenizer: BudgetTokenizer) -> None:
    assert tokenizer.count("a\ud800b") == tokenizer.count("a?b")


def test_both_files_are_those_that_openai_released(tmp_path: Path) -> None:
    merges, vocabulary = gpt2_tokens.write_files(tmp_path)
    assert file_sha256(merges) == gpt2_tokens.MERGES
    assert file_sha256(vocabulary) == gpt2_tokens.VOCABULARY
