import math

import numpy as np
import pytest

from trigger_ml.instrument.digicam import digicam
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import sky_direction
from trigger_ml.simulation.interactions import load_library, read_library
from trigger_ml.simulation.shower import ShowerMaker
from trigger_ml.simulation.telescope import Telescope

SITE = 2150.0
ALT = math.radians(70)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def atmosphere():
    return atmosphere_above(SITE)


@pytest.fixture(scope="session")
def axis():
    return -sky_direction(ALT, 0.0)


@pytest.fixture(scope="session")
def library():
    """A small library: 24 interactions of nucleons at each energy."""
    return read_library(load_library(0.02, workers=3))


@pytest.fixture(scope="session")
def maker(atmosphere, library):
    return ShowerMaker(atmosphere, np.array([20e-6, 0.0, 9e-6]), 3e-3, library)


@pytest.fixture(scope="session")
def telescope(atmosphere):
    made = Telescope(digicam(), atmosphere, ALT, 0.0, 0.1, 270.0, seed=4)
    made.renew_sky(np.random.default_rng(1))
    return made
