"""MODEL on the command line: a file, a folder, a bundled name, or a function of the user's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from traceback import extract_tb
from typing import Any

from backquery.errors import BackqueryError, MissingExtraError, ModelError
from backquery.io import load_model
from backquery.model.layout import image_shape
from backquery.model.network import Network
from backquery.model.protocol import Model

FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)(?:@(?P<weights>.+))?")

WANTED = "a Network, a Model, a PyTorch or Keras model or a fitted scikit-learn estimator"


def open_model(source: str) -> Model:
    """The model called `source`; ``package.module:function`` imports the user's module and calls the function.

    The module is looked for in the current folder first, like ``python -m`` does. What the function returns may
    also be a model of another framework, which is then converted. ``package.module:function@weights.safetensors``
    brings a PyTorch state dict along: a function with a parameter is given it, one without returns the module that
    it is loaded into.
    """
    called = FUNCTION.fullmatch(source)
    if called is None or Path(source).exists():
        return load_model(source)
    weights = called["weights"]
    state = None if weights is None else _state_dict(weights)
    return as_model(_call(called["module"], called["function"], state), source)


def open_network(source: str, purpose: str) -> Network:
    """The model as a `Network`; `ModelError` where it is another kind of model, which `purpose` cannot use."""
    return need_network(open_model(source), purpose)


def need_network(model: Model, purpose: str) -> Network:
    """`model`, if it is a `Network`; else `ModelError`."""
    if not isinstance(model, Network):
        raise ModelError(f"{purpose} needs a chain of dense layers; this model is a {type(model).__name__}")
    return model


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

    try:
        return network_from_torch(module)
    except ModelError as error:
        raise ModelError(
            f"{source} returned a module that is no chain of dense layers ({error}); let it return "
            "backquery.from_torch(module, input_shape=(28, 28)), with the shape of your images"
        ) from None


def _state_dict(path: str) -> dict[str, Any]:
    """The tensors of a PyTorch state dict in a safetensors file, which cannot run anything."""
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise MissingExtraError("a state dict", "PyTorch", "torch") from None
    if Path(path).suffix != ".safetensors":
        raise ModelError(
            f"{path} is no .safetensors file, and nothing is ever unpickled; write it with "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')"
        )
    try:
        state: dict[str, Any] = load_file(path)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except Exception as error:  # the library has a type of its own for every kind of damage
        raise ModelError(f"{path} is damaged or no safetensors file: {error}") from error
    return state


def _call(module: str, function: str, state: dict[str, Any] | None = None) -> Any:
    """What the user's function returns; what goes wrong in their code is said with its place."""
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
        model.load_state_dict(state)
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
        place = extract_tb(error.__traceback__)[-1]
        what = "tried to end the program" if isinstance(error, SystemExit) else "failed"
        raise ModelError(
            f"{name} {what}, in {Path(place.filename).name}, line {place.lineno}: {type(error).__name__}: {error}"
        ) from error
