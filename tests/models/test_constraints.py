import numpy as np
import pytest

from trigger_ml.models.constraints import KernelRule, hexagonal_mask


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_mask_is_a_hexagon_on_the_sky(size: int) -> None:
    # independent of the axial formula: place the cells on a hexagonal lattice and measure distances
    row, column = np.mgrid[:size, :size] - size // 2
    x, y = column + row / 2, row * np.sqrt(3) / 2
    assert np.array_equal(hexagonal_mask(size, size) == 1, np.hypot(x, y) <= size // 2 + 1e-9)


def test_three_by_three_has_seven_cells() -> None:
    assert hexagonal_mask(3, 3).tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 0]]


def test_rule_clips_and_masks() -> None:
    rule = KernelRule(hexagonal=True, limits=(-0.5, 0.25))
    kernel = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 3, 1, 2)
    result = np.asarray(rule(kernel))
    assert result.min() == -0.5
    assert result.max() == 0.25
    assert not result[0, 0].any()
    assert not result[2, 2].any()
    assert KernelRule.from_config(rule.get_config()).get_config() == rule.get_config()
