"""Prompt retrieval: does the embedder find good in-context examples?

Paper, section 4.1; the authors' code, `evaluation/prompt_retrieval` at commit 9a9742c. A pool of labelled examples and
the test items are embedded; each item's nearest examples become the demonstrations of a prompt; a reader answers it;
Rouge-L scores the answer. The differences between tasks are in their cards (`prompts/recipe.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from instructor_eval import metrics
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key, mirror_folder, snapshot
from instructor_eval.core.libraries import missing
from instructor_eval.core.values import Items, Vectors
from instructor_eval.readers.ask import ask
from instructor_eval.readers.contract import Question
from instructor_eval.readers.nearest import NearestReader
from instructor_eval.tasks.encoder import NoModel
from instructor_eval.tasks.prompts.budget import budget_tokenizer
from instructor_eval.tasks.prompts.layouts import detect, place_of, read
from instructor_eval.tasks.prompts.own_rows import check_centre, check_rows
from instructor_eval.tasks.prompts.prompt import Example, Item, question, render, render_item
from instructor_eval.tasks.prompts.recipe import SEED, Recipe, files_of, recipe_of
from instructor_eval.tasks.prompts.sampling import Drawn, draw
from instructor_eval.tasks.prompts.selection import Ranking, by_bm25, by_cosine, by_random, choose
from instructor_eval.tasks.task import Card, Outcome, RunSettings, Selection, TaskEncoder
from instructor_eval.tasks.values import folder_of, gold_hash, refuse_if_strict

_ROLE = "example"
_PLAIN = ("rows", "hub")
"""Layouts whose files have the rows themselves; the code of other layouts checks its rows itself."""
_ROUGE_CHARACTERS = re.compile("[a-z0-9]")


def data_key(card: Card, settings: RunSettings) -> str:
    """Return the pinned revision on the hub, or a hash of the local folder's files.

    Raises:
        UserError: the data cannot be had.
    """
    folder = _local(card, settings)
    if folder is not None:
        return files_key(folder)
    if card.data_revision is None:
        raise _missing(card)
    return f"hub:{card.data_id}@{card.data_revision}"


def run(card: Card, encoder: TaskEncoder, settings: RunSettings, metric: str) -> Outcome:
    """Run a task: draw, embed, choose, ask, score by `metric`.

    Raises:
        UserError: the data is missing or broken, a card's options do not fit it, or the reader fails.
    """
    recipe = recipe_of(card)
    if settings.texts_only:
        ready = _ready(card, recipe, settings)
        _embed(recipe, ready.drawn, encoder)
        seen: Items = {"id": [item.id for item in ready.items]}
        return Outcome(metric=metric, score=0.0, items=seen)
    prepared, warnings = _prepare(card, recipe, encoder, settings)
    reader = settings.reader or NearestReader()
    answers = ask(reader, [p.question for p in prepared], settings.answers, label=f"{card.name} reading")
    items = _judge(recipe, [p.item for p in prepared], [answer.text for answer in answers.answers])
    items |= {
        "demonstrations": [[example.id for example in p.demonstrations] for p in prepared],
        "similarities": [p.similarities for p in prepared],
        "prompt_hash": [_prompt_hash(p.question) for p in prepared],
    }
    if answers.answers[0].losses:
        items["losses"] = [list(answer.losses) for answer in answers.answers]
    return Outcome(
        metric=metric,
        score=metrics.compute(metric, items),
        items=items,
        metrics=_further_figures(recipe, items, answers.asked, answers.hits),
        gold_hash=gold_hash(zip(items["id"], items["gold"], strict=True)),
        warnings=warnings,
    )


@dataclass(frozen=True)
class Prepared:
    """One test item with its prompt."""

    item: Item
    demonstrations: list[Example]
    """In the order of the prompt: the most similar last."""
    similarities: list[float]
    question: Question


def prepare(card: Card, recipe: Recipe, encoder: TaskEncoder, settings: RunSettings) -> list[Prepared]:
    """Return every test item's prompt.

    Raises:
        UserError: the data is missing or broken, or there is nothing to choose.
    """
    return _prepare(card, recipe, encoder, settings)[0]


def _prepare(
    card: Card, recipe: Recipe, encoder: TaskEncoder, settings: RunSettings
) -> tuple[list[Prepared], tuple[str, ...]]:
    """Return every test item's prompt, and warnings for the data's owner."""
    # Check the data first: embedding may take hours.
    ready = _ready(card, recipe, settings)
    pool = ready.pool
    rankings = _rank(recipe, ready.drawn, encoder, settings.selection)
    lengths = [example.tokens for example in pool]
    found = []
    for item, ranking in zip(ready.items, rankings, strict=False):  # with --limit there are more rankings than items
        chosen = choose(
            ranking,
            lengths,
            item.tokens,
            budget=recipe.budget,
            longest=recipe.example_budget,
            most=recipe.most,
        )
        if len(chosen) == len(pool):
            raise UserError(
                f"task {card.name}: the pool's {len(pool):,} examples all fit into one prompt, so there is nothing to "
                "choose: give a larger pool, or set options.most in the card"
            )
        demonstrations = [pool[i] for i in chosen]
        similarities = [float(ranking.similarity[i]) for i in chosen]
        found.append(
            Prepared(item, demonstrations, similarities, question(recipe, item, demonstrations, ready.tokenizer))
        )
    return found, ready.drawn.warnings


@dataclass(frozen=True)
class _Ready:
    """A task's data, checked and rendered as far as possible without vectors."""

    drawn: Drawn
    tokenizer: Any
    pool: list[Example]
    items: list[Item]


