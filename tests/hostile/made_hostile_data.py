"""Own data and mirrors: tables without end, texts of other encodings, numbers of thousands of digits, bombs."""

# a case is a line

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hostile_case import Case
from hostile_inputs import CARD, ROWS, RUN, checkpoint, data
from made_hostile_weights import Bomb

Content = str | bytes | Callable[[], str | bytes]
"""Of a file; what is large is made when its case runs."""
_HEADER = "sentence1,sentence2,score\n"
_GOOD = f"{_HEADER}the river,a river,3\na city,the storm,0\n"
DIGITS = "9" * 4000


def _lines(*rows: Any) -> str:
    return "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


_CSV: dict[str, tuple[Content, str]] = {
    "200,000 columns": (
        lambda: "a," * 200_000 + "\n" + "1," * 200_000 + "\n",
        "200,001 columns: at most 10,000 are read",
    ),
    "9,999 columns": (",".join(f"c{i}" for i in range(9999)) + "\n" + "1," * 9998 + "1\n", "no 'sentence1'"),
    "a column of a megabyte twice": (f"{'x' * 1_000_000},{'x' * 1_000_000}\n1,2\n", "is there twice"),
    "a column of a megabyte": (f"{'x' * 1_000_000},b\n1,2\n", "no 'sentence1'"),
    "columns with escapes": ("\x1b[31m,\x9b1m\n1,2\n", "no 'sentence1'"),
    "a field of 20 MB": (lambda: f"{_HEADER}{'x' * 20_000_000},b,1\n", "field larger than field limit"),
    "a quote that never closes": (lambda: f'{_HEADER}"{"x" * 20_000_000}', "test.csv, line 2"),
    "a NUL": (f"{_HEADER}a\0,b,1\n", "a NUL in it"),
    "UTF-16 without a mark": (_GOOD.encode("utf-16-le"), "a NUL in it, as UTF-16 has them"),
    "UTF-32": (_GOOD.encode("utf-32-be"), "a NUL in it"),
    "half a character": (_GOOD.encode() + b"\xf0\x9f", "line 4: not UTF-8"),
    "two million empty rows": (lambda: "\n" * 2_000_000, "test.csv: no rows"),
    "a million rows of spaces": (lambda: f"{_HEADER}{' ' * 1_000_000}\n", "test.csv: no rows"),
    "a score of 4,000 digits": (f"{_HEADER}a,b,{DIGITS}\n", "Infinity in 'score'"),
    "a score of 1e99999999999": (f"{_HEADER}a,b,1e99999999999\n", "Infinity in 'score'"),
    "a score of a megabyte": (f"{_HEADER}a,b,{'x' * 1_000_000}\n", "'score' should be a number"),
    "a score with escapes": (f"{_HEADER}a,b,\x1b[31m\n", "'score' should be a number"),
    "a score of other digits": (f"{_HEADER}a,b,\u0661\u0662\n", "'score' should be a number"),
    "a formula": (f"{_HEADER}a,b,=1+1\n", "'score' should be a number"),
    "binary": (lambda: bytes(range(1, 256)) * 100, "not UTF-8"),
    "a pickle": (pickle.dumps(Bomb()), "test.csv, line 1"),
    "gzip": (gzip.compress(_GOOD.encode()), "test.csv, line 1"),
}
_JSONL: dict[str, tuple[Content, str]] = {
    "brackets without end": (lambda: "[" * 200_000, "line 1: not JSON (nested too deeply)"),
    "objects without end": (lambda: '{"a":' * 100_000, "line 1: not JSON (nested too deeply)"),
    "five million lists": (lambda: '{"a": [' + "[]," * 5_000_000 + "0]}\n", "more than 4,000,000 values"),
    "a score of 4,000 digits": (f'{{"sentence1": "a", "sentence2": "b", "score": {DIGITS}}}\n', "Infinity in 'score'"),
    "a score of 5,000 digits": (f'{{"score": {"9" * 5000}}}\n', "line 1: not JSON"),
    "a score in lists": (_lines({**ROWS[0], "score": [[[[1]]]]}), "a list ([[[[1]]]]) in 'score'"),
    "a text of numbers": (_lines({**ROWS[0], "sentence1": 10**300}), "in 'sentence1': it should be a text"),
    "a key of a megabyte": (_lines({"x" * 1_000_000: 1}), "no 'sentence1'"),
    "a key with escapes": (_lines({"\x1b[31m\x9b": 1}), "no 'sentence1'"),
    "two hundred thousand keys": (lambda: _lines({str(i): i for i in range(200_000)}), "no 'sentence1'"),
    "a NUL": (b'{"a": "\0"}\n', "a NUL in it"),
    "UTF-16": ('{"a": 1}\n'.encode("utf-16-le"), "a NUL in it"),
    "one line without end": (lambda: b"x" * 101_000_000, "more than 100,000,000 characters"),
    "two million empty rows": (lambda: b"\n" * 2_000_000, "test.jsonl: no rows"),
}


