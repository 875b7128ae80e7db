"""Studies of many runs: sweeps and the reconstruction of all tasks."""
