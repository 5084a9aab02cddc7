"""MODEL and DATA on the command line, opened and brought together: the same labels, the same scale of pixels.

MODEL is a file, a folder, a bundled name, or a function of the user's own.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from inspect import signature
from math import prod
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, cast

from backquery.cli.options.reading import AS_FOUND, BY_CHANNEL, ReadingOptions, scaling_called
from backquery.cli.terminal import count, say
from backquery.errors import AssumptionWarning, BackqueryError, ModelError, assume
from backquery.io import load_model
from backquery.model import Layout, Meaning, Model, Network, Scaling, image_shape, meaning_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backquery.datasets import Dataset, Split
    from backquery.datasets.images import Light, Preparation
    from backquery.datasets.options import Ink
    from backquery.model import Shape

FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)(?:@(?P<weights>.+))?")

TRIALS = 1000
"""Images, about so many, on which scalings are tried."""

DOUBTFUL = 0.5
"""The share of images read rightly up to which it is asked whether they are turned."""

LEAST_SHARE = 1e-12
"""What a share of the answers is at least, where its logarithm is taken."""

OTHER_ENDS = ((-1.0, 1.0), (-0.4242, 2.8215), (1.0, 0.0), (255.0, 0.0), (-0.5, 0.5), (1.0, -1.0))
"""What else models are given for paper and for ink: from -1 to 1; MNIST's pixels less their mean 0.1307, by their
deviation 0.3081; white paper, in shares and in bytes; shares less a half; and white paper from -1 to 1."""

WANTED = "a Network, a Model, a PyTorch or Keras model or a fitted scikit-learn estimator"


def open_model(source: str) -> Model:
    """The model called `source`; ``package.module:function`` imports the user's module and calls the function.

    The module is looked for in the current folder first, like ``python -m`` does. What the function returns may
    also be a model of another framework, which is then converted. ``package.module:function@weights.safetensors``
    brings a PyTorch state dict along: a function with a parameter is given it, one without returns the module that
    it is loaded into.
    """
    called = None if Path(source).exists() else FUNCTION.fullmatch(source)
    OPENED[source] = load_model(source) if called is None else _open_own(source, called)
    return OPENED[source]


OPENED: dict[str, Model] = {}
"""What was opened last by its source, as it says itself that it is."""


def _open_own(source: str, called: re.Match[str]) -> Model:
    from backquery.io.state_dict import read_state_dict

    weights = called["weights"]
    state = None if weights is None else read_state_dict(weights)
    return as_model(_call(called["module"], called["function"], state), source)


def open_network(source: str, purpose: str) -> Network:
    """The model as a `Network`; `ModelError` where it is another kind of model, which `purpose` cannot use."""
    return need_network(open_model(source), purpose)


def need_network(model: Model, purpose: str) -> Network:
    """`model`, if it is a `Network`; else `ModelError`."""
    if not isinstance(model, Network):
        raise ModelError(f"{purpose} needs a chain of dense layers; this model is a {type(model).__name__}")
    return model


def load_for_images(source: str, scale: str | None = None) -> Model:
    """The model, with the book's scaling of pixels from 0 to 255 where nothing else is said of it."""
    model = open_model(source)
    if scale is not None and model.scaling is not None:
        return _told_otherwise(model, source, scale)
    if scale is not None:
        return with_scaling(model, source, scaling_called(scale, 255.0, model.input_shape))
    if model.scaling is None:
        assume(
            f"{source} does not say how pixels become inputs: the book's pixel / 255 * 0.99 + 0.01 is taken; "
            "--scale unit, raw or LOW,HIGH says otherwise"
        )
        return with_scaling(model, source, Scaling.book())
    return model


