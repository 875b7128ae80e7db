"""Fixtures that every test can use."""

import os
from pathlib import Path

import pytest

import trigger_ml  # noqa: F401  (Keras 2 must be selected before any test imports TensorFlow)

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real telescope data; absent for most users, required in CI."""
    if not SHARED_DATA.is_dir():
        reason = "the recorded telescope data (../shared/data) is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA
