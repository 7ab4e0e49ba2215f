"""National numbers of persons, one rule a country: how it is written, checked and called.

A rule counts a number that has one of its shapes and passes its check. Where a random number would
do so too often, a word for it must stand before (or behind, in parentheses): always for the shapes
of `weak`, never for those of `strong`.

A shape is the sizes of the groups of digits and what divides them: `3-2-4` is 123-45-6789, `L` a
letter that ends the number. Check digits are computed by the library `stdnum`, except where it
has no such number (SNILS, IR, EG, NINO) or looks at the calendar of the day it runs (ZA, SE, KR);
dates of birth are read here, with 29 February in any year that two digits may mean.

Sources, each the definition of its number:
AR  CUIT/CUIL: AFIP RG 10/97; mod 11, prefix of the kind of person.
BR  CPF: Receita Federal, IN RFB 1548/2015; CNPJ: IN RFB 2119/2022, also companies; mod 11 twice.
CN  GB 11643-1999: province (GB/T 2260), date, ISO 7064 MOD 11-2.
DE  Steuer-ID: section 139b AO; ISO 7064 MOD 11,10, one digit twice or three times.
EG  National ID: century, date, governorate (Civil Status Organization); no published check digit.
ES  DNI, NIE: Real Decreto 1553/2005, Orden INT/2058/2008; letter by mod 23.
FR  NIR: INSEE, decree 82-103 of 1982; sex, year, month, place, key 97 - n mod 97.
ID  NIK: Permendagri on civil registration; district, date (day + 40 for women), serial.
IN  Aadhaar: UIDAI, Verhoeff; PAN: Income-tax Rules 114, fourth letter the kind of holder.
IR  Code melli: National Organization for Civil Registration; mod 11.
IT  Codice fiscale: DM 23 December 1976; letters of names, date, place, check letter.
JP  My Number: ordinance 85 of the Ministry of Internal Affairs, 2014, article 5; mod 11.
KR  RRN: Resident Registration Act; date, sex and century, weights mod 11. Numbers given since
    October 2020 have no check digit and are found behind a word only.
MX  CURP: RENAPO instructivo normativo of 2008, mod 10; RFC: SAT, anexo 1 of the RMF, mod 11, which
    not all valid numbers obey, so that behind a word the date is enough.
NL  BSN: Wet algemene bepalingen burgerservicenummer; weights 9 to 2 and -1, mod 11.
PK  CNIC: NADRA; province, serial, sex; no published check digit.
PL  PESEL: Act on population registration of 2010; date with century in the month, mod 10.
RU  INN: order MMV-7-6/435 of the Federal Tax Service; SNILS: decree 192p of the Pension Fund of
    2016, sum mod 101.
SE  Personnummer: SKV 704; date, Luhn.
TR  TCKN: General Directorate of Civil Registration; two check digits.
UK  NHS number: NHS Data Dictionary, mod 11; NINO: HMRC manual NIM39110, its prefixes.
US  SSN: SSA, area, group and serial without zeros, no area 666 or 900-999.
ZA  Identity number: Identification Act 68 of 1997; date, citizen, Luhn.

Left out, for want of a published check digit: NIN of Nigeria, NID of Bangladesh, CCCD of Viet Nam,
PhilSys of the Philippines.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.id import nik
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.mx import curp, rfc
from stdnum.nl import bsn
from stdnum.pk import cnic
from stdnum.pl import pesel
from stdnum.ru import inn
from stdnum.tr import tckimlik
from stdnum.us import ssn


class Rule(NamedTuple):
    """How a number is told; `weak` and `strong` are shapes, see the module."""

    check: Callable[[str], bool]
    """Takes the digits (and the letter) of a number without what divides them."""
    words: re.Pattern[str]
    """What the number is called."""
    weak: tuple[str, ...] = ()
    strong: tuple[str, ...] = ()


def _words(small: str, capitals: str = "(?!)") -> re.Pattern[str]:
    """Words in any case, and abbreviations in capitals only; neither inside another word."""
    edge = "(?<![A-Za-z\u00c0-\u052f])"  # scripts without blanks may touch a word
    return re.compile(rf"{edge}(?:(?i:{small})|(?:{capitals}))(?![a-z])")


_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_day(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= _DAYS[int(month) - 1]


_PROVINCES: Final = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 "
    "71 81 82 83".split()
)
_FIRST_YEAR, _LAST_YEAR = 1880, 2049  # of a birth that a number given until now can have


def _is_cn(number: str) -> bool:
    number = number.upper()
    return (
        number[:2] in _PROVINCES
        and _FIRST_YEAR <= int(number[6:10]) <= _LAST_YEAR
        and _is_day(number[10:12], number[12:14])
        and ric.calc_check_digit(number) == number[17]
    )


def _is_cpf(number: str) -> bool:
    return len(set(number)) > 1 and cpf.is_valid(number)


def _is_snils(number: str) -> bool:
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(number[:9]))
    # Numbers up to 001-001-998 have no check digits.
    return number[:9] > "001001998" and int(number[9:]) == total % 101 % 100


def _is_nir(number: str) -> bool:
    # Months 20 to 42 and from 50 stand for births whose month is not known.
    month = int(number[3:5])
    is_month = 1 <= month <= 12 or 20 <= month <= 42 or month >= 50
    return number[0] in "12" and is_month and nir.is_valid(number)


def _is_temporary_nir(number: str) -> bool:
    return _is_nir(number) or (number[0] in "3478" and nir.is_valid(number))


def _is_rrn_date(number: str) -> bool:
    return _is_day(number[2:4], number[4:6]) and int(number[7:9]) <= 96


def _is_rrn(number: str) -> bool:
    return _is_rrn_date(number) and rrn.calc_check_digit(number[:12]) == number[12]


_NEW_RRN: Final = 20  # years of birth of the century, from which numbers have no check digit


def _is_named_rrn(number: str) -> bool:
    is_new = number[6] in "3478" and int(number[:2]) >= _NEW_RRN
    return _is_rrn(number) or (is_new and _is_rrn_date(number))


def _is_se(number: str) -> bool:
    number = number[-10:]
    day = int(number[4:6])
    # A coordination number adds 60 to the day.
    return _is_day(number[2:4], f"{day - 60 if day > 60 else day:02}") and luhn.is_valid(number)


def _is_za(number: str) -> bool:
    return _is_day(number[2:4], number[4:6]) and number[10] in "01" and luhn.is_valid(number)


_GOVERNORATES: Final = frozenset(
    "01 02 03 04 11 12 13 14 15 16 17 18 19 21 22 23 24 25 26 27 28 29 31 32 33 34 35 88".split()
)


def _is_eg(number: str) -> bool:
    is_born = number[0] in "23" and _is_day(number[3:5], number[5:7])
    return is_born and number[7:9] in _GOVERNORATES


def _is_ir(number: str) -> bool:
    rest = sum(int(digit) * (10 - place) for place, digit in enumerate(number[:9])) % 11
    return len(set(number)) > 1 and int(number[9]) == (rest if rest < 2 else 11 - rest)


_SSN_WORDS: Final = _words(r"social security|soc\.? ?sec|seguro social|taxpayer id", "SSNs?|SSN#")


def _is_no_date(number: str) -> bool:
    return ssn.is_valid(number) and number[5:7] not in ("19", "20")


NUMERIC: Final = (
    Rule(ssn.is_valid, _SSN_WORDS, weak=("9", "3 2 4", "3-2-4")),
    Rule(_is_no_date, _words("(?!)"), strong=("3-2-4",)),
    Rule(_is_cn, _words("身份证|身分證|id card|identity"), ("6 8 4", "6 8 3L"), ("18", "17L")),
    Rule(
        aadhaar.is_valid,
        _words("aadh?aa?r|uidai|आधार|আধার|ஆதார்|ఆధార్|આધાર", "UID"),
        weak=("4 4 4", "4-4-4", "12"),
    ),
    Rule(_is_cpf, _words("cadastro de pessoas? físicas?|cpf"), ("11", "9-2"), ("3.3.3-2",)),
    Rule(cnpj.is_valid, _words("cnpj"), ("14", "8/4-2"), ("2.3.3/4-2",)),
    Rule(inn.is_valid, _words("инн|идентификационный номер", "INN"), ("10", "12")),
    Rule(_is_snils, _words("снилс|страхов|snils"), ("11", "3-3-3-2", "3 3 3 2"), ("3-3-3 2",)),
    Rule(
        nik.is_valid,
        _words("nomor induk kependudukan|no\\.? ktp|nomor ktp|ktp", "NIK"),
        weak=("16", "4 4 4 4", "6-6-4", "6 6 4", "6.6.4"),
    ),
    Rule(
        idnr.is_valid,
        _words(
            r"steuer-?id(?:\.?-? ?nr\.?)?|steuer(?:liche )?-?identifikations(?:nummer|nr\.?)|"
            r"identifikationsnummer|idnr|german tax id|steuer-identnummer",
            "TIN",
        ),
        weak=("11", "2 3 3 3", "2-3-3-3"),
    ),
    Rule(
        _is_temporary_nir,
        _words("sécurité sociale|sécu|num(?:éro)? ?ss|n° ?ss|securite sociale", "NIR|INSEE"),
        weak=("15", "13 2", "13-2", "1 2 2 2 3 3 2", "1-2-2-2-3-3-2", "1.2.2.2.3.3.2"),
    ),
    Rule(_is_nir, _words("(?!)"), strong=("15", "13 2", "1 2 2 2 3 3 2")),
    Rule(
        dni.is_valid,
        _words(
            "documento (?:nacional )?(?:de )?identidad|d\\.n\\.i\\.?|dni|nif|n\\.i\\.f\\.?|"
            "titular|identificación fiscal"
        ),
        weak=("8L", "8-L", "8 L", "2.3.3-L", "2.3.3L", "2.3.3 L"),
    ),
    Rule(nhs.is_valid, _words("nhs (?:number|no|nr|id)|nhs ?[:#]"), ("10", "3 3 4", "3-3-4")),
    Rule(_is_rrn, _words("(?!)"), strong=("6-7",)),
    Rule(
        _is_named_rrn,
        _words("주민등록|주민번호|주민 번호|resident registration|rrn"),
        ("13", "6-7"),
    ),
    Rule(
        my_number.is_valid,
        _words("マイナンバー|個人番号|individual number", "My ?Number"),
        weak=("12", "4 4 4", "4-4-4"),
    ),
    Rule(
        tckimlik.is_valid,
        _words(r"t\.? ?c\.? ?kimlik|kimlik (?:no|numara)|tckn|vatandaşl[^ ]k (?:no|numara)|tc no"),
        weak=("11",),
    ),
    Rule(pesel.is_valid, _words("pesel"), ("11",)),
    Rule(
        bsn.is_valid,
        _words("burger ?service ?nummer|sofi-?nummer|bsn|burgerservicenr"),
        weak=("9", "4.2.3", "3.3.3", "3 3 3", "4 2 3"),
    ),
    Rule(
        _is_se,
        _words(
            r"person ?-?(?:nummer|nr)|pers\.? ?nr|samordningsnummer|personal (?:identity )?number",
            "PNR",
        ),
        weak=("10", "6-4", "12", "8-4", "6 4", "8 4"),
    ),
    Rule(
        _is_za,
        _words(
            r"south african id|identity (?:number|no|document)|id ?(?:number|no|nr|nommer)|rsa id|"
            r"sa id|identiteitsnommer"
        ),
        weak=("13", "6 4 2 1", "6 4 3", "6 4 1 2", "6 4 1 1 1"),
    ),
    Rule(cuit.is_valid, _words("cuit|cuil|c\\.u\\.i\\.[tl]\\.?"), ("11", "2 8 1"), ("2-8-1",)),
    Rule(
        cnic.is_valid,
        _words("cnic|n\\.?i\\.?c\\.? no|national identity card|nadra|nicop|شناختی کارڈ"),
        weak=("5-7-1", "13", "5 7 1"),
    ),
    Rule(
        _is_eg,
        _words(
            "الرقم القوم[يى]|رقم قوم[يى]|رقم البطاقة|بطاقة (?:الرقم|شخصية)|national id|egyptian id"
        ),
        weak=("14",),
    ),
    Rule(
        _is_ir,
        _words("کد ?ملی|كد ?ملي|شماره ملی|کدملی|code ?-?melli|national (?:code|id)"),
        weak=("10", "3-6-1"),
    ),
)
"""Numbers of digits only, but for a letter at their end."""


_OF_NOBODY: Final = ("XAXX010101000", "XEXX010101000")  # SAT: the public, and foreigners


def _is_rfc(number: str) -> bool:
    return number not in _OF_NOBODY and rfc.is_valid(number)


def _is_checked_rfc(number: str) -> bool:
    return _is_rfc(number) and rfc.is_valid(number, validate_check_digits=True)


def _always(_number: str) -> bool:
    return True


_NINO_PREFIX: Final = "(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_CF_BODY: Final = (
    "{0}[A-Z]{{3}}{1}[A-Z]{{3}}{1}[0-9L-NP-V]{{2}}[A-EHLMPRST][0-9L-NP-V]{{2}}{1}"
    "[A-Z][0-9L-NP-V]{{3}}[A-Z]"
)
LETTERED: Final = (
    (r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", True, pan.is_valid,
     _words("permanent account|income tax|पैन|pan (?:card|number|no)", "PAN")),
    (_NINO_PREFIX + r" ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", True, _always,
     _words(r"national insurance|ni (?:number|no)|n\.i\.", "NINO|NI")),
    (_NINO_PREFIX + r"-[0-9]{2}-[0-9]{2}-[0-9]{2}-[A-D]", True, _always,
     _words(r"national insurance|ni (?:number|no)", "NINO|NI")),
    (r"[XYZ]-?[0-9]{7}-?[A-Z]", False, nie.is_valid, _words("nie|n\\.i\\.e\\.?")),
    (r"[A-ZÑ&]{4}[- ]?[0-9]{6}[- ]?[0-9A-Z]{3}", True, _is_rfc,
     _words(r"registro federal|r\.?f\.?c\.?")),
    (r"[A-ZÑ&]{4}[0-9]{6}[0-9A-Z]{2}[0-9A]", False, _is_checked_rfc, _words("(?!)")),
    (r"[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", False, curp.is_valid, _words("curp")),
    (_CF_BODY.format("", ""), False, codicefiscale.is_valid, _words("codice fiscale")),
    (_CF_BODY.format("", " "), False, codicefiscale.is_valid, _words("codice fiscale")),
)  # fmt: skip
"""Numbers that begin with letters: pattern, whether a word is needed, check, words."""
