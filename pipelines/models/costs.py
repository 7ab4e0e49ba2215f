"""What models cost: sums over ledger entries, and the price of a token that was kept.

Tokens are those of every answer that a part was made of, kept or not, once: an answer that an
earlier, killed run paid for counts like one of this run, so the sums do not depend on kills. What
matters in the end is `per_accepted`: all money over the tokens that stand in documents.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.models.settings import ModelConfig, Price
from pipelines.workspace.ledger import Entry

_MILLION: Final = 1e6
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one use of a model took."""

    what: str
    """Source that came out, or `pages of <source>`."""
    model: str
    requests: int
    from_journal: int
    prompt_tokens: int
    completion_tokens: int
    accepted_tokens: int
    """Completion tokens that stand in documents."""
    accepted: int
    rejected: int
    reasons: Mapping[str, int]
    """Rejected units by reason."""
    seconds: float
    """Of the model's time: that of the requests in flight, divided among them."""
    price: Price
    gpus: int = 0

    @property
    def money(self) -> float:
        """In the currency of the price."""
        by_tokens = (
            self.prompt_tokens * self.price.prompt + self.completion_tokens * self.price.completion
        ) / _MILLION
        return by_tokens + self.price.gpu_hour * self.gpus * self.seconds / _HOUR_S

    @property
    def per_accepted(self) -> float | None:
        """Money for a million accepted tokens; None where none was accepted."""
        return self.money * _MILLION / self.accepted_tokens if self.accepted_tokens else None

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens a second of the model's time; None where no time was measured."""
        return self.completion_tokens / self.seconds if self.seconds else None

    @property
    def has_price(self) -> bool:
        """Whether anything was said of what it costs."""
        return any((self.price.prompt, self.price.completion, self.price.gpu_hour))


def priced(model: ModelConfig) -> dict[str, Any]:
    """What an entry keeps of a model's price."""
    gpus = model.gpus if model.engine == "vllm" else 0
    return {**model.price.model_dump(), "gpus": gpus}


def cost_of(what: str, entries: Iterable[Entry]) -> Cost | None:
    """Sums the entries of one source whose job asked a model; None where none did.

    Args:
        what: What the sum is called.
        entries: Of jobs whose detail has `usage`, `model` and `price`.
    """
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seconds, model, price, gpus = 0.0, "", Price(), 0
    for entry in entries:
        usage, own = entry.detail.get("usage"), entry.detail
        if not usage or not own.get("model"):
            continue
        model = own["model"]
        stated = dict(own.get("price") or {})
        gpus = int(stated.pop("gpus", 0))
        price = Price.model_validate(stated)
        counts.update({name: int(usage.get(name, 0)) for name in _OF_USAGE})
        # Of pages, which are rows of a job that counts other things as well.
        told: Mapping[str, Any] = own.get("vl") or entry.counts
        counts.update({name: int(told.get(name, 0)) for name in _OF_COUNTS})
        seconds += float(usage.get("seconds", 0.0))
        # Of pages the model's own verdicts: a file that cannot be opened is no fault of a model.
        verdicts = {k: n for k, n in told.get("verdicts", {}).items() if k != "ok"}
        reasons.update(verdicts if "vl" in own else own.get("rejects") or {})
    if not model:
        return None
    return Cost(
        what=what,
        model=model,
        reasons=dict(sorted(reasons.items())),
        seconds=seconds,
        price=price,
        gpus=gpus,
        **{name: counts[name] for name in (*_OF_USAGE, *_OF_COUNTS)},
    )


_OF_USAGE: Final = ("requests", "from_journal", "prompt_tokens", "completion_tokens")
_OF_COUNTS: Final = ("accepted_tokens", "accepted", "rejected")


def money(amount: float, currency: str) -> str:
    """An amount in words, with as many digits as it needs.

    >>> money(1234.5, "USD"), money(0.0412, "USD"), money(0, "USD")
    ('1,234.50 USD', '0.041 USD', '0.00 USD')
    """
    digits = 2 if amount >= 1 or not amount else 3
    while amount and round(amount, digits) == 0 and digits < 9:
        digits += 1
    return f"{amount:,.{digits}f} {currency}"