def load_for_data(
    source: str, data: str, test: Path | None, how: ReadingOptions = AS_FOUND, scale: str | None = None
) -> tuple[Model, Dataset]:
    """The model, and the data set with its labels as the model's and its pixels on the model's scale."""
    from backquery.cli.progress import bar_for_reading
    from backquery.datasets import open_data

    with bar_for_reading(source, "reading the model"):
        model = open_model(source)
    if model.scaling is not None and scale is not None:
        model = _told_otherwise(model, source, scale)
    with bar_for_reading(data):
        dataset = open_data(data, test, how=how.reading(), model=model)
    model = _in_colour(model, source, dataset, how.reading().shape)
    if model.scaling is None:
        with bar_for_reading(source, "trying which scale fits"):
            scaling = (
                scaling_called(scale, dataset.maximum, model.input_shape)
                if scale is not None
                else _likeliest_scaling(model, source, dataset)
            )
        model = with_scaling(model, source, replace(scaling, meaning=dataset.meaning))
    elif model.scaling.meaning is None:
        _say_what_is_assumed(source, dataset)
    model.scale(dataset.train.images[:1])  # images of another size are refused now, not after long work
    _say_if_turned(model, dataset)
    return model, dataset


def _in_colour(model: Model, source: str, dataset: Dataset, told: Shape | None) -> Model:
    """A model of a row of numbers as one of a data set's images in colour, in the order that reads most rightly.

    Any other model as it is.
    """
    from backquery.model import evaluate

    if Layout.of(model.input_shape).known or not dataset.colour or dataset.inputs != prod(model.input_shape):
        return model
    rows, columns, colours = dataset.input_shape
    settable: Any = model
    last, first = (
        replace(settable, input_shape=shape) for shape in ((rows, columns, colours), (colours, rows, columns))
    )
    if told is not None:
        return cast(Model, first if Layout.of(told).channels_first else last)
    some = _some(dataset.to_test_on, TRIALS)
    scaling = model.scaling or Scaling.unit(dataset.maximum)
    pixels, channels = (evaluate(with_scaling(each, source, scaling), some).performance for each in (last, first))
    taken = "one colour after the other" if channels > pixels else "each pixel's colours together"
    assume(
        f"{source} does not say how its inputs lie on the image: {taken} is taken ({max(pixels, channels):.0%} of "
        f"{count(len(some), 'image')} read rightly, else {min(pixels, channels):.0%}); --shape "
        f"{rows},{columns},{colours} or {colours},{rows},{columns} says otherwise"
    )
    return cast(Model, first if channels > pixels else last)


def _told_otherwise(model: Model, source: str, scale: str) -> Model:
    """The model with the scaling that `--scale` asks for; where it says another itself, that is told."""
    import numpy as np

    own = model.scaling
    assert own is not None
    told = scaling_called(scale, own.maximum, model.input_shape)
    if not (np.allclose(own.low, told.low, atol=1e-6) and np.allclose(own.high, told.high, rtol=1e-4)):
        said = " to ".join(f"{float(np.mean(end)):g}" for end in (own.low, own.high))
        assume(
            f"{source} itself says that it takes {said}, for paper and for ink; --scale {scale} is taken instead"
        )
    return with_scaling(model, source, replace(told, meaning=own.meaning))


def load_for_halves(
    source: str, data: str, test: Path | None, seed: int, how: ReadingOptions = AS_FOUND, scale: str | None = None
) -> tuple[Model, Dataset]:
    """As `load_for_data`; where the data have no test half, a share is held out by `seed`."""
    from backquery.datasets.split import HELD_OUT

    model, dataset = load_for_data(source, data, test, how, scale)
    if dataset.test is None:
        say(f"{dataset.name} has no test half: {100 * HELD_OUT:g} % of each label are held out by seed {seed}")
    return model, dataset.with_test_half(seed)


def images_to_test(dataset: Dataset, without: str) -> Split:
    """The test half; where there is none all images, and `without` says what happens to them ({})."""
    if dataset.test is None:
        say(f"{dataset.name} has no test half: {without.format(count(len(dataset.train), 'image'))}")
    return dataset.to_test_on


