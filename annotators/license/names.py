"""From what pages write of licences to SPDX identifiers.

Addresses decide first: each Creative Commons deed has its own (`/licenses/by-sa/4.0/`), and so have
the licences of GNU, Apache and the Open Source Initiative. Names are read where they are whole: a
Creative Commons licence has its elements and its version, else it is no identifier and stays
unknown. A port to a country is another text and keeps its suffix (CC-BY-SA-3.0-DE); SPDX lists some
of these ports, and writes the others the same way.

Sources: SPDX licence list 3.25; creativecommons.org, addresses of deeds.
"""

import re
from typing import Final

_ELEMENTS: Final = (
    "by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "by-nd-nc", "sa", "nc", "nd", "nc-sa",
)  # fmt: skip
_DEED: Final = re.compile(
    r"creativecommons\.org/(?:(?P<kind>licenses)/(?P<elements>[a-z]{2}(?:-[a-z]{2}){0,2})"
    r"|publicdomain/(?P<tool>zero|mark))/(?P<version>[1-4]\.[0-9])"
    r"(?:/(?P<port>[a-z]{2}|igo|scotland)(?![a-z._]))?",
    re.IGNORECASE,
)
_ADDRESSES: Final = (
    (re.compile(r"gnu\.org/(?:copyleft|licenses)/fdl-(1\.[123])"), "GFDL-{}"),
    (re.compile(r"gnu\.org/licenses/(?:old-licenses/)?(l?gpl|agpl)-([123]\.[01])"), "{}-{}"),
    (re.compile(r"apache\.org/licenses/LICENSE-2\.0", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"opensource\.org/licenses?/mit\b", re.IGNORECASE), "MIT"),
    (re.compile(r"opensource\.org/licenses?/apache-2\.0", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"opensource\.org/licenses?/bsd-([23])-clause", re.IGNORECASE), "BSD-{}-Clause"),
    (re.compile(r"opendatacommons\.org/licenses/odbl/1[.-]0"), "ODbL-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/by/1[.-]0"), "ODC-By-1.0"),
    (re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence/version/([123])"),
     "OGL-UK-{}.0"),
)  # fmt: skip

_LONG: Final = (
    (r"attribution|namensnennung|paternit[éy]|atribuci[óo]n|atribuição|attribuzione|reconocimiento"
     r"|naamsvermelding|tillskrivning|署名|表示", "by"),
    (r"non[\s-]?commercial|nicht[\s-]?kommerziell|(?:pas d.utilisation|non) commerciale?"
     r"|no\s?comercial|não\s?comercial|niet[\s-]?commercieel|非商业性使用|非商業性|非営利", "nc"),
    (r"share[\s-]?alike|weitergabe unter gleichen bedingungen|partage dans les mêmes"
     r"|partage à l.identique|compartir\s?igual|compartilha\s?igual"
     r"|condividi allo stesso modo|gelijk\s?delen"
     r"|相同方式共享|相同方式分享|継承", "sa"),
    (r"no[\s-]?deriv(?:ative|ate)?s?(?:\s+works)?|keine bearbeitung(?:en)?|pas de modification"
     r"|sin\s?(?:obra)?derivadas?|sem\s?derivações|禁止演绎|禁止改作|改変禁止", "nd"),
)  # fmt: skip
_ELEMENT: Final = re.compile("|".join(f"(?P<{name}>{words})" for words, name in _LONG), re.I)
_VERSION: Final = re.compile(r"(?<![\d.])([1-4]\.[0-9])(?![\d.]*\d)")
_SHORT: Final = re.compile(
    r"\bCC[\s-]?(BY(?:[\s-](?:NC|SA|ND)){0,2})[\s-]*(?:v|version\s)?([1-4]\.[0-9])(?![\d.]*\d)",
    re.I,
)
_ZERO: Final = re.compile(r"\bCC[\s-]?0\b|\bCC[\s-]Zero\b", re.I)
_OTHERS: Final = (
    (re.compile(r"\bMIT(?:[\s-]style)? licen[sc]e\b|^MIT$", re.I), "MIT"),
    (re.compile(r"\bapache (?:software )?licen[sc]e,? (?:version )?2\b|^apache-2\.0$", re.I),
     "Apache-2.0"),
    (re.compile(r"\bGNU free documentation licen[sc]e,? version (1\.[123])\b", re.I), "GFDL-{}"),
    (re.compile(r"^(?:GFDL|FDL)-(1\.[123])(?:-or-later|-only)?$", re.I), "GFDL-{}"),
    (re.compile(r"^BSD-([23])-Clause$", re.I), "BSD-{}-Clause"),
    (re.compile(r"^ODC-By-1\.0$", re.I), "ODC-By-1.0"),
    (re.compile(r"^ODbL-1\.0$", re.I), "ODbL-1.0"),
)  # fmt: skip


def of_address(text: str) -> str | None:
    """The licence that the first address of one in a text stands for.

    Args:
        text: An address, or text that holds one.
    """
    deed = _DEED.search(text)
    if deed is not None:
        return _of_deed(deed)
    for pattern, name in _ADDRESSES:
        found = pattern.search(text)
        if found is not None:
            return name.format(*(part.upper() for part in found.groups()))
    return None


def addresses_in(text: str) -> set[str]:
    """All Creative Commons licences whose addresses stand in a text."""
    found = {_of_deed(deed) for deed in _DEED.finditer(text)}
    return {name for name in found if name is not None}


def of_name(text: str) -> str | None:
    """The licence that a text names, or None where it names none wholly, or two.

    Args:
        text: A field or a sentence, as a page has it.
    """
    names = {
        f"CC-{found[1].upper().replace(' ', '-')}-{found[2]}" for found in _SHORT.finditer(text)
    }
    names = {name for name in names if name.split("-", 1)[1].rsplit("-", 1)[0].lower() in _ELEMENTS}
    if _ZERO.search(text):
        names.add("CC0-1.0")
    if not names and "creative" in text.lower():
        long = _of_long_name(text)
        names |= {long} if long else set()
    for pattern, name in _OTHERS:
        found = pattern.search(text.strip())
        if found is not None:
            names.add(name.format(*found.groups()))
    return names.pop() if len(names) == 1 else None


def _of_long_name(text: str) -> str | None:
    """Creative Commons Attribution-ShareAlike 4.0, in several languages."""
    start = text.lower().index("creative")
    behind = text[start : start + 160]
    version = _VERSION.search(behind)
    if version is None:
        return None
    there = {found.lastgroup for found in _ELEMENT.finditer(behind[: version.start()])}
    elements = "-".join(one for one in ("by", "nc", "sa", "nd") if one in there)
    return f"CC-{elements.upper()}-{version[1]}" if elements in _ELEMENTS else None


def _of_deed(deed: "re.Match[str]") -> str | None:
    if deed["tool"]:
        return "CC0-1.0" if deed["tool"].lower() == "zero" else "CC-PDM-1.0"
    elements = deed["elements"].lower().replace("by-nd-nc", "by-nc-nd")
    if elements not in _ELEMENTS:
        return None
    port = f"-{deed['port'].upper()}" if deed["port"] else ""
    return f"CC-{elements.upper()}-{deed['version']}{port}"
