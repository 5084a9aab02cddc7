"""How a network is asked backwards."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from backquery.inversion import METHODS, PRIORS

SUMMARIES = "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())

Method = Annotated[str, Parameter(choices=tuple(METHODS), help=SUMMARIES)]
MethodOrUsual = Annotated[
    str | None,
    Parameter(
        choices=tuple(METHODS),
        help=f"{SUMMARIES}. By default transpose where the model keeps no statistics of its training images and "
        "can be asked so, else gauss-newton.",
    ),
]
Prior = Annotated[
    str | None,
    Parameter(
        choices=PRIORS,
        help="What gauss-newton takes images to be like: data, those it was trained on; mixture, the same for "
        "things that stand anywhere; natural, photographs of anything; smooth; flat. By default mixture or data, "
        "whichever the model keeps, else natural in colour and smooth in grey.",
    ),
]
