"""Checkpoints: what a killed training needs to go on and end in the same bytes, as a safetensors file.

The arrays are the weights as the kernel keeps them, and the optimizer's; the rest is JSON in the metadata.
Nothing in such a file can run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import TrainingError
from backquery.files import check_writable, replacing
from backquery.training.run import TrainingRun

KEY, CHECKSUM = "backquery-checkpoint", "checksum"
VERSION = 2
"""Of the format; the first had no checksum."""


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a training is kept, and how often: after every `every` epochs, which may be a fraction.

    The file is written at the end of the chunk of 4,096 images in which the time comes, because only there it
    changes nothing: the result has the same bytes with checkpoints and without. It takes the place of the last one
    at once, so that whatever happens one whole checkpoint is there. `TrainingError` unless `every` is above zero.
    """

    path: str | os.PathLike[str]
    every: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.every < float("inf"):
            raise TrainingError(
                f"checkpoints are kept every so many epochs, a number above zero; received {self.every!r}"
            )
        check_writable(self.path)

    def keep(self, run: TrainingRun, before: int) -> None:
        """Write the file if its time came since `before` updates were done."""
        epochs = min(self.every, run.epochs + 1)  # more than there are is never
        every = max(1, round(epochs * run.updates_per_epoch))
        if run.done // every > before // every:
            save_run(run, self.path)


def save_run(run: TrainingRun, path: str | os.PathLike[str]) -> None:
    """Write the state of a run, whole or not at all."""
    from safetensors.numpy import save

    plain, arrays = run.state()
    description = {"version": VERSION, "settings": run.settings, "state": plain}
    # Some generators keep an array in their state, as MT19937 does.
    text = json.dumps(description, default=np.ndarray.tolist)
    with replacing(path) as stream:
        stream.write(save(arrays, metadata={KEY: text, CHECKSUM: _checksum(text, arrays)}))


def _checksum(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of all that a checkpoint holds: one bit that flips would make another network, and nobody knew."""
    whole = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        whole.update(f"{name} {values.dtype.str} {values.shape}".encode())
        whole.update(values.tobytes())
    return whole.hexdigest()


def resume_run(run: TrainingRun, path: str | os.PathLike[str]) -> None:
    """Bring a fresh run to where the checkpoint was written; `TrainingError` where it does not fit the run."""
    description, arrays = _read(path)
    _compare(path, description["settings"], run.settings)
    try:
        run.restore(description["state"], arrays)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TrainingError(f"the checkpoint {path} cannot be used: it is damaged ({error})") from None


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the training was set to that wrote a checkpoint: see `TrainingRun.settings`.

    A file that is none raises `TrainingError`.
    """
    settings: dict[str, Any] = _read(path)[0]["settings"]
    return settings


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise TrainingError(f"{path} is a folder; name the checkpoint in it, a file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            description = json.loads(metadata[KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            if not isinstance(description["settings"], dict):
                raise ValueError
    except FileNotFoundError:
        raise TrainingError(f"there is no checkpoint {path}; leave it out to begin anew") from None
    except OSError as error:
        raise TrainingError(f"cannot read the checkpoint {path}: {error.strerror or error}") from None
    except (SafetensorError, KeyError, ValueError, RecursionError, TypeError, AttributeError):
        raise TrainingError(f"{path} is no checkpoint, or was damaged; name one that a training kept") from None
    if description.get("version") != VERSION:
        raise TrainingError(f"the checkpoint {path} is of another version of backquery; use that one")
    if metadata.get(CHECKSUM) != _checksum(metadata[KEY], arrays):
        raise TrainingError(
            f"the checkpoint {path} was damaged: its checksum is another; leave it out to begin anew, or name "
            "another one"
        )
    return description, arrays


def _compare(path: str | os.PathLike[str], kept: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse to go on with other settings; a seed that was not given now is the checkpoint's."""
    given = {**given, "seed": kept.get("seed") if given["seed"] is None else given["seed"]}
    different = [name for name in given if kept.get(name) != given[name]]
    if not different:
        return
    shown = [
        f"the {name} are others" if name.endswith("data") else f"{name} was {kept.get(name)} and is {given[name]}"
        for name in different
    ]
    raise TrainingError(
        f"the checkpoint {path} belongs to another training: {'; '.join(shown)}. Give the same data and options "
        "as then, or leave the checkpoint out to begin anew"
    )
