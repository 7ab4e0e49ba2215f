"""Every registered annotator on texts that nobody meant to write: a label or null, never an error.

The lines of 50 MB take a minute and run where TOKENMILL_SLOW is set.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from annotators.annotator import DOCUMENT_COLUMNS, Annotator
from pipelines.annotate.registry import BUILTIN, spec_of

ROOT = Path(__file__).parents[2]
ZALGO = "".join(letter + "\u0335\u0321\u0489\u035c\u0360" * 6 for letter in "he comes again today")
TEXTS: Mapping[str, str] = {
    "empty": "",
    "blank": " ",
    "whitespace": " \t\n\r\x0b\x0c\u00a0\u2003\u3000\u2028\u2029\n",
    "digits": "0123456789 " * 40,
    "digits of other scripts": "٠١٢٣٤٥٦٧٨٩ ०१२३४५६७८९ ０１２３４５６７８９\n" * 5,
    "punctuation": "?!.,;:-_()[]{}<>|\\/#*+~^°§$%&=`'\"" * 20,
    "emoji": "🙂👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇫🇷" * 30,
    "one letter": "a",
    "one ideograph": "字",
    "nul": "a\x00b\x00\x00 text with NUL bytes\x00",
    "only nul": "\x00" * 50,
    "controls": "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "mixed scripts": "The кот 猫 ネコ 고양이 قطة חתול बिल्ली แมว γάτα կատու კატა ድመት 🐈 " * 3,
    "zalgo": ZALGO,
    "combining alone": "\u0301" * 300,
    "zero width": "\u200b\u200c\u200d\ufeff\u2060" * 50,
    "right to left overrides": "\u202e.txet desrever\u202c \u2067abc\u2069 " * 5,
    "private use and unassigned": "\ue000\uf8ff\U000f0000\U0010fffd\u0378\uffff\ufffe\ufffd" * 10,
    "beyond the plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𒀀𒀁𒀂 𐎀𐎁 \U00020000\U0002a6d6 " * 5,
    "a byte order mark": "\ufeffText behind it.",
    "only newlines": "\n" * 2000,
    "long word": "x" * 5000,
    "long lines": ("word " * 3000 + "\n") * 2,
    "brackets": "(" * 3000 + "[" * 3000,
    "at signs": "@" * 3000 + "a@" * 500,
    "colons and dots": ":" * 1000 + "1." * 1000 + "::" * 500,
    "minus signs": "-----BEGIN PRIVATE KEY-----\n" * 20 + "-" * 1000,
    "latex": "\\" * 500 + "$" * 501 + "\\[" * 100 + "\\begin{" * 100,
    "html": "<" * 500 + "<script>alert('\x00')</script>" * 20 + "&#x110000;&nbsp",
    "percent": "http://" * 50 + "http://[::1" + "%zz%" * 100,
    "surrogates as replaced": "\ufffd\ufffd",
    "turkish dots": "İıIi" * 50 + "ß" * 50 + "ŉǰ",  # change their length when folded
}
_BIG_BYTES = 50_000_000
_BIG = {
    "words": "The tide clock is wrong by 15 minutes, says bell@example.org. ",
    "letters": "x",
    "digits": "4929 1234 ",
    "ideographs": "潮汐钟",
    "brackets": "[](",
}


@pytest.fixture(scope="module", params=sorted(BUILTIN))
def annotator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Annotator:
    """A registered annotator with the options that it cannot do without."""
    return spec_of(request.param, _options(request.param, tmp_path_factory)).annotator


def _options(name: str, factory: pytest.TempPathFactory) -> dict[str, Any]:
    if name == "length":
        return {"tokenizer": str(ROOT / "examples" / "tokenizer")}
    if name == "contamination":
        path = factory.mktemp("benchmark") / "one.jsonl"
        question = "How many clips did Natalia sell altogether in April and May of that year?"
        path.write_text(json.dumps({"question": question}) + "\n")
        return {"benchmarks": [{"name": "one", "path": str(path)}]}
    return {}


def labels_for(annotator: Annotator, texts: pa.Array) -> Iterator[dict[str, pa.Array]]:
    """What an annotator is given beside texts: nulls, and where it asks for labels, those too."""
    yield {name: pa.nulls(len(texts), type_of(name)) for name in annotator.inputs}
    if any(name not in DOCUMENT_COLUMNS for name in annotator.inputs):
        made = spec_of("language", {}).annotator(texts, {})
        known = {name: made.column(name) for name in made.schema.names}
        yield {
            name: known.get(name, pa.nulls(len(texts), type_of(name))) for name in annotator.inputs
        }


def type_of(name: str) -> pa.DataType:
    if name in DOCUMENT_COLUMNS:
        return DOCUMENT_COLUMNS[name]
    for registered in BUILTIN:
        if registered in ("length", "contamination"):
            continue
        columns = spec_of(registered, {}).annotator.columns
        if name in columns.names:
            return columns.field(name).type
    raise AssertionError(f"nobody makes {name}")


def test_every_hostile_text_gets_a_row(annotator: Annotator) -> None:
    texts = pa.array(TEXTS.values(), pa.large_string())
    for labels in labels_for(annotator, texts):
        made = annotator(texts, labels)
        assert made.num_rows == len(texts)
        assert made.schema.names == annotator.columns.names
        assert made.schema.types == annotator.columns.types
        made.validate(full=True)
        for row, name in enumerate(TEXTS):
            alone = annotator(
                texts.slice(row, 1), {key: some.slice(row, 1) for key, some in labels.items()}
            )
            # Whatever else is in the batch, and wherever its buffers begin.
            assert repr(alone.to_pylist()) == repr(made.slice(row, 1).to_pylist()), name


def test_no_text_at_all_gives_no_row(annotator: Annotator) -> None:
    texts = pa.array([], pa.large_string())
    made = annotator(texts, {name: pa.nulls(0, type_of(name)) for name in annotator.inputs})
    assert made.num_rows == 0
    assert made.schema.types == annotator.columns.types


def test_language_of_what_is_no_language_is_und() -> None:
    chosen = (
        *("empty", "blank", "whitespace", "digits", "punctuation", "emoji", "only nul"),
        *("controls", "zero width", "only newlines", "brackets", "surrogates as replaced"),
        *("private use and unassigned", "digits of other scripts"),
    )
    texts = pa.array([TEXTS[name] for name in chosen], pa.large_string())
    made = spec_of("language", {}).annotator(texts, {})
    assert dict(zip(chosen, made.column("language").to_pylist(), strict=True)) == dict.fromkeys(
        chosen, "und"
    )


@pytest.mark.skipif("TOKENMILL_SLOW" not in os.environ, reason="slow: set TOKENMILL_SLOW=1")
@pytest.mark.parametrize("kind", sorted(_BIG))
def test_one_line_of_50_megabytes_gets_a_row(annotator: Annotator, kind: str) -> None:
    """In seconds: nothing is quadratic in the length of a line or of a word."""
    text = _BIG[kind] * (_BIG_BYTES // len(_BIG[kind].encode()))
    texts = pa.array([text], pa.large_string())
    labels = next(labels_for(annotator, texts))
    started = time.process_time()
    assert annotator(texts, labels).num_rows == 1
    print(f"{annotator.name} {kind}: {time.process_time() - started:.1f} s")
