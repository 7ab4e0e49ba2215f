"""A text that stands in 500 languages, and edits of it, of which one is held out.

The Universal Declaration of Human Rights, articles 1, 3 and 4 (public domain).
"""

import itertools
import unicodedata

import pyarrow as pa

from pipelines.validation.roots import is_validation, root_hash_of

SHARE = 0.45

DECLARATIONS = {
    "en": [
        "All human beings are born free and equal in dignity and rights.",
        "They are endowed with reason and conscience and should act towards one another in a "
        "spirit of brotherhood.",
        "Everyone has the right to life, liberty and security of person.",
        "No one shall be held in slavery or servitude; slavery and the slave trade shall be "
        "prohibited in all their forms.",
    ],
    "zh": [
        "人人生而自由，在尊严和权利上一律平等。",
        "他们赋有理性和良心，并应以兄弟关系的精神相对待。",
        "人人有权享有生命、自由和人身安全。",
        "任何人不得使为奴隶或奴役；一切形式的奴隶制度和奴隶买卖，均应予以禁止。",
    ],
    "ar": [
        "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
        "وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
        "لكل فرد الحق في الحياة والحرية وسلامة شخصه.",
        "لا يجوز استرقاق أو استعباد أي شخص، ويحظر الاسترقاق وتجارة الرقيق بكافة أوضاعهما.",
    ],
    "hi": [
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
        "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
        "प्रत्येक व्यक्ति को जीवन, स्वाधीनता और वैयक्तिक सुरक्षा का अधिकार है।",
        "कोई भी गुलामी या दासता की हालत में न रखा जाएगा, गुलामी-प्रथा और गुलामों का व्यापार अपने सभी रूपों में "
        "निषिद्ध होगा।",
    ],
}


def is_held_out(text: str) -> bool:
    return bool(is_validation(root_hash_of(pa.array([text], pa.large_string())), SHARE)[0])


def numbered(text: str, *, held_out: bool) -> str:
    """The text with the smallest number behind it with which it is held out, or is not."""
    candidates = (f"{text} {number}" for number in itertools.count(1))
    return next(one for one in candidates if is_held_out(one) == held_out)


def words_of(text: str) -> list[str]:
    """Words by what stands between them; of Han text every letter."""
    plain = text.replace("'", "")
    spaced = "".join(c if unicodedata.category(c)[0] not in "PSZC" else " " for c in plain)
    return [
        w
        for word in spaced.split()
        for w in (word if unicodedata.name(word[0]).startswith("CJK") else [word])
    ]


def edited(language: str) -> dict[str, str]:
    """One held-out text, and others that have to do with it or not, none of which is held out."""
    lines = DECLARATIONS[language]
    whole = numbered(" ".join(lines), held_out=True)
    other = DECLARATIONS["ar" if language == "en" else "en"]
    strange = "".join(chr(ord(c) + 1) if c.isalpha() else c for c in lines[2])
    return {
        "held out": whole,
        "dressed": "«" + whole.upper().replace(" ", "\n") + "»",
        "near copy": numbered(" ".join([*lines[:3], lines[3][::-1]]), held_out=False),
        "quotes half": numbered("\n".join([other[2], *lines[:2]]), held_out=False),
        "unrelated": numbered(strange, held_out=False),
    }