def _likeliest_scaling(model: Model, source: str, dataset: Dataset) -> Scaling:
    """Of the usual scalings under which the model reads most images rightly, the one whose answers fit best.

    By how many are read alone it could not be told: networks of ReLU read as well at many times their scale, only
    far too surely.
    """
    import numpy as np

    maximum, some = dataset.maximum, _some(dataset.to_test_on, TRIALS)
    usual = {"book": Scaling.book(maximum), "unit": Scaling.unit(maximum), "raw": Scaling(1.0, 0.0, maximum)}
    others = {f"{low:g},{high:g}": Scaling.between(low, high, maximum) for low, high in OTHER_ENDS}
    named = BY_CHANNEL if Layout.of(model.input_shape).channels == 3 else ()
    channels = {name: scaling_called(name, maximum, model.input_shape) for name in named}
    every = usual | others | channels
    tried = {name: _right_and_fitting(with_scaling(model, source, each), some) for name, each in every.items()}
    most = max((right for right, _ in tried.values()), key=np.sum)
    as_many = [name for name, (right, _) in tried.items() if not _clearly_fewer(right, most)]
    best = max([name for name in as_many if name in usual] or as_many, key=lambda name: tried[name][1])
    scaling, share = every[best], {name: np.mean(right) for name, (right, _) in tried.items()}
    paper, ink = ("black", "white") if dataset.colour else ("paper", "ink")
    ends = f"{np.mean(scaling.low):g} for {paper} to {np.mean(scaling.high):g} for {ink}"
    assume(
        f"{source} does not say how pixels become inputs: {f'{best} ({ends})' if best in channels else ends} is "
        f"taken, which fits the labels best ({share[best]:.0%} of {count(len(some), 'image')} read rightly; as in "
        f"the book {share['book']:.0%}); --scale says otherwise"
    )
    return scaling


def _right_and_fitting(model: Model, images: Split) -> tuple[NDArray[np.bool_], float]:
    """Which images are read rightly, and the mean logarithm of the right labels' shares of the answers."""
    import numpy as np

    from backquery.model.reading import labels_read

    inputs = model.scale(images.images)
    answers = model.query(inputs)
    parts = np.nan_to_num(answers).clip(LEAST_SHARE, 1 / LEAST_SHARE)
    shares = parts[np.arange(len(parts)), images.labels] / parts.sum(axis=1)
    return labels_read(model, inputs) == images.labels, float(np.mean(np.log(shares)))


def _clearly_fewer(right: NDArray[np.bool_], most: NDArray[np.bool_]) -> bool:
    """Whether fewer of the same images are right than chance explains, by those that only one has right."""
    only_most, only_this = int((most & ~right).sum()), int((right & ~most).sum())
    return only_most - only_this > 2 * math.sqrt(only_most + only_this)


