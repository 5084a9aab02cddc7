"""What is given to a call is of the kind that it takes, or is refused in words and by a declared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backquery.errors import BackqueryError, ModelError, SeedError
from backquery.model.aliases import Seed

MAKERS = {
    "torch": "from_torch(module, input_shape=(28, 28))",
    "keras": "from_keras(model)",
    "sklearn": "network_from_sklearn(estimator)",
}
"""What makes a model of another package's, by the package."""


def generator_of(rng: Seed) -> np.random.Generator:
    """The generator of random numbers that a seed stands for; `SeedError` for what is none."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise SeedError(
            f"rng is a whole number of at least 0, a NumPy Generator, or None for other numbers each time; "
            f"received {rng!r}"
        ) from None


def seed_of(rng: Seed) -> int:
    """The whole number that is given, or one drawn from the generator: for what is made again by its number."""
    generator = generator_of(rng)
    return int(generator.integers(2**32)) if rng is None or isinstance(rng, np.random.Generator) else int(rng)


def real(value: object, what: str, error: type[BackqueryError]) -> float:
    """A real number, finite or not; an `error` that names `what` it is for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise error(f"{what} is a number; received {value!r}")
    return float(value)


def reals(values: object, what: str, error: type[BackqueryError]) -> NDArray[np.float64]:
    """Real numbers as an array, whatever its shape; an `error` that names `what` they are for anything else."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise error(f"{what} are numbers, as many in each row; received {str(values)[:80]!r}")


def whole(value: object, what: str, error: type[BackqueryError], least: int = 1) -> int:
    """A whole number of at least `least`; an `error` that names `what` it is for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise error(f"{what} is a whole number of at least {least}; received {value!r}")
    return int(value)


def need_model(model: object) -> None:
    """`ModelError` for what is no `Model`, with what makes one of it."""
    if all(hasattr(model, name) for name in ("query", "logits")):
        return
    homes = (base.__module__.partition(".")[0] for base in type(model).__mro__)
    makers = [MAKERS[home] for home in homes if home in MAKERS]
    hint = f"{makers[0]} makes one of it" if makers else "load_model opens one, Network.create makes one"
    raise ModelError(f"a {type(model).__name__} is no model that can be asked; {hint}")
