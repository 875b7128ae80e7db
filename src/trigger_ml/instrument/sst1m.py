"""The SST-1M telescope and its camera DigiCam in numbers, each with its source.

Sources
-------
A : configuration of the public sim_telarray production "prod4 SST-1M" (the history block inside the file that
    ``eventio`` ships with its tests): mirror, transmission 0.82 for shadowing, electronics.
B : M. Heller et al., Eur. Phys. J. C 77 (2017) 47 (DigiCam: window, light guides, sensors, electronics).
C : C. Alispach et al., arXiv:2409.11310 (the SST-1M telescope; mirrors, pointing, calibration).
D : public calibration of SST-1M telescope 1 (sst1mpipe, ``averaged_calib_param_v2_2023_2024_tel1.h5``):
medians
    and spreads over its 1296 pixels.
E : the SST-1M sub-consortium's telescope papers (Davies-Cotton mirror of 18 hexagonal facets).

The wavelength curves are read off published figures, to a few per cent in shape.
"""

import numpy as np

FOCAL_LENGTH = 5.6
"""Metres (A)."""
FOCUS_OFFSET = 0.0035
"""Metres behind the focal length: focused at 9 km (A)."""
FACET_PITCH = 0.80
"""Metres between facet centres: 0.78 m and a gap of 0.02 m (A)."""
FACET_SIZE = 0.78
"""Metres, flat to flat (A)."""
FACET_FOCAL_SPREAD = 0.049
"""Metres, spread of the facets' focal lengths (A)."""
ROUGHNESS = np.deg2rad(0.00524)
"""Radians, random angle of reflection (A)."""
ALIGNMENT = np.deg2rad(0.006)
"""Radians, spread of the facets' normals per axis, for the measured point spread function (C)."""
MIRROR_AREA = 9.42
"""Square metres that files state for the mirror (E). The simulation's light falls on 18 whole hexagons of
``FACET_SIZE``, 9.48 square metres: the two have different sources, and neither is derived from the other."""
SHADOWING = 0.82
"""Light that mast and camera body let through (A)."""
N_PIXELS = 1296
"""Of DigiCam (B)."""
PIXEL_PITCH = 0.0243
"""Metres between the centres of neighbouring pixels (B)."""
PIXEL_WIDTH = 0.0232
"""Metres, flat to flat, of a light guide's entrance (B)."""
PIXEL_FILL = (PIXEL_WIDTH / PIXEL_PITCH) ** 2
"""Part of the camera's face that light guides cover (B)."""
WAVELENGTH = np.array(
    [270, 280, 290, 300, 320, 340, 360, 380, 400, 420, 440, 460, 480, 500, 520, 540, 560, 600.0]
)
"""Nanometres, of the curves below."""
REFLECTIVITY = np.array(
    [
        0.70,
        0.76,
        0.79,
        0.81,
        0.85,
        0.87,
        0.89,
        0.90,
        0.905,
        0.91,
        0.91,
        0.905,
        0.90,
        0.90,
        0.89,
        0.885,
        0.88,
        0.87,
    ]
)
"""Of the mirrors: aluminium with protective coating (C)."""
WINDOW = np.array(
    [
        0.05,
        0.25,
        0.55,
        0.75,
        0.88,
        0.90,
        0.91,
        0.92,
        0.92,
        0.92,
        0.92,
        0.92,
        0.92,
        0.92,
        0.91,
        0.75,
        0.08,
        0.03,
    ]
)
"""Entrance window with its low-pass filter (B)."""
LIGHT_GUIDE = 0.88
"""Mean transmission of the hollow light guides (B)."""
DETECTION = np.array(
    [
        0.05,
        0.07,
        0.105,
        0.15,
        0.245,
        0.33,
        0.385,
        0.435,
        0.47,
        0.49,
        0.50,
        0.50,
        0.495,
        0.48,
        0.455,
        0.43,
        0.40,
        0.34,
    ]
)
"""Photon detection efficiency of the sensors: shape from B; its height, which the overvoltage sets, was
chosen so that the photo-electrons of gammas agree with the sim_telarray production of A (see
docs/simulation.md)."""

SAMPLE = 4.0
"""Nanoseconds (B)."""
N_SAMPLES = 50
"""Samples of the readout window (B)."""
PULSE_PEAK = 15.0
"""Nanoseconds from a photo-electron to the top of its pulse after the preamplifier (B)."""
PULSE_POWER = 6.0
"""Of the gamma curve that describes the pulse: 14 ns wide at half height (B)."""
AMPLITUDE = 5.2
"""ADC counts at the peak of one photo-electron (A: 5.43 before the first sample at 5.0)."""
TRIGGER_SAMPLE = 18
"""Sample of the readout window at which the trigger fires (A)."""
MAX_ADC = 4095
"""12 bits (B)."""
BASELINE = 300
"""ADC counts (A)."""
ELECTRONIC_NOISE = 1.2
"""ADC counts in one sample (A)."""
ELECTRONIC_NOISE_SPREAD = 0.10
"""Relative spread over the pixels (D)."""
DARK_RATE = 0.0018
"""Dark counts per nanosecond and pixel (D)."""
CROSS_TALK = 0.105
"""Probability that a fired cell fires another (D)."""
CHARGE_SPREAD = 0.10
"""Relative spread of the charge of one cell (D: sigma_pe with the electronic noise taken off)."""
GAIN_SPREAD = 0.035
"""Relative spread of the pixels' gains, corrected by calibration (D)."""
CALIBRATION_ERROR = 0.015
"""Relative error of a pixel's calibrated gain (D)."""
EFFICIENCY_SPREAD = 0.03
"""Relative spread of the pixels' detection efficiencies, not corrected (A)."""
BASELINE_ERROR = 0.2
"""ADC counts, error of a pixel's measured baseline (D)."""


def efficiency() -> np.ndarray:
    """Photo-electrons per photon that falls on the mirror, at ``WAVELENGTH``."""
    return SHADOWING * PIXEL_FILL * LIGHT_GUIDE * REFLECTIVITY * WINDOW * DETECTION
