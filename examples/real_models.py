"""Models that packages on PyPI bring with their weights answer here as they do at home.

``python real_models.py [NAME ...]`` asks each 1,000 images twice, by its own code and by backquery. It installs
nothing; what it needs besides backquery is

    pip install --no-deps digitreader ccexam digitsclassifier
    pip install torch keras

Half of the images are MNIST's test digits, half is noise of several strengths. It fails where any answer differs
by more than 1e-4.
"""

import os
import sys
import time
from importlib.resources import files

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

from backquery import Layer, Network, Scaling, datasets, from_torch
from backquery.model import RELU, SOFTMAX

ALLOWED = 1e-4
HALF = 500


def digitreader():
    """A network of plain Python, digit by digit and loop by loop, with its weights in a JSON file (MIT)."""
    from digitReader.train import forwardPass
    from digitReader.weightLoader import loadWeights

    numbers = loadWeights()
    hidden, hidden_biases, output, output_biases = map(np.array, numbers)
    network = Network(
        (Layer(hidden, hidden_biases, RELU), Layer(output, output_biases, SOFTMAX)),
        input_shape=(28, 28), scaling=Scaling.unit(),
    )  # fmt: skip
    return network, lambda x: np.array([forwardPass(row, *numbers)[0] for row in x.tolist()])


def ccexam():
    """A convolutional network of PyTorch for MNIST (MIT); the package itself loads its weights."""
    import torch
    from ccexam.constants import DATASET_STATS
    from ccexam.models import MNISTNet

    module = MNISTNet(input_size=28)
    weights = files("ccexam") / "weights" / "mnist.pth"
    module.load_state_dict(torch.load(str(weights), map_location="cpu", weights_only=True))
    module.eval()
    mean, deviation = DATASET_STATS["mnist"]["mean"][0], DATASET_STATS["mnist"]["std"][0]
    scaling = Scaling(1 / 255 / deviation, -mean / deviation)

    def own(x):
        with torch.no_grad():
            images = torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 28, 28)
            return module(images).softmax(1).numpy()

    return from_torch(module, input_shape=(28, 28), scaling=scaling), own


def digitsclassifier():
    """A convolutional network of Keras (MIT), which on PyTorch is a PyTorch module as well.

    It learned characters cropped to their edges, as its own preparation does, which MNIST's are not.
    """
    from importlib.util import find_spec
    from pathlib import Path

    import keras

    # The package itself would ask for TensorFlow's backend as soon as it is imported.
    folder = Path(find_spec("digitsclassifier").submodule_search_locations[0])
    model = keras.saving.load_model(folder / "models" / "digit_classifier_model.keras")
    shapes = {"input_shape": (28, 28), "module_shape": (28, 28, 1)}
    read = from_torch(model, outputs="probabilities", dtype="float32", scaling=Scaling.unit(), **shapes)
    return read, lambda x: model.predict(x.reshape(-1, 28, 28, 1).astype("float32"), verbose=0)


MODELS = {
    "digitreader": (digitreader, "plain Python, 784 inputs, one hidden layer"),
    "ccexam": (ccexam, "PyTorch, two convolutions"),
    "digitsclassifier": (digitsclassifier, "Keras, two convolutions"),
}


def questions(model):
    """MNIST digits as the model takes them, with their labels, and noise between its paper and its ink."""
    rng = np.random.default_rng(0)
    test = datasets.load("mnist").test
    rows = rng.permutation(len(test))[:HALF]
    digits = np.asarray(model.scale(test.images[rows]), np.float64)
    noise = rng.uniform(size=(HALF, model.inputs)) * np.resize([1.0, 0.3, 0.1, 0.01], HALF)[:, None]
    low, high = model.scaling.low, model.scaling.high
    return np.concatenate([digits, low + noise * (high - low)]), test.labels[rows]


def compared(name):
    """The largest difference between two answers to the same image, and the share of digits each reads rightly."""
    build, kind = MODELS[name]
    model, own = build()
    images, labels = questions(model)
    start = time.perf_counter()
    theirs = own(images)
    between = time.perf_counter()
    ours = model.query(images)
    end = time.perf_counter()
    difference = float(np.abs(theirs - ours).max())
    right = [(answers[:HALF].argmax(axis=1) == labels).mean() for answers in (theirs, ours)]
    print(
        f"{name} ({kind}): largest difference {difference:.1e} over {len(images):,} images; digits read rightly "
        f"{right[0]:.1%} there, {right[1]:.1%} here; {between - start:.2f} s and {end - between:.2f} s"
    )
    return difference


if __name__ == "__main__":
    differences = [compared(name) for name in sys.argv[1:] or MODELS]
    if not max(differences) <= ALLOWED:
        sys.exit(f"answers differ by up to {max(differences):.1e}; {ALLOWED:g} is allowed")
