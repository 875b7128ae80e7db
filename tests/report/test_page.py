import json
import re
import shutil
from dataclasses import replace

import pytest
from damage import changed, places
from pairs import with_further, with_metric

from trigger_ml.core.documents.base import parse, plain, read
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import EVALUATION, FairReference, Given
from trigger_ml.core.documents.model import MODEL_SUMMARY
from trigger_ml.core.errors import InputError
from trigger_ml.report.content import read_run
from trigger_ml.report.facts import widths
from trigger_ml.report.figures import draw_all, specs
from trigger_ml.report.page import write_report
from trigger_ml.report.rivals import rival_tiles
from trigger_ml.report.style import LIGHT, save


@pytest.fixture(scope="module")
def run(tmp_path_factory, sample):
    folder = tmp_path_factory.mktemp("run")
    sample.write(folder / "manifest.json", sample.manifest())
    sample.write(folder / "evaluation.json", sample.comparison())
    sample.write(folder / "model" / "model.json", sample.model())
    sample.write(
        folder / "verification.json",
        {
            "events": 300,
            "corner_inputs": 40,
            "backends": {
                "onnx": {"events": 300, "mismatches": 0},
                "csim": {"events": 50, "mismatches": 0},
                "rtl_disturbed": {
                    "events": 40,
                    "mismatches": 0,
                    "disturbance": {"gap": 0.25, "stall": 0.25, "reset": 0.0, "seed": 1},
                },
            },
            "exact_float32": True,
        },
    )
    sample.write(folder / "resources.json", sample.resources())
    write_report(folder)
    return folder


def test_page_answers_with_the_numbers_of_the_run(run):
    page = (run / "report.html").read_text()
    evaluation = read(run / "evaluation.json", EVALUATION)
    metrics = evaluation.pair().metrics
    head = page[page.index("<header>") : page.index("</header>")].replace("\u00a0", " ")
    assert metrics["auc"].verdict in head
    assert metrics["hadron_efficiency"].verdict in head
    assert f"{metrics['auc'].reference.value:.4f}" in head
    assert "360 B → 66 B" in head
    assert "onnx 300, csim 50, rtl_disturbed 40" in head
    tiles = dict(re.findall(r'<dt>([^<]+)</dt><dd class="value">([^<]+)</dd>', head))
    assert (tiles["LUTs"], tiles["Latency"]) == ("1,234", "700 clocks")
    assert "synthesis: yosys; 1.9 % of xcku115" in head
    assert "simulation; a result every 576; 2.80 µs at the 4 ns asked for" in head
    assert "5 run of 8 planned" in page


def test_page_shows_what_the_firmware_costs(run):
    page = (run / "report.html").read_text()
    section = page[page.index('id="firmware"') : page.index('id="model"')]
    assert "1,357 (1,134 to 1,534)" in section
    assert re.search(r"pre-route arrival</td>.*4\.75 ns.*−0\.75 ns.*no placement, no routing", section)
    layers = section[section.index("<details>\n<summary>By layer") :]
    assert '<th scope="row">stem</th><td class="n">617</td><td class="n">308</td>' in layers
    assert "gaps in 25 % and stalls in 25 % of the clocks" in section
    gaps = page[page.index('id="gaps"') :]
    assert "RTL project, synthesis: vivado: vivado is not on PATH" in gaps
    assert "HLS project, synthesis: vitis_hls: vitis_hls is not on PATH" in gaps


