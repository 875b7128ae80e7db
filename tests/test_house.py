"""The house: what lies where, how large it is, and that a name means one thing."""

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "trigger_ml"
MODULES = [path for path in ROOT.rglob("*.py") if path.name != "__init__.py"]

# the same idea in two rooms: as a section of the configuration, a document, a stage, an engine, a page
SAME = {
    "base",
    "compress",
    "control",
    "csim",
    "description",
    "evaluate",
    "evaluation",
    "events",
    "files",
    "firmware",
    "given",
    "graph",
    "intake",
    "layers",
    "light",
    "model",
    "nuisances",
    "ops",
    "plan",
    "project",
    "pruning",
    "quantization",
    "quantize",
    "reference",
    "registry",
    "regression",
    "resources",
    "rivals",
    "robustness",
    "simulate",
    "steps",
    "table",
    "trace",
    "trees",
    "verify",
    "window",
}


def test_nothing_is_loose_at_the_top() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {"__init__", "__main__", "cli"}


def test_modules_can_be_held_in_the_head() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > 400} == {}


def test_a_name_means_one_thing() -> None:
    """Two modules of one name do the same for two rooms, and what misled is gone."""
    rooms = defaultdict(list)
    for path in MODULES:
        rooms[path.stem].append(str(path.relative_to(ROOT).parent))
    assert {name: places for name, places in rooms.items() if len(places) > 1 and name not in SAME} == {}
    gone = {"stages", "tracing", "event_trace", "feed", "kernels", "parameters", "summary", "backends"}
    kept = {"kernels": ["firmware/rtl"], "backends": ["firmware/hls"]}
    assert {name: rooms[name] for name in gone if name in rooms} == kept
