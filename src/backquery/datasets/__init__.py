"""Labelled images: by name, from a path, or one picture at a time; always checked, never unpickled."""

from backquery.datasets.augmentation import augment, rotate, shift
from backquery.datasets.catalogue import catalogue, fetch, is_at_hand, load, needs_fetching
from backquery.datasets.dataset import Dataset
from backquery.datasets.fingerprint import fingerprint
from backquery.datasets.images import Preparation, prepare_image, prepare_steps
from backquery.datasets.made import coloured, shapes, wander
from backquery.datasets.options import Reading
from backquery.datasets.reading import open_data, read
from backquery.datasets.split import Split, split_off_test
from backquery.datasets.summary import Summary, inspect

__all__ = [
    "Dataset", "Preparation", "Reading", "Split", "Summary", "augment", "catalogue", "coloured", "fetch",
    "fingerprint", "inspect", "is_at_hand", "load", "needs_fetching", "open_data", "prepare_image",
    "prepare_steps", "read", "rotate", "shapes", "shift", "split_off_test", "wander",
]  # fmt: skip
