"""Token budgets as people write them: 2M, 300B, 30T, 1500000, max, one_epoch.

Units are powers of 1,000 (K, M, B, T), as in every report on pretraining; a token is one id of the
tokenizer. Two budgets are words because they follow the corpus instead of fixing a number:

`max`        as many tokens as the epoch caps allow while every stated share holds exactly.
`one_epoch`  as many tokens as the eligible documents hold, so that groups raised by their shares
             are repeated at the price of others, up to their caps.
"""

import re
from decimal import Decimal
from typing import Final, Literal

from mixtures.errors import MixtureError

TokenBudget = int | Literal["max", "one_epoch"]

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_WRITTEN: Final = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:E\+?[0-9]{1,2})?) *([KMBT]?)", re.ASCII)
ALLOWED: Final = (
    "a whole number of tokens above 0, with a unit where wanted (2M, 300B, 30T), max, or one_epoch"
)


def parse_tokens(written: object) -> TokenBudget:
    """Reads a token budget.

    Args:
        written: `"2M"`, `"1.5B"`, `"1_500_000"`, `1500000`, `4e9`, `"max"` or
            `"one_epoch"`; units and words in either case, blanks around them allowed.

    Returns:
        A number of tokens, or the word.

    Raises:
        MixtureError: Anything else, also a budget that is not a whole number of tokens.

    >>> parse_tokens("1.5B")
    1500000000
    """
    if isinstance(written, int) and not isinstance(written, bool) and written > 0:
        return written
    if isinstance(written, float) and written.is_integer():  # 4e9 in YAML
        written = str(int(written))
    plain = written.strip().upper() if isinstance(written, str) else ""
    if plain in ("MAX", "ONE_EPOCH"):
        return "max" if plain == "MAX" else "one_epoch"
    found = _WRITTEN.fullmatch(plain)
    if found:
        tokens = Decimal(found[1].replace("_", "")) * _UNITS[found[2]]
        if tokens > 0 and tokens == int(tokens):
            return int(tokens)
    raise MixtureError(f"found {written!r}; allowed: {ALLOWED}; write for example 300B")