def _say_if_turned(model: Model, dataset: Dataset) -> None:
    """Whether the model would read far more of the images if they were turned in a way that files do not tell."""
    import numpy as np

    from backquery.datasets import Split
    from backquery.model import evaluate

    some = _some(dataset.to_test_on, TRIALS // 2)
    right = evaluate(model, some).performance
    if right > DOUBTFUL:
        return
    turned: dict[str, NDArray[Any]] = {}
    if not dataset.colour:
        turned["dark and bright change places: --ink"] = dataset.maximum - some.images.astype(np.float64)
    if dataset.input_shape[0] == dataset.input_shape[1]:
        turned["rows and columns change places: --transposed"] = some.images.swapaxes(1, 2)
    otherwise = {how: evaluate(model, Split(images, some.labels)).performance for how, images in turned.items()}
    how, best = max(otherwise.items(), key=lambda pair: pair[1])
    if best > DOUBTFUL and best > 2 * right:
        assume(
            f"{dataset.name}: {right:.0%} of {count(len(some), 'image')} are read rightly as they are, but "
            f"{best:.0%} if {how} says otherwise"
        )


def _some(images: Split, most: int) -> Split:
    """So many of the images, evenly; all where there are fewer."""
    return images.select(slice(None, None, max(1, len(images) // most)))


def _say_what_is_assumed(source: str, dataset: Dataset) -> None:
    black, white, others = (
        ("black", "white", "") if dataset.colour else ("the paper on which all images stand", "ink", "--ink, ")
    )
    assume(
        f"{source} does not say what its pixels mean: 0 is taken for {black}, "
        f"{dataset.maximum:g} for {white}; {others}--range and --scale say otherwise"
    )


def prepared(
    network: Model,
    images: list[Path],
    ink: Ink = "auto",
    centre: bool | None = None,
    light: Light = "auto",
) -> NDArray[Any]:
    """Pictures (n, height, width) as raw pixels on the network's scale, with the meaning that its own images have.

    For a network that takes colours they are (n, height, width, 3), as they are. For others they are turned to the
    network's ground where its images had one, and centred where those were, unless told otherwise; what is done to
    them is said.
    """
    import numpy as np

    return np.stack([one.pixels for one in prepared_steps(network, images, ink, centre, light)])


def prepared_steps(
    network: Model, images: list[Path], ink: Ink, centre: bool | None, light: Light
) -> list[Preparation]:
    """What becomes of each picture on its way to the network's scale, step by step; see `prepared`."""
    from backquery.datasets.images import prepare_steps

    shape, maximum, how = how_prepared(network, images, ink, centre, light)
    if len(shape) == 3:
        return [prepare_steps(path, shape, maximum, **how) for path in images]
    ink, light = how["ink"], how["light"]
    with _photographs_said_together(images):
        steps = [prepare_steps(path, shape, maximum, **how) for path in images]
    if light == "auto" and len(images) > 1:
        _say_what_was_cleaned(steps)
    if framed := [str(path) for path, one in zip(images, steps, strict=True) if one.framed]:
        assume(f"{', '.join(framed)}: a frame around the picture was cut off, as the ground is what lies within")
    if ink == "auto":
        _say_what_was_turned(steps)
    return steps


def how_prepared(
    network: Model,
    images: list[Path],
    ink: Ink = "auto",
    centre: bool | None = None,
    light: Light = "auto",
) -> tuple[Shape, float, dict[str, Any]]:
    """The shape and the maximum that pictures are brought to for a network, and the options of `prepare_image`."""
    layout = Layout.of(network.input_shape)
    if not layout.known or layout.channels not in (1, 3):
        raise ModelError(f"the model takes inputs of shape {network.input_shape}, which no picture can become")
    assert network.scaling is not None
    shape, maximum = (layout.rows, layout.columns), network.scaling.maximum
    if layout.channels == 3:
        return (*shape, 3), maximum, {"ink": ink}
    meaning = meaning_of(network)
    if meaning.ground == "none":
        # The model's own images had no one ground: nothing is turned, and no paper is looked for.
        ink, light = ("light" if ink == "auto" else ink), ("even" if light == "auto" else light)
    centred = _centred(images, shape, meaning) if centre is None else centre
    return shape, maximum, {"ink": ink, "light": light, "centre": centred}


@contextmanager
def _photographs_said_together(images: list[Path]) -> Iterator[None]:
    """Of several pictures, what is said of each photograph is left to `_say_what_was_cleaned`."""
    with warnings.catch_warnings():
        if len(images) > 1:
            warnings.filterwarnings("ignore", ".*: taken for a photograph", AssumptionWarning)
        yield


def _say_what_was_cleaned(steps: list[Preparation]) -> None:
    cleaned = sum(one.uneven for one in steps)
    if cleaned:
        which = f"{cleaned} of {len(steps)} pictures {'is' if cleaned == 1 else 'are'}"
        assume(
            f"{which} taken for photographed ink in uneven light, and the shadows are taken away; --light even "
            "says otherwise"
        )


def _say_what_was_turned(steps: list[Preparation]) -> None:
    turned = sum(one.dark_ink and not one.uneven for one in steps)
    if turned:
        which = (
            "the picture stands"
            if len(steps) == 1
            else f"{turned} of {len(steps)} pictures {'stands' if turned == 1 else 'stand'}"
        )
        assume(f"{which} on bright paper: turned to the model's ground, which is 0; --ink light says otherwise")


def _centred(images: list[Path], shape: tuple[int, int], meaning: Meaning) -> bool:
    """Whether pictures are centred as the model's own images were."""
    from backquery.datasets.images import upright_shape

    if meaning.to_centre:
        return True
    if any(upright_shape(path) != shape for path in images):
        assume("the model's own images are not centred, so that pictures are only scaled; --centre centres them")
    return False


def with_scaling(model: Model, source: str, scaling: Scaling) -> Model:
    """The same model with this scaling."""
    if not hasattr(model, "__dataclass_fields__"):
        raise ModelError(f"{source} does not say how pixels become inputs; give its model a scaling")
    settable: Any = model
    return cast(Model, replace(settable, scaling=scaling))


def as_model(value: Any, source: str) -> Model:
    """What a user's function returned, as a model that can be asked."""
    if isinstance(value, Model):
        return value
    network = _converted(value, source)
    flat = len(network.input_shape) == 1
    return replace(network, input_shape=image_shape((network.inputs,))) if flat else network


def _converted(value: Any, source: str) -> Network:
    frameworks = {parent.__module__.split(".")[0] for parent in type(value).__mro__}
    # Keras comes first: on its PyTorch backend, a Keras model is a torch module as well.
    if "keras" in frameworks:
        from backquery.io.keras import network_from_keras

        return network_from_keras(value)
    if "torch" in frameworks:
        return _from_torch(value, source)
    if "sklearn" in frameworks:
        from backquery.io.sklearn import network_from_sklearn

        return network_from_sklearn(value)
    raise ModelError(f"{source} must return {WANTED}; it returned {type(value).__name__}")


def _from_torch(module: Any, source: str) -> Network:
    from backquery.io.torch_chain import network_from_torch
    from backquery.io.torch_module import eager, import_torch

    module = eager(import_torch(), module)
    try:
        return network_from_torch(module)
    except ModelError as error:
        told = "take the state dict, load it into the module and return" if "@" in source else "return"
        raise ModelError(
            f"{source} returned a module that is no chain of dense layers ({error}); let it {told} "
            "backquery.from_torch(module, input_shape=(28, 28)), with the shape of your images"
        ) from None


def _call(module: str, function: str, state: dict[str, Any] | None = None) -> Any:
    """What the user's function returns; what goes wrong in their code is said with its place."""
    from backquery.io.state_dict import load_into

    with _current_folder_first(), _own_code(f"{module}:{function}"):
        home = import_module(module)
        made = getattr(home, function, None)
        if not callable(made):
            raise ModelError(f"the module {module} has no function {function}")
        if state is None:
            return made()
        if signature(made).parameters:
            return made(state)
        model = made()
        if not hasattr(model, "load_state_dict"):
            raise ModelError(
                f"{module}:{function} must return a PyTorch module to load the state dict into, or take the state "
                f"dict as its argument; it returned {type(model).__name__}"
            )
        load_into(model, state)
        return model


@contextmanager
def _current_folder_first() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _own_code(name: str) -> Iterator[None]:
    """Errors in the user's code as ours; a script that is imported may call sys.exit, which ends nothing here."""
    try:
        yield
    except BackqueryError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name.split(":")[0]:
            raise ModelError(
                f"there is no {error.name}.py in the current folder, and no package {error.name} is installed"
            ) from None
        place = extract_tb(error.__traceback__)[-1]
        what = "tried to end the program" if isinstance(error, SystemExit) else "failed"
        raise ModelError(
            f"{name} {what}, in {Path(place.filename).name}, line {place.lineno}: {type(error).__name__}: {error}"
        ) from error
