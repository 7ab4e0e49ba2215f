# ruff: noqa: RUF001, E501 - sentences of several scripts
"""Answers the prompts of mathematics by rules, so that recipes are rehearsed without a model.

Problems are simple and real: sums of goods, linear equations and shares, with numbers drawn from
the key of the request, in the language that was asked for (six; all others get English). A
solver reads such a problem again and solves it in all three styles, right most of the time; by
draw it answers wrongly, without a box, in a loop, by a guess, in another language, with thinking
that comes to another result, with a program that fails or a problem that has two parts, so that
every reason of the recipes occurs in a rehearsal.
"""

import functools
import re
from fractions import Fraction
from typing import Final, NamedTuple

from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.synthesize.mathematics.prompts import shipped_prompts
from pipelines.synthesize.prompts import filled


class _Words(NamedTuple):
    """What problems and solutions say in one language."""

    sum: str
    equation: str
    share: str
    reading: str
    steps: str
    so: str
    program: str
    guess: str


# The number groups of a problem stand in the order n, a, b in every language.
_LANGUAGES: Final = {
    "English": _Words(
        "A shop sells {n} boxes with {a} pencils each and {b} single pencils. How many pencils does "
        "it sell in all?",
        "The number x satisfies {n}x + {a} = {b}. What is x?",
        "A tank of {n} litres is filled to {a} parts in {b}. How many litres are in it?",
        "We write down what is given and compute step by step.",
        "The computation is {steps}, and a check by going backwards gives the numbers we began with.",
        "So the answer is",
        "We compute {steps} with exact fractions.",
        "I guess the answer is",
    ),
    "French": _Words(
        "Un magasin vend {n} boîtes de {a} crayons et {b} crayons seuls. Combien de crayons vend-il "
        "en tout ?",
        "Le nombre x vérifie {n}x + {a} = {b}. Que vaut x ?",
        "Une cuve de {n} litres est remplie à {a} parts sur {b}. Combien de litres contient-elle ?",
        "Nous notons ce qui est donné et calculons pas à pas.",
        "Le calcul est {steps}, et en revenant en arrière nous retrouvons les nombres du début.",
        "Donc la réponse est",
        "Nous calculons {steps} avec des fractions exactes.",
        "Je devine, la réponse est",
    ),
    "Russian": _Words(
        "Магазин продаёт {n} коробок по {a} карандашей и ещё {b} карандашей. Сколько всего карандашей "
        "он продаёт?",
        "Число x удовлетворяет уравнению {n}x + {a} = {b}. Чему равно x?",
        "Бак на {n} литров заполнен на {a} частей из {b}. Сколько литров в баке?",
        "Запишем, что дано, и будем считать шаг за шагом.",
        "Вычисление: {steps}; обратная проверка даёт числа, с которых мы начали.",
        "Итак, ответ:",
        "Вычислим {steps} в точных дробях.",
        "Отвечу наугад, ответ:",
    ),
    "Simplified Chinese": _Words(
        "商店卖出{n}盒铅笔，每盒{a}支，另外还卖出{b}支。一共卖出多少支铅笔？",
        "数x满足{n}x + {a} = {b}。求x的值是多少？",
        "一个容积为{n}升的水箱装了{b}份中的{a}份。水箱里有多少升水？",
        "我们先写出已知条件，然后一步一步地计算，最后再检查结果。",
        "计算过程是{steps}，反过来检验可以得到开始时的数字，所以计算没有错误。",
        "所以答案是",
        "我们用精确的分数计算{steps}。",
        "我猜答案是",
    ),
    "Standard Arabic": _Words(
        "يبيع متجر {n} علبة في كل منها {a} قلما ويبيع {b} قلما منفردا. كم قلما يبيع في المجموع؟",
        "العدد x يحقق {n}x + {a} = {b}. ما قيمة x؟",
        "خزان سعته {n} لترا مملوء بمقدار {a} أجزاء من {b}. كم لترا فيه؟",
        "نكتب المعطيات ثم نحسب خطوة خطوة.",
        "الحساب هو {steps} والتحقق بالعكس يعطي الأعداد التي بدأنا بها.",
        "إذن الجواب هو",
        "نحسب {steps} بكسور دقيقة.",
        "أخمن أن الجواب هو",
    ),
    "Hindi": _Words(
        "एक दुकान {n} डिब्बे बेचती है, हर डिब्बे में {a} पेंसिलें हैं, और {b} अकेली पेंसिलें भी। वह कुल कितनी "
        "पेंसिलें बेचती है?",
        "संख्या x के लिए {n}x + {a} = {b} है। x का मान क्या है?",
        "{n} लीटर की टंकी {b} में से {a} भाग भरी है। उसमें कितने लीटर हैं?",
        "हम दी हुई बातें लिखते हैं और एक एक कदम करके गणना करते हैं।",
        "गणना {steps} है, और उल्टी जाँच से वही संख्याएँ मिलती हैं जिनसे हमने शुरू किया था।",
        "इसलिए उत्तर है",
        "हम {steps} की गणना सटीक भिन्नों से करते हैं।",
        "अंदाज़ा है कि उत्तर है",
    ),
}
_KINDS: Final = ("sum", "equation", "share")
_LANGUAGE: Final = re.compile(r"\bin ([^,.:\n]+)[,.:]")
_NUMBER: Final = re.compile(r"(?:Write|Name up to) (\d+)")
_TAGGED: Final = "<problem>{}</problem>"
_CONCEPTS: Final = ("addition", "linear equations", "fractions", "units", "ratios", "products")


