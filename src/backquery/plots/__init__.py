"""Results as Matplotlib figures: ink on paper, the number said in the title, nothing that does not inform.

Every function returns a `matplotlib.figure.Figure` of its own and leaves Matplotlib's global state alone, so
that figures can be made in threads and servers. Sizes are in inches. What a picture is drawn by is loaded on first
use, as it brings along what it draws.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backquery.plots.audit import audit_rows
    from backquery.plots.comparison import comparison_table
    from backquery.plots.damage import damage_curves
    from backquery.plots.evidence import evidence_colours, evidence_maps, image_evidence_maps, strongest_effect
    from backquery.plots.lessons import lesson_figure
    from backquery.plots.paper import FORMATS, NOT_READ, READ, check_picture_path, save_figure
    from backquery.plots.performance import answer_bars, confusion_matrix, learning_curves
    from backquery.plots.pictures import query_steps
    from backquery.plots.scans import (
        change_grid,
        change_sheet,
        kept_grid,
        kept_sheet,
        layer_grid,
        layer_sheet,
        many_grid,
        many_sheet,
        scan_captions,
        scan_grid,
        scan_sheet,
    )
    from backquery.plots.sheets import save_sheet
    from backquery.plots.sweep import sweep_curves
    from backquery.plots.timeline import (
        ANIMATIONS,
        check_animation_path,
        film_strip,
        save_animation,
        timeline_frame,
    )

_HOMES = {
    "audit": ("audit_rows",),
    "comparison": ("comparison_table",),
    "damage": ("damage_curves",),
    "evidence": ("evidence_colours", "evidence_maps", "image_evidence_maps", "strongest_effect"),
    "lessons": ("lesson_figure",),
    "paper": ("FORMATS", "NOT_READ", "READ", "check_picture_path", "save_figure"),
    "performance": ("answer_bars", "confusion_matrix", "learning_curves"),
    "pictures": ("query_steps",),
    "scans": (
        "change_grid",
        "change_sheet",
        "kept_grid",
        "kept_sheet",
        "layer_grid",
        "layer_sheet",
        "many_grid",
        "many_sheet",
        "scan_captions",
        "scan_grid",
        "scan_sheet",
    ),
    "sheets": ("save_sheet",),
    "sweep": ("sweep_curves",),
    "timeline": ("ANIMATIONS", "check_animation_path", "film_strip", "save_animation", "timeline_frame"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ANIMATIONS", "FORMATS", "NOT_READ", "READ", "answer_bars", "audit_rows", "change_grid", "change_sheet",
    "check_animation_path", "check_picture_path", "comparison_table", "confusion_matrix", "damage_curves",
    "evidence_colours", "evidence_maps", "film_strip", "image_evidence_maps", "kept_grid", "kept_sheet",
    "layer_grid", "layer_sheet", "learning_curves", "lesson_figure", "many_grid", "many_sheet", "query_steps",
    "save_animation", "save_figure", "save_sheet", "scan_captions", "scan_grid", "scan_sheet", "strongest_effect",
    "sweep_curves", "timeline_frame",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
