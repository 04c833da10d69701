"""Distances of corresponding rows: bit for bit those of scikit-learn, as mteb calls it."""

import numpy as np
import pytest
from sklearn.metrics import pairwise

from instructor_eval.metrics import distances


def made(n, dim, seed):
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    rows[0] = 0.0  # no direction
    rows[1] = 1e-8  # shorter than scikit-learn scales
    return rows


@pytest.mark.parametrize("dim", [1, 3, 48, 384, 1024])
@pytest.mark.parametrize("kind", ["cosine", "manhattan", "euclidean"])
def test_bits_are_those_of_scikit_learn(kind, dim):
    a, b = made(200, dim, 1), made(200, dim, 2)
    b[5:50] = a[5:50]
    theirs = getattr(pairwise, f"paired_{kind}_distances")(a, b)
    ours = getattr(distances, f"{kind}_distances")(a, b)
    assert ours.dtype == theirs.dtype
    assert ours.tolist() == theirs.tolist()


def test_dot_products_are_numpys():
    a, b = made(50, 384, 1), made(50, 384, 2)
    assert distances.dot_products(a, b).tolist() == [float(np.dot(x, y)) for x, y in zip(a, b, strict=True)]