class _Read(NamedTuple):
    """A problem of ours, read back."""

    words: _Words
    steps: str
    """Python that computes the answer."""
    answer: Fraction


def answer(asked: EchoRequest) -> EchoAnswer | None:
    """Answers a request of a recipe of mathematics; None for all others."""
    role = _roles().get(asked.system.strip())
    if role is None:
        return None
    if role in ("problems", "combine"):
        return EchoAnswer(_write(asked, role))
    if role == "concepts":
        return EchoAnswer("\n".join(f"- {one}" for one in _CONCEPTS))
    problem = next((text for who, text in asked.turns if who == "user"), asked.user)
    if role == "check":
        return EchoAnswer("MULTIPART" if problem.count("?") > 1 else "VALID")
    read = _read(problem)
    if role == "direct":
        return EchoAnswer(_boxed(read.answer + (asked.draw(2) if read.answer > 100 else 0)))
    wrong = asked.draw(1000) % 7 == 0
    result = read.answer + (1 + asked.draw(3) if wrong else 0)
    if role == "program_aided":
        return EchoAnswer(_program(asked, read, result))
    if role == "tool_integrated":
        return EchoAnswer(_with_tools(asked, read, result))
    return _chain(asked, read, result)


@functools.cache
def _roles() -> dict[str, str]:
    """System message -> the question it belongs to."""
    prompts = shipped_prompts()
    roles = type(prompts).model_fields
    return {filled(getattr(prompts, role).system, {}).strip(): role for role in roles}


def _write(asked: EchoRequest, role: str) -> str:
    """New problems, in the language that the request names."""
    named = _LANGUAGE.search(asked.user)
    words = _LANGUAGES.get(named[1].strip() if named else "", _LANGUAGES["English"])
    number = _NUMBER.search(asked.user)
    count = int(number[1]) if number and role == "problems" else 1
    if asked.draw(29) == 0:
        return "I would rather not."
    texts = [_problem(words, asked.draw(10**9) + 7919 * place) for place in range(count)]
    if asked.draw(11) == 0:
        texts[-1] += " " + _problem(words, asked.draw(10**6))  # two questions at once
    return "\n".join(_TAGGED.format(text) for text in texts)


def _problem(words: _Words, drawn: int) -> str:
    kind = _KINDS[drawn % 3]
    n, a, b = 2 + drawn // 3 % 19, 2 + drawn // 57 % 37, 3 + drawn // 2109 % 89
    if kind == "share":
        n, a, b = 60 * n, 1 + a % 7, 8
    return str(getattr(words, kind)).format(n=n, a=a, b=b)


def _read(problem: str) -> _Read:
    """Solves one of our problems; any other text is taken for the sum of its numbers."""
    text = problem.split("\n")[-1]
    for words in _LANGUAGES.values():
        for kind in _KINDS:
            match = _pattern(words, kind).search(text)
            if match:
                n, a, b = (int(match[name]) for name in "nab")
                return _Read(words, *_solved(kind, n, a, b))
    numbers = re.findall(r"\d{1,9}", text)[:20] or ["0"]
    steps = " + ".join(numbers)
    return _Read(_LANGUAGES["English"], steps, Fraction(sum(map(int, numbers))))


