"""Where a run keeps its files; all paths are relative to the run directory."""

from pathlib import Path

MANIFEST = Path("manifest.json")
EVENTS = Path("events")
EVENT_FILES = EVENTS / "files.json"

MODELS = Path("model")
MODEL_SUMMARY = MODELS / "model.json"
SIZES = MODELS / "sizes.json"
FLOAT_FOLDER = MODELS / "float"
FLOAT_MODEL = FLOAT_FOLDER / "model.h5"
FLOAT_HISTORY = FLOAT_FOLDER / "history.json"
GIVEN = FLOAT_FOLDER / "given.json"
COMPRESSED_FOLDER = MODELS / "compressed"
COMPRESSED_MODEL = COMPRESSED_FOLDER / "model.h5"
CONTROL_FOLDER = MODELS / "control"
CONTROL_MODEL = CONTROL_FOLDER / "model.h5"
CONTROL_HISTORY = CONTROL_FOLDER / "history.json"
LITERT_FOLDER = MODELS / "litert"
LITERT_FACTS = LITERT_FOLDER / "litert.json"
TREES_FOLDER = MODELS / "trees"
TREES = TREES_FOLDER / "trees.npz"
TREES_FACTS = TREES_FOLDER / "trees.json"

NETWORK = Path("network/network.npz")
OBSTACLES = Path("network/obstacles.json")
EMULATOR = Path("onnx/emulator.onnx")
FLOAT_ONNX = Path("onnx/float.onnx")

FIRMWARE = Path("firmware")
HLS = FIRMWARE / "hls"
RTL = FIRMWARE / "rtl"
VECTORS = FIRMWARE / "vectors"
EMULATOR_SOURCES = FIRMWARE / "emulator"
SYNTHESIS = Path("synthesis")
RESOURCES = Path("resources.json")
VERIFICATION = Path("verification.json")

DELIVERY = Path("firmware.json")

PREDICTIONS = Path("predictions")
IRFS = Path("irfs")
EVALUATION = Path("evaluation.json")
FIGURES = Path("figures")
PAGE = Path("report.html")
TRACES = Path("trace")