def _own(card: str = CARD, **files: Content) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        data(folder, card, **{name: made() if callable(made) else made for name, made in files.items()})
        checkpoint(folder)
        return ["--model", "m", *RUN]

    return make


_RANKING = CARD.replace("STS", "Retrieval")
_CORPUS = _lines({"_id": "d", "text": "the river"}, {"_id": "e", "text": "a city"})
_QUERIES = _lines({"_id": "q", "text": "river"})


def _retrieval(
    qrels: str = "query-id\tcorpus-id\tscore\nq\td\t1\n", corpus: str = _CORPUS, queries: str = _QUERIES
) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        data(folder, _RANKING, corpus__jsonl=corpus, queries__jsonl=queries)
        (folder / "data" / "qrels").mkdir()
        (folder / "data" / "qrels" / "test.tsv").write_text(qrels)
        checkpoint(folder)
        return ["--model", "m", *RUN]

    return make


_QRELS = "query-id\tcorpus-id\tscore\n"
_BIG = "x" * 1_000_000


def _parquet(table: pa.Table, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


_TABLE = _parquet(pa.table({key: [row[key] for row in ROWS] for key in ROWS[0]}))


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("test.jsonl", "w") as f,
    ):
        for _ in range(260):
            f.write(bytes(2**20))
    return out.getvalue()


def _gzip_bomb() -> bytes:
    out = io.BytesIO()
    with gzip.open(out, "wb", compresslevel=9) as f:
        for _ in range(260):
            f.write(bytes(2**20))
    return out.getvalue()


_MIRROR: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "cut short": ("test.parquet", lambda: _TABLE[:-3], "no parquet file"),
    "of two marks": ("test.parquet", lambda: b"PAR1PAR1", "no parquet file"),
    "without a beginning": ("test.parquet", lambda: _TABLE[100:], "stsbenchmark-sts"),
    "with a footer of 4 GB": ("test.parquet", lambda: b"PAR1" + b"\xff" * 4 + b"PAR1", "no parquet file"),
    "with a footer of noise": (
        "test.parquet",
        lambda: b"PAR1" + bytes(range(200)) + b"\xc8\0\0\0PAR1",
        "test.parquet",
    ),
    "with its middle overwritten": (
        "test.parquet",
        lambda: _TABLE[:4] + bytes(len(_TABLE) // 3) + _TABLE[4 + len(_TABLE) // 3 :],
        "stsbenchmark-sts",
    ),
    "without columns": ("test.parquet", lambda: _parquet(pa.table({})), "0 rows in"),
    "of lists": ("test.parquet", lambda: _parquet(pa.table({key: [[[1]]] for key in ROWS[0]})), "stsbenchmark-sts"),
    "of other columns": ("test.parquet", lambda: _parquet(pa.table({"\x1b[31m": [1]})), "stsbenchmark-sts"),
    "of a hundred million nulls": (
        "test.parquet",
        lambda: _parquet(pa.table({"score": pa.nulls(100_000_000, pa.int8())})),
        "100,000,000 rows in",
    ),
    "of 270 MB of zeros": (
        "test.parquet",
        lambda: _parquet(
            pa.table({"a": [bytes(270_000_000)]}), compression="zstd", use_dictionary=False, write_statistics=False
        ),
        "and unfolds to",
    ),
    "a gzip bomb": ("test.jsonl.gz", _gzip_bomb, "unfolds to 200 times its size"),
    "a gzip cut short": ("test.jsonl.gz", lambda: gzip.compress(_GOOD.encode())[:-9], "damaged"),
    "a gzip of noise": ("test.jsonl.gz", lambda: b"\x1f\x8b" + bytes(range(100)), "stsbenchmark-sts"),
    "a zip bomb": ("data.zip", _zip_bomb, "and unfolds to"),
    "a zip of noise": ("data.zip", lambda: b"PK\x03\x04" + bytes(range(100)), "damaged"),
    "JSON Lines of brackets": ("test.jsonl", lambda: b"[" * 200_000, "stsbenchmark-sts"),
    "JSON Lines of UTF-16": ("test.jsonl", lambda: '{"a": 1}\n'.encode("utf-16"), "stsbenchmark-sts"),
    "a CSV with NULs": ("test.csv", lambda: b"\0\0\0\0\n\0\0", "stsbenchmark-sts"),
}


