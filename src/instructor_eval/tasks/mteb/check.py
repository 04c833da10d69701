"""Checks that a loaded task has what its type needs: mteb notices late, or silently scores something else.

Wrong data is an error with file and row; a fact that a reader of the score needs is a warning. The numbers stay mteb's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.tasks.labels import unseen
from instructor_eval.tasks.mteb.mirror_files import check_texts, files_of, find_value
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import LARGEST, count, cut, is_nan, name_of


def check_task(task: Any, card: Card, folder: Path) -> tuple[str, ...]:
    """Check the scored split (the training split too, for classification), its columns, missing and wrong values.

    Args:
        task: A loaded mteb task.
        card: Its card.
        folder: The folder of its files.

    Returns:
        Warnings for a reader of the score, a line each.

    Raises:
        ValueError: something is missing or wrong.
    """
    data = task.dataset.get(card.subset, task.dataset)
    splits = (task.train_split, card.split) if card.type == "Classification" else (card.split,)
    fast = bool(getattr(task, "fast_loading", False))
    config = None if card.subset == "default" or fast else card.subset
    for name in splits:
        if name not in data:
            raise ValueError(_no_split(files_of(folder, None, name), folder, name, card.subset if fast else ""))
    if card.type in ("Retrieval", "Reranking"):
        return tuple(_check_ranking(data[card.split], card, folder))
    found: list[str] = []
    for name in splits:
        part = _Part(data[name], name, files_of(folder, config, name), folder)
        found += _CHECKS[card.type](task, part)
    if card.type == "Classification":
        labels = [Counter(map(str, data[name][task.label_column_name])) for name in splits]
        if len(labels[0]) < 2:
            raise ValueError(f"fewer than two different labels in {splits[0]}")
        found += unseen(labels[0], labels[1], *splits)
    return tuple(found)


def _no_split(files: Sequence[Path], folder: Path, split: str, language: str) -> str:
    """Return why a split is missing; if languages share a file, it may lack the column that separates them."""
    if language and files and find_value(files, folder, ["lang"], lambda value: value == language) is None:
        name = files[0].relative_to(folder)
        return f"no split '{split}': {name} has no row with '{language}' in a column 'lang'"
    return f"no split '{split}'"


class _Part:
    """The rows of a split, or of a part of a ranking task, with their files."""

    def __init__(self, rows: Any, what: str, files: Sequence[Path], folder: Path) -> None:
        self.rows, self.what, self.files, self.folder = rows, what, files, folder
        if not len(rows):
            raise ValueError(f"no rows in {what}")

    def fail(self, column: str, is_wrong: Callable[[Any], bool], message: str) -> ValueError:
        """Return an error that names the first wrong value, with its file and row if they are known."""
        found = find_value(self.files, self.folder, [column], is_wrong)
        if found is None:
            return ValueError(f"{message} '{column}' of {self.what}")
        value = found.value
        return ValueError(f"{found.place}: {cut(value) if isinstance(value, str) else name_of(value)} in '{column}'")

    def column(self, name: str) -> Any:
        """Return a column without missing values, as an Arrow array.

        Raises:
            ValueError: the column or a value is missing.
        """
        if name not in self.rows.column_names:
            where = self.files[0].relative_to(self.folder) if self.files else self.what
            has = ", ".join(self.rows.column_names)
            raise ValueError(f"no column '{name}' in {self.what}, it has {has}" + (f": {where}" if self.files else ""))
        values = (
            self.rows.with_format("arrow")[:][name] if self.rows._indices is not None else self.rows.data.column(name)
        )
        if values.null_count:
            raise self.fail(name, lambda value: value is None or is_nan(value), "missing values in column")
        return values

    def texts(self, *names: str, optional: str = "", lists: bool = False) -> list[str]:
        """Check columns of texts, or of lists of texts, and count empty texts.

        Args:
            names: The columns.
            optional: The column that may be empty if another is not: a document has a title or a text.
            lists: A row may have a list.

        Raises:
            ValueError: a value is not a text.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        check_texts(self.files, self.folder, names, lists=lists)
        empty, found = None, []
        for name in names:
            values = self.column(name)
            while lists and isinstance(values.type, pa.ListType | pa.LargeListType):
                values = pc.list_flatten(values)
            if values.null_count:
                raise self.fail(name, lambda v: v is None, "null in a list of column")
            if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                raise self.fail(name, lambda v: not isinstance(v, str), f"{values.type} instead of texts in column")
            no_text = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
            if optional:  # a document is empty if its title and its text are
                empty = no_text if empty is None else pc.and_(empty, no_text)
            elif n := pc.sum(no_text).as_py():
                found.append(f"{self.what}: {count(n, 'empty text')} in '{name}'")
        n = pc.sum(empty).as_py() if empty is not None else 0
        return [*found, *([f"{self.what}: {count(n, 'empty text')}"] if n else [])]

    def numbers(self, name: str) -> None:
        """Check a column of numbers, or of lists of numbers.

        Raises:
            ValueError: a value is not a finite number.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.column(name)
        while isinstance(values.type, pa.ListType | pa.LargeListType):
            values = pc.list_flatten(values)
        if values.null_count:
            raise self.fail(name, lambda v: v is None, "null in a list of column")
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise self.fail(name, lambda v: isinstance(v, str | bool), f"{values.type} instead of numbers in column")
        if not pc.all(pc.less_equal(pc.abs(values.cast(pa.float64())), LARGEST)).as_py():
            raise self.fail(
                name, lambda v: isinstance(v, float) and not abs(v) <= LARGEST, "no finite number in column"
            )

    def same_lengths(self, a: str, b: str) -> None:
        """Check that two columns of lists have equally many values in every row.

        Raises:
            ValueError: a row has not.
        """
        lengths = ([len(v) if isinstance(v, list) else 1 for v in self.rows[name]] for name in (a, b))
        for number, (n, m) in enumerate(zip(*lengths, strict=True), 1):
            if n != m:
                raise ValueError(f"{self.what}, row {number}: {n} values in '{a}' but {m} in '{b}'")


def _check_sts(task: Any, part: _Part) -> list[str]:
    found = part.texts(*task.column_names)
    part.numbers("score")
    return found


def _check_pairs(task: Any, part: _Part) -> list[str]:
    first, second, label = task.input1_column_name, task.input2_column_name, task.label_column_name
    found = part.texts(first, second, lists=True)
    part.numbers(label)
    part.same_lengths(first, second)
    part.same_lengths(first, label)
    values = part.rows[label]
    known = {v for row in values for v in row} if isinstance(values[0], list) else set(values)
    if known != {0, 1}:
        raise ValueError(f"'{label}' of {part.what} should be 0 and 1, found {cut(sorted(known)[:10])}")
    return found


def _check_summaries(task: Any, part: _Part) -> list[str]:
    human, machine, grades = (
        task.human_summaries_column_name,
        task.machine_summaries_column_name,
        task.relevancy_column_name,
    )
    found = part.texts(human, machine, lists=True)
    part.numbers(grades)
    part.same_lengths(machine, grades)
    return found


def _check_labelled(task: Any, part: _Part) -> list[str]:
    found = part.texts(task.input_column_name)
    part.column(task.label_column_name)
    return found


def _check_clusters(task: Any, part: _Part) -> list[str]:
    found = part.texts(task.input_column_name, lists=True)
    part.column(task.label_column_name)
    part.same_lengths(task.input_column_name, task.label_column_name)
    return found


_CHECKS: dict[str, Callable[[Any, _Part], list[str]]] = {
    "STS": _check_sts,
    "PairClassification": _check_pairs,
    "Summarization": _check_summaries,
    "Classification": _check_labelled,
    "Clustering": _check_clusters,
}


def _check_ranking(split: Any, card: Card, folder: Path) -> list[str]:
    prefix = "" if card.subset == "default" else f"{card.subset}-"
    corpus = _Part(split["corpus"], "corpus", files_of(folder, f"{prefix}corpus", card.split), folder)
    queries = _Part(split["queries"], "queries", files_of(folder, f"{prefix}queries", card.split), folder)
    titled = ("title",) if "title" in split["corpus"].column_names else ()
    for part in (corpus, queries):
        part.column("id")
    found = [*corpus.texts("text", *titled, optional="title"), *queries.texts("text")]
    documents, asked = set(corpus.rows["id"]), set(queries.rows["id"])
    if len(documents) < len(corpus.rows):
        found.append(f"corpus: {count(len(corpus.rows) - len(documents), 'document')} with an id that another one has")
    found += _judged(split["relevant_docs"], asked, documents)
    if card.type != "Reranking":
        return found
    if not split["top_ranked"]:
        raise ValueError("no configuration 'top_ranked' with the candidates to rerank")
    unknown = {d for docs in split["top_ranked"].values() for d in docs} - documents
    if unknown:
        raise ValueError(f"candidate '{min(unknown)}' is not in the corpus")
    if lost := asked - set(split["top_ranked"]):
        raise ValueError(f"query '{min(lost)}' has no candidates in 'top_ranked'")
    return found


def _judged(qrels: dict[str, dict[str, int]], queries: set[str], documents: set[str]) -> list[str]:
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