@functools.cache
def _pattern(words: _Words, kind: str) -> re.Pattern[str]:
    pattern = re.escape(getattr(words, kind))
    for name in "nab":
        pattern = pattern.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>\d+)")
    return re.compile(pattern)


def _solved(kind: str, n: int, a: int, b: int) -> tuple[str, Fraction]:
    if kind == "sum":
        return f"{n} * {a} + {b}", Fraction(n * a + b)
    if kind == "equation":
        return f"({b} - {a}) / {n}", Fraction(b - a, n)
    return f"{n} * {a} / {b}", Fraction(n * a, b)


def _boxed(value: Fraction, drawn: int = 0) -> str:
    """A result in one of several equal forms."""
    if value.denominator == 1:
        return rf"\boxed{{{value.numerator}}}"
    sign = "-" if value < 0 else ""
    above, below = abs(value.numerator), value.denominator
    if drawn % 3 == 1:
        return rf"\boxed{{{sign}{above}/{below}}}"
    command = r"\dfrac" if drawn % 3 == 2 else r"\frac"
    return rf"\boxed{{{sign}{command}{{{above}}}{{{below}}}}}"


def _chain(asked: EchoRequest, read: _Read, result: Fraction) -> EchoAnswer:
    """Prose, and thinking before it; behaves badly by draw."""
    words, fate = read.words, asked.draw(40)
    box = _boxed(result, asked.draw(3))
    thinking = f"{words.reading} {words.steps.format(steps=read.steps)} {box}"
    text = f"{words.reading}\n\n{words.steps.format(steps=read.steps)}\n\n{words.so} {box}"
    if fate == 0:
        text = f"{words.reading} {words.steps.format(steps=read.steps)}"  # no answer at all
    elif fate == 1:
        value = str(result)
        text = f"{words.reading}\n\n{words.steps.format(steps=read.steps)}\n\n{words.so} {value}"
    elif fate == 2:
        text = f"{words.guess} {box}"
    elif fate == 3:
        text = f"{words.reading}\n" + f"{words.steps.format(steps=read.steps)}\n" * 6 + box
    elif fate == 4:
        thinking = f"{words.reading} {_boxed(result + 1)}"
    elif fate == 5:
        other = _LANGUAGES["Russian" if words is not _LANGUAGES["Russian"] else "English"]
        text = f"{other.reading}\n\n{other.steps.format(steps=read.steps)}\n\n{words.so} {box}"
    elif fate == 6:
        text = box
    return EchoAnswer(text, thinking)


def _program(asked: EchoRequest, read: _Read, result: Fraction) -> str:
    """A program, right or wrong, that fails by draw."""
    fate = asked.draw(30)
    told = read.words.program.format(steps=read.steps)
    if fate == 0:
        return told
    body = _code(read, result)
    if fate == 1 and asked.draw(600) < 30:  # rare, for it takes all the time that it may
        body = "while True:\n    pass"
    elif fate == 2:
        body = f"print({read.steps}"
    elif fate == 3:
        body = f"x = {read.steps}"
    elif fate == 4:
        body = "print(1 // 0)"
    return f"{told}\n\n```python\n{body}\n```"


def _code(read: _Read, result: Fraction) -> str:
    exact = re.sub(r"\d+", lambda m: f"Fraction({m[0]})", read.steps)
    off = result - read.answer
    return f"from fractions import Fraction\nprint({exact}{f' + {off}' if off else ''})"


def _with_tools(asked: EchoRequest, read: _Read, result: Fraction) -> str:
    """First a program, then a conclusion from what it printed; by draw it never comes to an end."""
    words = read.words
    outputs = [text for role, text in asked.turns if role == "user"][1:]
    if not outputs or asked.draw(40) == 0:
        return f"{words.reading}\n\n```python\n{_code(read, result)}\n```\nIt prints 42."
    printed = outputs[-1].split("```output\n")[-1].split("\n```")[0].strip()
    return f"{words.steps.format(steps=read.steps)}\n\n{words.so} \\boxed{{{printed}}}"
