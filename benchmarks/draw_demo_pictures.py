"""Draw the pictures of the demo: `python benchmarks/draw_demo_pictures.py` writes tasks/demo/pictures/ again.

Each shows one to four equal shapes of a colour somewhere on white: what a caption can say in a few words.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent.parent / "tasks" / "demo" / "pictures"
SIZE, HALF = 64, 6
COLOURS = {
    "red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 80, 200),
    "yellow": (240, 200, 0), "purple": (130, 60, 170), "black": (0, 0, 0),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star")
COUNTS = ("one", "two", "three", "four")
PLACES = {
    "at the top": (32, 16), "at the bottom": (32, 48), "on the left": (16, 32),
    "on the right": (48, 32), "in the middle": (32, 32),
}  # fmt: skip
OFFSETS = ((-8, -8), (8, 8), (8, -8), (-8, 8))
"""Of the shapes, from their place."""
NUMBER = 200


def scenes() -> list[tuple[str, str, str, str]]:
    """Return count, colour, shape and place of every picture; all are different."""
    every = list(itertools.product(COUNTS, COLOURS, SHAPES, PLACES))
    random.Random(2212).shuffle(every)
    return every[:NUMBER]


def corners(shape: str, x: int, y: int) -> list[tuple[float, float]]:
    """Return the corners of a shape around a point."""
    if shape == "square":
        return [(x - HALF, y - HALF), (x + HALF, y - HALF), (x + HALF, y + HALF), (x - HALF, y + HALF)]
    points = 3 if shape == "triangle" else 10
    lengths = [HALF + 2 if shape == "triangle" or i % 2 == 0 else 3 for i in range(points)]
    turns = [math.tau * i / points - math.pi / 2 for i in range(points)]
    return [(x + n * math.cos(t), y + n * math.sin(t)) for n, t in zip(lengths, turns, strict=True)]


def draw(count: str, colour: str, shape: str, place: str) -> Image.Image:
    """Return the picture of a scene."""
    image = Image.new("P", (SIZE, SIZE), 0)
    image.putpalette([255, 255, 255, *COLOURS[colour]])
    pen = ImageDraw.Draw(image)
    n = COUNTS.index(count) + 1
    x, y = PLACES[place]
    for dx, dy in ((0, 0),) if n == 1 else OFFSETS[:n]:
        if shape == "circle":
            pen.ellipse((x + dx - HALF, y + dy - HALF, x + dx + HALF, y + dy + HALF), fill=1)
        else:
            pen.polygon(corners(shape, x + dx, y + dy), fill=1)
    return image


def captions(count: str, colour: str, shape: str, place: str) -> tuple[str, str]:
    """Return two ways to say what a picture shows."""
    shapes = shape if count == "one" else f"{shape}s"
    return f"{count} {colour} {shapes} {place}", f"{place}: {shapes}, {colour}, {count} in number"


def write(folder: Path) -> None:
    """Write pictures, captions and the table of shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, labels = [], ["image,label"]
    for i, scene in enumerate(scenes()):
        name = f"{i:03}.png"
        draw(*scene).save(folder / name, optimize=True)
        rows += [json.dumps({"image": name, "caption": caption}) for caption in captions(*scene)]
        labels.append(f"{name},{scene[2]}")
    (folder / "captions.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "test.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
