"""A cluster of three nodes on this machine, as Ray itself simulates one."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Lost nodes are noticed in two seconds instead of fifteen: they refuse connections. One that is slow to answer is busy.
_WATCHFUL = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 300_000,
    "health_check_failure_threshold": 3,
    "worker_register_timeout_seconds": 300,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of one processor each; the run's own is the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")  # of 15, a busy machine gives workers hardly any time
        from ray.cluster_utils import Cluster

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # its sockets' paths must be short
        # Ray notes the address of such a cluster for `ray:auto`: in the user's own folder, unless another is given.
        patch.setenv("RAY_TMPDIR", folder)
        Path(folder, "ray").mkdir()
        store = {"object_store_memory": 100 * 2**20}
        head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder, "_system_config": _WATCHFUL, **store}
        made = Cluster()
        for node in (head, {"num_cpus": 1, **store}, {"num_cpus": 1, **store}):
            made.add_node(wait=False, **node)
        made.wait_for_nodes(timeout=300)
        yield made
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
