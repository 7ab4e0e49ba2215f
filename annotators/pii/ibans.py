"""International bank account numbers: a country, two check digits, a national part.

ISO 13616-1 gives the form and ISO 7064 (MOD 97-10) the check; the lengths and structures of the
countries are those of SWIFT's IBAN Registry, as the library `stdnum` carries them. Written
undivided or in groups with one blank or hyphen between two; small letters only where undivided.

Random letters and digits pass the check once in 97 and must also have the length and the letters
of a country, so no word for an account is asked for. Examples of the registry are accounts too:
nobody can tell them from others by their form.
"""

import functools
import re

from stdnum import iban, numdb

from annotators.pii.windows import Window


def find_iban(window: Window) -> tuple[int, int] | None:
    """Finds the account number that begins a window.

    Args:
        window: Two letters, digits and what follows.

    Returns:
        Characters [start, end) of `window.plain`, or None.
    """
    pattern = _written(window.plain[window.start : window.start + 2].upper())
    found = pattern.match(window.plain, window.start) if pattern else None
    if found is None or not iban.is_valid(found[0], check_country=False):
        return None
    return found.span()


@functools.cache
def _written(country: str) -> re.Pattern[str] | None:
    """Pattern of the numbers of a country; None where it has none."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    size = sum(int(number) for number in re.findall(r"(\d+)!", structure))
    if not size:
        return None
    grouped = rf"{country}\d\d(?:[ -]?[A-Z0-9]){{{size}}}"
    undivided = rf"{country.lower()}\d\d[a-z0-9]{{{size}}}"
    return re.compile(rf"(?:{grouped}|{undivided})(?![A-Za-z0-9_])", re.ASCII)
