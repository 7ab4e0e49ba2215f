"""The licence that the last lines of a text say it stands under.

Only the end of a text is read, where pages and files say such things, and only two kinds of
statement count: the address of a Creative Commons deed in a line of licensing words, and a sentence
with such words in which one licence is named wholly. Lines that speak of a picture, of software or
of a site's machinery are passed over, and a page that names two licences has none: each may hold
for a part of it. So most licences that only an icon shows are missed, and few are wrong.
"""

import re
from typing import Final

from annotators.license.names import addresses_in, of_name

TAIL_BYTES: Final = 2000
"""Of the end of a text that are read: some 300 words, a footer."""

_CUE: Final = re.compile(
    r"licen[sc]e|licen[sc]ing|released under|available under|under the terms|lizenz|lizenziert"
    r"|licencia|licença|licenza|licentie|lisens|licens|лицензи|ліцензі|许可|許可|授权|授權"
    r"|ライセンス"
    r"|라이선스|ترخيص|رخصة|giấy phép|lisensi|lisans|rights reserved|gemeinfrei"
    r"|creativecommons\.org",
    re.IGNORECASE,
)
_OF_A_PART: Final = re.compile(
    r"\b(?:photo(?:graph)?|image|picture|bild|foto|imagen|icon|logo|graphi[ck]|font|video|music|code"
    r"|credit|source code|software|plugin|theme|template|script|library|framework)(?:s|er)?\b"
    r"|\b(?:titel|beitrags)?(?:bild|foto)\d*\b|fotos?\b|musik|wikimedia|unsplash|flickr"
    r"|图片|照片|写真|画像",
    re.IGNORECASE,
)
_CANDIDATE: Final = re.compile(
    rb"creative\s?commons|\bCC[ -]?(?:BY|0)|MIT licen|apache licen|free documentation",
    re.IGNORECASE,
)


def speaks_of_a_part(text: str) -> bool:
    """Whether a statement on a licence is about a picture, music or software on the page."""
    return _OF_A_PART.search(text) is not None


def licence_said(tail: bytes) -> str | None:
    """The licence that the end of a text names, or None.

    Args:
        tail: The last `TAIL_BYTES` of UTF-8, whose first character may be cut.
    """
    if _CANDIDATE.search(tail) is None:
        return None
    names: set[str] = set()
    for line in tail.decode("utf-8", "ignore").splitlines():
        if _CUE.search(line) is None or speaks_of_a_part(line):
            continue
        addressed = addresses_in(line)
        named = None if addressed else of_name(line)
        names |= addressed | ({named} if named else set())
    return names.pop() if len(names) == 1 else None
