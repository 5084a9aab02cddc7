"""Held-out images on which regions are tried: what is pasted there, and which images change their label."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backquery.audit.regions import Region, Sheet
from backquery.model import Array, Labels, Model, Network, labels_read, strengths_of, strongest_labels

CHUNK_NUMBERS = 2**24
"""Numbers of a Jacobian that are held at once."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Images of known labels, and what the model reads in them as they are.

    inputs: (n, inputs) in input scale; labels, read: (n,) positions of the true labels and of those read;
    sums: (n, nodes) the pre-activations of a network's first layer, to which a region adds little, or None for
    other models.
    """

    model: Model
    sheet: Sheet
    inputs: Array
    labels: Labels
    read: Labels
    sums: Array | None

    @classmethod
    def of(cls, model: Model, inputs: Array, labels: Labels) -> Trials:
        """Ask the model once about the images as they are."""
        read = labels_read(model, inputs)
        sums = model.layers[0].combine(inputs) if isinstance(model, Network) else None
        return cls(model, Sheet.of(model), inputs, labels, read, sums)

    def others(self, label: int) -> NDArray[np.intp]:
        """The images that neither are of this label nor are read as it."""
        return np.flatnonzero((self.labels != label) & (self.read != label))

    def changed(self, region: Region, label: int, most: int | None = None) -> NDArray[np.bool_]:
        """Which of `others(label)`, or the first so many, are read as `label` with the region's content."""
        rows, content = self.others(label)[:most], self.sheet.content(region)
        if isinstance(self.model, Network) and self.sums is not None:
            # Sums are linear in the inputs: adding the change spares the whole first layer for every region tried.
            change = (content - self.inputs[np.ix_(rows, region.inputs)]).astype(self.sums.dtype)
            sums = self.sums[rows] + change @ self.model.layers[0].weights[:, region.inputs].T
            return np.asarray(strongest_labels(_strengths(self.model, sums)) == label)
        return self._read_as(label, self.pasted(region, label, most))

    def pasted(self, region: Region, label: int, most: int | None = None) -> Array:
        """The images of `others(label)`, or the first so many, with the region's content on them, (n, inputs)."""
        # Picking rows copies them, so that the content is not pasted on the trial's own images.
        images = self.inputs[self.others(label)[:most]]
        images[:, region.inputs] = self.sheet.content(region)
        return images

    def changed_elsewhere(self, region: Region, label: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The same with the content at a random place, drawn for each image anew."""
        images = self.inputs[self.others(label)]
        inputs, content = self.sheet.elsewhere(region, len(images), rng)
        np.put_along_axis(images, inputs, content.astype(images.dtype), axis=1)
        return self._read_as(label, images)

    def gains(self) -> Array:
        """What each input gains for each label if made ink, and if made paper: (labels, 2, inputs).

        It is the first-order change of the label's log-odds less those of the label that is read now, in the mean
        over `others(label)`.
        """
        model, ends = self.model, (self.sheet.ink, self.sheet.paper)
        totals = np.zeros((model.outputs, len(ends), model.inputs))
        size = max(1, CHUNK_NUMBERS // (model.inputs * model.outputs))
        for begin in range(0, len(self.inputs), size):
            part = slice(begin, begin + size)
            inputs, read = self.inputs[part], self.read[part]
            _, jacobian = model.logits_and_jacobian(inputs)
            for label, total in enumerate(totals):
                rows = np.flatnonzero((self.labels[part] != label) & (read != label))
                slope = jacobian[rows, label] - jacobian[rows, read[rows]]
                total += [np.einsum("ij,ij->j", slope, end - inputs[rows]) for end in ends]
        counts = [max(len(self.others(label)), 1) for label in range(model.outputs)]
        return np.asarray(totals / np.reshape(counts, (-1, 1, 1)))

    def _read_as(self, label: int, images: Array) -> NDArray[np.bool_]:
        return np.asarray(labels_read(self.model, images) == label)


def _strengths(network: Network, sums: Array) -> Array:
    """What decides between labels, (n, outputs), from the pre-activations of the first layer (n, nodes)."""
    for before, layer in pairwise(network.layers):
        sums = layer.combine(before.activation.function(sums))
    return strengths_of(network.output_activation, sums)
