"""What may be asked of each label instead of one answer: limits, or an extreme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli import UsageError

if TYPE_CHECKING:
    from backquery.inversion import Limits
    from backquery.model import Model
    from backquery.notes import Notes


@Parameter(name="*", group="Limits, instead of one answer")
@dataclass(frozen=True)
class LimitOptions:
    """At least so sure, no other above, as sure as can be, or as little ink as can be."""

    at_least: Annotated[
        float | None, Parameter(help="The label at least so sure, such as 0.8: the likeliest image of all those.")
    ] = None
    others_at_most: Annotated[
        float | None,
        Parameter(help="No other label above this, such as 0.1, and the label at least 0.5 or --at-least."),
    ] = None
    most_sure: Annotated[
        bool,
        Parameter(
            negative="",
            help="The label as surely as an image can say it that is no farther from the prior's mean than real "
            "ones are.",
        ),
    ] = False
    emptiest: Annotated[
        bool,
        Parameter(negative="", help="The label in the image with least ink, nearest to blank paper."),
    ] = False

    def __post_init__(self) -> None:
        if len(self.told) > 1:
            raise UsageError(f"--{self.told[0]} and --{self.told[1]} are different questions: ask one of them.")

    @property
    def told(self) -> list[str]:
        """Which of the questions was asked."""
        limited = self.at_least is not None or self.others_at_most is not None
        every = {"at-least": limited, "most-sure": self.most_sure, "emptiest": self.emptiest}
        return [name for name, asked in every.items() if asked]

    def check_alone(self, **others: object) -> None:
        """`UsageError` where there are limits, and something else is told that they leave no room for."""
        clashing = [name for name, value in others.items() if value is not None]
        if self.told and clashing:
            raise UsageError(f"--{self.told[0]} does not go with --{clashing[0]}: ask one of them.")

    def asked(self, notes: Notes, network: Model, labels: list[str]) -> Limits:
        """The question, noted."""
        from backquery.inversion import at_least, emptiest, most_sure
        from backquery.inversion.limits import SAID

        if self.most_sure:
            return notes("asked", most_sure, network, labels)
        if self.emptiest:
            return notes("asked", emptiest, network, labels)
        p = SAID if self.at_least is None else self.at_least
        return notes("asked", at_least, network, labels, p, others_at_most=self.others_at_most)


NO_LIMITS = LimitOptions()
