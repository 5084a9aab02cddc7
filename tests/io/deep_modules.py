"""Small PyTorch modules of the shapes that people bring, untrained but with statistics that are not 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.SiLU, nn.GELU,
    nn.Hardswish, nn.Hardsigmoid, nn.Mish, nn.ReLU6, nn.Softsign, nn.Hardtanh, lambda: nn.GELU("tanh"),
    lambda: nn.Hardshrink(0.1), lambda: nn.Softshrink(0.1),
)  # fmt: skip


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, stride=2, padding=1, dilation=1), nn.LeakyReLU(0.1), nn.AvgPool2d(2),
        nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=4), nn.ReLU(), nn.Flatten(), nn.Dropout(),
        nn.Linear(192, 5),
    )  # fmt: skip


class Block(nn.Module):
    """The residual block of ResNet-18 and 34."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False),
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)])
        narrow = stride == 1 and inner == outer
        self.short = (
            nn.Identity()
            if narrow
            else nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.short(x))


def resnet(width: int = 4, labels: int = 5) -> nn.Module:
    """ResNet-18's shape, whose width is 64."""
    sizes = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)]
    blocks = [part for i, o, s in sizes for part in (Block(i, o, s), Block(o, o, 1))]
    stem = (nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, labels))


class Squeezed(nn.Module):
    """MobileNetV3's block: expanded, by depth, squeezed and excited, projected."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inner
        self.expand = nn.Sequential(nn.Conv2d(inner, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish())
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 5, stride, 2, groups=wide, bias=False), nn.BatchNorm2d(wide)
        )
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, 4, 1), nn.ReLU(), nn.Conv2d(4, wide, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, outer, 1, bias=False), nn.BatchNorm2d(outer))
        self.same = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.depth(self.expand(x)))
        y = self.project(y * self.excite(y))
        return x + y if self.same else y


def mobilenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), Squeezed(8, 8, 1), Squeezed(8, 12, 2), nn.Conv2d(12, 24, 1),
        nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


class Vit(nn.Module):
    """A vision transformer of PyTorch's own encoder layers; at 224, 16, 192, 3 heads of DeiT-tiny's shape."""

    def __init__(
        self,
        side: int = 32,
        patch: int = 8,
        width: int = 16,
        heads: int = 2,
        depth: int = 2,
        labels: int = 5,
        first: bool = True,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.label = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, activation="gelu", batch_first=True, norm_first=first
        )
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, labels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.label.expand(x.shape[0], -1, -1), tokens], 1) + self.places
        return self.head(self.norm(self.body(tokens))[:, 0])


class Attending(nn.Module):
    """Attention by hand, as timm and others write it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv, self.out = nn.Linear(48, 16), nn.Linear(16, 48), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * 16)
        q, k, v = self.qkv(self.embed(x)).reshape(n, -1, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * 8**-0.5) @ k.transpose(-2, -1)).softmax(-1)
        x = (weights @ v).transpose(1, 2).reshape(n, -1, 16)
        return self.out(x.mean(1))


class Activated(nn.Module):
    """Every activation on channels of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2 * len(ACTIVATIONS), 3)
        self.activations = nn.ModuleList([make() for make in ACTIVATIONS])
        self.last = nn.Linear(2 * len(ACTIVATIONS), 5)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.convolution(x).chunk(len(self.activations), 1)
        return self.last(
            torch.cat([act(part) for act, part in zip(self.activations, parts, strict=True)], 1).mean((2, 3))
        )


class Normalised(nn.Module):
    """Every normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.norms = nn.Sequential(
            nn.InstanceNorm2d(8, eps=0.1, affine=True), nn.GroupNorm(4, 8, eps=0.1), nn.LocalResponseNorm(3),
            nn.Conv2d(8, 8, 3), nn.LayerNorm([8, 14, 14], eps=0.1),
        )  # fmt: skip
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms(self.first(x))
        x = F.normalize(x.amax((2, 3)), dim=1)
        return self.last(x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)).log_softmax(1)


class Scaled(nn.Module):
    """Up and down again: Resize of several kinds, ConvTranspose, Pad of several kinds, pixels shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, groups=2)
        self.middle, self.last = nn.Conv2d(4 + 3 + 2, 4, 3), nn.Linear(36, 5)

    def forward(self, x: Tensor) -> Tensor:
        small = F.silu(self.down(x))
        up = F.interpolate(small, scale_factor=2, mode="nearest")[:, :3]
        shuffled = F.pixel_shuffle(small, 2)
        y = torch.cat([self.up(small), F.interpolate(up, size=(32, 32), mode="bilinear"), shuffled], 1)
        y = self.middle(F.pad(y, (1, 1, 1, 1), mode="reflect"))
        y = F.interpolate(F.pad(y, (0, 1, 1, 0)), (20, 20), mode="bilinear", align_corners=True)
        y = F.avg_pool2d(y, 5, 4, 1, ceil_mode=True, count_include_pad=False)
        return self.last(F.max_pool2d(F.pad(y, (1, 0, 0, 1), mode="replicate"), 3, 2).flatten(1))


class Dense(nn.Module):
    """DenseNet's joints and Inception's branches, with sums, differences, quotients, powers and choices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.more = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.wide, self.last = nn.Conv2d(12, 6, (1, 5), padding=(0, 2)), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        x = self.stem((x - mean) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        y = self.wide(torch.cat([x, self.more(torch.maximum(x, torch.tensor(0.0)))], 1))
        y = torch.where(y > 0, y, 0.5 * torch.exp(-y.abs()) * y) + y.clamp(-1, 1).pow(3) - y.pow(2).sqrt() / 4
        return self.last(torch.minimum(y, y.mean((2, 3), keepdim=True)).sum((2, 3)) / 10)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "convolutional": convolutional,
    "resnet": resnet,
    "mobilenet": mobilenet,
    "vit": Vit,
    "vit, norms last": lambda: Vit(first=False),
    "attention": Attending,
    "activations": Activated,
    "normalisations": Normalised,
    "up and down": Scaled,
    "joints": Dense,
}


def made(name: str) -> nn.Module:
    """A module of this name, at rest, always with the same numbers."""
    torch.manual_seed(1)
    module = MODULES[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight, 1, 0.2)
            nn.init.normal_(part.bias, 0, 0.2)
    return module.eval()


def pictures(count: int = 4, seed: int = 0) -> Tensor:
    """Noise (count, 3, 32, 32) from 0 to 1."""
    drawn: Any = torch.rand((count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return drawn
