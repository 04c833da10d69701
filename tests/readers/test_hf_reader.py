"""The reader `hf:`: against a plain loop over transformers, in batches, and at its limits."""

from __future__ import annotations

import functools
import gc
import inspect
import json
import math
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_lm
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from instructor_eval.core.errors import UserError
from instructor_eval.readers import model_files
from instructor_eval.readers.contract import Answer, Question
from instructor_eval.readers.language_model import LanguageModel
from instructor_eval.readers.tokens import Tokens
from instructor_eval.readers.transformers import HfReader

LINES = "The cat sat on the mat and looked at the moon. Café, 日本語. I liked it very much.\n"


@contextmanager
def one_line(*parts: str) -> Iterator[None]:
    """Expect a `UserError` that says all of these."""
    with pytest.raises(UserError) as caught:
        yield
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


QUESTIONS = [
    Question("answer:", (" True", " False")),
    Question(LINES * 4 + "answer:", (" very positive", " negative", " neutral", "")[:3]),
    Question("question: is it true?\nanswer:\n", ("No.", "Yes.", "Yes. I liked it", "日本")),
    Question(LINES[:50], (" moon",)),
    Question("title: B", ("ats and viruses", "AT", "ats")),  # the first tokens of options merge with the prompt's last
    Question("the cat", ("s", " sat on the mat and looked at the moon.")),
    Question(LINES * 2, ("a", "b", "c", "d", "e", "f", "g")),
    Question("", ("True", "False", " very negative")),  # nothing stands before an option
    Question("1", ("2 3 4", "2")),
    Question(" Ca", ("t", "fé", "a", "ts")),  # the prompt is split otherwise before one option than before another
    Question(LINES + " Ca", ("t", "fé", "a", "ts")),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models on a busy machine wait for threads rather than compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("readers")
    gptj = {"n_embd": 48, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 512}
    rwkv = {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "context_length": 512}
    return {
        "gpt2": tiny_lm.build_gpt2(root / "gpt2"),
        "gptj": tiny_lm.build(root / "gptj", "GPTJ", **gptj),
        "llama": tiny_lm.build_llama(root / "llama"),
        # A window shorter than most prompts.
        "mistral": tiny_lm.build_llama(root / "mistral", kind="Mistral", sliding_window=24),
        # Positions that nobody can give, and states that are no keys and values.
        "bloom": tiny_lm.build(root / "bloom", "Bloom", hidden_size=48, n_layer=2, n_head=4),
        "rwkv": tiny_lm.build(root / "rwkv", "Rwkv", **rwkv),
    }


IN_TWO_PASSES = ["gpt2", "gptj", "llama", "mistral"]
ALL = [*IN_TWO_PASSES, "bloom", "rwkv"]


@pytest.fixture
def gpt2(folders: dict[str, Path]) -> Path:
    return folders["gpt2"]


def read(reader: HfReader, questions: Sequence[Question]) -> list[Answer]:
    """Answers in the order of the questions, each there once."""
    given = list(reader.read(questions))
    assert sorted(place for place, _ in given) == list(range(len(questions)))
    return [answer for _, answer in sorted(given, key=lambda pair: pair[0])]


@functools.cache
def plain_model(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def plain_losses(folder: Path, questions: Sequence[Question]) -> list[list[float]]:
    """One text after another through a bare forward pass."""
    tokenizer, model = plain_model(folder)
    front = 1 if tokenizer("a").input_ids[0] == 0 else 0
    losses = []
    for question in questions:
        losses.append([])
        for option in question.options:
            text = question.prompt + option
            given = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, spans = given["input_ids"], given["offset_mapping"]
            own = [i for i, (_, end) in enumerate(spans) if end > len(question.prompt)]
            if front or own[0] == 0:
                ids, own = [0, *ids], [i + 1 for i in own]
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0].double()
            said = torch.log_softmax(logits, -1)
            losses[-1].append(-sum(float(said[i - 1, ids[i]]) for i in own) / len(own))
    return losses


def plain_text(folder: Path, prompt: str, tokens: int) -> str:
    """What transformers generates from this prompt alone."""
    tokenizer, model = plain_model(folder)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if not ids or tokenizer("a").input_ids[0] == 0:
        ids = [0, *ids]
    given = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=tokens,
        pad_token_id=0,
    )  # fmt: skip
    text = tokenizer.decode(given[0, len(ids) :], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


def assert_close(answers: Sequence[Answer], expected: Sequence[Sequence[float]]) -> None:
    for answer, losses in zip(answers, expected, strict=True):
        assert answer.losses == pytest.approx(losses, abs=1e-4)


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


def count_calls(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls, forward = [], model.forward

    def watch(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(*args, **kwargs)

    watch.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(model, "forward", watch)
    return calls


MIXED = [*QUESTIONS, Question("The", max_tokens=6), Question(LINES * 2, max_tokens=9), Question("is it", max_tokens=3)]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
    ids=["device", "CPU", "Python"],
)
@pytest.mark.parametrize("kind", ["gpt2", "bloom"])
def test_full_memory_halves_the_batch(
    folders: dict[str, Path], kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = HfReader(str(folders[kind]), device="cpu")
    expected = read(reader, MIXED)
    refused = limit_memory(reader._model.model, 320, error, monkeypatch)
    answers = read(reader, MIXED)
    assert refused
    assert reader._model.budget < 4096
    assert_close(answers, [a.losses for a in expected])
    assert [a.text for a in answers] == [a.text for a in expected]


def limit_memory(model: Any, most: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a forward pass fail that reads more than `most` tokens, those in its cache counted."""
    refused, forward = [], model.forward

    def tight(*args: Any, **kwargs: Any) -> Any:
        size = kwargs.get("attention_mask", kwargs["input_ids"]).numel()  # generate leaves out a mask of ones
        if size > most:
            refused.append(size)
            raise error
        return forward(*args, **kwargs)

    tight.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(model, "forward", tight)
    return refused


def test_one_question_that_memory_does_not_hold(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    limit_memory(reader._model.model, 100, torch.OutOfMemoryError("full"), monkeypatch)
    with one_line("cpu has too little memory for one text of", "(full)", "use another device, a smaller reader"):
        list(reader.read(MIXED))
    with one_line("cpu has too little memory"):
        list(reader.read([Question(LINES * 5, max_tokens=4)]))
    read(reader, [Question("is it", (" so", " not"))])


def test_one_question_whose_options_are_read_apart(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(LINES, tuple(f" {word} on the mat" for word in ("cat", "sat", "moon", "the", "very")))
    reader = HfReader(str(gpt2), device="cpu")
    [expected] = read(reader, [question])
    refused = limit_memory(reader._model.model, 50, torch.OutOfMemoryError("full"), monkeypatch)
    [answer] = read(reader, [question])
    assert len(refused) > 1, "halved once"
    assert answer.losses == pytest.approx(expected.losses, abs=1e-4)


def test_weights_that_memory_does_not_hold(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with one_line("does not fit cpu in float32 (full)", "use another device, or a smaller reader"):
        list(HfReader(str(gpt2), device="cpu").read(QUESTIONS))


def test_other_errors_stay_as_they_are(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    list(reader.read(QUESTIONS[:1]))
    limit_memory(reader._model.model, 1, RuntimeError("a shape is wrong"), monkeypatch)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        list(reader.read(QUESTIONS))


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


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


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
import weakref
from instructor_eval.readers.transformers import HfReader
from instructor_eval.readers.contract import Question
reader = HfReader({str(gpt2)!r}, device="cpu")
reader.describe()
answers = reader.read([Question("The cat", (" sat", " mat")), Question("The", max_tokens=3)])
assert list(reader.read([])) == []
assert "torch" not in sys.modules and "transformers" not in sys.modules
print(len(list(answers)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


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
    kept = weakref.ref(reader._model.model)
    reader.close()
    gc.collect()
    assert kept() is None


def test_surrogates_do_not_move_an_option(gpt2: Path) -> None:
    reader = HfReader(str(gpt2), device="cpu")
    one, other = read(reader, [Question("a \ud800 b:", (" yes", " no")), Question("a \ufffd b:", (" yes", " no"))])
    assert one.losses == pytest.approx(other.losses, abs=1e-6)


class TestRefused:
    def test_pickled_weights(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with one_line("only pickled weights (pytorch_model.bin)", "name a revision that has safetensors"):
            HfReader(str(folder))

    def test_pickled_weights_on_the_hub(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "abc")
        (folder / "model.safetensors").unlink()
        asked = {}

        def snapshot(kind: str, repo: str, revision: str | None, **given: Any) -> Path:
            asked.update(given, kind=kind, repo=repo, revision=revision)
            return folder

        monkeypatch.setattr(model_files, "snapshot", snapshot)
        monkeypatch.setattr(
            model_files, "list_files", lambda *_: ["config.json", "original/x.pth", "pytorch_model.bin"]
        )
        with one_line("reader hf:org/gpt@v1", "only pickled weights (pytorch_model.bin)", "hf:org/name@revision"):
            HfReader("org/gpt@v1")
        assert (asked["kind"], asked["repo"], asked["revision"]) == ("model", "org/gpt", "v1")
        assert not any(pattern.endswith((".bin", ".py", ".pt", "*")) for pattern in asked["wanted"])

    def test_a_snapshot_of_the_hub(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_files, "snapshot", lambda *_, **__: shutil.copytree(gpt2, tmp_path / "c0ffee"))
        reader = HfReader("org/gpt@v1", device="cpu")
        assert reader.describe()["revision"] == "c0ffee"
        assert reader.name == "hf:org/gpt@v1"
        assert reader.fingerprint == HfReader(str(gpt2), device="cpu").fingerprint

    def test_no_folder(self, tmp_path: Path) -> None:
        with one_line("no model folder at './missing'"):
            HfReader("./missing")
        with one_line("config.json is missing"):
            HfReader(str(tmp_path))

    def test_an_embedder(self, tmp_path: Path) -> None:
        with one_line("hf:minilm", "embedding model"):
            HfReader("minilm")

    @pytest.mark.parametrize(
        "config",
        [
            {"architectures": ["BertModel"], "model_type": "bert"},
            {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
            {"architectures": ["T5WithLMHeadModel"], "model_type": "t5", "is_encoder_decoder": True},
            {"architectures": ["MPNetModel"], "model_type": "mpnet"},
            {"model_type": "vit"},
            {},
        ],
    )
    def test_no_causal_language_model(self, gpt2: Path, tmp_path: Path, config: dict[str, Any]) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "config.json").write_text(json.dumps(config))
        what = [*config.get("architectures", []), config.get("model_type", "unknown kind")][0]
        with one_line(f"{what} is no causal language model"):
            HfReader(str(folder))

    def test_causal_by_its_type(self, gpt2: Path, tmp_path: Path) -> None:
        """As old uploads are: their weights are those of a language model, their configuration does not say so."""
        folder = shutil.copytree(gpt2, tmp_path / "model")
        edit(folder / "config.json", lambda c: c.pop("architectures"))
        assert_close(read(HfReader(str(folder), device="cpu"), QUESTIONS[:2]), plain_losses(gpt2, QUESTIONS[:2]))

    def test_weights_that_read_backwards(self, tmp_path: Path) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        folder = tiny_lm.build(tmp_path / "bert", "Bert", **sizes)
        with one_line("is not a causal language model", "with later tokens"):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))

    def test_weights_that_are_not_whole(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        edit(folder / "config.json", lambda c: c.update(n_layer=3))
        with one_line("lacks transformer.h.2."):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-10])
        with one_line("cut short"):
            HfReader(str(folder))

    def test_a_part_of_the_weights_is_missing(self, gpt2: Path, tmp_path: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(gpt2)
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "model.safetensors").unlink()
        model.save_pretrained(folder, max_shard_size="100KB")
        shards = sorted(folder.glob("model-*.safetensors"))
        assert len(shards) > 1
        reader = HfReader(str(folder), device="cpu")
        assert_close(read(reader, QUESTIONS[:2]), plain_losses(gpt2, QUESTIONS[:2]))
        before = reader.fingerprint
        (folder / "consolidated.safetensors").write_bytes(b"a copy that nobody reads")
        assert HfReader(str(folder), device="cpu").fingerprint == before
        shards[1].unlink()
        with one_line(f"{shards[1].name} is missing"):
            HfReader(str(folder))

    def test_no_tokenizer(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "tokenizer.json").unlink()
        with one_line("no tokenizer.json and no vocabulary"):
            HfReader(str(folder))

    def test_a_tokenizer_of_another_model(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        shutil.copy(tiny.TOKENIZER_FILE, folder / "tokenizer.json")
        tokenizer = json.loads(tiny.TOKENIZER_FILE.read_text())
        assert len(tokenizer["model"]["vocab"]) > 420
        with one_line("do not belong together"):
            list(HfReader(str(folder), device="cpu").read([Question("zebra " + LINES, (" supply", " zone", " able"))]))

    def test_code_of_its_own(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is neither run, nor is the terminal asked whether it may."""
        folder = shutil.copytree(gpt2, tmp_path / "model")
        own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
        config = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": own}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text("raise SystemExit('run')")
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
        with one_line("code of its own"):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))

    def test_settings(self, gpt2: Path) -> None:
        with one_line("unknown dtype 'int8'", "bfloat16"):
            HfReader(str(gpt2), dtype="int8")
        with one_line("batch_tokens 0"):
            HfReader(str(gpt2), batch_tokens=0)
        with one_line("unknown device"):
            list(HfReader(str(gpt2), device="toaster").read(QUESTIONS))