def _ready(card: Card, recipe: Recipe, settings: RunSettings) -> _Ready:
    drawn = load(card, recipe, settings)
    tokenizer = budget_tokenizer()
    pool = render(recipe, drawn.pool, tokenizer)
    items = [render_item(recipe, name, row, tokenizer) for name, row in drawn.test[: settings.limit]]
    _check_gold(recipe, items, drawn)
    if settings.selection.embeds:
        check_centre(recipe, {recipe.text(recipe.embed, row, name) for name, row in drawn.test})
    return _Ready(drawn, tokenizer, pool, items)


def _check_gold(recipe: Recipe, items: Sequence[Item], drawn: Drawn) -> None:
    for item in items:
        if recipe.labels is None and not _ROUGE_CHARACTERS.search(item.gold.lower()):
            split, row = item.id.rsplit("/", 1)
            where = drawn.place_of(split, int(row)) if drawn.place_of else f"task {recipe.task}: test item {item.id}"
            raise UserError(
                f"{where}: Rouge-L reads only letters a to z and digits, and the answer {item.gold[:40]!r} "
                "has none: give the card labels, or leave the row out"
            )


def load(card: Card, recipe: Recipe, settings: RunSettings) -> Drawn:
    """Read the data of a task, and draw its pool and test items by the protocol.

    Raises:
        UserError: the data is missing, broken, or too small.
    """
    folder = _local(card, settings)
    if folder is None:
        if card.data_revision is None:
            raise _missing(card)
        folder = snapshot(
            "dataset", str(card.data_id), card.data_revision, offline=settings.offline, wanted=_wanted(card, recipe)
        )
    where = {"subset": card.subset, "pool_split": recipe.pool_split, "test_split": card.split}
    layout = detect(folder, recipe.layouts, **where)
    pool, test = read(layout, folder, **where)
    warnings: list[str] = []
    place = partial(place_of, layout, folder, card.subset) if layout in _PLAIN else None
    if place is not None:
        warnings = check_rows(recipe, pool, test, place, numbers=card.folder is None)
    refuse_if_strict(card, tuple(warnings), strict=settings.strict)
    drawn = draw(recipe.sampling, pool, test, pool_size=recipe.pool, test_size=recipe.test, seed=SEED)
    return dataclasses.replace(drawn, warnings=tuple(map(one_line, warnings)), place_of=place)


def describe(card: Card, *, with_prompts: bool) -> tuple[str, tuple[str, ...]]:
    """Read and check an own task's data; return a summary of it, and the warnings.

    With prompts, every item's prompt is made with random demonstrations, if the libraries for it are installed.
    """
    recipe = recipe_of(card)
    settings = RunSettings(protocol={}, offline=True, selection=Selection("random"))
    drawn = load(card, recipe, settings)
    if with_prompts and not missing(["tokenizers"]):
        prepare(card, recipe, NoModel("validate"), settings)
    else:
        for name, row in (*drawn.pool, *drawn.test):
            for template in (recipe.input, recipe.embed, recipe.query, recipe.preamble):
                recipe.text(template, row, name)
            recipe.answer(row, name)
    check_centre(recipe, {recipe.text(recipe.embed, row, name) for name, row in drawn.test})
    return f"{len(drawn.pool):,} examples in the pool, {len(drawn.test):,} test items", drawn.warnings


