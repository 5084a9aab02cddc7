"""The old address of `backquery.studio.notebook`."""

from warnings import warn

from backquery.studio.notebook import Studio

__all__ = ["Studio"]

warn("backquery.notebook is now backquery.studio.notebook", DeprecationWarning, stacklevel=2)
