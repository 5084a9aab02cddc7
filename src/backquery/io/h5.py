"""HDF5 files from anywhere: numbers reached by hard links only, none larger than the file that holds them.

Attributes are never read: the HDF5 library can be made to crash over them, and other kinds of links, external and
virtual data sets would read other files of this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import ModelError
from backquery.model import Array

if TYPE_CHECKING:
    pass


def member_at(group: Any, name: str) -> Any:
    """What `group` holds under `name` by a hard link, or None."""
    import h5py

    linked = isinstance(group, h5py.Group) and isinstance(group.get(name, getlink=True), h5py.HardLink)
    return group[name] if linked else None


def numbers_in(dataset: Any, place: str, size: int) -> Array:
    """The numbers of a data set in a file of `size` bytes, as float64 where they are so, else as float32."""
    import h5py

    plain = isinstance(dataset, h5py.Dataset) and dataset.dtype in (np.float16, np.float32, np.float64)
    if not plain or dataset.external is not None or dataset.is_virtual:
        raise ModelError(f"{place} does not hold plain numbers within the file")
    if dataset.nbytes > size:
        raise ModelError(f"{place} promises {dataset.nbytes:,} bytes, more than the file holds")
    return np.asarray(dataset[()], np.float64 if dataset.dtype == np.float64 else np.float32)
