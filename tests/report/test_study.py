import re

import pytest

from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.evaluation import EVALUATION
from trigger_ml.report.study import write_study

TASKS = ("type", "energy", "direction")


@pytest.fixture(scope="module")
def study(tmp_path_factory, sample):
    """A study whose direction network was evaluated, and neither built nor reported."""
    folder = tmp_path_factory.mktemp("study")
    sample.write(folder / "manifest.json", sample.manifest(name="all-three"))
    sample.write(folder / "evaluation.json", sample.comparison(reconstructed=True))
    for task in TASKS:
        sample.write(folder / task / "manifest.json", sample.manifest(task, f"all-three-{task}"))
        sample.write(folder / task / "evaluation.json", sample.comparison(task))
        if task != "direction":
            sample.write(folder / task / "model" / "model.json", sample.model())
            backends = {"backends": {"onnx": {"events": 300, "mismatches": 0}}}
            sample.write(folder / task / "verification.json", backends)
            (folder / task / "report.html").write_text("a report")
    write_study(folder, {task: folder / task for task in TASKS})
    return folder


def test_page_answers_with_the_response_and_leads_to_the_runs(study):
    page = (study / "report.html").read_text().replace("\u00a0", " ")
    metrics = read(study / "evaluation.json", EVALUATION).response().metrics
    head = page[page.index("<header>") : page.index("</header>")]
    assert metrics["mean_sensitivity"].verdict in head
    for name in ("angular_resolution", "energy_resolution", "background_rate", "signal_rate"):
        assert metrics[name].verdict in page
    assert [f'href="{task}/report.html"' in page for task in TASKS] == [True, True, False]
    assert "direction: the firmware" in page
    assert "there is no verification.json in this run" in page


def test_every_part_of_the_response_is_drawn(study):
    names = set(re.findall(r'id="figure-([a-z_0-9]+)"', (study / "report.html").read_text()))
    assert names == {
        "sensitivity",
        "effective_area",
        "background_rate",
        "angular_resolution",
        "energy_resolution",
        "energy_bias",
        "dispersion",
        "cuts",
    }
    for name in names:
        assert (study / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_page_in_a_browser(study, open_page, assert_sound):
    measured = open_page(study / "report.html")
    assert_sound(measured, images=8)
    for values in measured.values():
        assert values["firstScreen"]
