import numpy as np
import pytest

from trigger_ml.compression.allocation import allocate, lamp_scores, removed


def test_scores_are_those_of_the_published_definition() -> None:
    kernel = np.random.default_rng(0).standard_normal((3, 3, 2, 4)).astype(np.float32)
    flat = np.sort(np.abs(kernel.astype(np.float64)).ravel())
    # equation 4, weight by weight
    expected = [flat[u] ** 2 / sum(flat[v] ** 2 for v in range(u, flat.size)) for u in range(flat.size)]
    np.testing.assert_allclose(lamp_scores(kernel), expected, rtol=1e-10)


def test_scores_do_not_depend_on_the_scale_of_a_layer() -> None:
    kernel = np.random.default_rng(1).standard_normal((5, 7)).astype(np.float32)
    np.testing.assert_allclose(lamp_scores(64 * kernel), lamp_scores(kernel), rtol=1e-12)


def test_zeros_go_first_and_an_empty_layer_keeps_one() -> None:
    assert lamp_scores(np.zeros((2, 2))).tolist() == [0, 0, 0, 1]
    half = np.array([0.0, 0.0, 1.0, 2.0])
    assert lamp_scores(half).tolist() == [0, 0, 0.2, 1]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_the_whole_has_the_sparsity_asked(sparsity: float) -> None:
    rng = np.random.default_rng(2)
    kernels = {"stem": rng.standard_normal((3, 3, 1, 4)), "big": rng.standard_normal((3, 3, 16, 16))}
    kernels["head"] = rng.standard_normal((16, 1))
    total = sum(kernel.size for kernel in kernels.values())
    found = allocate(kernels, sparsity, "lamp")
    gone = {name: removed(kernels[name].size, share) for name, share in found.items()}
    assert sum(gone.values()) == removed(total, sparsity)
    assert all(gone[name] < kernel.size for name, kernel in kernels.items())
    uniform = allocate(kernels, sparsity, "uniform")
    assert set(uniform.values()) == {sparsity}


def test_small_layers_lose_less() -> None:
    rng = np.random.default_rng(3)
    kernels = {"small": rng.standard_normal(16), "large": rng.standard_normal(4096)}
    found = allocate(kernels, 0.5, "lamp")
    assert found["small"] < 0.25
    assert found["large"] == pytest.approx(0.5, abs=0.005)


def test_no_layers() -> None:
    assert allocate({}, 0.5, "lamp") == {}


def test_no_layer_is_emptied() -> None:
    kernels = {"one": np.array([1e-9]), "many": np.arange(1.0, 100.0)}
    found = allocate(kernels, 0.999, "lamp")
    assert removed(1, found["one"]) == 0
    assert removed(99, found["many"]) == 98
