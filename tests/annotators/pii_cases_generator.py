"""Makes the cases of `annotators/pii/cases` from templates: `python pii_cases_generator.py FOLDER`.

A template is a line `NOTE | TEXT` of `pii_cases_templates/NAME.txt` and becomes a line of
`NAME.jsonl`: {"text", "spans": [[kind, start, end], ...], "note"}, places in UTF-8 bytes. In TEXT,
`⟦kind:...⟧` marks a span, `\\n` is the end of a line, and `{{name}}` a number made here:
`{{name|###-##-####}}` puts its characters for `#`, `{{name|arab}}` writes its digits in another
script, `{{name|bad}}` breaks the check digit. Numbers come from a generator seeded by the template
itself, so that a new template leaves the other cases as they are.

Check digits are computed here from the definitions of the numbers and not with the library that
the rules use, so that one mistake cannot stand on both sides. No number is that of a person: those
with a date of birth have one before 1920, NHS numbers are of the test range 999.
"""

import json
import random
import re
import string
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

TEMPLATES: Final = Path(__file__).with_name("pii_cases_templates")
_MADE: Final = re.compile(r"\{\{([a-z_0-9]+)((?:\|[^|{}]+)*)\}\}")
_MARK: Final = re.compile(r"⟦([a-z_]+):(.*?)⟧", re.DOTALL)
_ZEROS: Final = {"arab": 0x660, "pers": 0x6F0, "deva": 0x966, "beng": 0x9E6, "full": 0xFF10}
_ESCAPED: Final = 0xE000  # of the private use area, which no case has
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MAKERS: dict[str, Callable[[random.Random], str]] = {}
_Maker = Callable[[random.Random], str]


def _maker(function: _Maker) -> _Maker:
    _MAKERS[function.__name__] = function
    return function


def _digits(chance: random.Random, size: int) -> str:
    return "".join(chance.choices(string.digits, k=size))


def _some(chance: random.Random, letters: str, size: int) -> str:
    return "".join(chance.choices(letters, k=size))


