"""The reader `hf:`: against a plain loop over transformers, in batches, and at its limits."""

from __future__ import annotations

import gc
import json
import math
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import tiny_lm
import torch
from language_models import (
    LINES,
    MIXED,
    QUESTIONS,
    assert_close,
    count_calls,
    edit,
    one_line,
    plain_losses,
    plain_model,
    plain_text,
    read,
)

from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.language_model import LanguageModel
from instructor_eval.readers.tokens import Tokens
from instructor_eval.readers.transformers import HfReader

IN_TWO_PASSES = ["gpt2", "gptj", "llama", "mistral"]
ALL = [*IN_TWO_PASSES, "bloom", "rwkv"]


@pytest.mark.slow
@pytest.mark.parametrize("budget", [None, 1, 300], ids=["one batch", "one by one", "some"])
@pytest.mark.parametrize("kind", ALL)
def test_losses_are_those_of_a_plain_loop(folders: dict[str, Path], kind: str, budget: int | None) -> None:
    reader = HfReader(str(folders[kind]), device="cpu", batch_tokens=budget)
    answers = read(reader, QUESTIONS)
    expected = plain_losses(folders[kind], QUESTIONS)
    assert reader._model.in_two_passes == (kind in IN_TWO_PASSES)
    assert_close(answers, expected)
    for question, answer, losses in zip(QUESTIONS, answers, expected, strict=True):
        assert answer.text == question.options[losses.index(min(losses))]
    assert len({round(loss, 3) for losses in expected for loss in losses}) > 20, "losses hardly differ"


