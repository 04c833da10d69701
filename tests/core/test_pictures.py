"""Pictures are known by content, and what is broken, too large or moving is refused in one line."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import made_pictures
import numpy as np
import pytest
from PIL import Image

from instructor_eval.core import pictures
from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Picture, as_item, item_bytes
from instructor_eval.models.images.preprocessing import Preprocessing

CLIP = Preprocessing("transformers", 16, 16, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _bytes(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


PLAIN = _bytes(made_pictures.picture(1, (40, 30)))


def _png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with no pixels behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _frames(kind: str) -> bytes:
    frames = [made_pictures.picture(i, (20, 20)) for i in range(3)]
    return _bytes(frames[0], kind, save_all=True, append_images=frames[1:])


REFUSED = {
    "empty": (b"", "is no picture of a known format"),
    "a text": (b"hello, I am a text\n", "is no picture of a known format"),
    "half a png": (PLAIN[: len(PLAIN) // 2], "is broken"),
    "a header of a png": (PLAIN[:20], "is broken|no picture"),
    "half a jpeg": (_bytes(made_pictures.picture(1), "JPEG")[:300], "is broken"),
    "flipped bits": (PLAIN[:60] + bytes(b ^ 0x55 for b in PLAIN[60:90]) + PLAIN[90:], "is broken"),
    "huge": (_png(60_000, 60_000), "has more than 64 megapixels"),
    "a little too large": (_png(8_001, 8_000), r"more than 64 megapixels \(8,001 x 8,000\)"),
    "gif of three frames": (_frames("GIF"), "is animated"),
    "png of three frames": (_frames("PNG"), "is animated"),
    "webp of three frames": (_frames("WEBP"), "is animated"),
    "16 bits of grey": (_bytes(Image.fromarray(np.full((9, 9), 40_000, np.uint16))), "more than 8 bits"),
    "32 bits in a tiff": (_bytes(Image.new("F", (9, 9), 0.5), "TIFF"), "more than 8 bits"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "no picture"),
    "long and narrow": (_bytes(Image.new("L", (1, 400_000))), "too long and narrow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, name: str) -> None:
    data, line = REFUSED[name]
    path = tmp_path / "given.png"
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(UserError, match=line) as e:
            CLIP.pixels(Picture.of(source, "given.png"))
        assert str(e.value).startswith("given.png ")
        assert "\n" not in str(e.value)


OPENED = [
    *("half a png", "flipped bits", "a little too large", "gif of three frames", "png of three frames"),
    *("webp of three frames", "16 bits of grey", "32 bits in a tiff", "long and narrow"),
]
"""The files that Pillow opens: it looks at no pixel before it must."""


@pytest.mark.parametrize("name", [*OPENED, "closed"])
def test_a_picture_of_pillow_that_cannot_be_used_is_one_line(name: str) -> None:
    data, line = REFUSED.get(name, (PLAIN, "is broken .*closed"))
    image = Image.open(io.BytesIO(data))
    if name == "closed":
        image.close()
    with pytest.raises(UserError, match=line) as e:
        CLIP.pixels(Picture.of(image))
    assert "\n" not in str(e.value)


def test_what_is_no_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, line in (
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "folder"),
        (tmp_path / "pipe.png", "FIFO|pipe"),
    ):
        with pytest.raises(UserError, match=f"cannot be read .*{line}"):
            Picture.of(path)
    monkeypatch.setattr(pictures, "MOST_BYTES", 100)
    (tmp_path / "large.png").write_bytes(PLAIN)
    for source in (tmp_path / "large.png", PLAIN):
        with pytest.raises(UserError, match="larger than 0 MB"):
            Picture.of(source)
    with pytest.raises(UserError, match="an item of type int: give a text, or a picture's path"):
        Picture.of(3)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PLAIN)
    picture = Picture.of(path)
    path.write_bytes(_bytes(made_pictures.picture(2)))
    with pytest.raises(UserError, match="changed while it was read"):
        picture.open()


@pytest.mark.parametrize("mode", made_pictures.MODES)
def test_every_kind_of_picture_becomes_rgb_without_a_warning(mode: str) -> None:
    image = made_pictures.picture(4, (23, 31)).convert(mode)
    data = _bytes(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = CLIP.pixels(Picture.of(data))
    assert rows.shape == (3, 16, 16)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_a_palette_with_transparency_gives_no_warning() -> None:
    image = made_pictures.picture(4).convert("P")
    image.info["transparency"] = bytes(range(256))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CLIP.pixels(Picture.of(_bytes(image)))


def test_a_phones_photo_of_two_views_is_its_first(tmp_path: Path) -> None:
    frames = [made_pictures.picture(i, (20, 20)) for i in range(2)]
    two = _bytes(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(CLIP.pixels(Picture.of(two)), CLIP.pixels(Picture.of(_bytes(frames[0], "JPEG"))))


def test_pictures_are_equal_by_content(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PLAIN)
    first, second = Picture.of(tmp_path / "a.png"), Picture.of(tmp_path / "b.png")
    assert first == second == Picture.of(PLAIN) == as_item(bytearray(PLAIN))
    assert len({first, second}) == 1
    opened = Image.open(io.BytesIO(PLAIN))
    assert Picture.of(opened) == Picture.of(opened.copy())
    assert Picture.of(opened) != Picture.of(opened.convert("L"))
    assert as_item("a.png") == "a.png"  # a text, whatever it says
    assert item_bytes(first) != item_bytes(first.digest.hex())
    with pytest.raises(UnicodeDecodeError):  # no text has these bytes
        item_bytes(first).decode("utf-8", "surrogatepass")
