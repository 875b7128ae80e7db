"""The reference metadata at the head of ctapipe's files: what made a file, and by which data model."""

from collections.abc import Collection, Iterable
from importlib.metadata import version

import tables
from ctapipe.io import DataLevel, metadata
from ctapipe.io.datawriter import DATA_MODEL_VERSION
from ctapipe.io.hdf5eventsource import COMPATIBLE_DATA_MODEL_VERSIONS

from trigger_ml.core.errors import InputError

PROCESS = "CTA PROCESS TYPE"
VERSION = "CTA PRODUCT DATA MODEL VERSION"


def is_simulated(h5: tables.File) -> bool:
    """Whether a file says that it was simulated; one that says nothing is, if it has simulated showers."""
    attributes = h5.root._v_attrs
    if PROCESS in attributes:
        return str(attributes[PROCESS]) == "Simulation"
    return "/simulation/event/subarray/shower" in h5


def require_data_model(h5: tables.File, path: str) -> None:
    """Refuse a version of the data model that the installed ctapipe does not know; none is none refused.

    Raises
    ------
    InputError
    """
    attributes = h5.root._v_attrs
    version = str(attributes[VERSION]) if VERSION in attributes else None
    if version is not None and version not in COMPATIBLE_DATA_MODEL_VERSIONS:
        known = f"{COMPATIBLE_DATA_MODEL_VERSIONS[0]} to {COMPATIBLE_DATA_MODEL_VERSIONS[-1]}"
        raise InputError(
            path,
            f"is of version {version} of ctapipe's data model; this ctapipe reads {known}",
            "Write it again with a ctapipe of these versions (ctapipe-merge, ctapipe-process)",
        )


def write_reference(
    h5: tables.File,
    *,
    simulated: bool,
    levels: Collection[DataLevel],
    obs_ids: Iterable[int],
    subarray: str,
    activity: str,
    description: str,
) -> None:
    """Write CTAO reference metadata to the root of an HDF5 file.

    Parameters
    ----------
    h5 : tables.File
        Open for writing.
    simulated : bool
    levels : collection of ctapipe.io.DataLevel
        What the file holds.
    obs_ids : iterable of int
    subarray : str
        Name of the telescope array.
    activity, description : str
        What made the file, and what is in it.
    """
    reference = metadata.Reference(
        # the default contact would be the name of the user account
        contact=metadata.Contact(name="unknown"),
        product=metadata.Product(
            description=description,
            data_category="Sim" if simulated else "Other",
            data_levels=sorted(levels, key=lambda level: level.name),
            data_association="Subarray",
            data_model_name="ASWG",
            data_model_version=DATA_MODEL_VERSION,
            data_model_url="",
            format="hdf5",
        ),
        process=metadata.Process(
            type_="Simulation" if simulated else "Observation",
            subtype="",
            id_=",".join(str(obs_id) for obs_id in sorted(set(obs_ids))),
        ),
        activity=metadata.Activity(
            name=activity, software_name="trigger_ml", software_version=version("trigger-ml")
        ),
        instrument=metadata.Instrument(class_="Subarray", id_=subarray),
    )
    metadata.write_to_hdf5(reference.to_dict(), h5)
