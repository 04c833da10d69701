"""MultiWOZ 2.4 in the form of IC-DST's preprocessing: one row for each turn of a dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.files import columns, is_list_of, objects, read_json
from instructor_eval.tasks.rows import Row

DOMAINS = frozenset({"hotel", "restaurant", "attraction", "taxi", "train"})
"""Turns about other topics (hospital, police, bus) are left out."""
_WANTED = ("ID", "turn_id", "domains", "dialog", "turn_slot_values", "last_slot_values")


def multiwoz_json(paths: Sequence[Path], _split: str) -> list[Row]:
    """Read turns with the fields of the file, and dialogue_ID, sys, usr, history, context and sql.

    Source: MultiWOZ 2.4 (Ye et al. 2022), preprocessed as by Hu et al. 2022 (In-Context Learning for Few-Shot Dialogue
    State Tracking, https://github.com/Yushi-Hu/IC-DST): `sys` and `usr` are the last utterance of each side, `context`
    the state before the turn, `sql` the turn's change of it.

    Raises:
        UserError: a turn has another form, or is there twice.
    """
    path = paths[0]
    turns = objects(read_json(path), str(path))
    columns(turns, _WANTED, str(path))
    found: list[Row] = []
    seen: set[tuple[str, str]] = set()
    for number, turn in enumerate(turns, 1):
        where = f"{path}, row {number}"
        if not is_list_of(turn["domains"], str):
            raise UserError(f"{where}: 'domains' should be a list of texts")
        if not DOMAINS.issuperset(turn["domains"]):
            continue
        name = (str(turn["ID"]), str(turn["turn_id"]))
        if name in seen:
            raise UserError(f"{where}: turn {name[1]} of dialogue '{name[0]}' is there twice")
        seen.add(name)
        sys, usr = (_last(turn["dialog"], side, where) for side in ("sys", "usr"))
        before = _slots(turn["last_slot_values"], "last_slot_values", where)
        change = _slots(turn["turn_slot_values"], "turn_slot_values", where)
        if odd := [slot for slot in change if slot.count("-") != 1]:
            raise UserError(f"{where}: slot '{odd[0]}' in 'turn_slot_values' should be of the form table-column")
        added = {
            "dialogue_ID": turn["ID"],
            "sys": sys,
            "usr": usr,
            "history": f"[system] {sys} [user] {usr}",
            "context": ", ".join(f"{slot}: {value}" for slot, value in before.items()),
            "sql": change_as_sql(change),
        }
        found.append(turn | added)
    return found


def _last(dialog: Any, side: str, where: str) -> str:
    """Return the last utterance of a side; the files have `none` before it has spoken."""
    said = dialog.get(side) if isinstance(dialog, dict) else None
    if not isinstance(said, list) or not said or not isinstance(said[-1], str):
        raise UserError(f"{where}: 'dialog' should have a list of one or more texts as '{side}'")
    return "" if said[-1] == "none" else said[-1]


def _slots(slots: Any, name: str, where: str) -> dict[str, str]:
    """Return slots with the first of the values that the annotators allow, separated by `|`."""
    if not isinstance(slots, dict) or not all(isinstance(value, str) for value in slots.values()):
        raise UserError(f"{where}: '{name}' should be an object of texts")
    return {slot: value.partition("|")[0] for slot, value in slots.items()}


def change_as_sql(slots: Mapping[str, str]) -> str:
    """Return a change of state as an SQL query: of one table, or of several under the names t1, t2, ...

    Args:
        slots: Values by "table-column".
    """
    tables: dict[str, list[tuple[str, str]]] = {}
    for slot, value in slots.items():
        table, _, column = slot.replace(" ", "_").partition("-")
        tables.setdefault(table, []).append((column, value))
    short = {table: f"t{number}" for number, table in enumerate(tables, 1)}
    if len(tables) == 1:
        source, prefix = next(iter(tables)), dict.fromkeys(tables, "")
    else:
        source = ", ".join(f"{table} AS {name}" for table, name in short.items())
        prefix = {table: f"{name}." for table, name in short.items()}
    where = [f"{prefix[table]}{column} = {value}" for table, pairs in tables.items() for column, value in pairs]
    return f"SELECT * FROM {source} WHERE {' AND '.join(where)}"  # noqa: S608  no database will see it
