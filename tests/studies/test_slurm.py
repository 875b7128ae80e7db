"""The batch scripts as SLURM runs them, but for ``srun``, which here prints what it is asked to do."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def submitted(tmp_path: Path):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", f"slurm/{script}", *arguments],
            cwd=ROOT,
            env={"PATH": path, "SLURM_CPUS_PER_TASK": "4", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("environment", "option"),
    [
        ({"STEP": "base"}, "--base"),
        ({"SLURM_ARRAY_TASK_ID": "7"}, "--point 7"),
        ({"STEP": "collect"}, "--collect"),
    ],
)
def test_a_sweep_runs_its_part_on_the_cores_of_the_job(
    submitted, environment: dict[str, str], option: str
) -> None:
    done = submitted("sweep.sbatch", "configs/sweep-sparsity.yaml", "runs/x", **environment)
    command = f".venv/bin/trigger-ml sweep configs/sweep-sparsity.yaml --run runs/x {option}"
    assert done.stdout == f"--cpus-per-task=4 {command}\n"


def test_a_run_in_a_container(submitted) -> None:
    done = submitted("run.sbatch", "configs/demo.yaml", TRIGGER_ML_IMAGE="trigger_ml.sif")
    container = f"apptainer exec --bind {ROOT} trigger_ml.sif"
    assert done.stdout == f"--cpus-per-task=4 {container} trigger-ml run configs/demo.yaml\n"


@pytest.mark.parametrize(
    ("script", "arguments", "lacking"),
    [
        ("run.sbatch", (), "CONFIG"),
        ("sweep.sbatch", (), "SWEEP_CONFIG"),
        ("sweep.sbatch", ("s.yaml",), "--array"),
    ],
)
def test_what_is_lacking_is_told(submitted, script: str, arguments: tuple[str, ...], lacking: str) -> None:
    done = submitted(script, *arguments)
    assert done.returncode != 0
    assert lacking in done.stderr
    assert not done.stdout
