"""What the page and the terminal say of the conditions of the camera."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from pairs import with_further
from rich.console import Console

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.evaluation import FairReference
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.robustness import NightSkyAnswers, robustness
from trigger_ml.report import formatting
from trigger_ml.report.figures import specs
from trigger_ml.report.page import write_report
from trigger_ml.report.robustness import robustness_content, robustness_gaps, robustness_line
from trigger_ml.report.terminal import print_summary

LABELS = {
    "true_night_sky": "Night sky",
    "true_throughput": "Optical throughput",
    "spread": "Measured noise of a pixel",
}


def judged(loss: float = 0.5, conditions: tuple[str, ...] = tuple(LABELS), *, windows: bool = True):
    """The compressed model loses ``loss`` of its separation more than the control over the night sky."""
    rng = np.random.default_rng(1)
    n = 2400
    label, shower = np.arange(n) % 2, np.arange(n) // 4
    place = rng.uniform(0, 1, n // 4)[shower]
    sky = 0.03 * (0.25 / 0.03) ** place
    shift = 2 - 0.8 * place
    first = shift * label + rng.normal(0, 1, n)
    logits = {
        "float": first,
        "compressed": first - loss * place * label + rng.normal(0, 0.1, n),
        "control": first + rng.normal(0, 0.1, n),
        "trees": first + rng.normal(0, 0.5, n),
    }
    known = {
        "true_night_sky": sky,
        "true_throughput": rng.uniform(0.8, 1.0, n // 4)[shower],
        "spread": 1.5 + 2 * np.sqrt(sky),
    }
    night = NightSkyAnswers(
        {name: rng.normal(-2, 1, 800) for name in ("float", "compressed", "control")},
        {"true_night_sky": 0.03 * (0.25 / 0.03) ** rng.uniform(0, 1, 800)},
        {"trees": "no image parameters"},
    )
    return robustness(
        logits,
        "float",
        EvaluationEvents(label, np.ones(n), shower),
        {name: known[name] for name in conditions},
        EvaluationConfig(bootstrap=40),
        3,
        night if windows else None,
        further=["control", "trees"],
    )


@pytest.fixture(scope="module")
def evaluation(sample):
    content = with_further(sample.comparison(), dict.fromkeys(("control", "trees"), "worse by 1.5 ± 0.4 %"))
    why = "training ended on its plateau: the validation loss fell by 0.4 %"
    fair = FairReference("control", True, why)
    return replace(content, robustness=judged(), fair_reference=fair)


@pytest.fixture(scope="module")
def run(tmp_path_factory, sample, evaluation):
    folder = tmp_path_factory.mktemp("run")
    sample.write(folder / "manifest.json", sample.manifest())
    sample.write(folder / "evaluation.json", evaluation)
    with pytest.MonkeyPatch.context() as patch:
        # drawing takes the time: the others are drawn in test_page
        patch.setattr(
            "trigger_ml.report.page.specs",
            lambda *given: [spec for spec in specs(*given) if spec.section == "robustness"],
        )
        write_report(folder)
    return folder


def test_the_line_holds_the_numbers(evaluation) -> None:
    line = robustness_line(evaluation)
    assert line is not None
    found = evaluation.robustness
    models = found.conditions["true_night_sky"].models
    assert line.startswith("Night sky 0.030 to 0.25 p.e. per ns and pixel: AUC of the compressed model")
    for name in ("compressed", "control", "trees"):
        assert formatting.interval(models[name].change["auc"], sign=True) in line
    assert "float control −" in line
    assert "boosted trees −" in line
    for key in ("gamma", "hadron"):
        assert f"{formatting.number(100 * models['compressed'].largest[key].value, 2)} %" in line
    windows = found.night_sky.models["compressed"]
    assert f"pure night sky accepted: {formatting.number(100 * windows.value, 2)} %" in line


def test_first_screen_and_section_are_there(run, evaluation) -> None:
    page = (run / "report.html").read_text().replace("\u00a0", " ")
    head = page[page.index("<header>") : page.index("</header>")]
    assert robustness_line(evaluation) in head
    section = page[page.index('id="robustness"') :]
    section = section[: section.index("</section>")]
    assert "depends most on: night sky" in section
    assert re.search(r"changes by more than that of the float control with: night sky \(changes by", section)
    for label in LABELS.values():
        assert f'<th scope="row">{label}</th>' in section
    for name in LABELS:
        assert f'id="figure-robustness_{name}"' in section
        assert (run / "figures" / f"robustness_{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (run / "figures" / f"robustness_{name}.pdf").read_bytes().startswith(b"%PDF")
    row = evaluation.robustness.night_sky.models["control"]
    assert f'<th scope="row">Float control</th><td class="n">{row.accepted}</td>' in section
    gaps = page[page.index('id="gaps"') :]
    assert "Night sky accepted by the boosted trees: no image parameters" in gaps


def test_page_in_a_browser(run, open_page, assert_sound) -> None:
    measured = open_page(run / "report.html")
    assert set(measured) == {390, 1400}
    assert_sound(measured, images=len(LABELS))
    for values in measured.values():
        assert values["firstScreen"]


def test_the_terminal_says_it_too(run, sample, evaluation) -> None:
    model = sample.model()
    for name in ("float", "compressed"):
        model[name]["bytes"] |= {"packed": 66, "dense": 360}
    sample.write(run / "model" / "model.json", model)
    sample.write(run / "verification.json", {"backends": {}, "exact_float32": True})
    sample.write(run / "resources.json", sample.resources())
    console = Console(width=400, record=True, file=io.StringIO())
    print_summary(run, console)
    assert robustness_line(evaluation) in console.export_text()


def test_recorded_events_are_judged_by_what_an_observer_has(evaluation) -> None:
    content = replace(evaluation, robustness=judged(conditions=("spread",), windows=False))
    line = robustness_line(content)
    assert line is not None
    assert line.startswith("Measured noise of a pixel")
    assert "night sky" not in line
    assert "Night sky accepted: the run has no clocked events" in robustness_gaps(content)


def test_no_loss_is_claimed_where_none_is_seen(evaluation) -> None:
    content = replace(evaluation, robustness=judged(loss=0.0))
    sentences = " ".join(robustness_content(content).sentences)
    assert "Over none is the AUC of the compressed model seen to change by more than" in sentences
    assert "because" not in sentences


def test_less_change_than_the_float_model_is_no_gain_below_its_plateau(evaluation) -> None:
    """More training alone may do it; against the control the same is said as it is."""
    changes = judged(loss=-0.6, conditions=("true_night_sky",))
    for model, plateau, said in (("control", False, True), ("float", False, False), ("float", True, True)):
        fair = FairReference(model, plateau, "")
        found = robustness_content(replace(evaluation, robustness=changes, fair_reference=fair))
        text = json.dumps(found.summary.rows) + " ".join(found.sentences)
        assert (" less" in text) == said, model
        assert ("not worse" in text) == (not said), model


def test_windows_alone_are_told_and_nothing_is_nothing(evaluation) -> None:
    content = replace(evaluation, robustness=judged(conditions=()))
    assert (robustness_line(content) or "").startswith("Pure night sky accepted: ")
    assert robustness_content(content).night_sky
    content = replace(content, robustness=judged(conditions=(), windows=False))
    assert robustness_line(content) is None
    assert robustness_content(content) is None
    assert robustness_gaps(content) == [f"Robustness: {content.robustness.reason}"]
    # runs of earlier versions have none
    content = replace(content, robustness=None)
    assert robustness_line(content) is None
    assert robustness_gaps(content) == []
