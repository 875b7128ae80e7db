"""Cameras and telescopes: pixels, grids, patches and the numbers of the hardware."""
