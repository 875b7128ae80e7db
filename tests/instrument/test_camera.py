import json

import numpy as np
import pytest
from astropy.table import Table
from ctapipe.instrument import CameraGeometry
from hypothesis import given, settings
from hypothesis import strategies as st

from trigger_ml.core.errors import InputError
from trigger_ml.instrument.camera import HEXAGONAL_NEIGHBOURS, SQUARE_NEIGHBOURS, AxialGrid, axial_grid
from trigger_ml.instrument.digicam import digicam_geometry

CAMERAS = (
    "ASTRICam", "CHEC", "DigiCam", "FACT", "FlashCam", "LSTCam", "MAGICCam", "NectarCam", "SCTCam"
)  # fmt: skip


def read_camera(folder, name):
    table = Table.read(folder / "digicam-geometry" / f"{name}.camgeom.fits.gz", hdu=1)
    table.meta.setdefault("TAB_VER", "1.0")
    return CameraGeometry.from_table(table)


def steps(grid, neighbours):
    """(row, column) steps of each pair of pixels that touch on the camera."""
    first, second = neighbours.nonzero()
    return np.stack(
        [grid.rows[second] - grid.rows[first], grid.columns[second] - grid.columns[first]], axis=1
    )


@pytest.mark.parametrize("name", CAMERAS)
def test_neighbours_on_the_camera_are_neighbours_on_the_grid_and_the_reverse(shared_data, name):
    geometry = read_camera(shared_data, name)
    grid = axial_grid(geometry)
    allowed = SQUARE_NEIGHBOURS if name in ("ASTRICam", "CHEC", "SCTCam") else HEXAGONAL_NEIGHBOURS
    found = {tuple(step) for step in steps(grid, geometry.neighbor_matrix_sparse)}
    assert found == set(allowed)
    # the reverse: cells that touch by an allowed step hold pixels that touch on the camera
    numbers = grid.to_grid(np.arange(1, geometry.n_pixels + 1)[np.newaxis])[0]
    padded = np.pad(numbers, 1)
    touching = 0
    for row, column in allowed:
        touching += np.count_nonzero(numbers * np.roll(padded, (row, column), (0, 1))[1:-1, 1:-1])
    gaps = {"ASTRICam", "CHEC", "SCTCam"}  # modules stand apart, so some pairs are too far to be neighbours
    assert touching >= geometry.neighbor_matrix_sparse.nnz
    if name not in gaps:
        assert touching == geometry.neighbor_matrix_sparse.nnz


@pytest.mark.parametrize("name", CAMERAS)
def test_no_two_pixels_share_a_cell(shared_data, name):
    grid = axial_grid(read_camera(shared_data, name))
    assert grid.mask.sum() == grid.n_pixels
    assert (grid.mask.any(axis=0)).all()
    assert (grid.mask.any(axis=1)).all()


@pytest.mark.parametrize("name", CAMERAS)
def test_agrees_with_ctapipe(shared_data, name):
    geometry = read_camera(shared_data, name)
    grid = axial_grid(geometry)
    image = np.random.default_rng(1).normal(size=geometry.n_pixels)
    theirs = np.nan_to_num(geometry.image_to_cartesian_representation(image))
    np.testing.assert_array_equal(grid.to_grid(image[np.newaxis])[0], theirs)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 5), dtype=st.sampled_from(["u1", "u2", "f4", "i8"]))
@settings(max_examples=25)
def test_is_inverted_exactly(seed, n, dtype):
    grid = axial_grid(digicam_geometry())
    pixels = np.random.default_rng(seed).integers(0, 200, (n, 1296)).astype(dtype)
    laid_out = grid.to_grid(pixels)
    assert laid_out.shape == (n, 48, 48)
    assert laid_out.dtype == pixels.dtype
    np.testing.assert_array_equal(grid.to_pixels(laid_out), pixels)
    assert not laid_out[:, ~grid.mask].any()


