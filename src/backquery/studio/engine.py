"""What the page asks, put to the functions that the command line uses too."""

from __future__ import annotations

from dataclasses import asdict, replace
from io import BytesIO
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset, prepare_image, prepare_steps
from backquery.datasets.images import FORMATS
from backquery.evidence import AGAINST, SUPPORT, image_evidence, measure_evidence
from backquery.evidence.verdicts import Findings
from backquery.faithfulness import Passage, RealDensities, RealSignals, Usualness, usual_density
from backquery.inversion import (
    METHODS,
    Ascent,
    BackQuery,
    GaussNewton,
    Limits,
    Method,
    Targets,
    back_query,
    several,
    usual_method,
    within,
)
from backquery.inversion import answers as asked_answers
from backquery.inversion.remembered import Remembered
from backquery.model import (
    SOFTMAX,
    Array,
    Layout,
    Model,
    Network,
    Shape,
    finite_answer,
    ink_of,
    labels_read,
    meaning_of,
    quick_of,
)
from backquery.notes import Notes
from backquery.proofs import certify
from backquery.studio import fields as read
from backquery.studio.fields import Fields
from backquery.studio.opened import Jury, Subject
from backquery.studio.protocol import Answer, RequestError

LONGEST_DRAWING = 1024
"""Rows and columns that a drawing may have."""

MOST_PICTURE_PIXELS = 15_000_000
"""Larger pictures are refused before they are decoded."""

MOST_NODES = 1000
"""Nodes whose weights are shown in one answer."""

MOST_SAMPLES = 100
EVIDENCE_IMAGES = 5000
"""Images, of all labels together, that evidence is measured on, and as many that it is tested on."""

USUAL_IMAGES = 1000
"""Real images that typicality is measured against."""

HURRIED_STEPS, DEEP_STEPS = 15, 1
"""Steps that follow a slider at most; a first image takes the method's own number. The second is for models that
are no chain of dense layers: each step takes a good part of a frame, and the next move goes on where it ended."""

MOST_DRAWS = 1_000_000
"""The largest number of a draw."""

FOLLOWING = "following"
"""The outcome of an image that is not yet sought to the end, nor verified in float64."""


def query(subject: Subject, fields: Fields) -> Answer:
    """What the network reads in pixels or in a drawing, and how its hidden nodes light up."""
    model = subject.model
    arrays: dict[str, NDArray[Any]] = {}
    if "drawing" in fields:
        given = prepared(model, subject.shape, drawing(fields))
        arrays["pixels"] = given
        if not given.any():
            raise RequestError("there is nothing on the paper to read; draw something", "blank")
    else:
        given = read.pixels(fields, model)
    inputs = as_inputs(model, given)
    answers, signals = finite_answer(model.query(inputs)[0]), {}
    if isinstance(model, Network):
        layers = model.signals(inputs)[1:-1]
        signals = {f"signals{k}": share_of_range(model, k, values[0]) for k, values in enumerate(layers, start=1)}
    return Answer({"read": int(labels_read(model, inputs)[0])}, {"answers": answers, **signals, **arrays})


def back(subject: Subject, fields: Fields, start: Array | None) -> tuple[Answer, Array]:
    """A back query, and its image (inputs,) for the next search to begin at."""
    clock = perf_counter()
    name, how = _method_named(fields, subject.model), drawn_as(fields)
    start = None if how else start
    hurried = start is not None and read.flag(fields, "hurried", True) and "limits" not in fields
    hasty = hurried and not isinstance(subject.model, Network)
    model = quick_of(subject.model) if hasty else subject.model
    asked, confidence = asked_of(fields, model, Notes())
    method = method_of(name, hurried=hurried, steps=DEEP_STEPS if hasty else HURRIED_STEPS)
    result = back_query(model, asked, method=method, confidence=confidence, start=start, **how)
    told = {**told_of(result, 0), "method": name, "milliseconds": 1000 * (perf_counter() - clock)}
    if hasty and name == GaussNewton.name:
        told |= {"outcome": FOLLOWING, "advice": ""}
    image = result.images[0]
    return Answer(told, {"ink": pictures(subject, image[None])[0], "answers": result.answers[0]}), image


def drawn_as(fields: Fields) -> dict[str, Any]:
    """How `back_query` is asked for one of the many images that give an answer, by its number; else nothing."""
    return {"many": 1, "rng": read.whole(fields, "draw", 1, MOST_DRAWS)} if "draw" in fields else {}


