"""Pictures as items beside texts: known by content, opened within bounds. No Pillow before a picture is opened."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.libraries import require
from instructor_eval.core.outside import open_outside, read_bytes
from instructor_eval.core.paths import file_sha256

MOST_PIXELS = 64_000_000
MOST_BYTES = 256 * 2**20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are read. Pillow knows more, one of which (EPS) starts another program."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_WEIGHT = 256
"""A picture counts as much as so many characters where progress is measured."""
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ANIMATED = ("GIF", "PNG", "WEBP")
"""Formats whose further frames are a film; those of JPEG (MPO) and TIFF are other views and pages."""


@dataclass(frozen=True)
class Picture:
    """A picture of a file, of a file's bytes, or of Pillow: equal to another one of the same content."""

    digest: bytes
    """SHA-256 of the file's content, or of an opened picture's pixels."""
    name: str = field(compare=False)
    """Its name in errors."""
    source: Any = field(compare=False, repr=False)
    """A path, bytes, a `PIL.Image.Image`, or a function that reads the file's bytes again."""

    def __len__(self) -> int:
        return _WEIGHT

    @classmethod
    def of(cls, source: Any, name: str = "") -> Picture:
        """Return the picture of a path, of a file's bytes, or of Pillow.

        Raises:
            UserError: the file cannot be read or is too large, or it is none of these.
        """
        if isinstance(source, Path):
            name = name or str(source)
            try:
                with open_outside(source) as file:
                    size = file.seek(0, io.SEEK_END)
                _check_size(size, name)
                return cls(bytes.fromhex(file_sha256(source)), name, source)
            except OSError as e:
                raise UserError(f"{name} cannot be read ({reason(e)}): correct the path, or leave it out") from e
        if isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
            name = name or f"a picture of {len(data):,} bytes"
            _check_size(len(data), name)
            return cls(hashlib.sha256(data).digest(), name, data)
        if is_picture(source):
            _check(source, name or "a picture")
            try:
                source.load()
            except Exception as e:  # a decoder's, or of one that is closed
                raise _broken(e, name or "a picture") from e
            shape = f"{source.mode} {source.size} {source.getexif().get(_ORIENTATION, 1)} "
            palette = source.getpalette("RGBA") if source.mode == "P" else None
            state = hashlib.sha256(f"pixels {shape}{palette} {source.info.get('transparency')!r} ".encode())
            state.update(source.tobytes())
            return cls(state.digest(), name or f"a picture of {source.width} x {source.height}", source)
        raise UserError(
            f"an item of type {type(source).__name__}: give a text, or a picture's path, bytes or PIL image"
        )

    @classmethod
    def stored(cls, read: Callable[[], bytes], name: str) -> Picture:
        """Return the picture of a file in another one: its bytes are read for their digest, and again when opened.

        Raises:
            UserError: it is too large.
        """
        data = read()
        _check_size(len(data), name)
        return cls(hashlib.sha256(data).digest(), name, read)

    def open(self) -> Any:
        """Return it decoded: a `PIL.Image.Image` of at most `MOST_PIXELS`, whatever its mode.

        Raises:
            UserError: Pillow is missing, or it is no picture, broken, too large, animated, or of more than 8 bits a
                channel.
        """
        require(["PIL"], "clip", "opening pictures")
        from PIL import Image, UnidentifiedImageError

        if is_picture(self.source):
            _check(self.source, self.name)
            return self.source
        try:
            data = self._bytes()
        except OSError as e:
            raise UserError(f"{self.name} cannot be read ({reason(e)}): correct the path, or leave it out") from e
        if hashlib.sha256(data).digest() != self.digest:
            raise UserError(f"{self.name} changed while it was read: run again when nothing writes to it")
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check(image, self.name)
            image.load()
        except UserError:
            raise
        except UnidentifiedImageError:
            known = ", ".join(FORMATS)
            raise UserError(
                f"{self.name} is no picture of a known format ({known}): convert it, or leave it out"
            ) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise _too_large(self.name) from None
        except Exception as e:  # a decoder's: OSError, SyntaxError, ValueError, struct.error, zlib.error and others
            raise _broken(e, self.name) from e
        return image

    def _bytes(self) -> bytes:
        if isinstance(self.source, Path):
            return read_bytes(self.source, MOST_BYTES)
        data: bytes = self.source() if callable(self.source) else self.source
        return data


Item: TypeAlias = "str | Picture"
"""The input of an encoder: a text or a picture."""

_ORIENTATION = 0x0112


def is_picture(value: object) -> bool:
    """Return whether a value is a picture of Pillow; Pillow is not imported to know."""
    return any(c.__module__.startswith("PIL.") and c.__name__ == "Image" for c in type(value).__mro__)


def as_item(value: Any, name: str = "") -> Any:
    """Return a picture for a path, bytes and a picture of Pillow; anything else as it is."""
    if isinstance(value, Path | bytes | bytearray | memoryview) or is_picture(value):
        return Picture.of(value, name)
    return value


def item_bytes(item: Item) -> bytes:
    """Return bytes that tell items apart: a text's UTF-8, or a mark that no UTF-8 has, and a picture's digest."""
    return b"\xff" + item.digest if isinstance(item, Picture) else item.encode("utf-8", "surrogatepass")


def shown(item: Item) -> str:
    """Return an item in words, for an error."""
    return f"the picture {item.name}" if isinstance(item, Picture) else f"the text {item[:60]!r}"


def _check_size(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise UserError(f"{name} is larger than {MOST_BYTES // 2**20} MB: make it smaller, or leave it out")


def _too_large(name: str, size: str = "") -> UserError:
    return UserError(f"{name} has more than {MOST_PIXELS // 10**6} megapixels{size}: make it smaller, or leave it out")


def _broken(e: Exception, name: str) -> UserError:
    return UserError(f"{name} is broken ({str(e)[:120] or type(e).__name__}): make it again, or leave it out")


def _check(image: Any, name: str) -> None:
    """Refuse, before anything is decoded, what decoding would make too much of or a wrong picture of."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(name, f" ({width:,} x {height:,})")
    if not width or not height:
        raise UserError(f"{name} has no pixels ({width} x {height}): make it again, or leave it out")
    if image.mode in _DEEP:
        raise UserError(f"{name} has more than 8 bits a channel ({image.mode}): convert it to 8 bits, or leave it out")
    if getattr(image, "format", None) in _ANIMATED and getattr(image, "is_animated", False):
        raise UserError(f"{name} is animated: save one of its frames as a picture, or leave it out")
