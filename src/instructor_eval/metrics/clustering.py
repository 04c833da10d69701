"""Clustering: the mean V-measure over the data set's splits."""

from __future__ import annotations

import numpy as np

from instructor_eval.core.values import Items


def mean_v_measure(items: Items) -> float:
    """Return the mean of the splits' V-measures (Rosenberg and Hirschberg 2007; mteb, `AbsTaskClusteringLegacy`)."""
    return float(np.mean(items["v_measure"]))