def asked_of(
    fields: Fields, model: Model, notes: Notes
) -> tuple[Targets | Limits | list[int | str], float | None]:
    """What is asked for, and with which confidence where that is one label's; it is noted how that is made."""
    if "limits" in fields:
        limits = read.confidences(fields, model, "limits")
        ranges = {label: (p, None) if p >= 0.5 else (None, p) for label, p in limits.items()}
        return notes("asked", within, model, ranges), None
    if "answers" in fields:
        return notes("asked", asked_answers, model, _asked_answers(fields, model)), None
    if "confidences" not in fields:
        return [read.label(fields, model)], None
    wanted = read.confidences(fields, model)
    if len(wanted) > 1:
        return notes("asked", several, model, wanted), None
    ((label, p),) = wanted.items()
    return [label], p


def _asked_answers(fields: Fields, model: Model) -> list[float]:
    """The answers of all outputs; those of a softmax, which the page sends as parts of any sum, as shares of 1."""
    given = read.numbers(fields, "answers", model.outputs)
    whole = sum(given) if model.output_activation is SOFTMAX else 1.0
    return [answer / whole for answer in given] if whole > 0 else given


def turn(subject: Subject, fields: Fields) -> Answer:
    """The smallest change that makes the network read a picture as a label."""
    model = subject.model
    near = as_inputs(model, read.pixels(fields, model))
    given = fields.get("confidence") is not None
    confidence = read.number(fields, "confidence", -1e9, 1e9) if given else None
    label = read.label(fields, model)
    result = back_query(model, [label], method=GaussNewton.name, confidence=confidence, near=near)
    ink = pictures(subject, result.images)
    arrays = {"ink": ink[0], "change": (ink - pictures(subject, near))[0], "answers": result.answers[0]}
    return Answer(told_of(result, 0), arrays)


def scans(subject: Subject, fields: Fields) -> Answer:
    """One image for each label."""
    model = subject.model
    name = _method_named(fields, model)
    # A damaged network may be asked in vain for what is typical of the whole one; that must not take long.
    method = method_of(name, hurried=bool(subject.off))
    return scans_of(subject, back_query(model, list(range(model.outputs)), method=method))


def scans_of(subject: Subject, result: BackQuery) -> Answer:
    """What the page is told of one image for each label."""
    fields = {
        "read": result.read.tolist(),
        "read_as_asked": result.read_as_asked.tolist(),
        "converged": result.converged.tolist(),
        "outcome": list(result.outcome),
        "method": result.method,
    }
    return Answer(fields, {"ink": pictures(subject, result.images), "answers": result.answers})


def opinion(subject: Subject, fields: Fields, dataset: Dataset | None, jury: Jury | None) -> Answer:
    """What the judges read in a picture, the nearest real image, and how usual the picture is."""
    model = subject.model
    given = read.pixels(fields, model)
    data = need_data(dataset, "judge images by")
    if jury is None:
        raise RequestError("the judges are still being made ready; ask again in a moment", "wait")
    ink = (given / np.float32(255))[None]
    near = jury.real.nearness(ink, data.test)
    nearest, chance = int(near.nearest[0]), 1 / model.outputs
    inputs = as_inputs(model, given)
    usual, path = _usualness(model, inputs, data), _passage(model, inputs, data)
    told = {
        "judges": {judge.name: int(judge.ask(ink)[0]) for judge in jury.judges},
        "performances": {judge.name: judge.performance for judge in jury.judges},
        "no_better_than_chance": [judge.name for judge in jury.judges if judge.worthless(chance)],
        "chance": chance,
        "nearest_label": int(jury.real.labels[nearest]),
        "distance": float(near.distance[0]),
        "distance_percentile": float(near.percentile[0]),
        "copy": bool(near.copy[0]),
        "typicality": None if usual is None else float(usual.typicality[0]),
        "side": None if usual is None else usual.side[0],
        "path": None if path is None else float(path.share[0]),
        "path_layer": None if path is None else path.layer[0],
        "another_path": path is not None and bool(path.another[0]),
    }
    return Answer(told, {"nearest": as_pixels(jury.real.ink[nearest]).reshape(subject.shape)})


def proof(subject: Subject, fields: Fields) -> Answer:
    """What is certain of how a picture is read, and of all pictures near it."""
    model = subject.model
    found = certify(model, as_inputs(model, read.pixels(fields, model)))
    told = found.plain(0)
    radius = float(found.brief(0)) if told["read"] else None
    label = {"read": int(found.read[0]), "certain": told["read"]}
    return Answer({**label, "grey_levels": radius, "unknown": told["unknown"]})


def _usualness(model: Model, inputs: Array, data: Dataset) -> Usualness | None:
    """Beside real images, whose densities are worked out once; None where the model keeps no statistics."""
    if model.statistics is None:
        return None
    known = _real_densities.of(model)
    if data.name not in known:
        real = model.scale(data.to_test_on.images[:USUAL_IMAGES])
        known[data.name] = RealDensities(usual_density(model.statistics), real)
    return known[data.name].usualness(inputs)


