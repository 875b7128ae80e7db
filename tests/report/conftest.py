"""Small runs to report on, and their pages in a real browser.

The browser needs no driver: a wrapper page holds frames of given widths and a script that measures them.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pairs import evaluate_pair

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.evaluation import EVALUATION, Evaluation
from trigger_ml.evaluation import direction
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.selection import Reconstruction

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
PROBE = Path(__file__).with_name("probe.js")


def _browser() -> str:
    """The browser's path; a skip with the reason where there is none, a failure in CI."""
    for name in CANDIDATES:
        if path := shutil.which(name):
            return path
    reason = "no Chromium here: install it to check pages in a real browser"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _open(page: Path, folder: Path, widths: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """Measurements of the page at each width, and ``console``: what it wrote to the console."""
    source = html.escape(page.read_text(), quote=True)
    frames = "".join(
        f'<iframe srcdoc="{source}" style="border:0;width:{width}px;height:844px"></iframe>'
        for width in widths
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        "<!DOCTYPE html><meta charset=utf-8><body>"
        f"{frames}<pre id=found></pre><script>{PROBE.read_text()}</script>"
    )
    command = [
        _browser(),
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1500,1000",
        "--dump-dom",
        wrapper.as_uri(),
    ]
    # against a browser that hangs; a busy machine takes long
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    assert match[1], "the page did not load"
    measured = {int(width): values for width, values in json.loads(html.unescape(match[1])).items()}
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    for values in measured.values():
        values["console"] = console
    return measured


def _assert_sound(measured: dict[int, dict[str, Any]], images: int) -> None:
    """What every page must satisfy."""
    for width, values in measured.items():
        assert values["console"] == [], width
        assert values["scroll"] <= values["client"], (width, values["wide"])
        assert values["wide"] == [], width
        assert values["broken"] == [], width
        assert values["images"] >= images, width
        assert values["outside"] == [], width
        assert values["targets"] == 0, width
        assert values["hiddenFocus"] == 0, width


@pytest.fixture
def open_page(tmp_path):
    """Opens a page at some widths and gives what a browser finds there."""

    def opened(page: Path, widths: tuple[int, ...] = (390, 1400)) -> dict[int, dict[str, Any]]:
        folder = tmp_path / "browser"
        folder.mkdir(exist_ok=True)
        return _open(page, folder, widths)

    return opened


@pytest.fixture
def assert_sound():
    """Asserts what every page must satisfy."""
    return _assert_sound


def _write(path: Path, content: Any) -> None:
    if isinstance(content, Evaluation):
        write(path, EVALUATION, content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, allow_nan=False))


def _manifest(task: str = "type", name: str = "tiny-run") -> dict[str, Any]:
    config = ExperimentConfig(name=name, task=task)
    return {
        "name": name,
        "task": task,
        "config": config.model_dump(mode="json"),
        "seeds": {"experiment": 1},
        "versions": {"numpy": "2.5"},
        "host": {"cores": 2},
        "inputs": {},
        "command": "trigger-ml run configs/tiny-run.yaml --run /a/rather/long/path/to/a/folder",
        "started": "2026-01-02T03:04:05+00:00",
        "stages": {"train": {"seconds": 61.5, "started": "2026-01-02T03:04:05+00:00"}},
    }


