"""Data sets in their publishers' formats: each function reads the rows of one split.

Every function gets the split's files from `layouts`, and the split's name.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.files import columns, is_list_of, objects, read_json, text_lines, texts
from instructor_eval.tasks.rows import Row, csv_cells, read_rows

_DBPEDIA_CLASSES = 14
_ENDINGS = 4
_SST_PREFIX = "__label__"
_SST_CLASSES = 5
_GEOQUERY = ("question", "query", "seq_in", "db_table_names", "db_column_names", "db_column_types")


def sst_fasttext(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read SST-5: text, label from 0 (very negative) to 4 (very positive).

    Source: the Stanford Sentiment Treebank (Socher et al. 2013), whole sentences in fastText's format: lines
    `__label__N<TAB>text`, N from 1 to 5.

    Raises:
        UserError: a line has another form.
    """
    found: list[Row] = []
    for number, line in text_lines(paths[0]):
        if not line.strip():
            continue
        label, tab, text = line.rstrip("\r\n").partition("\t")
        grade = _number_upto(label.removeprefix(_SST_PREFIX), _SST_CLASSES)
        if not tab or not label.startswith(_SST_PREFIX) or grade is None:
            raise UserError(
                f"{paths[0]}, line {number}: expected {_SST_PREFIX}N, a tab and a text, with N from 1 to {_SST_CLASSES}"
            )
        found.append({"text": text, "label": grade - 1})
    return found


def dbpedia_csv(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read DBpedia-14: title, content, label from 0 to 13.

    Source: the ontology classification data of Zhang, Zhao and LeCun 2015: CSV without a header, `class,title,content`,
    class from 1 to 14.

    Raises:
        UserError: a row has another form.
    """
    path = paths[0]
    reader = csv_cells(line for _, line in text_lines(path))
    found: list[Row] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != 3:
                raise UserError(
                    f"{path}, line {reader.line_num}: expected class,title,content, found {len(cells)} columns"
                )
            number = _number_upto(cells[0], _DBPEDIA_CLASSES)
            if number is None:
                raise UserError(f"{path}, line {reader.line_num}: class '{cells[0]}', expected 1 to {_DBPEDIA_CLASSES}")
            found.append({"title": cells[1], "content": cells[2], "label": number - 1})
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}") from e
    return found


def _number_upto(text: str, most: int) -> int | None:
    """Parse a number from 1 to `most`; None: it is not one."""
    known = {str(number): number for number in range(1, most + 1)}
    return known.get(text)


def hellaswag_jsonl(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read HellaSwag: ctx_a, ctx_b, ctx, four endings, label from 0 to 3, activity_label.

    Source: Zellers et al. 2019, https://github.com/rowanz/hellaswag. A row without ctx_a or ctx_b has an empty one, as
    in the data hub's version.

    Raises:
        UserError: a line is not JSON, or a row has another form.
    """
    path = paths[0]
    found: list[Row] = []
    for line, row in read_rows(path):
        example = {"ctx_a": "", "ctx_b": ""} | row
        for name in ("ctx_a", "ctx_b", "ctx", "activity_label"):
            if not isinstance(example.get(name), str):
                raise UserError(f"{path}, line {line}: '{name}' should be a text")
        endings = example.get("endings")
        if not is_list_of(endings, str) or len(endings or []) != _ENDINGS:
            raise UserError(f"{path}, line {line}: 'endings' should be {_ENDINGS} texts")
        label: Any = example.get("label")
        if type(label) is not int or not 0 <= label < _ENDINGS:
            raise UserError(f"{path}, line {line}: 'label' should be a number from 0 to {_ENDINGS - 1}")
        found.append(example)
    return found


def natural_instructions(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read instances of a task: text (the input), label (the first output), and sentence and question if it has them.

    Source: Super-NaturalInstructions (Wang et al. 2022), https://github.com/allenai/natural-instructions; MultiRC
    answerability is its task 050, CODA-19 titles its task 1161. Inputs of task 050 are a line `Sentence: ...`
    and a line `Question: ...`.

    Raises:
        UserError: the file has no "Instances", or one has another form.
    """
    path = paths[0]
    task = read_json(path)
    if not isinstance(task, dict) or "Instances" not in task:
        raise UserError(f"{path}: no 'Instances' in it: expected a task file of Super-NaturalInstructions")
    where = f"{path}, Instances"
    instances = objects(task["Instances"], where)
    texts(instances, ["input"], where)
    found: list[Row] = []
    for number, instance in enumerate(instances, 1):
        text, output = instance["input"], instance.get("output")
        if not output or not is_list_of(output, str):
            raise UserError(f"{where}, row {number}: 'output' should be a list of one or more texts")
        parts = text.split("\nQuestion:")
        asked = len(parts) == 2 and text.startswith("Sentence:")
        both = {"sentence": parts[0].replace("Sentence:", "").strip(), "question": parts[1].strip()} if asked else {}
        found.append({**instance, "text": text, "label": output[0], **both})
    return found


def wilds_json(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read Amazon reviews or CivilComments: text, label, meta.

    Source: WILDS (Koh et al. 2021) in the paper's authors' format: a JSON list of objects, `meta` being the row of
    WILDS's metadata array; Amazon's reviewer comes first in it.

    Raises:
        UserError: a row has another form.
    """
    where = str(paths[0])
    rows = objects(read_json(paths[0]), where)
    texts(rows, ["text"], where)
    for number, row in enumerate(rows, 1):
        if type(row.get("label")) is not int:
            raise UserError(f"{where}, row {number}: 'label' should be a whole number")
        if not is_list_of(row.get("meta"), int):
            raise UserError(f"{where}, row {number}: 'meta' should be a list of whole numbers")
    return rows


def geoquery_json(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read GeoQuery: question, query (SQL), seq_in, names and types of tables and columns, and schema, made from these.

    Source: GeoQuery (Zelle and Mooney 1996; SQL by Iyer et al. 2017, split by Finegan-Dollak et al. 2018) with the
    schema added to every row. `schema` is a line `CREATE TABLE name (column type, ...)` for each table.

    Raises:
        UserError: a row lacks one of them, or a column belongs to no table.
    """
    where = str(paths[0])
    rows = objects(read_json(paths[0]), where)
    columns(rows, _GEOQUERY, where)
    texts(rows, _GEOQUERY[:3], where)
    return [row | {"schema": _schema(row, f"{where}, row {number}")} for number, row in enumerate(rows, 1)]


def _schema(row: Row, where: str) -> str:
    tables, kinds = row["db_table_names"], row["db_column_types"]
    if not is_list_of(tables, str) or not is_list_of(kinds, str):
        raise UserError(f"{where}: 'db_table_names' and 'db_column_types' should be lists of texts")
    names = objects(row["db_column_names"], f"{where}, db_column_names")
    if len(names) != len(kinds):
        raise UserError(f"{where}: {len(names)} names of columns, but {len(kinds)} types")
    by_table: list[list[str]] = [[] for _ in tables]
    for column, kind in zip(names, kinds, strict=True):
        name, table = column.get("column_name"), column.get("table_id")
        if table == -1:  # the column "*" of no table
            continue
        if not isinstance(name, str) or type(table) is not int or not 0 <= table < len(tables):
            raise UserError(f"{where}: 'db_column_names' should be objects with a column_name and a table_id")
        by_table[table].append(f"{name} {kind}")
    return "\n".join(f"CREATE TABLE {t} ({', '.join(c)})" for t, c in zip(tables, by_table, strict=True))