def _passage(model: Model, inputs: Array, data: Dataset) -> Passage | None:
    """Beside real images, whose signals are worked out once; None for a model without hidden layers."""
    known = _real_signals.of(model)
    if data.name not in known:
        known[data.name] = RealSignals.of(model, data)
    signals = known[data.name]
    return None if signals is None else signals.passage(inputs)


_real_signals: Remembered[dict[str, RealSignals | None]] = Remembered(dict)
_real_densities: Remembered[dict[str, RealDensities]] = Remembered(dict)


def evidence(subject: Subject, fields: Fields, dataset: Dataset | None) -> Answer:
    """What each pixel means for a label, over real images of it, and how the claims fared on other images."""
    data, few = need_data(dataset, "measure evidence on"), slice(EVIDENCE_IMAGES)
    held_out = None if data.test is None else data.test.select(few)
    label = read.label(fields, subject.model)
    (found,) = measure_evidence(subject.model, data.train.select(few), [label], held_out=held_out)
    verdict, mean = _maps(subject, found.findings)
    told = {"label": label, "images": found.images, "rate": found.rate, "counts": found.counts}
    codes = (verdict == SUPPORT).astype(int) - (verdict == AGAINST)
    tested = {"held": found.held, "claims": len(found.claims), "likeness": found.likeness}
    mind = {"agreement": found.agreement, "caution": found.caution or None}
    return Answer({**told, **tested, **mind}, {"codes": codes, "verdicts": verdict, "sensitivity": mean})


def why(subject: Subject, fields: Fields) -> Answer:
    """What each pixel of one picture means for a label, by default the one read in it, and whether that held."""
    model = subject.model
    label = read.label(fields, model) if fields.get("label") is not None else None
    found = image_evidence(model, as_inputs(model, read.pixels(fields, model)), label)
    told = {"label": found.labels[0], "read": found.read, "log_odds": found.log_odds, "counts": found.counts}
    trials = [{**asdict(one), "held": one.held} for one in found.trials]
    tried = {"held": found.held, "claims": len(found.claims), "trials": trials}
    verdict, mean = _maps(subject, found.findings)
    return Answer({**told, **tried}, {"verdicts": verdict, "sensitivity": mean})


def _maps(subject: Subject, findings: Findings) -> tuple[NDArray[np.int8], Array]:
    """The verdict and the mean sensitivity of each pixel, (rows, columns), however many channels it has."""
    size = subject.layout.rows, subject.layout.columns
    return findings.verdict.reshape(size), findings.mean.reshape(size)


def weights(subject: Subject, fields: Fields) -> Answer:
    """The weights into some nodes of a hidden layer, as they are without damage."""
    network = need_network(subject.whole)
    layer = read.whole(fields, "layer", 1, read.hidden_layers(network.sizes), 1)
    matrix = network.layers[layer - 1].weights
    first = read.whole(fields, "from", 0, len(matrix) - 1, 0)
    count = read.whole(fields, "count", 1, MOST_NODES, min(MOST_NODES, len(matrix)))
    shown = matrix[first : first + count]
    if layer == 1:
        shown = subject.layout.drawn(shown)
    return Answer({"layer": layer, "from": first, "scale": float(np.abs(matrix).max())}, {"weights": shown})


def samples(subject: Subject, fields: Fields, dataset: Dataset | None) -> Answer:
    """Some real test images, chosen by a seed."""
    data = need_data(dataset, "choose images from")
    split = data.to_test_on
    rng = np.random.default_rng(read.whole(fields, "seed", 0, 2**53, 0))
    count = read.whole(fields, "count", 1, MOST_SAMPLES, 10)
    places = np.arange(len(split))
    if fields.get("label") is not None:
        places = np.flatnonzero(split.labels == read.label(fields, subject.model))
    chosen = rng.choice(places, min(count, len(places)), replace=False)
    ink = split.images[chosen].reshape(len(chosen), *subject.shape) / data.maximum
    return Answer({}, {"pixels": as_pixels(ink), "labels": split.labels[chosen]})


def image(subject: Subject, fields: Fields) -> Answer:
    """A picture file, prepared as the images that the network was trained on."""
    as_it_is = meaning_of(subject.model).ground == "none"
    shade = read.choice(fields, "shade", ("auto", "dark", "light"), "auto")
    shade = "light" if as_it_is and shade == "auto" else shade
    centre = read.flag(fields, "centre", True) and meaning_of(subject.model).to_centre
    picture = checked_picture(read.content(fields, "file"))
    steps = prepare_steps(picture, subject.shape, 255.0, ink=shade, centre=centre)  # type: ignore[arg-type]
    return Answer({"uneven": steps.uneven}, {"pixels": as_pixels(steps.pixels / 255)})


