"""Prompts of the real sets, by a plain computation that shares no code with ours but the vectors."""

import json

import gpt2_tokens
import numpy as np
import pytest

from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.prompts.adapter import prepare
from instructor_eval.tasks.prompts.recipe import recipe_of
from instructor_eval.tasks.task import RunSettings


class Recorder:
    """The encoder as the adapter sees it; what it was given is noted."""

    name = "minilm"

    def __init__(self, model):
        self.model, self.texts = model, []

    def calibrate(self, texts, role):
        """Nothing to calibrate."""

    def encode(self, texts, role, *, bare=False):
        assert role == "example"
        self.texts = list(texts)
        self.vectors = self.model.encode(self.texts, "")
        return self.vectors


def tokens(text):
    """GPT-2 tokens, by OpenAI's library."""
    return len(gpt2_tokens.encode(text))


def rte(folder, drawn):
    rows = {}
    for name in ("train", "dev", "test"):
        lines = (folder / "rte" / f"{name}.tsv").read_text(encoding="utf-8").split("\n")[1:]
        for index, one, two, label in (line.split("\t") for line in lines if line):
            rows[int(index)] = (f"{one}.\nquestion: {two}", "True" if label == "entailment" else "False")
    pool = [rows[i] for i in range(2490)]
    test = [rows[2490 + i] for i in drawn["rte"]["eval_indices_into_glue_validation"]]
    shown = [f"{text}. True or False?\nanswer:" for text, _ in pool]
    asked = [f"{text}. True or False?\nanswer:" for text, _ in test]
    return [t for t, _ in pool], [t for t, _ in test], shown, [a for _, a in pool], asked, ["True", "False"]


def sst5(folder, drawn):
    words = ["very negative", "negative", "neutral", "positive", "very positive"]

    def read(name):
        lines = (folder / "sst5" / name).read_text(encoding="utf-8").split("\n")
        return [(line[11:], words[int(line[9]) - 1]) for line in lines if line]

    train, held_out = read("sst_train.txt"), read("sst_test.txt")
    pool = [train[i] for i in drawn["sst5"]["train_indices"]]
    test = [held_out[i] for i in drawn["sst5"]["eval_indices_into_test"]]

    def question(text):
        return f"How do you feel about the following sentence?\n{text}\nanswer:"

    shown, asked = [question(t) for t, _ in pool], [question(t) for t, _ in test]
    return [t for t, _ in pool], [t for t, _ in test], shown, [a for _, a in pool], asked, words


def multirc(folder, drawn):
    rows = json.loads((folder / "multirc" / "multric_answerability.json").read_text(encoding="utf-8"))["Instances"]

    def read(index):
        before, _, after = rows[index]["input"].partition("\nQuestion:")
        sentence, question = before.removeprefix("Sentence:").strip(), after.strip()
        answer = {"Yes.": "True", "No.": "False"}[rows[index]["output"][0]]
        shown = f"{sentence}\n. Based on that information, can we know {question}\nanswer:"
        return f"{sentence}\n{question}", shown, answer

    pool = [read(i) for i in drawn["multirc_answerability"]["train_indices"]]
    test = [read(i) for i in drawn["multirc_answerability"]["eval_indices"]]
    return ([p[0] for p in pool], [t[0] for t in test], [p[1] for p in pool], [p[2] for p in pool],
            [t[1] for t in test], ["True", "False"])  # fmt: skip


def nearest_first(pool, test, *, centre_test):
    pool, test = pool.astype(np.float64), test.astype(np.float64)
    pool = pool - pool.mean(0)
    if centre_test:
        test = test - test.mean(0)
    lengths = np.sqrt((pool**2).sum(1))
    for t in test:
        cosine = (pool * t).sum(1) / lengths / np.sqrt((t**2).sum())
        yield sorted(range(len(pool)), key=lambda i: (-round(cosine[i], 9), i)), cosine


DIRECT = {"RTE": (rte, True, 250), "SST-5": (sst5, True, 250), "MultiRC": (multirc, False, None)}


def check_prompts_with_options(name, hub, reference, minilm):
    """Rows, demonstrations, their order and every prompt's text of a task with options, against ours."""
    read, centre_test, single = DIRECT[name]
    drawn = json.loads((reference / "prompt_retrieval_seed0_indices.json").read_text())
    pool, test, shown, answers, asked, options = read(hub / "datasets" / "prompt_retrieval", drawn)
    card, encoder = shipped_cards()[name], Recorder(minilm)
    prepared = prepare(card, recipe_of(card), encoder, RunSettings(protocol={}, hub=hub))
    assert encoder.texts == pool + test
    assert len(prepared) == len(test) == 256

    lengths = [tokens(s) + tokens(a) for s, a in zip(shown, answers, strict=True)]
    longest = max(tokens(f"\n{o}") for o in options)
    cut = 0
    views = nearest_first(encoder.vectors[: len(pool)], encoder.vectors[len(pool) :], centre_test=centre_test)
    for query, (order, cosine), got in zip(asked, views, prepared, strict=True):
        total, chosen = tokens(query), []
        for i in order:
            if np.float32(cosine[i]) == 1 or (single and lengths[i] > single):
                continue
            total += lengths[i]
            if total > 1000:
                break
            chosen.insert(0, i)
        assert [d.input for d in got.demonstrations] == [shown[i] for i in chosen]
        assert [d.answer for d in got.demonstrations] == [answers[i] for i in chosen]
        assert got.similarities == pytest.approx([cosine[i] for i in chosen], abs=1e-12)
        assert got.similarities == sorted(got.similarities)
        text = "\n\n\n".join(f"{shown[i]}\n{answers[i]}" for i in chosen)
        query = f"\n\n\n{query}"
        if tokens(query) > 254 - longest:
            query = gpt2_tokens.decode(gpt2_tokens.encode(query)[: 254 - longest])
        text += query
        if tokens(text) > 1024 - longest:
            cut += 1
            text = gpt2_tokens.decode(gpt2_tokens.encode(text)[-(1024 - longest) :])
        assert got.question.prompt == text
        assert got.question.options == tuple(f"\n{o}" for o in options)
        assert got.question.most_similar == answers[chosen[-1]]
    if name == "SST-5":
        assert cut > 50  # many short demonstrations, and what stands between them is not in the budget
