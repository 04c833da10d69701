"""A process that connects to a Ray cluster and says how that went, in one line; `ray_cluster` bounds its time."""

from __future__ import annotations

import logging
import sys


def main(address: str) -> None:
    """Print `connected`, or why not."""
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        said = "connected"
    except Exception as e:  # noqa: BLE001 # whatever Ray raises
        said = " ".join(f"{type(e).__name__}: {e}".split())[:500]
    sys.stdout.write(f"\n{said}\n")
    sys.stdout.flush()
    if said == "connected":
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