def checked_picture(file: bytes) -> bytes:
    """The bytes of a picture of a known format and an allowed size, by its header alone; else `RequestError`."""
    from PIL import Image, UnidentifiedImageError

    known = sorted(set(FORMATS.values()) - {"GIF", "TIFF"})
    try:
        with Image.open(BytesIO(file), formats=known) as picture:
            width, height = picture.size
    except UnidentifiedImageError:  # in its own words it names the object in memory
        raise RequestError(f"the file is no picture that can be read; {', '.join(known)} are", "picture") from None
    except Exception as error:  # broken pictures raise whatever their bytes lead the decoders to
        raise RequestError(f"the file cannot be read as {', '.join(known)} ({error})", "picture") from None
    if width * height > MOST_PICTURE_PIXELS:
        limit = f"{MOST_PICTURE_PIXELS // 10**6} million"
        raise RequestError(f"the picture has {width} x {height} pixels, at most {limit} are taken", "picture")
    return file


def drawing(fields: Fields) -> NDArray[np.uint8]:
    """A drawing (rows, columns): bytes of ink."""
    rows, columns = (read.whole(fields, name, 1, LONGEST_DRAWING) for name in ("rows", "columns"))
    ink = np.frombuffer(read.content(fields, "drawing"), np.uint8)
    if ink.size != rows * columns:
        raise RequestError(f"a drawing of {rows} x {columns} must have as many bytes; received {ink.size}")
    return ink.reshape(rows, columns)


def prepared(model: Model, shape: Shape, ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawing in the shape of an image, centred as MNIST was; where its own images are not, as it stands."""
    return as_pixels(prepare_image(ink, shape, 255.0, ink="light", centre=meaning_of(model).to_centre) / 255)


def as_inputs(model: Model, pixels: NDArray[np.uint8]) -> Array:
    """A picture's bytes as inputs (1, inputs)."""
    return model.scale(raw_of(model, pixels))


def raw_of(model: Model, pixels: NDArray[np.uint8]) -> Array:
    """A picture's bytes as a raw image (1, ...) of the model's own."""
    maximum = 255.0 if model.scaling is None else model.scaling.maximum
    layout = Layout.of(model.input_shape)
    pixels = layout.undrawn(pixels.reshape(1, *layout.drawn_shape))
    return np.asarray((pixels * (maximum / 255)).clip(0, maximum).reshape(1, *model.input_shape))


def as_pixels(ink: Array) -> NDArray[np.uint8]:
    """Ink, or colours, from 0 to 1 as bytes."""
    return np.rint(np.asarray(ink) * 255).astype(np.uint8)


def pictures(subject: Subject, images: Array) -> Array:
    """Images (n, inputs) in input scale as the page draws them, ink or colours from 0 to 1: (n, *shape)."""
    return subject.layout.drawn(ink_of(subject.model, images))


def share_of_range(network: Network, layer: int, signals: Array) -> Array:
    """A hidden layer's signals from 0, their lowest, to 1, their highest; without an end, the highest here."""
    activation = network.layers[layer - 1].activation
    low = activation.low if np.isfinite(activation.low) else min(float(signals.min()), 0.0)
    high = activation.high if np.isfinite(activation.high) else max(float(signals.max()), low + 1e-9)
    return (signals - low) / (high - low)


def _method_named(fields: Fields, model: Model) -> str:
    """The method asked for, or the usual one, which is not found out where it need not be."""
    usual = usual_method(model) if fields.get("method") is None else None
    return read.choice(fields, "method", tuple(METHODS), usual)


def method_of(name: str, *, hurried: bool = False, steps: int = HURRIED_STEPS) -> Method:
    """The method of that name. One that is hurried goes on from where it was, a few `steps` at a time."""
    method = METHODS[name]
    if hurried and isinstance(method, GaussNewton):
        return replace(method, steps=steps, confirming=False)
    return replace(method, steps=HURRIED_STEPS) if hurried and isinstance(method, Ascent) else method


def told_of(result: BackQuery, row: int) -> dict[str, Any]:
    """One image's scores as plain values."""
    scores = ["read", "read_as_asked", "converged", "error", "logit_error", "outcome", "advice", "steps"]
    scores += [] if result.component is None else ["component"]
    return {**result.plain(row, *scores), "asked": int(result.labels[row]), "question": result.question}


def need_data(dataset: Dataset | None, purpose: str) -> Dataset:
    """The data, if there are any; else `RequestError`."""
    if dataset is None:
        raise RequestError(f"there are no data beside this model to {purpose}", "data")
    return dataset


def need_network(model: Model) -> Network:
    """The model, if it shows its layers; else `RequestError`."""
    if not isinstance(model, Network):
        raise RequestError("this model is no chain of dense layers, and does not show its nodes", "layers")
    return model
