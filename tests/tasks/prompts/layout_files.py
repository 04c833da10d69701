"""Files of every layout, made up."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.layouts import read

FULL_RTE = 2490 + 277


def write(folder, files):
    """Files by name: text, bytes, or a value to be written as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


def jsonl(*rows):
    return lines(*map(json.dumps, rows))


def parquet(folder, name, rows):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


def load(layout, folder, pool="train", test="test", subset="default"):
    return read(layout, folder, subset=subset, pool_split=pool, test_split=test)


def error(call, *arguments, **named):
    with pytest.raises(UserError) as e:
        call(*arguments, **named)
    assert "\n" not in str(e.value)
    return str(e.value)


def rte(rows):
    names = {0: "entailment", 1: "not_entailment"}
    cells = ("\t".join([str(i), r["sentence1"], r["sentence2"], names[r["label"]]]) for i, r in rows)
    return lines("index\tsentence1\tsentence2\tlabel", *cells)


def pair(i):
    return {"sentence1": f'"{i} é', "sentence2": f"said, {i}", "label": i % 2}


def mrpc(*rows):
    return lines("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *("\t".join(row) for row in rows))


MRPC = [("1", str(i), str(i + 100), f'a "{i}', f"b {i}") for i in range(6)] + [("0", "7", "8", "c", "d")]


SWAG = {"ind": 4, "activity_label": "Roof", "ctx_a": "A man.", "ctx_b": "he", "ctx": "A man. he",
        "endings": list("abcd"), "label": 3}  # fmt: skip


def instance(text, *output):
    return {"id": "task050-1", "input": text, "output": list(output)}


WILDS = {"text": "a\nb", "label": 1, "meta": [4, 0]}


GEO = {
    "question": "what states", "query": "SELECT s", "seq_in": "what | state", "more": 1,
    "db_table_names": ["state", "city"],
    "db_column_names": [{"table_id": -1, "column_name": "*"}, {"table_id": 1, "column_name": "name"},
                        {"table_id": 0, "column_name": "area"}, {"table_id": 1, "column_name": "size"}],
    "db_column_types": ["text", "text", "number", "number"],
}  # fmt: skip


def turn(dialogue="D1", number=0, **fields):
    return {
        "ID": dialogue, "turn_id": number, "domains": ["hotel"],
        "dialog": {"sys": ["none", "Where?"], "usr": ["Hi", "In the centre."]},
        "slot_values": {}, "turn_slot_values": {}, "last_slot_values": {}, **fields,
    }  # fmt: skip
