"""The words of the report: one JSON file a language, as the studio has them, and how numbers are written in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from backquery.errors import isolated

Language = Literal["en", "ru", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

PLACE = re.compile(r"\{(\w+)(?::([%+]?)(\d))?\}")
NUMBER = re.compile(r"(?<![\w.,])[+-]?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w.,]*\d)(\s?%)?")
FIGURE = re.compile(r"[\d.,%\s]+( of [\d.,]+)?")
VALUE = re.compile(r"\\{(\w+)\\}")
SPACE = "\N{NO-BREAK SPACE}"
RUSSIAN = str.maketrans(",.-", f"{SPACE},\N{MINUS SIGN}")
"""Thousands apart, decimals after a comma, a minus as wide as a plus."""


class Words:
    """Sentences of a language by their names, with their values: see `say`."""

    def __init__(self, language: Language = "en") -> None:
        self.language = language

    @cached_property
    def _sentences(self) -> dict[str, Any]:
        path = Path(__file__).parent / "words" / f"{self.language}.json"
        return dict(json.loads(path.read_text("utf-8")))

    def say(self, key: str, **values: Any) -> str:
        """A sentence with its values: {name} as it is, {name:2} with two decimals, {name:%1} as a percentage,
        {name:+1} with its sign."""
        sentence = str(self._sentences[key])
        return PLACE.sub(lambda place: self._value(values[place[1]], place[2], place[3]), sentence)

    def phrase(self, text: str) -> str:
        """What another room says in English, in this language where there are words for it; a number always."""
        if NUMBER.fullmatch(text):
            return self._written(text)
        known: Mapping[str, str] = self._sentences.get("phrases", {})
        return known.get(text, text)

    def figure(self, text: str) -> str:
        """What stands in a cell of a table in English: its numbers, and its words where they are known."""
        if (shares := re.fullmatch(r"(.+) of (.+)", text)) and self.language != "en":
            return self.say("of", part=self.figure(shares[1]), whole=self.figure(shares[2]))
        if (ends := re.fullmatch(r"(.+) \((.+) to (.+)\)", text)) and self.language != "en":
            value, low, high = map(self.figure, ends.groups())
            return self.say("interval", value=value, low=low, high=high)
        if (beyond := re.fullmatch(r"more than (.+)", text)) and self.language != "en":
            return self.say("more", amount=self.figure(beyond[1]))
        known = self.phrase(text)
        return known if known != text else NUMBER.sub(lambda number: self._written(number[0]), text)

    def drawn(self, text: str) -> str:
        """What a plot or a model says in English, line by line, in this language where there are words for it."""
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, text: str) -> str:
        for pattern, sentence in self._plots:
            if found := pattern.fullmatch(text):
                return sentence.format(**{name: self._place(value) for name, value in found.groupdict().items()})
        return self.figure(text) if FIGURE.fullmatch(text) else self.phrase(text)

    def _place(self, text: str) -> str:
        """What stands in such a sentence; what is in this language already is not read again as English."""
        known = self._line(text)
        return known if known != text else self.figure(text)

    @cached_property
    def _plots(self) -> list[tuple[re.Pattern[str], str]]:
        """What plots and models say, with places for values, and the same here; the most exact first."""
        known: Mapping[str, str] = self._sentences.get("plots", {})
        exactly = sorted(known, key=lambda text: -len(VALUE.sub("", re.escape(text))))
        return [(re.compile(VALUE.sub(r"(?P<\1>.+?)", re.escape(text))), known[text]) for text in exactly]

    def _value(self, value: Any, kind: str | None, digits: str | None) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return isolated(str(value))
        sign, places = ("+" if kind == "+" else ""), f".{digits or 0}"
        if kind == "%":
            return self._written(f"{value:{places}%}")
        form = f",{places}f" if digits else ",g" if isinstance(value, float) else ",d"
        return self._written(f"{value:{sign}{form}}")

    def _written(self, number: str) -> str:
        """A number as English writes it, ``1,234.5%``, as this language does."""
        if self.language != "ru":
            return number.replace(" %", "%")
        return re.sub(r"\s?%", f"{SPACE}%", number.translate(RUSSIAN))


ENGLISH = Words()