def _mirror(name: str, content: Callable[[], bytes]) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        place = folder / "hub" / "datasets" / "mteb" / "stsbenchmark-sts"
        place.mkdir(parents=True)
        (place / name).write_bytes(content())
        checkpoint(folder)
        return ["--model", "m", "--task", "STSBenchmark", "--hub", "hub", *RUN[2:]]

    return make


_THUMB = CARD.replace("STS", "TextEvaluation")
_PROMPTS = 'name: Own\ntype: PromptRetrieval\ndata: data\noptions: {input: "{text}", labels: [a, b], most: 2}\n'

CASES = [
    *(Case(f"CSV: {name}", _own(test__csv=text), ("data/test.csv", says)) for name, (text, says) in _CSV.items()),
    *(
        Case(f"JSON Lines: {name}", _own(test__jsonl=text), ("test.jsonl", says))
        for name, (text, says) in _JSONL.items()
    ),
    Case(
        "TSV of one line without end",
        _own(test__tsv=lambda: b"\t" * 101_000_000),
        ("more than 100,000,000 characters",),
    ),
    Case(
        "a grade of 4,000 digits", _retrieval(f"{_QRELS}q\td\t{DIGITS}\n"), ("test.tsv, line 2", "Infinity in 'score'")
    ),
    Case("a grade of 1e99", _retrieval(f"{_QRELS}q\td\t1e99\n"), ("whole number up to 1,000",)),
    Case("a grade of a megabyte", _retrieval(f"{_QRELS}q\td\t{_BIG}\n"), ("'score' should be a number",)),
    Case("judgements of a query of a megabyte", _retrieval(f"{_QRELS}{_BIG}\td\t1\n"), ("none of 1 judgement",)),
    Case("judgements of a document of a megabyte", _retrieval(f"{_QRELS}q\t{_BIG}\t1\n"), ("none of 1 judgement",)),
    Case(
        "judged twice, ids of a megabyte", _retrieval(f"{_QRELS}{f'{_BIG}{chr(9)}d{chr(9)}1{chr(10)}' * 2}"), ("twice",)
    ),
    Case(
        "ids of a megabyte twice",
        _retrieval(corpus=_lines(*[{"_id": _BIG, "text": "x"}] * 2)),
        ("corpus.jsonl, line 2: id 'xxx", "is there twice"),
    ),
    Case("an id of 5,000 digits", _retrieval(corpus=f'{{"_id": {"9" * 5000}, "text": "x"}}\n'), ("line 1: not JSON",)),
    Case("an id of 1e400", _retrieval(corpus='{"_id": 1e400, "text": "x"}\n'), ("Infinity in '_id'",)),
    Case("judgements without a header, of noise", _retrieval("a b c d\n" * 1000), ("test.tsv",)),
    Case(
        "THumB scores of 4,000 digits",
        _own(
            _THUMB,
            a_references__jsonl=_lines({"seg_id": "1", "refs": ["x"]}),
            **{"a_THumB-1.0__jsonl": f'{{"SYS": "x", "seg_id": "1", "hyp": "x", "human_score": {DIGITS}}}\n'},
        ),
        ("Infinity in 'human_score'",),
    ),
    Case(
        "labels of a megabyte",
        _own(CARD.replace("STS", "Clustering"), test__jsonl=_lines({"text": "a", "label": _BIG})),
        ("fewer than two different labels",),
    ),
    Case(
        "a prompt's label of a megabyte",
        _own(
            _PROMPTS, pool__jsonl=_lines({"text": "x", "label": _BIG}), test__jsonl=_lines({"text": "x", "label": "a"})
        ),
        ("pool.jsonl, line 1", "has the unknown label"),
    ),
    Case(
        "prompts of lists",
        _own(
            _PROMPTS,
            pool__jsonl=_lines({"text": [[[]]], "label": "a"}),
            test__jsonl=_lines({"text": "x", "label": "a"}),
        ),
        ("pool.jsonl, line 1: a list ([[[]]]) in 'text'",),
    ),
    *(Case(f"mirror: {how}", _mirror(name, content), (says,)) for how, (name, content, says) in _MIRROR.items()),
]