def _wanted(card: Card, recipe: Recipe) -> list[str]:
    """Return patterns of a task's files in a hub repository, which may have many data sets."""
    stems = [
        stem
        for split in (recipe.pool_split, card.split)
        for stem in (f"{split}-*.parquet", f"{split}/*.parquet", f"{split}.jsonl")
    ]
    if card.subset != "default":
        return [f"{card.subset}/{stem}" for stem in stems] + [f"data/{stem}" for stem in stems]
    return [*stems, *(f"data/{stem}" for stem in stems)]


def _local(card: Card, settings: RunSettings) -> Path | None:
    if card.folder is not None:
        return folder_of(card)
    for data_id in (card.data_mirror, card.data_id):
        folder = mirror_folder(settings.hub, data_id) if data_id else None
        if folder is not None:
            return folder
    return None


def _missing(card: Card) -> UserError:
    return UserError(
        f"data set {card.data_id} ({card.name}) is on no public data hub: put its files ({files_of(card)}) into "
        f"DIR/datasets/{card.data_id}/ and give --hub DIR (`evaluate tasks {card.name}` names their source)"
    )


def _rank(recipe: Recipe, drawn: Drawn, encoder: TaskEncoder, selection: Selection) -> Iterator[Ranking]:
    """Rank the pool for every test item. All items are embedded under any limit, since their mean is subtracted."""
    pool, test, vectors = _embed(recipe, drawn, encoder)
    if selection.kind == "bm25":
        return by_bm25(pool, test)
    if selection.kind == "random":
        return by_random(len(pool), len(test), selection.seed)
    test_vectors = vectors[len(pool) :]
    if recipe.centre == "both" and not np.ptp(test_vectors, axis=0).any():
        raise UserError(
            f"task {recipe.task}: the test items' vectors are all equal, so nothing is left of them without their "
            "mean: give more test items, or set options.centre to pool in the card"
        )
    return by_cosine(vectors[: len(pool)], test_vectors, recipe.centre)


def _embed(recipe: Recipe, drawn: Drawn, encoder: TaskEncoder) -> tuple[list[str], list[str], Vectors]:
    """Return the texts of the pool and of the test items, and the vectors of both together."""
    pool = [recipe.text(recipe.embed, row, name) for name, row in drawn.pool]
    test = [recipe.text(recipe.embed, row, name) for name, row in drawn.test]
    encoder.calibrate(pool, _ROLE)
    return pool, test, encoder.encode([*pool, *test], _ROLE)  # without a model, this only hashes the texts


def _judge(recipe: Recipe, items: Sequence[Item], answers: Sequence[str]) -> Items:
    """Return prediction, gold and value of every item.

    On label tasks the authors compare label ids, so that Rouge-L is 1 if they are equal and 0 otherwise.
    """
    gold = [item.gold.strip() for item in items]
    predicted = [(answer if recipe.has_options else f"{recipe.starts}{answer}").strip() for answer in answers]
    right = [float(p == g) for p, g in zip(predicted, gold, strict=True)]
    values = right if recipe.labels is not None else rouge_l(predicted, gold)
    found: Items = {
        "id": [item.id for item in items],
        "gold": gold,
        "prediction": predicted,
        "value": values,
        "correct": right,
    }
    if recipe.sampling == "reviewers":
        found["group"] = [str(item.row["group"]) for item in items]
    return found


def rouge_l(predictions: Sequence[str], gold: Sequence[str]) -> list[float]:
    """Return Rouge-L F1 with stemming, by the `rouge-score` library (Lin 2004), one value for each pair."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [float(scorer.score(g, p)["rougeL"].fmeasure) for p, g in zip(predictions, gold, strict=True)]


def _further_figures(recipe: Recipe, items: Items, asked: int, hits: int) -> dict[str, float]:
    """Return figures beside the score: accuracy or exact match, numbers of demonstrations, questions to the reader."""
    counts = [len(names) for names in items["demonstrations"]]
    figures = {"demonstrations_mean": float(np.mean(counts)), "without_demonstrations": float(counts.count(0))}
    figures["accuracy" if recipe.has_options else "exact_match"] = float(np.mean(items["correct"]))
    return {**figures, "rougeL": metrics.compute("rougeL", items), "asked": float(asked), "answers_cached": float(hits)}


def _prompt_hash(asked: Question) -> str:
    """Return a hash of the exact prompt and its options."""
    text = "\0".join((asked.prompt, *asked.options))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
