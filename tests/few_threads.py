"""One thread for each library of linear algebra: imported before any of them, which read this once.

Tests run beside each other, one process a core, on problems so small that more threads only wait for each other: mteb's
classifications take three times the processor's time with two. A test of several threads asks for them itself.
"""

import os

ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Variables for processes that tests start, too."""
for _name, _count in ONE.items():
    os.environ.setdefault(_name, _count)
