"""The pictures of the demo are those that their script draws."""

import runpy
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "tasks" / "demo" / "pictures"


def test_the_script_draws_the_shipped_pictures(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "benchmarks" / "draw_demo_pictures.py"))["write"](tmp_path)
    names = sorted(path.name for path in SHIPPED.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert len(names) == 202
    for name in ("captions.jsonl", "test.csv"):
        assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes()
    seen = set()
    for name in names[:200]:  # pixels, for another zlib packs them otherwise
        with Image.open(tmp_path / name) as drawn, Image.open(SHIPPED / name) as shipped:
            assert drawn.convert("RGB").tobytes() == shipped.convert("RGB").tobytes()
            seen.add(shipped.convert("RGB").tobytes())
    assert len(seen) == 200
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 100_000
