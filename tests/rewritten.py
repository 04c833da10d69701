"""Score files with other content than a run gave them."""

import json
from pathlib import Path

from instructor_eval.core.values import Items
from instructor_eval.results.checksums import sealed
from instructor_eval.results.store import Store, read_score


def rewrite(path: Path, **fields: object) -> None:
    """Change fields, and the checksums with them: as a program would that writes score files."""
    raw = json.loads(path.read_bytes())
    del raw["checksum"]
    path.write_bytes(sealed(raw | fields))


def refile(path: Path, items: Items) -> None:
    """File a score with other items: as a run would that found these."""
    Store(path.parents[3]).write(read_score(path), items)


def as_before(path: Path, **fields: object) -> None:
    """Change fields, and leave checksums out: as an earlier version wrote score files."""
    raw = json.loads(path.read_bytes())
    for name in ("items_sha256", "sums", "checksum"):
        del raw[name]
    path.write_text(json.dumps(raw | fields), encoding="utf-8")
