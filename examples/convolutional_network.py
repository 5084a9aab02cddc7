"""A small convolutional network learns MNIST in PyTorch and is asked backwards.

``python convolutional_network.py scans.png`` writes ten images: what it sees when it says each digit.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from torch import nn

import backquery
from backquery import datasets
from backquery.inversion import back_query, fit_statistics
from backquery.plots import save_figure, scan_grid


def convolutional_network():
    """Two convolutions with batch norm, dropout, and logits for ten digits: 11,322 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(16 * 7 * 7, 10),
    )  # fmt: skip


def learn(network, images, labels, *, epochs=1, batch=64, seed=0):
    """Adam on the cross-entropy, the learning rate falling to zero; images (n, 28, 28) from 0 to 255."""
    torch.manual_seed(seed)
    pixels = torch.tensor(images / np.float32(255))[:, None]
    truth = torch.tensor(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = epochs * -(-len(pixels) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(pixels)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(pixels[rows]), truth[rows]).backward()
            optimizer.step()
            schedule.step()
    return network


def as_model(network, split):
    """The network as a model that remembers what its training images are like."""
    model = backquery.from_torch(network, input_shape=(28, 28), scaling=backquery.Scaling.unit())
    return replace(model, statistics=fit_statistics(model, split))


def main(picture="scans.png"):
    mnist = datasets.open_data("mnist")
    torch.manual_seed(0)
    network = learn(convolutional_network(), mnist.train.images, mnist.train.labels)
    model = as_model(network, mnist.train)
    performance = backquery.evaluate(model, mnist.test).performance
    scans = back_query(model, range(10))
    title = f"A convolutional network, {performance:.1%} right: {scans.read_as_asked.sum()} of 10 read as asked"
    save_figure(scan_grid(scans, model, title=title), picture)
    print(f"{title}; largest error in logits {scans.logit_error.max():.1g}; wrote {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