def test_page_needs_nothing_from_outside(run):
    page = (run / "report.html").read_text()
    links = re.findall(r'(?:src|href|srcset)="([^"]+)"', page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "<script" not in page


def test_dark_figures_are_for_dark_screens_and_not_for_paper(run):
    """A browser drops a media query that it cannot parse, and with it the dark figures."""
    media = set(re.findall(r'<source media="([^"]+)"', (run / "report.html").read_text()))
    assert media == {"screen and (prefers-color-scheme: dark)"}


def test_every_figure_is_beside_the_page(run):
    names = set(re.findall(r'id="figure-([a-z_0-9]+)"', (run / "report.html").read_text()))
    assert {"roc", "auc_per_energy", "cost_auc", "gammaness", "calibration", "confusion", "training"} <= names
    assert {"sparsity", "energy_distribution", "auc_difference_per_energy"} <= names
    assert {"effective_area", "background_rate", "sensitivity"} <= names
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


def test_missing_parts_are_named_with_the_reason(tmp_path, sample, open_page, assert_sound):
    sample.write(tmp_path / "manifest.json", sample.manifest())
    page = write_report(tmp_path)
    text = page.read_text()
    for name in ("evaluation.json", "verification.json", "resources.json", "model/model.json"):
        assert f"there is no {name} in this run" in text
    assert_sound(open_page(page), images=0)


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes the time; some tests look at the words alone."""
    monkeypatch.setattr("trigger_ml.report.page.draw_all", lambda *_: {})


@pytest.mark.usefixtures("no_figures")
def test_undefined_numbers_are_gaps_not_failures(tmp_path, sample):
    content = sample.comparison()
    pair, nothing = content.pair(), Estimate(None, None, None, "no gammas")
    bins = {
        name: (replace(rows[0], reference=nothing, ratio=nothing), *rows[1:])
        for name, rows in pair.bins.items()
    }
    content = replace(content, comparisons={"float": {"compressed": replace(pair, bins=bins)}})
    content = with_metric(content, "auc", state="undefined", verdict="cannot be computed from these events")
    sample.write(tmp_path / "manifest.json", sample.manifest())
    sample.write(tmp_path / "evaluation.json", content)
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


def test_names_are_escaped(tmp_path, sample):
    content = sample.manifest()
    content["name"] = "<script>alert(1)</script>"
    sample.write(tmp_path / "manifest.json", content)
    assert "<script>" not in write_report(tmp_path).read_text()


# drawing takes ten seconds for each
@pytest.mark.parametrize("task", ["energy", pytest.param("direction", marks=pytest.mark.slow)])
def test_reconstruction_runs_show_their_figures(task, tmp_path, sample, open_page, assert_sound):
    sample.write(tmp_path / "manifest.json", sample.manifest(task))
    sample.write(tmp_path / "evaluation.json", sample.comparison(task))
    page = write_report(tmp_path)
    names = set(re.findall(r'id="figure-([a-z_0-9]+)"', page.read_text()))
    wanted = {
        "energy": {"energy_resolution", "energy_bias", "migration", "energy_reconstructed"},
        "direction": {"angular_resolution", "direction_bias", "containment", "direction_density"},
    }
    assert wanted[task] <= names
    assert_sound(open_page(page), images=5)
    assert "Gammas against hadrons" not in page.read_text()


def _header(folder):
    page = write_report(folder).read_text()
    return page[page.index("<header>") : page.index("</header>")].replace("\u00a0", " ")


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("plateau", [True, False, None])
def test_a_gain_is_called_one_only_where_the_float_model_was_at_its_best(tmp_path, sample, plateau):
    evaluation = sample.comparison()
    for name in ("auc", "hadron_efficiency"):
        evaluation = with_metric(evaluation, name, state="better", verdict="better by 2 ± 1 %")
    fair = FairReference("float", plateau, "the epochs ran out")
    evaluation = replace(evaluation, fair_reference=fair)
    sample.write(tmp_path / "manifest.json", sample.manifest())
    sample.write(tmp_path / "evaluation.json", evaluation)
    head = _header(tmp_path)
    assert ("better by 2 ± 1 %" in head) == (plateau is True)
    assert ("No gain in AUC" in head) == (plateau is not True)
    assert ("The float model was below its plateau: the epochs ran out." in head) == (plateau is False)
    assert "Judged against the float model." in head


@pytest.mark.usefixtures("no_figures")
def test_the_answer_is_against_the_control_and_the_trees_stand_beside(tmp_path, sample):
    evaluation = sample.comparison()
    evaluation = with_further(
        evaluation, {"control": "worse by 1.5 ± 0.4 %", "trees": "worse by 3.1 ± 0.5 %"}
    )
    fair = FairReference("control", True, "the loss had stopped falling")
    evaluation = replace(evaluation, fair_reference=fair)
    sample.write(tmp_path / "manifest.json", sample.manifest())
    sample.write(tmp_path / "evaluation.json", evaluation)
    head = _header(tmp_path)
    assert "AUC: worse by 1.5 ± 0.4 %." in head
    assert evaluation.pair().metrics["auc"].verdict not in head
    assert "Judged against the float control" in head
    assert "compressed: worse by 3.1 ± 0.5 %" in head
    page = (tmp_path / "report.html").read_text()
    table = page[page.index("Beside them") : page.index("Operating points")]
    for name in ("Boosted trees on Hillas parameters", "Float control", "Float", "Compressed"):
        assert f'<th scope="row">{name}</th>' in table
    assert "−0.0123 ± 0.0080" in table
    assert "on its plateau: the loss had stopped falling" in page[page.index('id="run"') :]


@pytest.mark.usefixtures("no_figures")
def test_a_constant_network_and_its_budget_are_said_first(tmp_path, sample):
    says = "budget not met, the best found takes 900 LUT instead of 800 (+100)"
    budget = {"asked": {"lut": 800}, "found": {"lut": 900}, "met": False, "says": says}
    model = sample.model()
    model["compressed"] |= {"constant": True, "budget": budget}
    manifest = sample.manifest()
    manifest["config"]["compression"] = {"budget": {"lut": 800}, "steps": [{"step": "quantize"}]}
    sample.write(tmp_path / "manifest.json", manifest)
    sample.write(tmp_path / "model" / "model.json", model)
    sample.write(tmp_path / "evaluation.json", sample.comparison())
    head = _header(tmp_path)
    first = "The compressed network says the same of every event: nothing can be told by it."
    assert head.index(first) < head.index("Budget not met, the best found takes 900 LUT") < head.index("AUC")
    content = read_run(tmp_path)
    assert widths(content.config, content.model, "weights") == "6"
    assert widths(content.config, content.model, "activations") == "learned"


@pytest.mark.usefixtures("no_figures")
def test_models_that_are_not_there_are_gaps(tmp_path, sample):
    reasons = {"control": "compression.control is false", "trees": "x.h5 has no images"}
    evaluation = replace(sample.comparison(), not_judged=reasons)
    sample.write(tmp_path / "manifest.json", sample.manifest())
    sample.write(tmp_path / "evaluation.json", evaluation)
    page = write_report(tmp_path).read_text()
    gaps = page[page.index('id="gaps"') :]
    assert "Float control: compression.control is false" in gaps
    assert "Boosted trees: x.h5 has no images" in gaps


@pytest.mark.parametrize(
    ("layers", "weights", "activations"),
    [
        ({}, "6", "7"),
        ({"stem": {"weights": 8, "activations": 10}}, "6 to 8", "7 to 10"),
        # the default has no layer left
        (
            {"stem": {"weights": 8, "activations": 8}, "head": {"weights": 4, "activations": 7}},
            "4 to 8",
            "7 to 8",
        ),
    ],
)
def test_widths_of_layers_that_have_their_own_are_said(sample, layers, weights, activations):
    quantization = {"default": {"weights": 6, "activations": 7}, "layers": layers}
    config = {"compression": {"quantization": quantization}}
    model = parse(sample.model(), MODEL_SUMMARY, "model.json")
    assert widths(config, model, "weights") == weights
    assert widths(config, model, "activations") == activations


@pytest.mark.usefixtures("no_figures")
def test_the_first_screen_says_the_widths_of_all_layers(tmp_path, sample):
    manifest = sample.manifest()
    default = {"weights": 6, "activations": 6}
    layers = {"stem": {"weights": 8, "activations": 6}}
    manifest["config"]["compression"] = {"quantization": {"default": default, "layers": layers}}
    sample.write(tmp_path / "manifest.json", manifest)
    sample.write(tmp_path / "model" / "model.json", sample.model())
    assert "6 to 8 bit, 45" in _header(tmp_path)


FILES = ("evaluation.json", "resources.json", "model/model.json", "verification.json", "manifest.json")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_files_of_another_version_give_a_page_or_one_error(run, tmp_path, monkeypatch, file):
    # drawn without being written, which takes long
    monkeypatch.setattr("trigger_ml.report.figures.save", lambda *given: given[3](LIGHT) and None)
    monkeypatch.setattr("trigger_ml.report.page.draw_all", lambda *given: draw_all(*given) and {})
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(run / name, tmp_path / name)
    content = json.loads((tmp_path / file).read_text())
    tried, refused = list(places(content, depth=3)), []
    for number, place in enumerate(tried[:: max(1, len(tried) // 8)]):
        (tmp_path / file).write_text(json.dumps(changed(content, place, [["x"]] if number % 2 else None)))
        try:
            write_report(tmp_path)
        except InputError as error:
            refused.append(error)
    assert all(str(tmp_path) in error.what and "\n" not in str(error) for error in refused)


@pytest.mark.usefixtures("no_figures")
def test_an_evaluation_that_is_none_is_refused(tmp_path, sample):
    sample.write(tmp_path / "manifest.json", sample.manifest())
    evaluation = plain(sample.comparison())
    evaluation["comparisons"]["float"]["compressed"]["metrics"]["auc"] = [1.0]
    sample.write(tmp_path / "evaluation.json", {"schema": 2, **evaluation})
    why = r"not a readable evaluation of this version \(comparisons\.float\.compressed\.metrics\.auc: "
    with pytest.raises(InputError, match=why) as caught:
        write_report(tmp_path)
    assert caught.value.what == str(tmp_path / "evaluation.json")
    assert not (tmp_path / "report.html").exists()


NUMBER = Estimate(0.9, 0.8, 0.95)


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "ended"), (Given("m.h5", "keras", "counts", "AUC", NUMBER, NUMBER), "by its owner")],
)
def test_a_given_model_was_not_trained_here(sample, given, said):
    fair = FairReference("float", None, "")
    (tile,) = rival_tiles(replace(sample.comparison(), fair_reference=fair, given=given))
    assert (tile.label, tile.value) == ("Float training", said)
