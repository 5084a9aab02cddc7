"""Shortcuts, tried by intervention: small regions of an image that alone decide what is read, and colours."""

from backquery.audit.colours import ColourOrShape, Swap, colour_or_shape, recoloured
from backquery.audit.findings import (
    BORNE,
    CLEAN,
    LIMITS,
    MEANINGS,
    NATURAL,
    SHORTCUT,
    SUSPICIOUS,
    VERDICTS,
    Audit,
    Finding,
    Thresholds,
)
from backquery.audit.regions import Box, Kind, Region
from backquery.audit.search import find_shortcuts, references_for

__all__ = [
    "BORNE", "CLEAN", "LIMITS", "MEANINGS", "NATURAL", "SHORTCUT", "SUSPICIOUS", "VERDICTS", "Audit", "Box",
    "ColourOrShape", "Finding", "Kind", "Region", "Swap", "Thresholds", "colour_or_shape", "find_shortcuts",
    "recoloured", "references_for",
]  # fmt: skip
