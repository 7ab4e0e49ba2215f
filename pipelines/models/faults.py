"""Faults on purpose: what models and their servers do wrong, by name and rate.

A run that has met each of them here meets none for the first time in the night. Which request a
fault hits is decided by the request's key and the number of the try, so that a rehearsal repeats
itself exactly: in another order, with other neighbours, with other workers, the same tries fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

MODEL_FAULTS: Final = {
    "nothing": "the content is empty",
    "garbage": "characters without sense, control characters among them",
    "half_json": "a JSON object that breaks off, though the model ended by itself",
    "endless": "the answer repeats itself until max_tokens",
    "refusal": "the model says that it will not",
}
"""Of the answer: it comes in good form, with status 200."""

SERVER_FAULTS: Final = {
    "http_500": "status 500",
    "http_429": "status 429 with Retry-After",
    "image_refused": "status 400 on requests with a picture",
    "context_overflow": "status 400: prompt and answer do not fit",
    "wrong_type": "status 200, and JSON of another shape",
    "not_json": "status 200, and a page of HTML, as a proxy sends it",
    "closes": "the connection is closed in mid-answer",
    "trickles": "the answer comes byte by byte and never ends",
    "slow": "the answer comes late",
    "never_ready": "/health and every request say 503",
}
"""Of what carries the answer."""

FAULTS: Final[Mapping[str, str]] = {**MODEL_FAULTS, **SERVER_FAULTS}

_DRAWS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults occur, and how often."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Name -> share of tries that it hits, above 0 and at most 1; the first that hits counts."""
    slow_s: float = 0.3
    """How late `slow` is."""

    def __post_init__(self) -> None:
        for name, rate in self.rates.items():
            if name not in FAULTS:
                raise ValueError(f"no fault is called {name}; there are {', '.join(FAULTS)}")
            if not 0 < rate <= 1:
                raise ValueError(f"the rate of {name} is {rate}; it must be above 0, at most 1")

    def hit(self, key: str, number: int, *, has_images: bool = False) -> str | None:
        """The fault of one try.

        Args:
            key: Of the request.
            number: Of the try, from 0.
            has_images: Whether the request brings pictures; else none can be refused.

        Returns:
            Its name, or None where this try is to be answered well.
        """
        for name, rate in self.rates.items():
            if name == "image_refused" and not has_images:
                continue
            told = f"{name} {key} {number}".encode()
            if int.from_bytes(blake2b(told, digest_size=4).digest(), "big") < rate * _DRAWS:
                return name
        return None


def parse_faults(told: str, *, slow_s: float = 0.3) -> Faults:
    """Reads `http_500:0.3,slow`: names with their rates; without one, every try is hit.

    Raises:
        ValueError: An unknown name, or a rate that is none.
    """
    rates: dict[str, float] = {}
    for one in filter(None, (part.strip() for part in told.split(","))):
        name, _, rate = one.partition(":")
        try:
            rates[name] = float(rate) if rate else 1.0
        except ValueError:
            raise ValueError(f"{one}: write the rate as a number, such as {name}:0.3") from None
    return Faults(rates, slow_s)
