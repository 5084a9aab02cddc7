"""What a person may say about data that their files leave open: one value, from the options to the readers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """How files are to be read where they leave it open; what is None is found out from the files.

    `images` and `labels` are the names of the arrays of an archive, of the variables of a ``.mat`` file, or of a
    table's column of pictures. `label_column` is the column of a CSV file, of an ARFF file or of a Parquet table
    that holds the labels: its name, or its number from 1.
    """

    images: str | None = None
    labels: str | None = None
    label_column: str | int | None = None


AS_FOUND = Reading()
"""Nothing is said: everything is found out."""
