"""Models run backwards: from an answer to the image that gives it.

`back_query` is the one entry; `METHODS` names the ways there are. An inversion knows nothing of how a model
was trained, and nothing here scores an image beyond running it forwards again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import InversionError, TargetError
from backquery.inversion.active_set import answered, placeholder
from backquery.inversion.ascent import Ascent
from backquery.inversion.draws import draws
from backquery.inversion.fitting import fit_statistics
from backquery.inversion.gauss_newton import GaussNewton
from backquery.inversion.kept import Kept, kept_by_layer
from backquery.inversion.limits import Limits, at_least, emptiest, most_sure, read_as, within
from backquery.inversion.mixtures import AnyPrior, MixturePrior
from backquery.inversion.named_priors import PRIORS, kept_prior
from backquery.inversion.priors import Prior, data_prior, flat_prior, natural_prior, smooth_prior
from backquery.inversion.problem import Method, Problem, box
from backquery.inversion.result import BackQuery, never_read, unsaid
from backquery.inversion.spectral import SpectralPrior
from backquery.inversion.strongest import strongest_signals
from backquery.inversion.targets import (
    LabelNames,
    Targets,
    answers,
    channel,
    confidence,
    difference,
    hidden_node,
    several,
    typical,
)
from backquery.inversion.transpose import Transpose
from backquery.model import Model, Progress, Seed, need_model, typical_of
from backquery.model.declared import declared
from backquery.model.threads import one_pool

__all__ = [
    "METHODS", "PRIORS", "Ascent", "BackQuery", "GaussNewton", "Kept", "Limits", "Method", "MixturePrior",
    "Prior", "SpectralPrior", "Targets", "Transpose", "answers", "at_least", "back_query", "channel",
    "confidence", "data_prior", "difference", "emptiest", "fit_statistics", "flat_prior", "hidden_node",
    "kept_by_layer", "kept_prior", "most_sure", "natural_prior", "read_as", "several", "smooth_prior",
    "strongest_signals", "typical", "usable_methods", "usual_method", "within",
]  # fmt: skip

METHODS: dict[str, Method] = {method.name: method for method in (Transpose(), GaussNewton(), Ascent())}
"""Every method by its name, with its usual settings: the command line, menus and tests read this."""


@declared(TargetError)
def back_query(
    model: Model,
    targets: LabelNames | ArrayLike | Targets | Limits,
    *,
    method: str | Method | None = None,
    prior: str | AnyPrior | None = None,
    confidence: float | None = None,
    near: ArrayLike | None = None,
    start: ArrayLike | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    many: int | None = None,
    around: ArrayLike | None = None,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> BackQuery:
    """Ask a model backwards which images give these answers.

    `targets` are labels (positions or class names, one or many), answers (n, outputs), or `Targets` made by
    `typical`, `confidence`, `several`, `difference`, `hidden_node` or `channel`, or `Limits` made by `at_least`,
    `within`, `read_as`, `emptiest` or `most_sure`, within which gauss-newton finds the likeliest image. Plain
    labels are asked for with `confidence` where it is given. Else gauss-newton asks for the model's typical
    answers where it keeps them, and every other case for the book's 0.99. Where gauss-newton knows the typical
    answers, a confidence changes only the label's own, and the others are asked for what is usual then: see
    `confidence`.

    `method` is a name in `METHODS` or a method with settings of your own, ``GaussNewton(steps=20)``; by default
    `usual_method(model)`: gauss-newton where the model keeps statistics or has no inverse, else the book's
    transpose. `prior` is ``"data"``, ``"mixture"``, ``"natural"``, ``"smooth"``, ``"flat"`` or a prior of your
    own; by default what the model keeps. `near` is one image, or one for each question, in input scale: then the
    smallest change, in the prior's measure, is sought that gives the answer. `start` tells a search where to
    begin, such as the images of an earlier result. `bounds` are the lowest and highest inputs; by default those of
    the model's scaling, or 0 and 1.

    `many` asks for so many images of each question, drawn from the prior given the answer (see `draws`), or, with
    `around` (m, inputs), for the answers nearest to so many of these images, chosen blindly: question by question,
    with the result's `draw` saying which, and its `likeliest` the one likeliest image of each.

    `rng` is used by methods that draw numbers, and by `many`. `progress` is
    told, by gauss-newton, how many questions are answered and how far off the present ones are.

    Questions that a method cannot put to a model raise `TargetError` or `InversionError`; so does the question for
    what is typical where the model never reads any of the labels. Not converging is no error: it is an outcome,
    with advice.
    """
    need_model(model)
    limits = targets if isinstance(targets, Limits) else None
    question = placeholder(model, targets) if isinstance(targets, Limits) else targets
    chosen = _method(model, GaussNewton.name if limits is not None and method is None else method)
    asked = _questions(model, question, confidence, chosen)
    low, high = box(model, bounds)
    # A problem makes arrays of `near` and `start` itself, as it checks them.
    problem = Problem(model, asked, low, high, prior, near, start, rng, progress)  # type: ignore[arg-type]
    drawing = many is not None or around is not None
    if limits is not None and (drawing or not isinstance(chosen, GaussNewton)):
        how = "one image at a time" if drawing else f"by gauss-newton, not by {chosen.name}"
        raise TargetError(f"limits are searched within {how}")
    with one_pool(model):
        if limits is not None and isinstance(chosen, GaussNewton):
            return answered(problem, chosen, limits)
        return draws(problem, chosen, 1 if many is None else many, around) if drawing else chosen.invert(problem)


@declared(TargetError)
def usual_method(model: Model) -> str:
    """The method that is taken where none is named, always one that can be used on the model.

    It is gauss-newton where the model keeps statistics, else the book's transpose where the model has an inverse.
    What is no model raises `TargetError`.
    """
    by_the_book = model.statistics is None and usable_methods(model)[Transpose.name] is None
    return Transpose.name if by_the_book else GaussNewton.name


@declared(TargetError)
def usable_methods(model: Model) -> dict[str, str | None]:
    """For each method, None if it can be used on this model, or else why not.

    The searches need only logits and their derivatives, which every model has. The book's formula is tried. What
    is no model raises `TargetError`.
    """
    reasons: dict[str, str | None] = dict.fromkeys(METHODS)
    try:
        back_query(model, list(range(model.outputs)), method=Transpose.name)
    except (InversionError, TargetError) as error:
        reasons[Transpose.name] = str(error)
    return reasons


def _method(model: Model, method: str | Method | None) -> Method:
    if method is None:
        return METHODS[usual_method(model)]
    if not isinstance(method, str) and hasattr(method, "invert"):
        return method
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    raise TargetError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")


def _questions(
    model: Model, targets: LabelNames | ArrayLike | Targets, p: float | None, method: Method
) -> Targets:
    given = targets if isinstance(targets, Targets) else _plain(targets)
    if not isinstance(given, Targets) and not np.size(given):
        raise TargetError("nothing is asked for: name at least one label, such as back_query(model, [3])")
    if not isinstance(given, list):
        if p is not None:
            raise TargetError("a confidence goes with labels; the targets given already say what is asked for")
        return given if isinstance(given, Targets) else answers(model, given)
    usual = method.usual_question == "typical" and typical_of(model) is not None
    if p is None and not usual:
        return confidence(model, given)
    if p is None:
        asked = typical(model, given)
        if unsaid(asked).all():
            raise TargetError(never_read(model, int(asked.labels[0])))
        return asked
    return confidence(model, given, p, "typical" if usual else None)


def _plain(targets: Any) -> list[Any] | Any:
    """Labels as a list; answers as an array."""
    if isinstance(targets, str):
        return [targets]
    try:
        array = np.asarray(targets)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind == "O":
        raise TargetError(
            f"ask for labels, answers, or what inversion.several and its like make; received {str(targets)[:80]}"
        )
    if array.ndim <= 1 and array.dtype.kind in "iuU":
        return [targets] if array.ndim == 0 else list(targets)
    return array
