"""A user's pictures: captions and classes that are read, and what is wrong with them in one line."""

import json
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
    }.items():
        (tmp_path / "test.csv").write_text(text)
        with pytest.raises(UserError, match=line):
            read_classes(card(tmp_path), tmp_path)
    (tmp_path / "test.csv").unlink()
    with pytest.raises(UserError, match=r"expected test.jsonl, test.tsv or test.csv"):
        read_classes(card(tmp_path), tmp_path)
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match="expected a folder of pictures for each class"):
        read_classes(card(tmp_path), tmp_path)
