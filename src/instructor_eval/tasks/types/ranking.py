"""Retrieval and reranking: documents ranked for queries, with judgements."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, cast

from instructor_eval.core.mteb import query_texts
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.light import LightTask, Rows, table_of
from instructor_eval.tasks.mteb.rows import documents_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.task import Card, ChunkEncoder, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import FindTexts, ItemCheck
from instructor_eval.tasks.types.item_texts import of_rankings
from instructor_eval.tasks.types.mteb_type import SEPARATION, MtebType
from instructor_eval.tasks.values import count, cut

TOP = 10
"""The number of documents in a query's list."""
AT_K = tuple(f"{m}_at_{k}" for m in ("ndcg", "map", "recall", "precision") for k in (1, 3, 5, 10, 20, 100, 1000))
RANKINGS = ("ranked", "ranked_scores", "judged", "judged_grades")
"""Columns that `--rankings` adds: ids and scores of the documents found, ids and grades of those judged."""
_MOST_RANKED = 12_000_000
"""Documents of all queries' lists: a file of items has room for so many, with their scores. MTEB's tasks have fewer."""
_OTHERS_PER_QUERY = 10
_STORED_AT_K = ("ndcg_at_1", "ndcg_at_10", "ndcg_at_100", "map_at_10", "map_at_1000", "recall_at_10", "recall_at_100",
                "precision_at_1", "precision_at_10")  # fmt: skip


