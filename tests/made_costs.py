"""A made-up cost, for tests of what is filed and shown."""

from __future__ import annotations

from instructor_eval.results.costs import Cold, Cost

COLD = Cold(3.0, 2.0, 0.5, 400_000_000, 500_000_000, 600_000_000)
COST = Cost(
    identity="0123456789abcdef",
    model="org/model",
    revision="main",
    form="int8",
    fingerprint="a" * 16,
    baseline="fp32",
    baseline_fingerprint="b" * 16,
    device="cpu",
    machine={"processor": "a processor", "cores": 8, "usable": 2, "libraries": {"torch": "2.0"}},
    texts=100,
    tokens=5000,
    seconds=(2.0, 4.0, 5.0),
    baseline_seconds=(4.0, 12.0, 5.0),
    resident_bytes=30_000_000,
    file_bytes=25_000_000,
    baseline_file_bytes=100_000_000,
    proof="72 of 72 products in int8",
    measured="2026-01-01T00:00:00+00:00",
    cold=COLD,
)
