"""A run's firmware, copied to a folder that can be handed on."""

import shutil
from pathlib import Path

from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.files import atomic_directory, write_text
from trigger_ml.report.terminal import firmware_readme, print_firmware

__all__ = ["export_projects"]


def export_projects(directory: Path, target: Path, console: Console) -> None:
    """Copy a run's firmware projects, with all figures, to a folder of their own; replaces an older one."""
    with atomic_directory(target) as folder:
        shutil.copytree(directory / layout.FIRMWARE, folder, dirs_exist_ok=True)
        shutil.copytree(directory / layout.SYNTHESIS, folder / layout.SYNTHESIS)
        for name in (layout.RESOURCES, layout.VERIFICATION):
            shutil.copy2(directory / name, folder / name)
        write_text(folder / "README.md", firmware_readme(directory))
    print_firmware(directory, console)
    console.print(f"projects in {target}", highlight=False, soft_wrap=True, markup=False)
