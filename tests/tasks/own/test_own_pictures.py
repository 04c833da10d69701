"""A user's pictures: captions and classes that are read, and what is wrong with them in one line."""

import json
import os
from pathlib import Path

import made_pictures
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.own.pictures import read_captions, read_classes
from instructor_eval.tasks.task import Card


def card(folder: Path, **options: object) -> Card:
    return Card("Mine", "own", "ImageTextRetrieval", "ndcg_at_10", folder=folder, options=options)


def write_captions(folder: Path, *rows: object) -> None:
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    for name in ("a.png", "b.png", "more/c.png"):
        made_pictures.picture(len(name)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_captions_are_queries_or_documents(folder: Path) -> None:
    write_captions(
        folder,
        {"image": "a.png", "caption": "a cat"},
        {"image": "a.png", "caption": "an animal"},
        {"image": "b.png", "caption": "an animal"},
    )
    data, warnings = read_captions(card(folder), folder)
    assert [row["id"] for row in data.corpus] == ["a.png", "b.png", "more/c.png"]
    assert [row["text"] for row in data.queries] == ["a cat", "an animal"]
    assert data.qrels == {"caption-1": {"a.png": 1}, "caption-2": {"a.png": 1, "b.png": 1}}
    assert warnings == ["1 picture without a caption (the first: 'more/c.png')"]
    data, _ = read_captions(card(folder, direction="image-to-text"), folder)
    assert [row["id"] for row in data.queries] == ["a.png", "b.png"]
    assert data.qrels == {"a.png": {"caption-1": 1, "caption-2": 1}, "b.png": {"caption-2": 1}}


WRONG = {
    "no row": ([], "captions.jsonl: it is empty"),
    "no picture": ([{"image": "d.png", "caption": "x"}], r"line 1: there is no picture 'd\.png'"),
    "a near name": ([{"image": "more/C.png", "caption": "x"}], "did you mean more/c"),
    "outside": ([{"image": "../a.png", "caption": "x"}], r"there is no picture '\.\./a\.png'"),
    "absolute": ([{"image": "/etc/hosts", "caption": "x"}], "is not the name of a picture"),
    "no name of a picture": ([{"image": "notes.txt", "caption": "x"}], r"not the name of a picture \(png, jpg"),
    "twice": ([{"image": "a.png", "caption": "x"}] * 2, "has this caption in line 1 too"),
    "no caption": ([{"image": "a.png"}], "no 'caption'"),
    "a number": ([{"image": "a.png", "caption": 3}], "should be a text"),
    "empty": ([{"image": "a.png", "caption": " "}], "every 'caption' is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_captions_that_are_wrong_are_one_line(folder: Path, name: str) -> None:
    rows, line = WRONG[name]
    write_captions(folder, *rows)
    with pytest.raises(UserError, match=line) as e:
        read_captions(card(folder), folder)
    assert "\n" not in str(e.value)


def test_classes_are_folders_or_rows_of_a_table(tmp_path: Path) -> None:
    for name in ("test/cat/1.png", "test/cat/2.png", "test/dog/1.PNG", "test/.hidden/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(3).save(tmp_path / name)
    data, _ = read_classes(card(tmp_path, labels={"dog": "hound"}), tmp_path)
    assert data.names == ["test/cat/1.png", "test/dog/1.PNG", "test/cat/2.png"]
    assert (data.labels, data.classes) == (["cat", "dog", "cat"], {"cat": "cat", "dog": "hound"})
    with pytest.raises(UserError, match="labels: there is no class 'cow'"):
        read_classes(card(tmp_path, labels={"cow": "cow"}), tmp_path)
    (tmp_path / "test" / "empty").mkdir()
    with pytest.raises(UserError, match=r"test/empty: no picture is in this class"):
        read_classes(card(tmp_path), tmp_path)
    (tmp_path / "test").rename(tmp_path / "all")
    (tmp_path / "test.csv").write_text("image,label\nall/cat/1.png,cat\nall/dog/1.PNG,dog\n")
    data, _ = read_classes(card(tmp_path), tmp_path)
    assert data.names == ["all/cat/1.png", "all/dog/1.PNG"]
    for text, line in {
        "image,label\n": "it is empty",
        "image,label\nall/cat/1.png,cat\n": "fewer than two different classes",
        "image,label\nall/cat/1.png,cat\nall/cat/1.png,dog\n": "line 3: 'all/cat/1.png' is there twice",
        "image,label\nall/cat/9.png,cat\n": "there is no picture .all/cat/9.png.: did you mean",
        "image,label\nall/cat/1.png,\n": "an empty label",
        "image,label\nall/cat/1.png,1\nall/dog/1.PNG,nan\n": "line 3: 'nan' in 'label', whose other labels are numbers",
    }.items():
        (tmp_path / "test.csv").write_text(text)
        with pytest.raises(UserError, match=line):
            read_classes(card(tmp_path), tmp_path)
    (tmp_path / "test.csv").unlink()
    with pytest.raises(UserError, match=r"expected test.jsonl, test.tsv or test.csv.*, nor a folder test with"):
        read_classes(card(tmp_path), tmp_path)
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match="expected a folder of pictures for each class"):
        read_classes(card(tmp_path), tmp_path)


def test_one_number_is_one_class(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        made_pictures.picture(3).save(tmp_path / name)
    (tmp_path / "test.csv").write_text("image,label\na.png,0.0\nb.png,0\nc.png,cat\nd.png,Cat\n")
    data, warnings = read_classes(card(tmp_path), tmp_path)
    assert data.classes == {name: name for name in ("0.0", "Cat", "cat")}
    assert dict(zip(data.names, data.labels, strict=True))["b.png"] == "0.0"
    assert warnings == [
        "labels that differ only in case, spaces or Unicode form are not the same: 'cat' / 'Cat'",
        "labels that are the same number or truth value are taken as one: '0.0' / '0'",
    ]


def test_what_classes_leave_out_is_said(tmp_path: Path) -> None:
    for name in ("test/cat/1.png", "test/cat/more/2.png", "test/dog/1.png", "test/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(3).save(tmp_path / name)
    data, warnings = read_classes(card(tmp_path, labels={"dog": "pet", "cat": "pet"}), tmp_path)
    assert data.names == ["test/cat/1.png", "test/dog/1.png"]
    assert warnings == [
        "2 pictures outside the classes' folders (the first: '3.png')",
        "classes 'cat' and 'dog' have the same words, 'pet'",
    ]
    (tmp_path / "test.tsv").write_text("image\tlabel\ntest/cat/1.png\tcat\n")
    with pytest.raises(UserError, match=r"the folder test and test\.tsv are both there: remove one"):
        read_classes(card(tmp_path), tmp_path)


@pytest.mark.parametrize("name", [b"dog/1\xff.png", b"d\xff/1.png", b"d\xffg/more/1.png"])
def test_names_that_are_no_texts_are_one_line(tmp_path: Path, name: bytes) -> None:
    for path in (b"cat/1.png", b"dog/1.png", name):
        file = tmp_path / "test" / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(3).save(file)
    write_captions(tmp_path, {"image": "test/cat/1.png", "caption": "a cat"})
    for read in (read_classes, read_captions):
        with pytest.raises(UserError, match=r"its name is not UTF-8: rename it"):
            read(card(tmp_path), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything can be read by root")
def test_a_folder_that_cannot_be_read_is_one_line(folder: Path) -> None:
    write_captions(folder, {"image": "a.png", "caption": "a cat"})
    (folder / "more").chmod(0)
    try:
        with pytest.raises(UserError, match=r"more cannot be read \(permission denied\)"):
            read_captions(card(folder), folder)
    finally:
        (folder / "more").chmod(0o755)
