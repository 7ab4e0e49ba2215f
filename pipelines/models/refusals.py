"""Whether an answer is a refusal: short, and begun as models begin when they decline.

Endpoints mark few refusals; most are ordinary answers that say so in the language of the question.
Phrases are looked for at the beginning of short answers alone, because a longer text may well begin
with "I am sorry". They are plain beginnings, gathered here for 27 languages, and grow with what is
met; another language's refusals pass as text.
"""

import re
from typing import Final

_SHORT: Final = 400
"""Characters; a refusal explains itself in a few sentences."""

_BEGINNINGS: Final[dict[str, tuple[str, ...]]] = {
    "en": (
        "i'm sorry",
        "i am sorry",
        "i'm very sorry",
        "sorry,",
        "sorry but",
        "i apologize",
        "i apologise",
        "as an ai",
        "i can't",
        "i cannot",
        "i can not",
        "i am unable",
        "i'm unable",
        "i am not able",
        "i'm not able",
        "i won't",
        "unfortunately, i",
        "we are sorry, but",
    ),
    "de": ("es tut mir leid", "tut mir leid", "leider kann ich", "ich kann dir", "ich kann ihnen"),
    "fr": ("désolé", "je suis désolé", "je ne peux pas", "je ne suis pas", "malheureusement, je"),
    "es": ("lo siento", "no puedo", "lamento no"),
    "pt": ("desculpe", "sinto muito", "não posso", "lamento, mas"),
    "it": ("mi dispiace", "non posso", "purtroppo non"),
    "nl": ("het spijt me", "sorry, maar", "ik kan geen", "ik kan niet"),
    "sv": ("jag kan inte", "jag kan tyvärr", "tyvärr kan jag", "jag är ledsen"),
    "pl": ("przykro mi", "przepraszam", "nie mogę", "niestety nie"),
    "cs": ("omlouvám se", "je mi líto", "bohužel n"),
    "ro": ("îmi pare rău", "nu pot"),
    "hu": ("bocsánat", "sajnálom", "sajnos nem"),
    "tr": ("üzgünüm", "özür dilerim", "maalesef"),
    "ru": ("извините", "простите", "к сожалению, я", "я не могу"),
    "uk": ("вибачте", "на жаль, я", "я не можу"),
    "el": ("λυπάμαι", "συγγνώμη", "δεν μπορώ"),
    "zh": ("抱歉", "很抱歉", "对不起", "對不起", "我无法", "我無法", "我不能"),
    "ja": ("申し訳", "すみません", "ごめんなさい"),
    "ko": ("죄송합니다", "죄송하지만", "미안하지만"),
    "ar": ("عذرا", "عذرًا", "أعتذر", "آسف", "لا أستطيع", "لا يمكنني"),
    "fa": ("متأسفم", "متاسفم", "متأسفانه"),
    "he": ("מצטער", "אני מצטער", "איני יכול"),
    "hi": ("क्षमा करें", "मुझे खेद है", "माफ़ कीजिए"),
    "bn": ("দুঃখিত", "আমি দুঃখিত"),
    "th": ("ขออภัย", "ขอโทษ"),
    "vi": ("xin lỗi", "tôi không thể"),
    "id": ("maaf,", "saya tidak dapat", "saya tidak bisa"),
}
_REFUSAL: Final = re.compile(
    r"\W*(?:" + "|".join(re.escape(one) for few in _BEGINNINGS.values() for one in few) + ")"
)


def refuses(answer: str) -> bool:
    """Whether an answer declines to answer.

    >>> refuses("I'm sorry, but I can't read this."), refuses("我无法读取图片。")
    (True, True)
    """
    text = answer.strip().lower().replace("\u2019", "'")
    return len(text) <= _SHORT and _REFUSAL.match(text) is not None
