"""What sets hls4ml's backends apart: their parts, their simulation, what must be set right.

What they make of each kind of layer is in :mod:`trigger_ml.firmware.hls.support`.
"""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import hls4ml
from hls4ml.model import ModelGraph
from hls4ml.model.layers import Conv2D, Dense, DepthwiseConv2D, GlobalPooling2D, Merge, Pooling2D
from hls4ml.model.optimizer.passes.stamp import MakeStamp

from trigger_ml.core.errors import MappingError
from trigger_ml.core.files import atomic_path, write_text
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.hls.support import DROPPED

__all__ = [
    "CSIM_BACKENDS", "conversion_options", "part_of", "require_backend", "require_code", "settle",
    "stamped",
]  # fmt: skip

CSIM_BACKENDS = ("Vitis", "Vivado", "Quartus", "Catapult")
"""Backends whose C++ is compiled with g++ alone: hls4ml brings the headers of their types."""

MODEL = "keras_model.keras"
"""What a project was made from, as hls4ml saves it."""

# kinds of hls4ml layers that compute something: each must have a call in the top function
COMPUTING = (Conv2D, DepthwiseConv2D, Dense, Pooling2D, GlobalPooling2D, Merge)


def part_of(backend: str, part: str) -> str | None:
    """The part to write for; None, the backend's own default, where the configured part is an AMD one."""
    if backend in ("Vitis", "Vivado", "Catapult") or not part.lower().startswith("xc"):
        return part
    return None


def conversion_options(backend: str) -> dict[str, Path]:
    """What hls4ml's conversion must be told beyond the configuration.

    Libero's backend looks for SmartHLS while it converts; where that is not installed, the project's
    Makefile takes its place from the variable ``SMARTHLS_ROOT``.
    """
    if backend != "Libero":
        return {}
    tool = shutil.which("shls")
    return {"smarthls_path": Path(tool).parent.parent if tool else Path("$(SMARTHLS_ROOT)")}


@contextmanager
def stamped(*content: object) -> Iterator[None]:
    """Let hls4ml name its compiled libraries after what is in them, not at random.

    Parameters
    ----------
    *content : JSON-able
        All that makes a project differ from others: a process takes two libraries of one name for one.
    """
    stamp = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    def transform(self: object, model: Model) -> bool:
        model.config.config["Stamp"] = stamp
        return False

    with mock.patch.object(MakeStamp, "transform", transform):
        yield


def _renumbered(config: str) -> str:
    """A Keras model's configuration with its shared objects counted, where it has their places in memory."""
    key = r'("shared_object_id": )(\d+)'
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers))}"

    return re.sub(key, number, config)


def _without_chance(model: Path) -> None:
    """Let a ``.keras`` archive say nothing of when, and where in memory, it was written."""
    with zipfile.ZipFile(model) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    facts = json.loads(parts["metadata.json"])
    facts.pop("date_saved", None)
    parts["metadata.json"] = json.dumps(facts).encode()
    parts["config.json"] = _renumbered(parts["config.json"].decode()).encode()
    with atomic_path(model) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def settle(folder: Path, name: str, backend: str) -> None:
    """Make a written project independent of the folder it was written in.

    hls4ml's own description, with which the project can be built again there, names its model and its place
    by absolute paths, and the model's archive has the time in it and numbers of the process that wrote it.
    Catapult's bridge holds the absolute path of the weights and ends the process when they are not there;
    like Vivado's, it now takes the path from the script that compiles it.
    """
    description = folder / "hls4ml_config.yml"
    text = description.read_text(encoding="utf-8")
    # a long path is broken into lines
    model = f"KerasModel: !keras_model '{MODEL}'\n"
    text = re.sub(r"(?m)^KerasModel: !keras_model.*\n(?: .*\n)*", model, text)
    text = re.sub(r"(?m)^OutputDir:.*\n(?: .*\n)*", "OutputDir: .\n", text)
    write_text(description, text)
    if (folder / MODEL).is_file():
        _without_chance(folder / MODEL)
    if backend != "Catapult":
        return
    bridge, script = folder / f"{name}_bridge.cpp", folder / "build_lib.sh"
    lines = [
        "static std::string s_weights_dir = WEIGHTS_DIR;"
        if line.startswith("static std::string s_weights_dir")
        else line
        for line in bridge.read_text(encoding="utf-8").splitlines()
    ]
    write_text(bridge, "\n".join(lines) + "\n")
    text = script.read_text(encoding="utf-8")
    place = '-D WEIGHTS_DIR="\\"$(cd "$(dirname "$0")" && pwd)/firmware/weights\\""'
    # without it the script ends well when the compiler does not
    text = text.replace("#!/bin/bash\n", "#!/bin/bash\nset -e\n", 1)
    write_text(script, text.replace("-c ${PROJECT}_bridge.cpp", f"{place} -c ${{PROJECT}}_bridge.cpp"))
    script.chmod(0o755)


def require_backend(backend: str, io_type: str) -> None:
    """Refuse a backend whose projects this hls4ml cannot write.

    Raises
    ------
    MappingError
        With the reason.
    """
    if backend != "Libero":
        return
    remedy = f"Use one of {', '.join(CSIM_BACKENDS)}, oneAPI, or the RTL project"
    if io_type == "io_stream":
        why = "hls4ml's Libero backend cannot write streams: its variables take no `as_struct`"
        raise MappingError("firmware.hls.backend: Libero", why, remedy)
    if not (Path(hls4ml.__file__).parent / "templates" / "libero" / "build_lib.sh").is_file():
        why = f"hls4ml {version('hls4ml')} lacks templates/libero/build_lib.sh, which its writer needs"
        raise MappingError("firmware.hls.backend: Libero", why, remedy)


def require_code(graph: ModelGraph, names: Mapping[str, str]) -> None:
    """Refuse a converted model of which a layer has no code: hls4ml does not.

    Parameters
    ----------
    graph : hls4ml.model.ModelGraph
    names : mapping of str to str
        hls4ml's name of each of the user's layers.

    Raises
    ------
    MappingError
        Naming the layer.
    """
    backend, io_type = graph.config.backend.name, graph.config.get_config_value("IOType")
    # oneAPI keeps the calls of both interfaces; its writer takes one
    code = "stream_function_cpp" if (backend, io_type) == ("oneAPI", "io_stream") else "function_cpp"
    own = {theirs: ours for ours, theirs in names.items()}
    for layer in graph.get_layers():
        if isinstance(layer, COMPUTING) and not layer.attributes.get(code):
            why = DROPPED.format(backend, io_type)
            raise MappingError(
                f"layer {own.get(layer.name, layer.name)} ({layer.class_name})", why, "Use another backend"
            )
