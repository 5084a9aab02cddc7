"""A question of the page as lines of Python that ask it again, with the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backquery.inversion import METHODS, GaussNewton, back_query, usual_method
from backquery.io import load_model
from backquery.model import Model, Network
from backquery.notes import Notes
from backquery.studio import engine
from backquery.studio import fields as read
from backquery.studio.fields import Fields
from backquery.studio.opened import Opened, Subject
from backquery.studio.protocol import Answer


def code(subject: Subject, fields: Fields, opened: Opened) -> Answer:
    """The lines for a picture of the page: see `protocol`."""
    notes, model = _asked_model(subject, opened)
    KINDS[read.choice(fields, "of", tuple(KINDS), "back")](notes, model, fields)
    return Answer({"lines": str(notes)})


def _asked_model(subject: Subject, opened: Opened) -> tuple[Notes, Model]:
    """How to have the model that is asked, without the nodes that are off."""
    if subject.whole is opened.subject.whole:
        notes = opened.notes()
    else:
        notes = Notes()
        notes.note("network", subject.whole, load_model, subject.file_name)
    model = subject.whole
    for layer, nodes in subject.off.items():
        assert isinstance(model, Network)
        model = notes("network", model.without_nodes, nodes, layer)
    return notes, model


def _back(notes: Notes, model: Model, fields: Fields) -> None:
    name = read.choice(fields, "method", tuple(METHODS), usual_method(model))
    asked, confidence = engine.asked_of(fields, model, notes)
    _draw(notes, model, asked, method=name, confidence=confidence, **engine.drawn_as(fields))


def _scans(notes: Notes, model: Model, fields: Fields) -> None:
    name = read.choice(fields, "method", tuple(METHODS), usual_method(model))
    _draw(notes, model, range(model.outputs), method=name)


def _turn(notes: Notes, model: Model, fields: Fields) -> None:
    near = notes("near", model.scale, engine.raw_of(model, read.pixels(fields, model)))
    _draw(notes, model, [read.label(fields, model)], method=GaussNewton.name, near=near)


def _draw(notes: Notes, model: Model, asked: Any, **how: Any) -> None:
    """The search and its picture, which are noted and not made."""
    from backquery.plots import change_sheet, many_sheet, save_sheet, scan_sheet

    scans, sheet = object(), object()
    notes.note("scans", scans, back_query, model, asked, **how)
    sheet_of = change_sheet if "near" in how else many_sheet if "many" in how else scan_sheet
    notes.note("sheet", sheet, sheet_of, scans, model)
    notes.note("", None, save_sheet, sheet, "backquery.png")


KINDS: dict[str, Callable[[Notes, Model, Fields], None]] = {"back": _back, "scans": _scans, "turn": _turn}
"""What the page draws, by what it asks for it."""
