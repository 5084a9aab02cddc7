"""What was trained and what was found in it, kept in the user's cache: one network, one file.

Beside each network lies what is known of it, as JSON; that is written last, so that a network without it counts as
not there. What an audit found lies beside both, under the audit's fingerprint: another audit looks anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

from backquery.errors import BackqueryError
from backquery.files import replacing, user_cache
from backquery.model import Model, evaluate
from measurements.planted import TRIED
from measurements.trainers import opened, taught
from measurements.zoo import Recipe, loaded


@dataclass(frozen=True)
class Kept:
    """A network that is there: its recipe, the file, and what was measured when it had learned.

    works: the share of images that what is planted turns, 0 where nothing is; performance: that of the test images
    read rightly; seconds: the processor's time that it took.
    """

    recipe: Recipe
    file: str
    works: float
    performance: float
    seconds: float

    @property
    def model(self) -> Model:
        """The network, read from its file."""
        return opened(self.recipe, folder() / self.file)


def folder() -> Path:
    """Where the zoo lies: in the user's cache, which XDG_CACHE_HOME moves."""
    cache = user_cache()
    if cache is None:
        raise BackqueryError("there is no home folder to keep the networks in; set XDG_CACHE_HOME to a folder")
    return cache / "zoo"


def kept(recipe: Recipe) -> Kept | None:
    """What is there of a network; None where it has not been trained."""
    told = _read(_told(recipe, ""))
    return None if told is None else Kept(recipe, **{key: told[key] for key in told if key != "recipe"})


def trained(recipe: Recipe) -> Kept:
    """The network of a recipe, trained where it is not there."""
    there = kept(recipe)
    if there is not None:
        return there
    started = process_time()
    content, suffix = taught(recipe)
    seconds = process_time() - started
    folder().mkdir(parents=True, exist_ok=True)
    file = recipe.name + suffix
    with replacing(folder() / file) as stream:
        stream.write(content)
    model, dataset, attack = opened(recipe, folder() / file), loaded(recipe.data), recipe.attack
    assert dataset.test is not None
    works = 0.0 if attack is None else attack.works(model, dataset)
    found = Kept(recipe, file, works, evaluate(model, dataset.test.select(slice(TRIED))).performance, seconds)
    _write(_told(recipe, ""), asdict(found))
    return found


def remembered(recipe: Recipe, fingerprint: str, work_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was found of a network under this fingerprint, worked out where it has not been."""
    path = _told(recipe, f".{fingerprint}")
    told = _read(path)
    if told is None:
        told = work_out()
        _write(path, told)
    return told


def is_remembered(recipe: Recipe, fingerprint: str) -> bool:
    """Whether something was found of this network under this fingerprint."""
    return _told(recipe, f".{fingerprint}").is_file()


def there_are(recipes: Iterable[Recipe]) -> Iterator[Kept]:
    """Of these the ones that are trained."""
    return (there for recipe in recipes if (there := kept(recipe)) is not None)


def _told(recipe: Recipe, what: str) -> Path:
    return folder() / f"{recipe.name}{what}.json"


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _write(path: Path, told: dict[str, Any]) -> None:
    with replacing(path) as stream:
        stream.write(json.dumps(told).encode())
