"""Languages that a crawl keeps, against what links and pages declare.

A range is a BCP 47 tag, or a code of the 119 languages. It takes a tag by RFC 4647 3.3.1 (basic
filtering: `pt` takes `pt-BR`, not the other way round), but a script or region that only one of the
two names does not part them where the other names none: pages are seldom that exact (`zh-Hant`
takes `zh`, and so does `pt-BR` take `pt`). Three-letter codes equal their two-letter ones, and
members of a macrolanguage its own (`nob` takes `no`, `arz` takes `ar`): IANA language subtag
registry, ISO 639-3.

What is declared is often wrong, so this is a rule for where to look, not a label; the language of a
text is told by its words, later.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from annotators.language.languages import codes, language_labels

# ISO 639-3 code of the 119 = tags in use for it (`/` between equal ones) | wider tags.
_TAGS: Final = (
    "eng=en fra=fr por=pt deu=de ron=ro/mo swe=sv dan=da bul=bg rus=ru ces=cs ell=el ukr=uk spa=es "
    "nld=nl slk=sk hrv=hr|sh pol=pl lit=lt nob=nb|no nno=nn|no pes=fa/fas slv=sl guj=gu lvs=lv/lav "
    "ita=it oci=oc npi=ne/nep mar=mr bel=be srp=sr|sh ltz=lb asm=as cym=cy snd=sd gle=ga fao=fo "
    "hin=hi pan=pa ben=bn ory=or/ori tgk=tg ydd=yi/yid srd=sc glg=gl cat=ca isl=is als=sq/sqi "
    "lim=li prs=prs|fa/fas afr=af mkd=mk sin=si urd=ur bos=bs|sh hye=hy zho=zh/cmn yue=yue|zh "
    "mya=my arb=ar/ara ars=ars|ar/ara apc=apc|ar/ara arz=arz|ar/ara ary=ary|ar/ara acm=acm|ar/ara "
    "acq=acq|ar/ara aeb=aeb|ar/ara heb=he/iw mlt=mt ind=id/in zsm=ms/msa tgl=tl/fil jav=jv/jw "
    "sun=su tam=ta tel=te kan=kn mal=ml tur=tr azj=az/aze uzn=uz/uzb kaz=kk bak=ba tat=tt tha=th "
    "lao=lo fin=fi est=et/ekk hun=hu vie=vi khm=km jpn=ja kor=ko kat=ka eus=eu hat=ht swh=sw/swa"
)
# FLORES-200 scripts that BCP 47 leaves away or writes otherwise: `zho_Hans` alone is exact.
_EXACT_SCRIPTS: Final = ("Hans", "Hant")
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_REGIONS_OF_SCRIPT: Final = {"tw": "hant", "hk": "hant", "mo": "hant", "cn": "hans", "sg": "hans"}


class _Tag(NamedTuple):
    subtag: str
    names: frozenset[str]
    """Of the language; all equal."""
    wider: frozenset[str]
    """Of what it belongs to."""
    script: str | None
    region: str | None


class LanguageRanges:
    """Languages that are wanted; all where there are none.

    Raises:
        ValueError: A tag that is none.
    """

    def __init__(self, ranges: Iterable[str]) -> None:
        self._ranges = tuple(_range(one) for one in ranges)

    @property
    def accepted(self) -> str | None:
        """An Accept-Language field (RFC 9110 12.5.4), for servers that choose; None for all.

        >>> LanguageRanges(["deu_Latn", "pt-BR"]).accepted
        'de, pt-br, *;q=0.1'
        """
        tags = [
            "-".join(part for part in (one.subtag, one.script, one.region) if part)
            for one in self._ranges
        ]
        return ", ".join([*tags, "*;q=0.1"]) if tags else None

    def take(self, declared: str | None) -> bool:
        """Whether a page or link may be of a wanted language.

        Args:
            declared: One or several tags, divided by commas; what is no tag says nothing.

        >>> LanguageRanges(["de", "zho_Hant"]).take("de-AT"), LanguageRanges(["de"]).take("en")
        (True, False)
        """
        if not self._ranges:
            return True
        tags = [tag for item in (declared or "").split(",") if (tag := _parsed(item)) is not None]
        return not tags or any(_fits(one, tag) for one in self._ranges for tag in tags)


def _range(text: str) -> _Tag:
    by_code = {label.code: label for label in language_labels()}
    label = by_code.get(text)
    if label is not None:
        script = label.script.lower() if label.script in _EXACT_SCRIPTS else None
        subtag = _written().get(label.iso639_3, label.iso639_3)
        return _Tag(subtag, *_names(label.iso639_3), script, None)
    tag = _parsed(text)
    if tag is None:
        raise ValueError(
            f"languages: found {text!r}; allowed: BCP 47 tags such as 'de' or 'pt-BR', and codes "
            f"of the 119 languages such as {', '.join(codes()[:3])}"
        )
    return tag


def _parsed(text: str) -> _Tag | None:
    """A tag taken apart; None for what is none, such as `x-default` or a sentence."""
    text = text.strip()
    if not _TAG.fullmatch(text):
        return None
    first, *rest = text.lower().replace("_", "-").split("-")
    script = next((part for part in rest[:2] if len(part) == 4 and part.isalpha()), None)
    region = next((part for part in rest[:3] if len(part) == 2 or part.isdigit()), None)
    if first in ("zh", "zho", "cmn", "yue") and script is None:
        script = _REGIONS_OF_SCRIPT.get(region or "")
    return _Tag(first, *_names(first), script, region)


def _names(subtag: str) -> tuple[frozenset[str], frozenset[str]]:
    """(equal names, names of what it belongs to) of a primary subtag."""
    return _known().get(subtag, (frozenset([subtag]), frozenset()))


@cache
def _written() -> dict[str, str]:
    """ISO 639-3 code -> the tag that is written for it."""
    pairs = (pair.split("=") for pair in _TAGS.split())
    return {code: tags.split("|")[0].split("/")[0] for code, tags in pairs}


@cache
def _known() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for pair in _TAGS.split():
        code, _, tags = pair.partition("=")
        equal, _, wider = tags.partition("|")
        names = frozenset([code, *equal.split("/")])
        known |= dict.fromkeys(names, (names, frozenset(wider.split("/")) - {""}))
    return known


def _fits(wanted: _Tag, declared: _Tag) -> bool:
    meet = wanted.names & (declared.names | declared.wider) or wanted.wider & declared.names
    if not meet:
        return False
    return all(
        mine is None or theirs is None or mine == theirs
        for mine, theirs in (
            (wanted.script, declared.script),
            (wanted.region, declared.region),
        )
    )