class RankingType(MtebType):
    """A type whose items are queries."""

    wording: ClassVar = {"query": ("query", "retrieving supporting documents"), "document": ("document", "retrieval")}
    mteb_class = "AbsTaskRetrieval"
    further = SEPARATION
    light_attributes: ClassVar[Mapping[str, Any] | None] = {
        "ignore_identical_ids": False, "k_values": (1, 3, 5, 10, 20, 100, 1000),
    }  # fmt: skip
    is_ranking = is_cut = True

    def summary(self, card: Card, data: Any) -> str:
        judged = sum(len(d) for d in data.qrels.values())
        return f"{len(data.queries):,} queries, {len(data.corpus):,} documents, {judged:,} judgements"

    def size(self, card: Card, data: Any, limit: int | None) -> int:
        return sum(limit is None or any(grade > 0 for grade in docs.values()) for docs in data.qrels.values())

    def fill(self, task: Any, card: Card, data: Any) -> None:
        """Put corpus, queries, judgements and candidates into a task of mteb."""
        from datasets import Dataset

        corpus, queries = Dataset.from_list(data.corpus), Dataset.from_list(data.queries)
        split = {"corpus": corpus, "queries": queries, "relevant_docs": data.qrels, "top_ranked": data.candidates}
        task.dataset = {"default": {card.split: split}}

    def fill_light(self, task: LightTask, card: Card, data: Any) -> None:
        corpus, queries = Rows.of_rows(data.corpus), Rows.of_rows(data.queries)
        split = {"corpus": corpus, "queries": queries, "relevant_docs": data.qrels, "top_ranked": data.candidates}
        task.dataset = {"default": {card.split: split}}

    def parts(self, task: Any, card: Card) -> dict[str, Any]:
        """Return corpus, queries, judgements and candidates; a query's text as mteb embeds it."""
        split = split_of(task, card)
        corpus, queries, candidates = split["corpus"], split["queries"], split["top_ranked"]
        titled = ["title"] if "title" in corpus.column_names else []
        texts = {"id": list(queries["id"]), "text": query_texts(queries, task.metadata)}
        return {
            "corpus": table_of(corpus, ["id", *titled, "text"]),
            "queries": Rows.of_columns(texts).table,
            "relevant_docs": {query: dict(docs) for query, docs in split["relevant_docs"].items()},
            "top_ranked": candidates and {query: list(docs) for query, docs in candidates.items()},
        }

    def measure(self, task: LightTask, card: Card, bridge: Any, settings: RunSettings, caught: dict[str, Any]) -> Any:
        """Return trec_eval's figures and their means as mteb's `AbsTaskRetrieval` does."""
        from instructor_eval.metrics import trec

        split = split_of(task, card)
        qrels = {query: docs for query, docs in split["relevant_docs"].items() if docs}
        queries = split["queries"]
        queries = queries.select([i for i, query in enumerate(queries["id"]) if query in qrels])
        results = self.rank({**split, "queries": queries}, bridge, max(task.k_values), settings)
        if task.ignore_identical_ids:
            results = {query: {d: s for d, s in found.items() if d != query} for query, found in results.items()}
        per_query = trec.figures_of_queries(results, qrels, task.k_values)
        caught.update(scores=per_query, qrels=qrels, results=results, k_values=task.k_values)
        return trec.means(per_query, results, qrels, task.k_values)

    def rank(self, split: Mapping[str, Any], bridge: Any, k: int, settings: RunSettings) -> dict[str, dict[str, float]]:
        """Return query id -> document id -> score, of at most `k` documents each.

        Raises:
            AllSeen: in a dry run, after the last text.
        """
        raise NotImplementedError

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        split, corpus, queries = data.split(card.split), data.part("corpus"), data.part("queries")
        titled = ("title",) if "title" in corpus.rows.column_names else ()
        for part in (corpus, queries):
            part.column("id")
        found = [*corpus.texts("text", *titled, optional="title"), *queries.texts("text")]
        documents, asked = set(corpus.rows["id"]), set(queries.rows["id"])
        if len(documents) < len(corpus.rows):
            twice = count(len(corpus.rows) - len(documents), "document")
            found.append(f"corpus: {twice} with an id that another one has")
        return found + judged(split["relevant_docs"], asked, documents)

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first n queries, every document judged for them, and the first 10 n others."""
        split = dict(rows)
        qrels, queries = split["relevant_docs"], split["queries"]
        chosen = [i for i, q in enumerate(queries["id"]) if any(g > 0 for g in qrels.get(q, {}).values())][:n]
        split["queries"] = queries.select(chosen)
        ids = set(split["queries"]["id"])
        split["relevant_docs"] = {q: docs for q, docs in qrels.items() if q in ids}
        wanted = {d for docs in split["relevant_docs"].values() for d in docs}
        others = _OTHERS_PER_QUERY * n
        if split["top_ranked"]:
            split["top_ranked"] = {q: docs for q, docs in split["top_ranked"].items() if q in ids}
            wanted |= {d for docs in split["top_ranked"].values() for d in docs}
            others = 0
        documents = []
        for i, doc in enumerate(split["corpus"]["id"]):
            if doc in wanted:
                documents.append(i)
            elif others > 0:
                documents.append(i)
                others -= 1
        return split | {"corpus": split["corpus"].select(documents)}

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on the documents."""
        encoder.calibrate(documents_of(split_of(task, card)["corpus"]), "document")

    def prepare(self, task: Any, protocol: Mapping[str, str], caught: dict[str, Any]) -> None:
        """Let mteb leave in `caught` the figures of every query."""
        super().prepare(task, protocol, caught)
        original: Callable[..., dict[str, float]] = task.task_specific_scores

        def hook(scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str) -> dict[str, float]:
            caught.update(scores=scores, qrels=qrels, results=results, k_values=task.k_values)
            return original(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)

        task.task_specific_scores = hook

    def chunked(self, card: Card, encoder: TaskEncoder, settings: RunSettings, depth: int = TOP) -> Any:
        """Return a search over chunks in mteb's form; None where documents are whole."""
        if settings.search is None or settings.search.chunk is None:
            return None
        from instructor_eval.tasks.mteb.chunked import ChunkedSearch, TextsOfChunks

        search = TextsOfChunks if settings.texts_only else ChunkedSearch
        return search(cast(ChunkEncoder, encoder), card.name, settings.search, depth)

    def finished(self, outcome: Outcome, task: Any, card: Card, bridge: Any, caught: Mapping[str, Any]) -> Outcome:
        """Return the outcome with what its chunks take."""
        figures = getattr(bridge, "figures", None)
        return outcome if figures is None else dataclasses.replace(outcome, search=figures(dropped=False))

    def column(self, card: Card) -> str:
        """Return the figure of a query, or of a user, that the score is the mean of."""
        from instructor_eval import metrics

        return metrics.get(card.metric if card.metric in self.metrics else self.metrics[0]).column

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        from instructor_eval.metrics.ranking import ranked, trec_name

        per_query, qrels, results = caught["scores"], caught["qrels"], caught["results"]
        ids = list(per_query)
        items: Items = {"id": [str(i) for i in ids]}
        for name in dict.fromkeys((self.column(card), *_STORED_AT_K)):
            items[name] = [float(per_query[i][trec_name(name)]) for i in ids]
        items["relevant"] = [sum(1 for grade in qrels[i].values() if grade > 0) for i in ids]
        first = {i: ranked(results.get(i, {}), TOP) for i in ids}
        items["top"] = [[str(doc) for doc, _ in found] for found in first.values()]
        items["top_scores"] = [[float(value) for _, value in found] for found in first.values()]
        # From these and the list `evaluate validate --results` computes the figures at 10 again.
        items["top_grades"] = [[int(qrels[i].get(doc, 0)) for doc, _ in found] for i, found in first.items()]
        items["best_grades"] = [sorted((int(g) for g in qrels[i].values() if g > 0), reverse=True)[:TOP] for i in ids]
        if caught.get("rankings"):
            items |= _rankings(ids, results, qrels)
        return items, ((q, d, g) for q, docs in qrels.items() for d, g in docs.items())

    def texts_of(self, card: Card) -> FindTexts | None:
        return of_rankings(self.own_data(card)[0])

    def item_checks(self) -> tuple[ItemCheck, ...]:
        from instructor_eval.tasks.types.ranking_checks import CHECKS

        return CHECKS


