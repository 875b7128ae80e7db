"""The packages of docs/plugins.md and packages like them, put where an installed one would be."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"


def block(after: str, kind: str) -> str:
    """The first code block of a kind after a text on the page."""
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"```{kind}\n(.*?)```", page[page.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def place(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    module: str,
    source: str,
    group: str,
    entries: dict[str, str],
    package: str = "some-package",
    version: str = "0.1",
) -> None:
    """What installing a package leaves: its module and a ``dist-info`` folder beside it."""
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(folder)
    # another test may have placed a module of this name
    sys.modules.pop(module, None)


def place_from_page(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str) -> None:
    """The package of one of the page's examples."""
    example = f"`{module}.py`:"
    project = tomllib.loads(block(example, "toml"))["project"]
    ((group, entries),) = project["entry-points"].items()
    place(
        monkeypatch,
        folder,
        module,
        block(example, "python"),
        group,
        entries,
        project["name"],
        project["version"],
    )