def test_mirrored_camera_keeps_the_same_neighbour_steps():
    """ctapipe's addressing of a camera seen from behind would use the other pair of corners."""
    geometry = digicam_geometry()
    mirrored = CameraGeometry(
        name="mirrored",
        pix_id=geometry.pix_id,
        pix_x=-geometry.pix_x,
        pix_y=geometry.pix_y,
        pix_area=geometry.pix_area,
        pix_type="hexagon",
        pix_rotation=geometry.pix_rotation,
    )
    grid = axial_grid(mirrored)
    assert {tuple(step) for step in steps(grid, geometry.neighbor_matrix_sparse)} == set(HEXAGONAL_NEIGHBOURS)


def test_another_numbering_gives_the_same_layout():
    geometry = digicam_geometry()
    order = np.random.default_rng(3).permutation(1296)
    shuffled = CameraGeometry(
        name="DigiCam",
        pix_id=geometry.pix_id,
        pix_x=geometry.pix_x[order],
        pix_y=geometry.pix_y[order],
        pix_area=geometry.pix_area,
        pix_type="hexagon",
        pix_rotation=geometry.pix_rotation,
    )
    ours, theirs = axial_grid(geometry), axial_grid(shuffled)
    assert ours.same_layout(theirs)
    image = np.arange(1296.0)[np.newaxis]
    np.testing.assert_array_equal(ours.to_grid(image), theirs.to_grid(image[:, order]))


def test_irregular_pixels_are_refused():
    geometry = digicam_geometry()
    x = geometry.pix_x.copy()
    x[5] = x[6]
    y = geometry.pix_y.copy()
    y[5] = y[6]
    bad = CameraGeometry(
        name="Bent", pix_id=geometry.pix_id, pix_x=x, pix_y=y, pix_area=geometry.pix_area, pix_type="hexagon",
        pix_rotation=geometry.pix_rotation,
    )  # fmt: skip
    with pytest.raises(InputError, match="camera Bent: its pixels do not lie on a regular"):
        axial_grid(bad)


def test_json_round_trip():
    grid = axial_grid(digicam_geometry())
    again = AxialGrid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert again.camera == "DigiCam"
    assert again.shape == (48, 48)
    np.testing.assert_array_equal(again.rows, grid.rows)
    np.testing.assert_array_equal(again.columns, grid.columns)


def test_images_of_another_camera_are_refused():
    grid = axial_grid(digicam_geometry())
    with pytest.raises(ValueError, match=r"\(2, 1855\), this camera's are \(n, 1296\)"):
        grid.to_grid(np.zeros((2, 1855)))
    with pytest.raises(ValueError, match=r"\(n, 48, 48\)"):
        grid.to_pixels(np.zeros((2, 40, 40)))


# three rotations about a corner of three pixels; six about a pixel; and six reflections
@pytest.mark.parametrize(("name", "number"), [("DigiCam", 3), ("LSTCam", 6), ("MAGICCam", 12)])
def test_symmetries_are_rotations_and_reflections_of_the_pixels(shared_data, name, number):
    geometry = read_camera(shared_data, name)
    grid = axial_grid(geometry)
    points = np.stack([geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")])
    points = points - points.mean(axis=1, keepdims=True)
    assert len(grid.symmetries) == number
    np.testing.assert_array_equal(grid.symmetries[0], np.arange(grid.mask.size))
    for permutation in grid.symmetries:
        moved = grid.to_pixels(permutation.reshape(1, *grid.shape))[0]
        source = np.searchsorted(np.sort(grid.rows * grid.shape[1] + grid.columns), moved)
        pixel = np.argsort(grid.rows * grid.shape[1] + grid.columns)[source]
        # the best linear map onto the pixels that values come from is orthogonal and exact
        matrix, *_ = np.linalg.lstsq(points.T, points[:, pixel].T, rcond=None)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=2e-3)
        np.testing.assert_allclose(matrix.T @ points, points[:, pixel], atol=2e-3)
        empty = np.flatnonzero(~grid.mask.ravel())
        np.testing.assert_array_equal(permutation[empty], empty)
    assert len(np.unique(grid.symmetries, axis=0)) == number
