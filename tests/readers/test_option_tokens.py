"""Which of a server's tokens are an option's: right, or none."""

from __future__ import annotations

import random
from typing import Any

import pytest
from completions_server import CompletionsServer, TinyLM
from endpoint_asking import QUESTIONS, error, reader_of

from instructor_eval.readers.openai import option_tokens


def test_part_of_a_character_at_the_end_is_not_guessed(model: TinyLM) -> None:
    """Only the server's count shows whether the last of several parts was generated."""
    tokens = ["a", "\ufffd", "\ufffd", "\ufffd"]
    assert option_tokens("a日", 1, tokens, 3) == [1, 2]
    assert option_tokens("a日", 1, tokens, 4) == [1, 2, 3]
    for count in (None, 2, 5, "3", True):
        assert option_tokens("a日", 1, tokens, count) == []


def test_option_tokens_are_right_or_none(model: TinyLM) -> None:
    """Random texts: what the tokenizer's own offsets say, or nothing where the server's view does not tell."""
    rng = random.Random(0)
    plain = ["very", " positive", " ", "  ", "\n", "a", "aa", "the", "True", " True", ".", "bytes:"]
    pieces = [*plain, "日", "本", "é", "ï", "😀", "\u0301", "\ufffd", "日本語"]
    known = 0
    for number in range(3000):
        some = pieces if number % 2 else plain
        prompt, option = ("".join(rng.choices(some, k=rng.randint(1, 5))) for _ in range(2))
        encoded = model.tokenizer(prompt + option, return_offsets_mapping=True)
        ids, first = encoded["input_ids"], rng.choice([0, 1])
        own = [k + first for k, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(prompt)]
        generated = rng.choices(range(len(model.tokenizer)), k=rng.choice([0, 1, 1]))
        tokens = ["<s>"] * first + [model.tokenizer.decode([i]) for i in (*ids, *generated)]
        count = rng.choice([None, len(ids) + first])
        if number % 5 == 0:
            tokens = [token.removeprefix(" ") for token in tokens]
        found = option_tokens(prompt + option, len(prompt), tokens, count)
        assert found in (own, []), (prompt, option, tokens, count)
        if count is not None and not number % 2 and number % 5:
            assert found == own
        known += bool(found)
    assert known > 2000


def test_tokens_of_another_text(model: TinyLM) -> None:
    def lose(reply: dict[str, Any]) -> None:
        logprobs = reply["choices"][0]["logprobs"]
        del logprobs["tokens"][1], logprobs["token_logprobs"][1]

    with CompletionsServer(model, reshape=lose) as server:
        assert error(reader_of(server), QUESTIONS[0]) == (
            "endpoint:URL: the server gives no usable log-probabilities: its tokens do not spell the prompt: "
            "use a server that does (vLLM does, llama.cpp does not), hf:, or nearest"
        )


@pytest.mark.parametrize(
    ("tokens", "places"),
    [
        (["ab", "c", "\n", "Yes", "!"], [3]),
        (["ab", "c", "\n", "Y", "es", "!"], [3, 4]),
        (["ab", "c\nY", "es", "!"], [1, 2]),  # over the boundary
        (["ab", "c\n", "Yes"], [2]),  # nothing generated
        (["ab", "c\n", "Yes", ""], [2]),  # an end without text generated
        (["ab", "c\n", "Yes", "Yes"], [2]),  # the option generated once more
        (["ab", "c\n", "Y", "e", "s", "s"], [2, 3, 4]),
        (["<s>", "ab", "c\n", "Yes", "!"], [3]),
        (["<s>", " ab", "c\n", "Yes", "!"], []),  # a space that is not in the text, where it could be any
        (["", "abc\n", "Yes", "!"], [2]),
        (["abc\n", "", "", "Yes", "!"], [1, 2, 3]),  # bytes of a character that comes whole with the last
        (["\ufffd", "\ufffd", "c\n", "Yes", "!"], [3]),  # as if "ab" had four bytes
        (["<s>", "\ufffd", "\ufffd", "\ufffd", "c\n", "Y", "es"], [5, 6]),
        (["abc\n", "Y", "\ufffd", "\ufffd", "!"], [1, 2, 3]),
        (["abc\n", "Y", "bytes:\\xc3", "bytes:\\xa9", "!"], [1, 2, 3]),
        (["abc", "\ufffd", "\ufffd", "es", "!"], []),  # which part is which?
        (["abc\n", "\ufffd", "!"], []),  # one token too few
        (["x", "Yes", "!"], []),  # the prompt is another
        (["x", "abc", "Yes", "!"], []),
        (["c\n", "Yes", "!"], []),  # the prompt was cut
        (["<s>", "c\n", "Yes", "!"], []),
        (["Yes", "!"], []),  # no echo of the prompt
        (["ab", "c\n", "No", "!"], []),
        (["", ""], []),
    ],
)
def test_option_tokens(tokens: list[str], places: list[int]) -> None:
    assert option_tokens("abc\nYes", 4, tokens) == places


@pytest.mark.parametrize(
    ("text", "start", "tokens", "places"),
    [
        ("a b:", 2, ["a", " ", "b", ":", "!"], [2, 3]),
        ("say: very good", 4, ["<s>", "say", ":", "very", "good", "!"], [3, 4]),  # spaces dropped
        ("say: very good", 5, ["<s>", "say", ":", "very", "good", "!"], [3, 4]),  # the space was the prompt's
        ("say:  very", 4, ["say", ":", "", "very", "!"], [2, 3]),
        ("aéYes", 2, ["a", "bytes:\\xc3", "bytes:\\xa9", "Yes", "!"], [3]),
        ("aéYes", 1, ["a", "bytes:\\xc3", "bytes:\\xa9", "Yes", "!"], [1, 2, 3]),
        ("日本語 x", 3, ["\ufffd"] * 7 + ["語", " x", "!"], [8]),
        ("日本語 x", 1, ["\ufffd"] * 7 + ["語", " x", "!"], []),
        ("a: 日本", 3, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], [2, 3, 4]),
        ("a: 日本", 2, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], [2, 3, 4]),
        ("a: 日本", 4, ["a", ":", " \ufffd", "\ufffd\ufffd", "\ufffd", "!"], []),
        ("ab", 0, ["<s>", "a", "b", "!"], [1, 2]),
        ("aaaa", 3, ["aa", "a", "a", "a"], [2]),
    ],
)
def test_option_tokens_of_other_texts(text: str, start: int, tokens: list[str], places: list[int]) -> None:
    assert option_tokens(text, start, tokens) == places