def _rankings(ids: list[Any], results: Mapping[Any, Any], qrels: Mapping[Any, Any]) -> Items:
    """Return the columns `RANKINGS`, in the order and with the float32 scores that trec_eval ranks by."""
    import numpy as np

    from instructor_eval.metrics.ranking import ranked

    depth = max(TOP, _MOST_RANKED // max(1, len(ids)))
    found = [ranked(results.get(i, {}), depth) for i in ids]
    return {
        "ranked": [[str(doc) for doc, _ in row] for row in found],
        "ranked_scores": [np.array([value for _, value in row], dtype=np.float32) for row in found],
        "judged": [[str(doc) for doc in qrels[i]] for i in ids],
        "judged_grades": [[int(grade) for grade in qrels[i].values()] for i in ids],
    }


def judged(qrels: dict[str, dict[str, int]], queries: set[str], documents: set[str]) -> list[str]:
    """Return warnings about judgements; mteb counts a document that is not in the corpus as not found."""
    found = []
    strange = sorted(str(query) for query in qrels if query not in queries)
    if strange:
        found.append(f"qrels: {count(len(strange), 'unknown query', 'unknown queries')} left out: {cut(strange[0])}")
    missing = sorted(str(d) for q, docs in qrels.items() if q in queries for d in docs if d not in documents)
    if missing:
        judgements = count(len(missing), "judgement of a document that is not in", "judgements of documents not in")
        found.append(f"qrels: {judgements} the corpus, counted as not found (the first: {cut(missing[0])})")
    below = [g for docs in qrels.values() for g in docs.values() if g < 0]
    if below:
        found.append(f"qrels: {count(len(below), 'grade')} below 0, not relevant as 0 is (one: {below[0]})")
    return found
