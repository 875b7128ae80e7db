"""Bad inputs of every kind; each one tried is reported, and `tally` counts them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.network import Dense, Flatten, Input, MaxPool2D, Network
from trigger_ml.instrument.camera import axial_grid
from trigger_ml.instrument.digicam import digicam_geometry

# what the tests here share
sys.path.insert(0, str(Path(__file__).parent))

from contract import Product
from tally import PROPERTY


@pytest.fixture
def product(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> Iterator[Product]:
    made = Product(capsys, tmp_path)
    yield made
    record_property(PROPERTY, made.tried)


@pytest.fixture(scope="session")
def network() -> Network:
    """The largest pixel and nothing else decides: small, on DigiCam's grid, with all that `emulate` needs."""
    grid = axial_grid(digicam_geometry())
    height, width = grid.shape
    nodes = (
        Input("counts", (), FixedPoint(False, 8, 8), (height, width, 1)),
        MaxPool2D("largest", ("counts",), (height, width), (height, width)),
        Flatten("flat", ("largest",)),
        Dense(
            "logit",
            ("flat",),
            np.array([[3]]),
            FixedPoint(True, 4, 1),
            np.array([-2]),
            FixedPoint(True, 4, 2),
        ),
    )
    described = {
        "name": "largest",
        "task": "type",
        "camera": grid.camera,
        "grid": grid.to_dict(),
        "input": {"channels": ["image"], "bits": 8, "charge_lsb": 0.5},
    }
    return Network(nodes, ("logit",), described)
