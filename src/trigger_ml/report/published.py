"""Published performance that stands beside ours without a file."""

import numpy as np

from trigger_ml.report.reference import Curve

__all__ = ["PUBLISHED_SENSITIVITY"]

# SST-1M collaboration, one telescope (tel_001), 20 degrees zenith, 50 hours: column flux_sensitivity of the
# table flux_sensitivity_tel_001.h5 in CTLearn-Manager (BSD 3-Clause), in TeV/(cm2 s), to three digits;
# energies are the centres of the table's bins in TeV
SST1M_MONO = (
    (0.794, 1.10e-10),
    (1.26, 1.13e-11),
    (2.00, 5.71e-12),
    (3.16, 4.42e-12),
    (5.01, 4.13e-12),
    (7.94, 4.01e-12),
    (12.6, 3.97e-12),
    (20.0, 4.11e-12),
    (31.6, 4.11e-12),
    (50.1, 4.32e-12),
    (79.4, 5.01e-12),
    (126.0, 5.48e-12),
    (200.0, 6.18e-12),
    (316.0, 7.90e-12),
    (501.0, 1.33e-11),
)

_ENERGY, _FLUX = (np.array(column, dtype=np.float64) for column in zip(*SST1M_MONO, strict=True))

PUBLISHED_SENSITIVITY = Curve(
    "sensitivity",
    _ENERGY,
    _FLUX,
    np.full(len(_ENERGY), np.nan),
    np.full(len(_ENERGY), np.nan),
    "SST-1M mono, published",
    "the collaboration's analysis with one telescope: energy, direction and gammaness of random forests (60 "
    "% gamma efficiency, angular cut), 510 m above the sea under a brighter sky; a trigger has less to cut "
    "with, so compare the shape (its minimum lies between 2 and 20 TeV), not the level",
)
"""Differential sensitivity of one SST-1M in 50 hours."""
