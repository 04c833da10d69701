"""Clustering: the mean V-measure over the data set's splits."""

from __future__ import annotations

import numpy as np

from instructor_eval.metrics.metric import Metric

V_MEASURE = Metric(
    "v_measure",
    lambda items: float(np.mean(items["v_measure"])),
    unit="split",
    bounds=(0.0, 1.0),
    columns=("v_measure",),
    column="v_measure",
    aggregated=True,
)
"""Rosenberg and Hirschberg 2007; mteb, `AbsTaskClusteringLegacy`."""
