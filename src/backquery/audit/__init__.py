"""Shortcuts: small regions of an image that alone decide what a network reads, found and tried by intervention."""

from backquery.audit.findings import CLEAN, LIMITS, SHORTCUT, SUSPICIOUS, VERDICTS, Audit, Finding
from backquery.audit.regions import Box, Kind, Region
from backquery.audit.search import find_shortcuts

__all__ = [
    "CLEAN", "LIMITS", "SHORTCUT", "SUSPICIOUS", "VERDICTS", "Audit", "Box", "Finding", "Kind", "Region",
    "find_shortcuts",
]  # fmt: skip
