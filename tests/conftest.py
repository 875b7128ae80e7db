"""Fixtures that every test can use."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import trigger_ml  # noqa: F401  (Keras 2 must be selected before any test imports TensorFlow)

if TYPE_CHECKING:
    from trigger_ml.instrument.bilinear import BilinearMap

# what all tests share
sys.path.insert(0, str(Path(__file__).parent))

from tally import Tally

# the same examples in every run, however busy the machine is: a change fails by what it changed, not by what
# was drawn, nor by how long an example took
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Count the bad inputs, in the process that prints too."""
    config.pluginmanager.register(Tally(config), "bad-inputs")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real telescope data; absent for most users, required in CI."""
    if not SHARED_DATA.is_dir():
        reason = "the recorded telescope data (../shared/data) is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture(scope="session")
def digicam_bilinear() -> "BilinearMap":
    """CTLearn's map of DigiCam, which takes long to make."""
    from trigger_ml.instrument.bilinear import bilinear_map
    from trigger_ml.instrument.digicam import digicam_geometry

    return bilinear_map(digicam_geometry())


@pytest.fixture(autouse=True)
def seeded_weights() -> None:
    """The same initial weights in every run, whatever ran before; tests without a network pay nothing.

    QKeras draws a kernel of too narrow a spread twice, and Keras warns of an unseeded initializer's
    second draw: with weights by chance a test fails once in many runs.
    """
    if (keras := sys.modules.get("tf_keras")) is not None:
        keras.utils.set_random_seed(1)