def _comparison(
    task: str = "type", noise: float = 0.4, n: int = 1200, *, reconstructed: bool = False
) -> Evaluation:
    rng = np.random.default_rng(3)
    label, shower = np.arange(n) % 2, np.arange(n) // 4
    energy = 10 ** rng.uniform(-0.2, 1.4, n // 4 + 1)[shower]
    alt0, az0 = np.full(n, 1.2), np.full(n, 0.01)
    plane = rng.normal(0, 0.7, (n, 2))
    alt, az = direction.sky_direction(plane, alt0, az0)
    truth = {"alt": alt, "az": az, "pointing_alt": alt0, "pointing_az": az0}
    events = EvaluationEvents(label, energy, shower, **truth)
    if task == "type":
        first = 2.0 * (label - 0.5) + rng.normal(0, 1.5, n)
        second = np.round(first + rng.normal(0, noise, n), 1)
    elif task == "energy":
        first = np.log10(energy) + rng.normal(0, 0.07, n)
        second = first + rng.normal(0, 0.1 * noise, n)
    else:
        first = plane + rng.normal(0, 0.1, plane.shape)
        second = first + rng.normal(0, 0.2 * noise, plane.shape)
    thrown = {
        "gamma": Simulated("gamma", 20_000, 0.5, 50.0, -2.0, 800.0),
        "proton": Simulated("proton", 90_000, 0.5, 50.0, -2.0, 1200.0, view_cone=6.0),
    }
    config = EvaluationConfig(bootstrap=30)
    answers = None
    if reconstructed:
        answers = tuple(
            Reconstruction(
                energy * np.exp(rng.normal(0, width, n)),
                *direction.sky_direction(plane + rng.normal(0, width, plane.shape), alt0, az0),
            )
            for width in (0.1, 0.15)
        )
    return evaluate_pair(first, second, events, config, 1, task, simulations=thrown, reconstruction=answers)


def _history(epochs: int) -> dict[str, Any]:
    values = np.linspace(0.6, 0.4, epochs).tolist()
    return {
        "epochs_planned": 8,
        "epochs_run": epochs,
        "best_epoch": 2,
        "seconds": 12.0,
        "metrics": {"loss": values, "val_loss": values[::-1]},
    }


def _model(packed: int = 66, sparsity: float = 0.45) -> dict[str, Any]:
    layers = [
        {
            "layer": "stem",
            "weights": 72,
            "pruned": 30,
            "rounded": 6,
            "asked": 0.5,
            "bits": 6,
            "sparsity": 0.5,
        },
        {"layer": "head", "weights": 8, "pruned": 0, "rounded": 0, "asked": 0.0, "bits": 6, "sparsity": 0.0},
    ]
    return {
        "float": {
            "parameters": 90,
            "bytes": {"dense": 360},
            "macs": 1000,
            "gflops": 2e-6,
            "history": _history(5),
        },
        "compressed": {
            "sparsity": sparsity,
            "weights": 80,
            "nonzero_weights": 44,
            "bytes": {"packed": packed},
            "layers": [{"name": "stem", "type": "QConv2D", "output_shape": "4 × 4 × 8", "parameters": 80}],
            "sparsity_by_layer": layers,
            "pruning_history": _history(4),
            "history": _history(3),
        },
    }


def _resources(lut: int = 1234, latency: int = 700) -> dict[str, Any]:
    """RTL predicted and synthesized, its clocks measured; no tool for the HLS project."""

    def figures(source: str, tool: str, factor: float, **more: Any) -> list[dict[str, Any]]:
        common = {"source": source, "tool": tool, "bram": 0, "dsp": 0}
        total = {"layer": "total", "lut": round(factor * lut), "ff": lut // 2, "lut_percent": 1.86, **more}
        return [common | total, common | {"layer": "stem", "lut": lut // 2, "ff": lut // 4}]

    return {
        "schema": 1,
        "rtl": {
            "part": {"name": "xcku115-flvb2104-2-i", "device": "xcku115", "lut": 663360},
            "clock_period_ns": 4.0,
            "predicted_lut_error": 0.15,
            "figures": [
                *figures("prediction", "trigger-ml 0.1.0", 1.1, lut_low=lut - 100, lut_high=lut + 300),
                *figures("synthesis: yosys", "yosys (pyosys 0.70), synthesis for xcu", 1.0),
            ],
            "clocks": [
                {"source": name, "tool": "a tool", "interval": 576, "latency": latency}
                for name in ("clock model", "simulation")
            ],
            "timing": [
                {
                    "source": "synthesis: yosys",
                    "tool": "yosys (pyosys 0.70), synthesis for xcu",
                    "kind": "pre-route arrival",
                    "arrival_ns": 4.75,
                    "slack_ns": -0.75,
                    "note": "no placement, no routing",
                }
            ],
            "not_run": [{"source": "synthesis: vivado", "reason": "vivado is not on PATH", "tool": "vivado"}],
        },
        "hls": {
            "part": {"name": "xcku115-flvb2104-2-i", "device": "xcku115", "lut": 663360},
            "clock_period_ns": 4.0,
            "figures": [],
            "clocks": [],
            "timing": [],
            "not_run": [{"source": "synthesis: vitis_hls", "reason": "vitis_hls is not on PATH"}],
        },
    }


@pytest.fixture(scope="session")
def sample():
    """What a run leaves, made without models: the parts of small run directories."""
    return SimpleNamespace(
        write=_write, manifest=_manifest, comparison=_comparison, model=_model, resources=_resources
    )
