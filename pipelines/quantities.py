"""Quantities as people write them in YAML: sizes, counts of tokens, times, shares."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)i?[bB]?")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(value: object) -> object:
    """Bytes from `256MB`, `64MiB` or a plain number; units are powers of 1,024."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match:
        raise ValueError("a size is a number of bytes such as 1000000, 64MB or 1GB")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def parse_count(value: object) -> object:
    """A count from `64M` or a plain number; units are powers of 1,000."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMBT]?)", value.strip())
    if not match:
        raise ValueError("a number of tokens is a plain number or one with K, M, B or T")
    return int(float(match[1]) * 1000 ** {"": 0, "k": 1, "m": 2, "b": 3, "t": 4}[match[2].lower()])


def parse_seconds(value: object) -> object:
    """Seconds from `30s`, `500ms`, `2min` or a plain number."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min)", value.strip())
    if not match:
        raise ValueError("a time is a number of seconds, or such as 500ms, 30s, 2min")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0}[match[2]]


def parse_share(value: object) -> object:
    """A share from `10%` or a plain number."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())
    if not match:
        raise ValueError("a share is a number from 0 to 1, or such as 10%")
    return float(match[1]) / 100


Bytes = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Tokens = Annotated[int, BeforeValidator(parse_count), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0)]
Share = Annotated[float, BeforeValidator(parse_share), Field(ge=0, le=1)]
