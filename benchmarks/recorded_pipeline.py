"""How the recorded images of ``digicam-real-images`` were made, for waveforms of ours.

The steps of the collaboration's first pipeline (cta-sst-1m/digicampipe, 2017): charges are sums of seven
samples near the trigger over 23 counts, with cross talk left in; 60 pixels are switched off; pixels without a
sample above three times their spread are zero; tail cuts of 15 and 10 photo-electrons grow over neighbours
above twice the lower one and then by one row of any charge; at least 150 photo-electrons are kept.
:func:`facts` measures in the file what of this can be seen there.
"""

import numpy as np
from ctapipe.instrument import CameraGeometry

GAIN = 23.0
WINDOW = 7
FIRST, LAST = 1, 14
"""First samples that the window of a pulse may have; at the ends it is taken for none."""
ELSEWHERE = 2
"""First sample of the window of a pixel without a pulse."""
PICTURE, BOUNDARY = 15.0, 10.0
LEAST_SIZE = 150.0
SWITCHED_OFF = np.r_[
    896, 930:933, 966:969, 1002:1005, 1038:1040, 1085, 1117:1121, 1146:1153, 1172:1182, 1196:1207, 1219:1227,
    1239:1244, 1256:1258,
]  # fmt: skip


def _beside(neighbours, mask):
    """Pixels with a neighbour in the mask, shape (n, pixels)."""
    return (neighbours @ mask.T.astype(np.int32)).T > 0


def images(waveforms: np.ndarray, spread: np.ndarray, geometry: CameraGeometry) -> np.ndarray:
    """Cleaned images of waveforms in ADC counts above the baseline.

    Parameters
    ----------
    waveforms : numpy.ndarray, shape (n, pixels, samples)
        With the pulses near sample 11.
    spread : numpy.ndarray, shape (pixels,)
        Standard deviation of a sample in the dark, ADC counts.
    geometry : ctapipe.instrument.CameraGeometry

    Returns
    -------
    numpy.ndarray of float32, shape (n, pixels)
        Photo-electrons of that pipeline; 0 where cleaned away.
    """
    neighbours = geometry.neighbor_matrix_sparse.astype(np.int32)
    alive = np.ones(waveforms.shape[1], dtype=bool)
    alive[SWITCHED_OFF] = False
    lit = (waveforms > 3 * spread[:, np.newaxis]).any(axis=2) & alive
    samples = np.where(lit[:, :, np.newaxis], waveforms, 0.0)
    sums = np.cumsum(np.pad(samples, ((0, 0), (0, 0), (1, 0))), axis=2)
    sums = sums[:, :, WINDOW:] - sums[:, :, :-WINDOW]
    start = FIRST + sums[:, :, FIRST : LAST + 1].argmax(axis=2)
    highest = np.take_along_axis(sums, start[:, :, np.newaxis], axis=2)[:, :, 0]
    none = (start == FIRST) | (start == LAST) | (highest < 10)
    charge = np.where(none, sums[:, :, ELSEWHERE], highest) / GAIN
    picture, boundary = charge > PICTURE, charge > BOUNDARY
    firm = picture & _beside(neighbours, picture)
    mask = (boundary & _beside(neighbours, firm)) | (firm & _beside(neighbours, boundary))
    mask &= lit
    while (more := (charge > 2 * BOUNDARY) & _beside(neighbours, mask) & ~mask).any():
        mask |= more
    mask = (mask | _beside(neighbours, mask)) & alive
    return np.where(mask, charge, 0.0).astype(np.float32)


def facts(recorded: np.ndarray, geometry: CameraGeometry) -> dict[str, float | list[int]]:
    """What the file's images themselves show of the steps above.

    Parameters
    ----------
    recorded : numpy.ndarray, shape (n, pixels)
    geometry : ctapipe.instrument.CameraGeometry
    """
    kept, core = recorded != 0, recorded > BOUNDARY
    neighbours = geometry.neighbor_matrix_sparse.astype(np.int32)
    counts = recorded[kept].astype(float) * GAIN
    return {
        "never_lit": np.flatnonzero(~kept.any(axis=0)).tolist(),
        "below_boundary": float((kept & ~core).sum() / kept.sum()),
        "within_a_row": float((kept & (core | _beside(neighbours, core))).sum() / kept.sum()),
        "least_brightest_pixel": float(recorded.max(axis=1).min()),
        "least_size": float(recorded.sum(axis=1).min()),
        "largest_sum_of_samples": float(counts.max()),
    }
