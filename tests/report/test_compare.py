import json
import re
import shutil

import numpy as np
import pytest
from damage import changed, places

from trigger_ml.core.errors import InputError
from trigger_ml.report.compare import compare
from trigger_ml.report.pareto import Axis, explorer, front
from trigger_ml.report.style import LIGHT


@pytest.fixture(scope="module")
def runs(tmp_path_factory, sample):
    """Three runs that lose more and more and become smaller, and one that was not evaluated."""
    folders = []
    for number, noise in enumerate((0.05, 0.8, 2.5)):
        folder = tmp_path_factory.mktemp(f"run{number}")
        sample.write(folder / "manifest.json", sample.manifest(name=f"run-{number}"))
        sample.write(folder / "model" / "model.json", sample.model(300 - 100 * number, 0.3 * number))
        sample.write(folder / "evaluation.json", sample.comparison(noise=noise))
        if number:
            sample.write(folder / "resources.json", sample.resources(9000 // number, 800))
        folders.append(folder)
    lost = tmp_path_factory.mktemp("lost")
    sample.write(lost / "manifest.json", sample.manifest(name="run-lost"))
    (folders[0] / "report.html").write_text("a report")
    return [*folders, lost]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return compare(runs, tmp_path_factory.mktemp("page") / "page.html", reference=runs[1])


def test_page_lists_runs_with_intervals_and_differences(page):
    text = page.read_text()
    table = text[text.index("<tbody>") : text.index("</tbody>")]
    assert [f"run-{n}" in table for n in range(3)] == [True, True, True]
    assert "run-lost" not in table
    assert table.count("reference</td>") == 2
    assert "9,000" in table
    assert "synthesis: yosys" in table
    assert "800<small>simulation</small>" in table
    assert re.search(r'<a href="[^"]*report.html">run-0</a>', table)
    assert "there is no evaluation.json in this run" in text
    assert "LUT: not measured in run-0" in text
    assert "run-0 (300 B)" in text.replace("\u00a0", " ")


def test_page_in_a_browser(page, open_page, assert_sound):
    measured = open_page(page)
    assert_sound(measured, images=3)


def test_headings_sort_and_axes_change(page, tmp_path, open_page):
    """The page acts as a reader would make it act, and says in its title what came of it."""
    acting = tmp_path / "acting.html"
    act = """<script>
    const heading = [...document.querySelectorAll('th button')].find(b => b.textContent === 'Size packed');
    const order = () => [...document.querySelectorAll('#runs tbody th')].map(th => th.innerText).join(' ');
    heading.click(); const up = order(); heading.click(); const down = order();
    const select = document.getElementById('axes'); select.value = '1';
    select.dispatchEvent(new Event('change'));
    document.title = [up, down, heading.parentElement.getAttribute('aria-sort'),
      document.getElementById('pareto').layout.xaxis.title.text].join('|');
    </script>"""
    acting.write_text(page.read_text().replace("</body>", f"{act}</body>"))
    (found,) = open_page(acting, (1400,)).values()
    assert found["console"] == []
    assert found["title"].split("|") == [
        "run-2 run-1 run-0",
        "run-0 run-1 run-2",
        "descending",
        "LUT",
    ]


def test_page_needs_nothing_from_outside(page):
    links = re.findall(r'<(?:script|link|img|source)[^>]*(?:src|href|srcset)="([^"]+)"', page.read_text())
    assert all(link.startswith("data:") for link in links)
    figures = page.with_name("page-figures")
    assert (figures / "auc_compressed.pdf").is_file()
    assert (figures / "auc_ratio.png").is_file()


def test_runs_that_cannot_be_compared_are_refused(runs, tmp_path, sample):
    with pytest.raises(InputError, match="none has been evaluated"):
        compare(runs[3:], tmp_path / "page.html")
    with pytest.raises(InputError, match="not among the runs"):
        compare(runs, tmp_path / "page.html", reference=tmp_path)
    sample.write(tmp_path / "manifest.json", sample.manifest("energy", "other"))
    sample.write(tmp_path / "evaluation.json", sample.comparison("energy"))
    with pytest.raises(InputError, match="their tasks differ: energy, type"):
        compare([*runs, tmp_path], tmp_path / "page.html")


def test_front_by_hand():
    assert front([1, 2, 3, 4, None], [9, 5, 7, 5, 1]) == [0, 1]
    rng = np.random.default_rng(1)
    x, y = rng.random(50).tolist(), rng.random(50).tolist()
    for i in range(50):
        beaten = any(x[j] <= x[i] and y[j] <= y[i] and j != i for j in range(50))
        assert (i in front(x, y)) == (not beaten)


def test_explorer_leaves_out_what_is_not_known():
    size, unknown = Axis("size", [1.0, 2.0, 3.0]), Axis("LUT", [None, None, 5.0])
    loss = Axis("loss", [3.0, 1.0, None], [2.0, 0.5, None], [4.0, 1.5, None])
    found = explorer(["a", "b", "c"], [size, unknown], [loss])
    assert found is not None
    assert [view["label"] for view in found.views] == ["loss against size"]
    assert explorer(["a"], [unknown], [loss]) is None


@pytest.mark.parametrize("file", ["evaluation.json", "resources.json", "model/model.json"])
@pytest.mark.parametrize("value", [None, [["x"]]], ids=["absent", "a list"])
def test_files_of_another_version_are_named_or_do_not_matter(runs, tmp_path, monkeypatch, file, value):
    """Values taken away, and replaced by another kind: a page, or one error that names the file."""
    # figures take long; what they are drawn from is checked before, and here it is walked through
    monkeypatch.setattr("trigger_ml.report.compare.save", lambda *given: given[3](LIGHT) and None)
    run = tmp_path / "run"
    shutil.copytree(runs[1], run)
    content = json.loads((run / file).read_text())
    page, refused = tmp_path / "page.html", []
    # each page takes a part of a second: a ninth of the places, others for each value
    for place in list(places(content, depth=3))[0 if value is None else 4 :: 9]:
        (run / file).write_text(json.dumps(changed(content, place, value)))
        try:
            compare([runs[0], run], page)
        except InputError as error:
            refused.append((place, error.what))
    assert {what for _, what in refused} <= {str(run / file), "runs to compare"}, refused
    assert refused or file != "evaluation.json"
