"""What made model.keras, model.h5 and asked.npz, with TensorFlow 2.15 (Keras 2.15), which no test needs."""

from __future__ import annotations

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers as L  # noqa: N812

rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)
normalised = L.Normalization(axis=-1)
normalised.adapt(rng.normal(3, 2, (50, 4, 4, 3)))
augmented = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)], name="augmented")
body = keras.Sequential([L.Permute((3, 1, 2)), L.Flatten(data_format="channels_first"), L.Dense(6)], name="body")

image = keras.Input((4, 4, 3), name="image")
hidden = L.LeakyReLU(0.2)(body(normalised(augmented(image))))
hidden = L.ReLU(negative_slope=0.1)(L.BatchNormalization()(L.Dense(5)(L.Dropout(0.3)(hidden))))
model = keras.Model(image, {"kind": L.Dense(3, activation="softmax", name="kind")(hidden)}, name="network")
for layer in model.layers:
    if isinstance(layer, L.BatchNormalization):
        layer.set_weights([rng.uniform(0.5, 2, weights.shape) for weights in layer.get_weights()])

asked = rng.uniform(0, 2, (5, 4, 4, 3)).astype("float32")
np.savez("asked.npz", images=asked, answers=np.asarray(model(asked, training=False)["kind"]))
model.save("model.keras")
model.save("model.h5")
