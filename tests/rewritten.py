"""Score files with other content than a run gave them."""

import json
from pathlib import Path

from instructor_eval.checksums import sealed


def rewrite(path: Path, **fields: object) -> None:
    """Change fields, and the checksums with them: as a program would that writes score files."""
    raw = json.loads(path.read_bytes())
    del raw["checksum"]
    path.write_bytes(sealed(raw | fields))


def as_before(path: Path, **fields: object) -> None:
    """Change fields, and leave checksums out: as an earlier version wrote score files."""
    raw = json.loads(path.read_bytes())
    for name in ("items_sha256", "sums", "checksum"):
        del raw[name]
    path.write_text(json.dumps(raw | fields), encoding="utf-8")
