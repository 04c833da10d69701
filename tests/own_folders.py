"""Folders of the user's own data, written in each file format."""

import csv
import io
import json

from instructor_eval.tasks.cards import read_cards


def write(path, rows, form, *, bom=False):
    """Write rows of one format under `path` with its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = list(rows[0])
    if form == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif form == "tsv":
        text = "".join("\t".join(map(str, line)) + "\n" for line in [keys, *(row.values() for row in rows)])
    else:
        out = io.StringIO()
        table = csv.DictWriter(out, keys, lineterminator="\r\n")
        table.writeheader()
        table.writerows(rows)
        text = out.getvalue()
    path = path.with_name(f"{path.name}.{form}")
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    return path


def own_card(folder, text):
    """The card of an own task whose data is in `folder`/data."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "own.yaml"
    path.write_text(f"name: Own\ndata: data\n{text}\n", encoding="utf-8")
    (found,) = read_cards(path)
    return found
