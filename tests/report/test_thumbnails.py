"""Small pictures of the lowest items: only where asked for and allowed, drawn again, bounded."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_pictures
import pytest
from differential import transformers_made
from parsed_page import Page
from PIL import Image, PngImagePlugin

from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Picture
from instructor_eval.report import thumbnails
from instructor_eval.report.thumbnails import SIDE, Thumbnails, draw
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import read_cards

RUN = ("--device", "cpu", "--cost", "off")
CARD = "name: Mine\ntype: ZeroShotClassification\ndata: mine\nshow_texts: {show}\n"
SECRET = "SECRETMARK"


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "clip"
    folder.mkdir()
    transformers_made.clip(folder, seed=4)
    return folder


def write_mine(folder: Path, *, show: str = "true") -> None:
    """Own pictures of two classes, each with a mark in its metadata."""
    for number in range(12):
        about = PngImagePlugin.PngInfo()
        about.add_text("Comment", SECRET)
        path = folder / "mine" / "test" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(number, (300, 200)).save(path, pnginfo=about)
    (folder / "mine.yaml").write_text(CARD.format(show=show))


@pytest.fixture
def mine(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> Path:
    write_mine(tmp_path)
    done = cli("--model", f"hf-clip:{clip}", "--task", "mine.yaml", *RUN)
    assert done.code == 0, done.out + done.err
    return tmp_path


def page_of(cli: Callable[..., Any], *flags: str) -> Page:
    done = cli("report", "-o", "page.html", "--no-published", *flags)
    assert done.code == 0, done.out + done.err
    return Page(Path("page.html").read_bytes())


def test_the_page_shows_the_lowest_where_asked_for(cli: Callable[..., Any], mine: Path) -> None:
    assert page_of(cli, "--task", "mine.yaml").of("img") == []
    page = page_of(cli, "--task", "mine.yaml", "--texts")
    images = page.of("img")
    [score] = Store(mine / "results").scores()
    assert score.statistics is not None
    assert score.statistics.shape is not None
    worst = [name for name, _ in score.statistics.shape.worst]
    assert [image["alt"] for image in images] == [f"picture of {name}" for name in worst]
    for image, name in zip(images, worst, strict=True):
        small = opened(image["src"])
        assert small.size == (SIDE, SIDE * 2 // 3) == (int(image["width"]), int(image["height"]))
        coarse = [
            one.convert("RGB").resize((6, 4), Image.Resampling.BOX) for one in (small, Image.open(mine / "mine" / name))
        ]
        assert max(abs(a - b) for a, b in zip(*(one.tobytes() for one in coarse), strict=True)) < 12, "the same picture"
    whole = Path("page.html").read_text()
    assert SECRET not in whole
    assert all(SECRET.encode() not in base64.b64decode(image["src"].partition(",")[2]) for image in images)
    assert "img-src data:" in whole


def test_a_caption_has_the_wanted_and_the_found(cli: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", "DemoPictures", "--task", "DemoPictureCaptions", *RUN)
    assert done.code == 0, done.out + done.err
    images = [image["alt"] for image in page_of(cli, "--texts").of("img")]
    kinds = [alt.split()[0] for alt in images]
    assert kinds == ["wanted", "found"] * 3 + ["picture"] * 3  # captions that search, then pictures that search
    assert all(alt.startswith(("wanted of caption-", "found of caption-", "picture of ")) for alt in images)


def test_what_is_not_shown_is_said(cli: Callable[..., Any], mine: Path) -> None:
    """The other reasons are those of texts."""
    made_pictures.picture(99).save(mine / "mine" / "test" / "a" / "new.png")
    page = page_of(cli, "--texts", "--task", "mine.yaml")
    assert page.of("img") == []
    assert "Pictures are not shown: its data is not what was scored" in page.text


def test_a_page_has_so_many_at_most(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST", 4)
    store = Store(mine / "results")
    [score] = store.scores()
    assert score.statistics is not None
    assert score.statistics.shape is not None
    cards = {card.name: card for card in read_cards(mine / "mine.yaml")}
    found = Thumbnails(cards, store.items)
    worst = [name for name, _ in score.statistics.shape.worst]
    first, second = found.of(score, worst), found.of(score, worst)
    assert (len(first.pictures), first.why_not) == (3, "")
    assert (len(second.pictures), second.why_not) == (1, "a page has 4 pictures at most")
    assert found.of(dataclasses.replace(score, type="STS"), worst).why_not == ""


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1"])
def test_a_thumbnail_has_nothing_of_the_file_but_its_look(tmp_path: Path, mode: str) -> None:
    image = made_pictures.picture(3, (400, 100))
    if mode in ("RGBA", "LA"):
        image.putalpha(0)
    suffix = "jpg" if mode == "CMYK" else "png"
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET, 6
    image.convert(mode).save(tmp_path / f"a.{suffix}", exif=exif)
    assert SECRET.encode() in (tmp_path / f"a.{suffix}").read_bytes()
    uri, width, height = draw(Picture.of(tmp_path / f"a.{suffix}"))
    small = opened(uri)
    assert (width, height) == small.size == (SIDE // 4, SIDE)  # turned as it says
    assert (small.mode, dict(small.getexif())) == ("RGB", {})
    assert not {"exif", "icc_profile", "comment"} & set(small.info)
    assert SECRET.encode() not in base64.b64decode(uri.partition(",")[2])
    if mode in ("RGBA", "LA"):
        assert min(small.tobytes()) > 250  # what is not seen is white
    assert len(uri) < 16_000


def test_noise_of_any_size_stays_small(tmp_path: Path) -> None:
    import numpy as np

    rows = np.random.default_rng(0).integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    Image.fromarray(rows).save(tmp_path / "noise.png")
    uri, *_ = draw(Picture.of(tmp_path / "noise.png"))
    assert len(uri) < 16_000
    Image.new("L", (4000, 1)).save(tmp_path / "line.png")
    assert draw(Picture.of(tmp_path / "line.png"))[1:] == (SIDE, 1)
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(UserError, match="no picture of a known format"):
        draw(Picture.of(tmp_path / "no.png"))