def test_what_options_share_is_read_once(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    shapes = []
    forward = LanguageModel._read

    def watch(self: LanguageModel, ids: Any, mask: Any, **more: Any) -> Any:
        out = forward(self, ids, mask, **more)
        shapes.append((tuple(ids.shape), projected.pop()))
        return out

    monkeypatch.setattr(LanguageModel, "_read", watch)
    projected: list[int] = []  # positions that logits are computed of
    reader._model.model.lm_head.register_forward_hook(lambda _, __, logits: projected.append(logits.shape[1]))
    options = tuple(f" {word} mat" for word in ("cat", "sat", "moon", "the"))
    asked = reader_tokens(gpt2, LINES * 3)
    list(reader.read([Question(LINES * 3, options)]))
    [prefix, rest] = shapes
    assert prefix == ((1, asked), 1)
    assert rest[0][0] == 4
    assert rest[0][1] < 6
    shapes.clear()
    list(reader.read([Question(LINES * 3, ("a", "b", "c"))]))
    assert shapes == [((1, asked), 1)], "options of one token need no second pass"


def reader_tokens(folder: Path, text: str) -> int:
    return len(plain_model(folder)[0](text).input_ids)


def test_the_second_pass_keeps_to_the_budget(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    forward = LanguageModel._read

    def watch(self: LanguageModel, ids: Any, mask: Any, **more: Any) -> Any:
        sizes.append(mask.numel())
        return forward(self, ids, mask, **more)

    monkeypatch.setattr(LanguageModel, "_read", watch)
    questions = [Question(LINES[: 10 + i], tuple(f" is{' mat' * n}" for n in range(9))) for i in range(9)]
    reader = HfReader(str(gpt2), device="cpu", batch_tokens=80)
    assert_close(read(reader, questions), plain_losses(gpt2, questions))
    assert max(sizes) <= 80
    assert len(sizes) > 10


def test_the_first_of_equal_losses_is_chosen(gpt2: Path) -> None:
    [answer] = read(HfReader(str(gpt2), device="cpu"), [Question("is it", (" so?", " so?", " so?"))])
    assert answer.losses[0] == answer.losses[1] == answer.losses[2]
    questions = [Question("is it", (" false", " true")), Question("is it", (" true", " false"))]
    one, other = read(HfReader(str(gpt2), device="cpu"), questions)
    assert one.text == other.text
    assert one.losses == pytest.approx(other.losses[::-1])


def test_an_option_without_tokens(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    with one_line("no token of its own", "''"):
        list(reader.read([Question("is it", (" so", ""))]))


@pytest.mark.parametrize("kind", ALL)
def test_generated_texts_are_those_of_transformers(folders: dict[str, Path], kind: str) -> None:
    prompts = ["The", LINES * 3, "question: is", "", "a b c d e f g", "日本"]
    lengths = [12, 5, 24, 12, 1, 12]
    questions = [Question(p, max_tokens=n) for p, n in zip(prompts, lengths, strict=True)]
    expected = [plain_text(folders[kind], p, n) for p, n in zip(prompts, lengths, strict=True)]
    assert len(set(expected)) > 3
    for budget in (None, 60):
        answers = read(HfReader(str(folders[kind]), device="cpu", batch_tokens=budget), questions)
        assert answers == [Answer(text) for text in expected]


def test_an_end_token_ends_a_text(gpt2: Path, tmp_path: Path) -> None:
    """Whatever the file for generation says besides, it does not sample."""
    folder = shutil.copytree(gpt2, tmp_path / "model")
    prompts = ["The", "question: is it", LINES]
    whole = [plain_text(gpt2, p, 16) for p in prompts]
    tokenizer, model = plain_model(gpt2)
    ids = model.generate(**tokenizer("The", return_tensors="pt"), do_sample=False, max_new_tokens=16, pad_token_id=0)
    end = int(ids[0, -12])
    settings = {"do_sample": True, "temperature": 5.0, "top_k": 3, "repetition_penalty": 3.0, "eos_token_id": [0, end]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    reader = HfReader(str(folder), device="cpu")
    answers = [a.text for a in read(reader, [Question(p, max_tokens=16) for p in prompts])]
    assert answers[0] != whole[0]
    for text, full in zip(answers, whole, strict=True):
        assert text == full.split(tokenizer.decode([end]))[0]
    assert reader.fingerprint != HfReader(str(gpt2), device="cpu").fingerprint


def test_no_setting_for_generation_is_followed(gpt2: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(gpt2, tmp_path / "model")
    settings = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "min_new_tokens": 3, "num_beams": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    [answer] = read(HfReader(str(folder), device="cpu"), [Question("The", max_tokens=24)])
    assert answer.text == plain_text(gpt2, "The", 24)


def test_a_text_has_no_more_tokens_than_asked_for(folders: dict[str, Path]) -> None:
    """Beside a longer one; and special tokens are no part of it."""
    reader = HfReader(str(folders["llama"]), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    tokens = Tokens(folders["llama"], name="x", first=0)
    asked = [tokens.ask(i, Question("The", max_tokens=n)) for i, n in enumerate((3, 7, 1))]
    rows = reader._model.generate(asked, tokens.text)
    assert [len(row) for row in rows] == [3, 7, 1]
    assert rows[1][:3] == rows[0]
    assert tokens.text([0, *rows[0], 1]) == tokens.text(rows[0]) != ""


def test_a_stop_ends_a_text(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = ["The", "question: is it", LINES]
    whole = [plain_text(gpt2, p, 20) for p in prompts]
    # A text of each that spans tokens, the earliest of several, and one beside others without any.
    stops = [(whole[0][8:12],), (whole[1][9:11], "never there", whole[1][4:6], ""), ()]
    questions = [Question(p, max_tokens=20, stop=s) for p, s in zip(prompts, stops, strict=True)]
    reader = HfReader(str(gpt2), device="cpu")
    expected = [
        text[: min((text.find(s) for s in stop if s and s in text), default=len(text))]
        for text, stop in zip(whole, stops, strict=True)
    ]
    assert [a.text for a in read(reader, questions)] == expected
    assert expected[0] != whole[0]
    assert expected[1] != whole[1]
    steps = count_calls(reader._model.model, monkeypatch)
    assert [a.text for a in read(reader, questions[:1])] == expected[:1]
    assert 1 < len(steps) < 15, "generation went on behind the stop"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_no_numbers(gpt2: Path, tmp_path: Path, bad: float) -> None:
    folder = shutil.copytree(gpt2, tmp_path / "model")
    change_weight(folder, "transformer.ln_f.bias", bad)
    for dtype, way in (("bfloat16", "use dtype float32"), ("float32", "use another reader")):
        with one_line("not finite", f"in {dtype}", way):
            list(HfReader(str(folder), device="cpu", dtype=dtype).read(QUESTIONS))


def change_weight(folder: Path, name: str, value: float) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[0] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_numeric_forms(gpt2: Path, dtype: str) -> None:
    reader = HfReader(str(gpt2), device="cpu", dtype=dtype)
    answers = read(reader, QUESTIONS)
    assert reader._model.model.dtype == getattr(torch, dtype)
    expected = plain_losses(gpt2, QUESTIONS)
    for answer, losses in zip(answers, expected, strict=True):
        assert answer.losses == pytest.approx(losses, rel=0.05)
    assert any(a.losses != pytest.approx(b, abs=1e-5) for a, b in zip(answers, expected, strict=True))


def test_the_fingerprint_is_of_contents(gpt2: Path, tmp_path: Path) -> None:
    def reader(folder: Path, dtype: str = "auto", **kwargs: Any) -> HfReader:
        return HfReader(str(folder), device="cpu", dtype=dtype, **kwargs)

    first = reader(gpt2).fingerprint
    assert len(first) == 16
    assert int(first, 16)
    other = shutil.copytree(gpt2, tmp_path / "elsewhere")
    assert reader(other).fingerprint == first
    assert reader(other).name != reader(gpt2).name
    assert reader(gpt2, batch_tokens=7).fingerprint == first
    assert reader(gpt2, "float32").fingerprint == first
    assert reader(gpt2, "bfloat16").fingerprint != first
    (other / "README.md").write_text("new")
    assert reader(other).fingerprint == first
    seen = {first}
    for change in (
        lambda f: change_weight(f, "transformer.wpe.weight", 0.5),
        lambda f: edit(f / "tokenizer.json", lambda t: t["model"]["merges"].pop()),
        lambda f: edit(f / "config.json", lambda c: c.update(layer_norm_epsilon=0.1)),
    ):
        change(other)
        assert reader(other).fingerprint not in seen
        seen.add(reader(other).fingerprint)


def test_what_a_score_file_says_of_it(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    assert reader.name == f"hf:{gpt2}"
    assert not reader.is_cheap
    assert reader.describe() == {
        "name": reader.name, "revision": "local", "fingerprint": reader.fingerprint, "dtype": "float32",
    }  # fmt: skip


def test_a_question_that_is_too_long(gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_lm.build_gpt2(tmp_path / "short", positions=40)
    tokens = reader_tokens(folder, "The cat sat on the mat")
    fits = Question("The cat sat on the mat", max_tokens=40 - tokens)
    reader = HfReader(str(folder), device="cpu")
    read(reader, [fits])
    monkeypatch.setattr(reader._model.model, "forward", lambda *_, **__: pytest.fail("a forward pass"))
    with one_line(f"reader {reader.name} reads 40 tokens", "needs 43", "3 too many", "`budget`", "another reader"):
        list(reader.read([fits, Question(fits.prompt, max_tokens=43 - tokens)]))
    text = "cat " * 60
    needed = reader_tokens(folder, text + "sat")
    with one_line(f"needs {needed}, {needed - 40} too many"):
        list(reader.read([Question("a", (" b",)), Question(text, ("a", "sat"))]))


@pytest.mark.slow
def test_nothing_is_loaded_before_the_first_answer(gpt2: Path) -> None:
    code = f"""
import sys
from instructor_eval.readers.transformers import HfReader
from instructor_eval.readers.contract import Question
reader = HfReader({str(gpt2)!r}, device="cpu")
reader.describe()
reader.read([Question("The cat", (" sat", " mat")), Question("The", max_tokens=3)])
assert list(reader.read([])) == []
print("torch" in sys.modules, "transformers" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False False\n", "")


def test_reading_may_end_early(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu", batch_tokens=1)
    answers = reader.read(MIXED)
    place, first = next(answers)
    answers.close()
    assert place == 1, "the longest comes first"
    assert [first] == read(reader, [MIXED[1]])
    reader.close()
    assert reader._model is None
    assert read(reader, [MIXED[1]]) == [first]
    reader.close()
    reader.close()


def test_answers_come_batch_by_batch(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu", batch_tokens=1)
    list(reader.read(QUESTIONS[:1]))
    calls = count_calls(reader._model.model, monkeypatch)
    answers = reader.read(QUESTIONS[:3])
    next(answers)
    assert len(calls) <= 4
    list(answers)
    assert len(calls) > 4


def test_closing_gives_memory_back(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS))
    model = weakref.ref(reader._model.model)
    reader.close()
    gc.collect()
    assert model() is None


def test_surrogates_do_not_move_an_option(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    one, other = read(reader, [Question("a \ud800 b:", (" yes", " no")), Question("a \ufffd b:", (" yes", " no"))])
    assert one.losses == pytest.approx(other.losses, abs=1e-6)
