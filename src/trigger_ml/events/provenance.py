"""The reference metadata that ctapipe's readers expect at the head of a file."""

from collections.abc import Collection, Iterable
from importlib.metadata import version

import tables
from ctapipe.io import DataLevel, metadata
from ctapipe.io.datawriter import DATA_MODEL_VERSION


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
