"""A user's pictures, with captions or in classes, read and checked. No picture is opened here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from instructor_eval.core.errors import UserError, did_you_mean, reason
from instructor_eval.core.pictures import SUFFIXES
from instructor_eval.tasks.labels import Labels, check_numbers
from instructor_eval.tasks.own.ranking_data import RankingData
from instructor_eval.tasks.rows import SUFFIXES as TABLES
from instructor_eval.tasks.rows import find_file, read_rows
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import RowReader, count, cut

PATH = "picture"
"""The column of a picture's path, in place of a text's."""
TO_TEXT = "image-to-text"
DIRECTIONS = ("text-to-image", TO_TEXT)


def read_captions(card: Card, folder: Path) -> tuple[RankingData, list[str]]:
    """Read a folder of pictures with `captions.jsonl` (or TSV, CSV): in a row a picture and a caption.

    A picture may have several rows. One without a row is found for no caption, and asked for none.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    path = find_file(folder, "captions")
    reader = RowReader(path, card.options.get("columns", {}))
    there = _pictures(folder, most_deep=True)
    captions: list[tuple[str, str]] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_rows(path):
        image, caption = reader.text(line, row, "image"), reader.text(line, row, "caption")
        _check_name(reader, line, image, there)
        if (image, caption) in seen:
            raise reader.fail(line, f"{cut(image)} has this caption in line {seen[image, caption]} too: remove one")
        seen[image, caption] = line
        captions.append((image, caption))
    if not captions:
        raise UserError(f"{path}: it is empty")
    warnings = reader.warnings()
    alone = sorted(there.keys() - {image for image, _ in captions})
    if alone:
        warnings.append(f"{count(len(alone), 'picture')} without a caption (the first: {cut(alone[0])})")
    # A caption that several pictures share is one text that fits them all, whoever wrote it.
    ids = {caption: f"caption-{i}" for i, caption in enumerate(dict.fromkeys(caption for _, caption in captions), 1)}
    texts = [{"id": name, "text": caption} for caption, name in ids.items()]
    pictures = [{"id": name, PATH: str(file)} for name, file in there.items()]
    data = RankingData(corpus=pictures, queries=texts)
    if card.options.get("direction") == TO_TEXT:
        data = RankingData(corpus=texts, queries=[p for p in pictures if p["id"] not in set(alone)])
    for image, caption in captions:
        query, document = ids[caption], image
        if data.corpus is texts:
            query, document = document, query
        data.qrels.setdefault(query, {})[document] = 1
    return data, warnings


@dataclass
class LabelledPictures:
    """Pictures with their classes."""

    paths: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Each picture's path below the folder of the data."""
    labels: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    """Class -> its words, in the order of the classes' names."""


def read_classes(card: Card, folder: Path) -> tuple[LabelledPictures, list[str]]:
    """Read pictures of classes: folders `<split>/<class>/`, or a table `<split>.csv` of `image` and `label`.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    if (folder / card.split).is_dir():
        found, warnings = _of_folders(folder / card.split)
    else:
        found, warnings = _of_table(card, folder)
    words: Mapping[str, str] = card.options.get("labels", {})
    classes = sorted({label for _, _, label in found})
    strange = sorted(set(words) - set(classes))
    if strange:
        raise UserError(f"task {card.name}: labels: there is no class {cut(strange[0])}: correct the card")
    if len(classes) < 2:
        raise UserError(f"{folder}: fewer than two different classes")
    classes_of: dict[str, list[str]] = {}
    for label in classes:
        classes_of.setdefault(words.get(label, label), []).append(label)
    for word, same in classes_of.items():
        if len(same) > 1:
            warnings.append(f"classes {' and '.join(map(cut, same[:3]))} have the same words, {cut(word)}")
    # In turns of the classes: the first of them, which --limit leaves, are not all of one class.
    turn: dict[str, int] = {}
    order = []
    for name, path, label in sorted(found):
        order.append((turn.setdefault(label, 0), label, name, path))
        turn[label] += 1
    order.sort()
    return LabelledPictures(
        paths=[path for *_, path in order],
        names=[name for _, _, name, _ in order],
        labels=[label for _, label, _, _ in order],
        classes={label: words.get(label, label) for label in classes},
    ), warnings


def _of_folders(place: Path) -> tuple[list[tuple[str, Path, str]], list[str]]:
    table = next((f for f in (place.with_name(place.name + s) for s in TABLES) if os.path.lexists(f)), None)
    if table:
        raise UserError(f"{place.parent}: the folder {place.name} and {table.name} are both there: remove one")
    found: list[tuple[str, Path, str]] = []
    for folder in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
        _check_text(folder)
        files = _pictures(folder)
        if not files:
            kinds = ", ".join(s.removeprefix(".") for s in SUFFIXES)
            raise UserError(f"{folder}: no picture is in this class ({kinds}): add some, or remove the folder")
        found += [(f"{place.name}/{folder.name}/{name}", file, folder.name) for name, file in files.items()]
    if not found:
        raise UserError(f"{place}: expected a folder of pictures for each class, found none")
    elsewhere = sorted(set(_pictures(place, most_deep=True)) - {f"{label}/{file.name}" for _, file, label in found})
    if not elsewhere:
        return found, []
    return found, [f"{count(len(elsewhere), 'picture')} outside the classes' folders (the first: {cut(elsewhere[0])})"]


def _of_table(card: Card, folder: Path) -> tuple[list[tuple[str, Path, str]], list[str]]:
    try:
        path = find_file(folder, card.split)
    except UserError as e:
        raise UserError(f"{e}, nor a folder {card.split} with a folder of pictures for each class") from None
    reader = RowReader(path, card.options.get("columns", {}))
    there = _pictures(folder, most_deep=True)
    found, labels, written = {}, Labels(), list[tuple[int, str]]()
    called: dict[str, str] = {}
    for line, row in read_rows(path):
        image, label = reader.text(line, row, "image"), reader.label(line, row, "label")
        _check_name(reader, line, image, there)
        if image in found:
            raise reader.fail(line, f"{cut(image)} is there twice: remove one")
        written.append((line, label))
        # A class is called as its first picture has it: that may be the text which is embedded.
        found[image] = (image, there[image], called.setdefault(labels.add(card.split, label), label))
    if not found:
        raise UserError(f"{path}: it is empty")
    check_numbers(reader, "label", written)
    return list(found.values()), reader.warnings() + labels.warnings()


def _pictures(folder: Path, *, most_deep: bool = False) -> dict[str, Path]:
    """Return the pictures of a folder by their names in it, sorted; links that lead nowhere count, and fail later.

    Raises:
        UserError: a folder cannot be read, or a name is not UTF-8.
    """

    def refuse(e: OSError) -> None:
        raise UserError(f"{e.filename} cannot be read ({reason(e)}): change its permissions, or leave it out") from e

    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if most_deep and not name.startswith("."))
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(place) / name
                _check_text(path)
                found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _check_text(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}: its name is not UTF-8: rename it, or leave it out") from None


def _check_name(reader: RowReader, line: int, image: str, there: Mapping[str, Path]) -> None:
    if image in there:
        return
    if not image.lower().endswith(SUFFIXES):
        kinds = ", ".join(s.removeprefix(".") for s in SUFFIXES)
        raise reader.fail(line, f"{cut(image)} in 'image' is not the name of a picture ({kinds})")
    hint = did_you_mean(image, there) or ": names are relative to the folder of the data"
    raise reader.fail(line, f"there is no picture {cut(image)}{hint}")
