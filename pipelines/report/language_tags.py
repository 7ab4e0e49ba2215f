"""Names and HTML `lang` tags of languages and scripts.

The labels are FLORES-200 codes (`arb_Arab`: ISO 639-3 and ISO 15924). HTML wants BCP 47 (RFC 5646),
which demands the two-letter code of ISO 639-1 where there is one (section 2.2.1) and leaves the
script away where it goes without saying. Browsers choose fonts by it (Japanese, Traditional and
Simplified Chinese draw one character in three ways) and screen readers voices. Two-letter codes and
usual scripts: IANA language subtag registry. FLORES has `Jpan` and `Hang` where the registry's
`Suppress-Script` says Jpan and Kore.
"""

from functools import cache
from typing import Final

from annotators.language.languages import UNDETERMINED, language_labels

# ISO 639-3 code -> primary subtag where it is not the same. Individual languages of a macrolanguage
# take the subtag in common use (zh, ar, fa, ms ...), as RFC 5646, section 4.1.1 allows.
_SUBTAGS: Final = dict(
    pair.split("=")
    for pair in (
        "eng=en fra=fr por=pt deu=de ron=ro swe=sv dan=da bul=bg rus=ru ces=cs ell=el ukr=uk "
        "spa=es nld=nl slk=sk hrv=hr pol=pl lit=lt nob=nb nno=nn pes=fa slv=sl guj=gu lvs=lv "
        "ita=it oci=oc npi=ne mar=mr bel=be srp=sr ltz=lb asm=as cym=cy snd=sd gle=ga fao=fo "
        "hin=hi pan=pa ben=bn ory=or tgk=tg ydd=yi srd=sc glg=gl cat=ca isl=is als=sq lim=li "
        "prs=fa afr=af mkd=mk sin=si urd=ur bos=bs hye=hy zho=zh mya=my arb=ar heb=he mlt=mt "
        "ind=id zsm=ms tgl=tl jav=jv sun=su tam=ta tel=te kan=kn mal=ml tur=tr azj=az uzn=uz "
        "kaz=kk bak=ba tat=tt tha=th lao=lo fin=fi est=et hun=hu vie=vi khm=km jpn=ja kor=ko "
        "kat=ka eus=eu hat=ht swh=sw"
    ).split()
)
_WITH_SCRIPT: Final = {"zho_Hans", "zho_Hant", "yue_Hant", "tgk_Cyrl", "srp_Cyrl", "bos_Latn"}

# ISO 15924 -> English name.
_SCRIPTS: Final = {
    "Arab": "Arabic",
    "Armn": "Armenian",
    "Beng": "Bengali",
    "Cyrl": "Cyrillic",
    "Deva": "Devanagari",
    "Ethi": "Ethiopic",
    "Geor": "Georgian",
    "Grek": "Greek",
    "Gujr": "Gujarati",
    "Guru": "Gurmukhi",
    "Hang": "Hangul",
    "Hani": "Han",
    "Hans": "Simplified Han",
    "Hant": "Traditional Han",
    "Hebr": "Hebrew",
    "Jpan": "Japanese",
    "Khmr": "Khmer",
    "Knda": "Kannada",
    "Laoo": "Lao",
    "Latn": "Latin",
    "Mlym": "Malayalam",
    "Mymr": "Myanmar",
    "Orya": "Oriya",
    "Sinh": "Sinhala",
    "Taml": "Tamil",
    "Telu": "Telugu",
    "Thai": "Thai",
    "Zyyy": "no script of its own",
}


@cache
def _names() -> dict[str, str]:
    return {label.code: label.english_name for label in language_labels()}


def language_name(code: str) -> str:
    """English name of a label; the label itself where it is none of the 119."""
    if code in ("", "null"):
        return "not labelled"
    return "undetermined" if code == UNDETERMINED else _names().get(code, code)


def script_name(code: str) -> str:
    """English name of an ISO 15924 code, or the code; of a language label, that of its script."""
    return _SCRIPTS.get(code.rpartition("_")[2], code.rpartition("_")[2])


def html_lang(code: str) -> str:
    """BCP 47 tag of a label; empty (HTML's word for "unknown") where it is none of the 119."""
    if code not in _names():
        return ""
    language, _, script = code.partition("_")
    subtag = _SUBTAGS.get(language, language)
    return f"{subtag}-{script}" if code in _WITH_SCRIPT else subtag
