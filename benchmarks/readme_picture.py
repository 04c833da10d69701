"""The README's picture: two real models and their int8 on real tasks, as the page shows them.

    python benchmarks/readme_picture.py --hub DIR --model FOLDER --output docs/report.png

MiniLM, which is installed with the extra `demo`, beside the model of a folder (the README's: all-mpnet-base-v2), each
as fp32 and int8 with its cost. A new results folder; vectors come from the cache where they are there. Needs chromium.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TASKS = "STSBenchmark,STS17,Banking77Classification"
RUN = [sys.executable, "-m", "instructor_eval"]
SIZE = "1280,1060"


def main() -> None:
    """Evaluate, write the page, take its picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    hub = os.environ.get("INSTRUCTOR_EVAL_HUB")
    parser.add_argument("--hub", type=Path, default=hub, required=not hub, help="the mirror of data sets")
    parser.add_argument("--model", type=Path, required=True, help="a folder")
    parser.add_argument("--output", type=Path, required=True, help="the picture, a PNG")
    parser.add_argument("--results", type=Path, help="default: a folder that is removed at the end")
    given = parser.parse_args()
    output = given.output.resolve()
    with tempfile.TemporaryDirectory() as work:
        results = (given.results or Path(work) / "results").resolve()
        page = Path(work) / "report.html"
        # From beside the folder, so that the model's name is the folder's.
        place = given.model.resolve().parent
        flags = ["--task", TASKS, "--variant", "fp32,int8", "--cost", "full", "--offline", "--quiet"]
        files = ["--hub", str(given.hub.resolve()), "--results", str(results)]
        for model in ("minilm", given.model.name):
            subprocess.run([*RUN, "run", "--model", model, *flags, *files], cwd=place, check=True)
        subprocess.run([*RUN, "report", "--results", str(results), "-o", str(page)], cwd=place, check=True)
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}",
             f"--user-data-dir={work}/profile", f"--screenshot={output}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
