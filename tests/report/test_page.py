import json
import re

import numpy as np
import pytest

from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.evaluate import evaluate
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.report.content import read_run
from trigger_ml.report.figures import specs
from trigger_ml.report.page import write_report
from trigger_ml.report.style import save


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def manifest(task="type"):
    config = ExperimentConfig(name="tiny-run", task=task)
    return {
        "name": "tiny-run",
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


def comparison(n=1200):
    rng = np.random.default_rng(3)
    label, shower = np.arange(n) % 2, np.arange(n) // 4
    energy = 10 ** rng.uniform(-0.5, 1.5, n // 4 + 1)[shower]
    logit = 2.0 * (label - 0.5) + rng.normal(0, 1.5, n)
    compressed = np.round(logit + rng.normal(0, 0.4, n), 1)
    config = EvaluationConfig(bootstrap=30)
    return evaluate(logit, compressed, EvaluationEvents(label, energy, shower), config, seed=1).to_dict()


def history(epochs):
    values = np.linspace(0.6, 0.4, epochs).tolist()
    return {
        "epochs_planned": 8,
        "epochs_run": epochs,
        "best_epoch": 2,
        "seconds": 12.0,
        "metrics": {"loss": values, "val_loss": values[::-1]},
    }


LAYERS = [
    {"layer": "stem", "weights": 72, "pruned": 30, "rounded": 6, "asked": 0.5, "bits": 6, "sparsity": 0.5},
    {"layer": "logit", "weights": 8, "pruned": 0, "rounded": 0, "asked": 0.0, "bits": 6, "sparsity": 0.0},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write(folder / "manifest.json", manifest())
    write(folder / "evaluation.json", comparison())
    write(
        folder / "model" / "model.json",
        {
            "float": {"parameters": 90, "bytes": {"dense": 360}, "macs": 1000, "history": history(5)},
            "compressed": {
                "sparsity": 0.45,
                "weights": 80,
                "nonzero_weights": 44,
                "bytes": {"packed": 66},
                "layers": LAYERS,
                "history": history(3),
            },
        },
    )
    write(
        folder / "verification.json",
        {
            "events": 300,
            "corner_inputs": 40,
            "backends": {"onnx": {"events": 300, "mismatches": 0}, "csim": {"events": 50, "mismatches": 0}},
            "exact_float32": True,
        },
    )
    write(
        folder / "resources.json",
        {"rtl": {"LUT": 1234, "source": "synthesis: yosys", "latency_clocks": None}},
    )
    write_report(folder)
    return folder


def test_page_answers_with_the_numbers_of_the_run(run):
    page = (run / "report.html").read_text()
    evaluation = json.loads((run / "evaluation.json").read_text())
    head = page[page.index("<header>") : page.index("</header>")].replace("\u00a0", " ")
    assert evaluation["metrics"]["auc"]["verdict"] in head
    assert evaluation["metrics"]["hadron_efficiency"]["verdict"] in head
    assert f"{evaluation['metrics']['auc']['float']['value']:.4f}" in head
    assert "360 B → 66 B" in head
    assert "onnx 300, csim 50" in head
    assert "synthesis: yosys" in page
    assert "5 run of 8 planned" in page


def test_page_needs_nothing_from_outside(run):
    page = (run / "report.html").read_text()
    links = re.findall(r'(?:src|href|srcset)="([^"]+)"', page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "<script" not in page


def test_every_figure_is_beside_the_page(run):
    names = set(re.findall(r'id="figure-([a-z_0-9]+)"', (run / "report.html").read_text()))
    assert {"roc", "auc_per_energy", "cost_auc", "gammaness", "calibration", "confusion", "training"} <= names
    assert {"sparsity", "energy_distribution", "auc_difference_per_energy"} <= names
    for name in names:
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (run / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_equal_numbers_give_equal_figures(run, tmp_path):
    content = read_run(run)
    (spec,) = [spec for spec in specs(content) if spec.name == "auc_per_energy"]
    drawn = [save(spec.name, "", "", spec.make, tmp_path) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].light != drawn[0].dark


def test_page_in_a_browser(run, open_page, assert_sound):
    measured = open_page(run / "report.html")
    assert set(measured) == {390, 1400}
    assert_sound(measured, images=10)
    for values in measured.values():
        assert values["firstScreen"]


def test_browser_finds_broken_pages(tmp_path, open_page, assert_sound):
    page = tmp_path / "page.html"
    for broken in (
        '<img alt="gone" src="data:image/png;base64,AAAA">',
        '<div style="width:3000px">wide</div>',
        "<script>console.error('this must be seen')</script>",
        '<nav><a href="#nowhere">x</a></nav>',
    ):
        page.write_text(f"<!DOCTYPE html><title>x</title><body>text {broken}")
        measured = open_page(page)
        with pytest.raises(AssertionError):
            assert_sound(measured, images=0)


def test_missing_parts_are_named_with_the_reason(tmp_path, open_page, assert_sound):
    write(tmp_path / "manifest.json", manifest())
    page = write_report(tmp_path)
    text = page.read_text()
    for name in ("evaluation.json", "verification.json", "resources.json", "model/model.json"):
        assert f"there is no {name} in this run" in text
    assert_sound(open_page(page), images=0)


def test_undefined_numbers_are_gaps_not_failures(tmp_path):
    content = comparison()
    content["details"] = {}
    for rows in content["bins"].values():
        rows[0]["float"] |= {"value": None, "low": None, "high": None, "flag": "no gammas"}
        rows[0]["ratio"] |= {"value": None, "low": None, "high": None}
    content["metrics"]["auc"] |= {"state": "undefined", "verdict": "cannot be computed from these events"}
    write(tmp_path / "manifest.json", manifest())
    write(tmp_path / "evaluation.json", content)
    text = write_report(tmp_path).read_text()
    assert "no gammas" in text
    assert "Change of AUC: undefined" in text


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.json"):
        write_report(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        write_report(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match="no JSON object"):
        write_report(tmp_path)


def test_names_are_escaped(tmp_path):
    content = manifest()
    content["name"] = "<script>alert(1)</script>"
    write(tmp_path / "manifest.json", content)
    assert "<script>" not in write_report(tmp_path).read_text()