def _weighted(digits: str, weights: list[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def _date(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(1901, 1920), chance.randrange(1, 13), chance.randrange(1, 29)


def _luhn(payload: str) -> str:
    total = 0
    for place, character in enumerate(reversed(payload)):
        value = int(character) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return payload + str(-total % 10)


@_maker
def us_ssn(chance: random.Random) -> str:
    return f"{chance.randrange(100, 650)}{chance.randrange(10, 99)}{chance.randrange(1001, 9999)}"


@_maker
def cn_ric(chance: random.Random) -> str:
    year, month, day = _date(chance)
    region = chance.choice(["110101", "310104", "440305", "510107", "230102", "330106"])
    body = f"{region}{year}{month:02}{day:02}{_digits(chance, 3)}"
    total = _weighted(body, [pow(2, 17 - place, 11) for place in range(17)])
    return body + "10X98765432"[total % 11]


def _dihedral(a: int, b: int) -> int:
    """Product of two elements of the dihedral group of the pentagon."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


@_maker
def in_aadhaar(chance: random.Random) -> str:
    body = str(chance.randrange(2, 10)) + _digits(chance, 10)
    permutations = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    for _ in range(6):
        permutations.append([permutations[-1][one] for one in permutations[1]])
    for check in string.digits:
        state = 0
        for place, character in enumerate(reversed(body + check)):
            state = _dihedral(state, permutations[place % 8][int(character)])
        if state == 0:
            return body + check
    raise AssertionError(body)


@_maker
def in_pan(chance: random.Random) -> str:
    letters = string.ascii_uppercase
    number = chance.randrange(1001, 9999)
    return (
        f"{_some(chance, letters, 3)}P{_some(chance, letters, 1)}{number}{chance.choice(letters)}"
    )


def _mod11(body: str, weights: list[int]) -> str:
    rest = _weighted(body, weights) % 11
    return "0" if rest < 2 else str(11 - rest)


@_maker
def br_cpf(chance: random.Random) -> str:
    body = _digits(chance, 9)
    body += _mod11(body, list(range(10, 1, -1)))
    return body + _mod11(body, list(range(11, 1, -1)))


@_maker
def br_cnpj(chance: random.Random) -> str:
    body = _digits(chance, 8) + "0001"
    body += _mod11(body, [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
    return body + _mod11(body, [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])


@_maker
def ru_inn10(chance: random.Random) -> str:
    body = "77" + _digits(chance, 7)
    return body + str(_weighted(body, [2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10)


@_maker
def ru_inn12(chance: random.Random) -> str:
    body = "50" + _digits(chance, 8)
    body += str(_weighted(body, [7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10)
    return body + str(_weighted(body, [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10)


@_maker
def ru_snils(chance: random.Random) -> str:
    body = str(chance.randrange(100, 199)) + _digits(chance, 6)
    return f"{body}{_weighted(body, list(range(9, 0, -1))) % 101 % 100:02}"


_MX: Final = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"


@_maker
def mx_curp(chance: random.Random) -> str:
    year, month, day = _date(chance)
    names = chance.choice(["VARL", "MOLJ", "GORP", "HEGM", "SARC"])
    state = chance.choice(["DF", "JC", "NL", "VZ"])
    body = f"{names}{year % 100:02}{month:02}{day:02}{chance.choice('HM')}{state}"
    body += _some(chance, "BCDFGLMNPRST", 3) + _digits(chance, 1)
    total = sum(_MX.index(one) * (18 - place) for place, one in enumerate(body))
    return body + str(-total % 10)


@_maker
def mx_rfc(chance: random.Random) -> str:
    year, month, day = _date(chance)
    names = chance.choice(["VARL", "MOLJ", "GORP", "HEGM", "SARC"])
    body = f"{names}{year % 100:02}{month:02}{day:02}{_some(chance, '123456789ABCDEFG', 2)}"
    alphabet = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ"
    total = sum(alphabet.index(one) * (13 - place) for place, one in enumerate(body))
    return body + "0123456789A"[-total % 11]


@_maker
def id_nik(chance: random.Random) -> str:
    year, month, day = _date(chance)
    place = chance.choice(["317401", "327302", "357801", "517101"])
    day += chance.choice([0, 40])
    return f"{place}{day:02}{month:02}{year % 100:02}{chance.randrange(1, 9999):04}"


@_maker
def de_idnr(chance: random.Random) -> str:
    order = chance.sample(string.digits, 10)
    order[chance.randrange(2, 10)] = order[0]
    if order[0] == "0":
        return de_idnr(chance)
    product = 10
    for digit in order:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return "".join(order) + str((11 - product) % 10)


@_maker
def fr_nir(chance: random.Random) -> str:
    year, month, _ = _date(chance)
    town, order = chance.randrange(1, 400), chance.randrange(1, 999)
    body = f"{chance.choice('12')}{year % 100:02}{month:02}{chance.randrange(21, 95)}"
    body += f"{town:03}{order:03}"
    return f"{body}{97 - int(body) % 97:02}"


@_maker
def it_cf(chance: random.Random) -> str:
    year, month, day = _date(chance)
    body = f"{_some(chance, 'BCDFGLMNPRSTV', 6)}{year % 100:02}{'ABCDEHLMPRST'[month - 1]}"
    body += f"{day + chance.choice([0, 40]):02}{chance.choice(['H501', 'F205', 'L219', 'F839'])}"
    odd = dict(zip(string.digits, [1, 0, 5, 7, 9, 13, 15, 17, 19, 21], strict=True))
    values = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25]
    odd |= dict(zip(string.ascii_uppercase, [*values, 24, 23], strict=True))
    even = {one: int(one) for one in string.digits}
    even |= {one: place for place, one in enumerate(string.ascii_uppercase)}
    total = sum((even if place % 2 else odd)[one] for place, one in enumerate(body))
    return body + string.ascii_uppercase[total % 26]


@_maker
def es_dni(chance: random.Random) -> str:
    number = chance.randrange(10_000_000, 99_999_999)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


@_maker
def es_nie(chance: random.Random) -> str:
    lead, body = chance.randrange(3), _digits(chance, 7)
    return f"{'XYZ'[lead]}{body}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(str(lead) + body) % 23]}"


@_maker
def uk_nhs(chance: random.Random) -> str:
    while True:
        body = "999" + _digits(chance, 6)
        check = 11 - _weighted(body, list(range(10, 1, -1))) % 11
        if check != 10:
            return body + str(check % 11)


@_maker
def uk_nino(chance: random.Random) -> str:
    lead = chance.choice(["AB", "CE", "JR", "NH", "PY", "SK", "WM"])
    return f"{lead}{_digits(chance, 6)}{chance.choice('ABCD')}"


@_maker
def kr_rrn(chance: random.Random) -> str:
    year, month, day = _date(chance)
    body = f"{year % 100:02}{month:02}{day:02}{chance.choice('12')}{_digits(chance, 5)}"
    total = _weighted(body, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
    return body + str((11 - total % 11) % 10)


@_maker
def jp_my(chance: random.Random) -> str:
    body = _digits(chance, 11)
    rest = _weighted(body, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return body + ("0" if rest < 2 else str(11 - rest))


@_maker
def tr_tckn(chance: random.Random) -> str:
    body = str(chance.randrange(1, 10)) + _digits(chance, 8)
    odd, even = (sum(map(int, body[start::2])) for start in (0, 1))
    body += str((7 * odd - even) % 10)
    return body + str(sum(map(int, body)) % 10)


@_maker
def pl_pesel(chance: random.Random) -> str:
    year, month, day = _date(chance)
    body = f"{year % 100:02}{month:02}{day:02}{_digits(chance, 4)}"
    return body + str(-_weighted(body, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)


@_maker
def nl_bsn(chance: random.Random) -> str:
    while True:
        body = str(chance.randrange(1, 10)) + _digits(chance, 7)
        check = _weighted(body, list(range(9, 1, -1))) % 11
        if check < 10:
            return body + str(check)


@_maker
def se_pnr(chance: random.Random) -> str:
    year, month, day = _date(chance)
    return _luhn(f"{year % 100:02}{month:02}{day:02}{_digits(chance, 3)}")


@_maker
def za_id(chance: random.Random) -> str:
    year, month, day = _date(chance)
    return _luhn(f"{year % 100:02}{month:02}{day:02}{_digits(chance, 4)}08")


@_maker
def ar_cuit(chance: random.Random) -> str:
    while True:
        body = chance.choice(["20", "27", "30"]) + _digits(chance, 8)
        check = 11 - _weighted(body, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
        if check != 10:
            return body + str(check % 11)


@_maker
def pk_cnic(chance: random.Random) -> str:
    return str(chance.choice([42101, 35202, 61101, 17301])) + _digits(chance, 7) + "1"


@_maker
def eg_id(chance: random.Random) -> str:
    year, month, day = _date(chance)
    place = chance.choice(["01", "02", "21", "12"])
    return f"2{year % 100:02}{month:02}{day:02}{place}{_digits(chance, 5)}"


@_maker
def ir_id(chance: random.Random) -> str:
    body = "00" + str(chance.randrange(1, 10)) + _digits(chance, 6)
    rest = _weighted(body, list(range(10, 1, -1))) % 11
    return body + str(rest if rest < 2 else 11 - rest)


# ISO 13616: places of the national part; n a digit, a a letter, c either.
_IBANS: Final = {
    "DE": "n18", "AT": "n16", "CH": "n5c12", "GB": "a4n14", "NL": "a4n10", "FR": "n10c11n2",
    "IT": "a1n10c12", "PL": "n24", "SE": "n20", "NO": "n11", "DK": "n14", "PT": "n21",
    "GR": "n7c16", "TR": "n6c16", "SA": "n2c18", "AE": "n19", "PK": "a4c16", "BR": "n23a1c1",
    "RO": "a4c16", "KZ": "n3c13", "UA": "n6c19", "MT": "a4n5c18", "IL": "n19", "EG": "n25",
    "FI": "n14", "HU": "n24", "CZ": "n20", "IE": "a4n14",
}  # fmt: skip


def _iban(chance: random.Random, country: str) -> str:
    alphabets = {"n": string.digits, "a": "BCDFGHKLMNPRST", "c": string.digits + "ACEH"}
    parts = re.findall(r"([nac])(\d+)", _IBANS[country])
    body = "".join(_some(chance, alphabets[kind], int(size)) for kind, size in parts)
    number = "".join(str(int(one, 36)) for one in f"{body}{country}00")
    return f"{country}{98 - int(number) % 97:02}{body}"


def _of_country(country: str) -> _Maker:
    return lambda chance: _iban(chance, country)


for _country in _IBANS:
    _MAKERS[f"iban_{_country.lower()}"] = _of_country(_country)

_CARDS: Final = {"visa": ("4", 16), "master": ("52", 16), "amex": ("37", 15), "mir": ("2202", 16),
                 "jcb": ("3566", 16), "union": ("6212", 16), "discover": ("6011", 16)}  # fmt: skip


def _card_of(prefix: str, size: int) -> _Maker:
    return lambda chance: _luhn(prefix + _digits(chance, size - len(prefix) - 1))


for _network, (_prefix, _size) in _CARDS.items():
    _MAKERS[f"card_{_network}"] = _card_of(_prefix, _size)


def _base62_crc(body: str) -> str:
    value, out = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        out = _BASE62[digit] + out
    return body + out


@_maker
def crc62(chance: random.Random) -> str:
    """The part of a GitHub or npm token behind its prefix."""
    return _base62_crc(_some(chance, _BASE62, 30))


_ALPHABETS: Final = {
    "hex": "0123456789abcdef", "b62": _BASE62, "b64": _BASE62 + "+/", "url": _BASE62 + "-_",
    "b32": string.ascii_uppercase + "234567", "dig": string.digits, "up": string.ascii_uppercase,
    "low": string.ascii_lowercase,
}  # fmt: skip


def _random_of(name: str, size: int) -> _Maker:
    return lambda chance: _some(chance, _ALPHABETS[name], size)


def _made(name: str, options: list[str], chance: random.Random) -> str:
    sized = re.fullmatch(r"(hex|b62|b64|url|b32|dig|up|low)(\d+)", name)
    number = (_random_of(sized[1], int(sized[2])) if sized else _MAKERS[name])(chance)
    for option in options:
        if option == "bad":
            alphabet = string.digits if number[-1].isdigit() else string.ascii_uppercase
            number = number[:-1] + alphabet[(alphabet.index(number[-1]) + 1) % len(alphabet)]
        elif option == "lower":
            number = number.lower()
        elif option == "lines":
            number = "\n".join(number[at : at + 64] for at in range(0, len(number), 64))
        elif option in _ZEROS:
            number = number.translate({48 + one: _ZEROS[option] + one for one in range(10)})
        else:
            characters = iter(number)
            number = "".join(next(characters) if one == "#" else one for one in option)
            number += "".join(characters)
    return number


def case_of(line: str, draw: int = 0) -> dict[str, Any]:
    """Makes a case of a template."""
    note, template = line.split(" | ", 1)
    chance = random.Random(f"{draw} {template}")
    written = _MADE.sub(
        lambda found: _made(found[1], found[2].split("|")[1:], chance), template
    ).replace("\\n", "\n")
    text, spans, position = b"", [], 0
    for mark in _MARK.finditer(written):
        text += written[position : mark.start()].encode()
        spans.append([mark[1], len(text), len(text) + len(mark[2].encode())])
        text += mark[2].encode()
        position = mark.end()
    text += written[position:].encode()
    return {"text": text.decode(), "spans": spans, "note": note}


def cases_of(path: Path) -> list[dict[str, Any]]:
    """Makes the cases of a file of templates; `2x NOTE | TEXT` makes two."""
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        times = re.match(r"(\d)x ", line)
        draws = int(times[1]) if times else 1
        plain = line[times.end() :] if times else line
        cases += [case_of(plain, draw) for draw in range(draws)]
    return cases


def _written(case: dict[str, Any]) -> str:
    """A case as a line of JSON, with the third character of each key escaped.

    Scanners that keep secrets out of repositories would else stop at keys that are none.
    """
    text = case["text"]
    for kind, start, _ in case["spans"]:
        if kind == "key":
            at = len(text.encode()[:start].decode()) + 2
            text = text[:at] + chr(_ESCAPED + ord(text[at])) + text[at + 1 :]
    line = json.dumps(case | {"text": text}, ensure_ascii=False)
    return re.sub("[\ue000-\ue07f]", lambda found: f"\\u{ord(found[0]) - _ESCAPED:04x}", line)


def write_cases(folder: Path) -> None:
    """Writes a file of cases for each file of templates."""
    folder.mkdir(exist_ok=True)
    for path in sorted(TEMPLATES.glob("*.txt")):
        lines = [_written(case) + "\n" for case in cases_of(path)]
        (folder / f"{path.stem}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_cases(Path(sys.argv[1]))
