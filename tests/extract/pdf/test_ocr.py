"""The seam of OCR engines: names, what is no engine, and an engine of one's own in a file."""

import re
import sys

import numpy as np
import pytest
from pdf_files import picture, scan_of

from pipelines.config import PdfConfig
from pipelines.extract.pdf.document import read_pdf
from pipelines.extract.pdf.ocr import OcrEngine, Reading, ocr_engine
from pipelines.extract.pdf.ocr_echo import EchoOcr
from pipelines.extract.pdf.versions import pdf_versions

ECHO = "pipelines.extract.pdf.ocr_echo:EchoOcr"


class Unable:
    """An engine that knows that it cannot read."""

    name = "unable/2"

    def read(self, image: np.ndarray) -> Reading:
        return Reading(reason="ocr_unread_script", message="runes", confidence=0.1)


class Broken:
    name = "broken/1"

    def read(self, image: np.ndarray) -> Reading:
        raise RuntimeError("the model is not at home")


MADE = Unable()


def made() -> OcrEngine:
    return MADE


def test_engines_are_found_by_name_and_made_once() -> None:
    assert isinstance(ocr_engine(ECHO), EchoOcr)
    assert ocr_engine(ECHO) is ocr_engine(ECHO)
    assert ocr_engine("rapidocr").name.startswith("rapidocr/")


def test_an_object_a_class_and_a_function_are_all_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "own_ocr", sys.modules[__name__])
    names = [ocr_engine(f"own_ocr:{what}").name for what in ("MADE", "Unable", "made")]
    assert names == ["unable/2"] * 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tesseract", "it can be rapidocr, none, or module:object"),
        ("no_such_module:Engine", "cannot be imported here"),
        ("pipelines.extract.pdf.ocr_echo:Eccho", "cannot be imported here"),
        ("math:pi", "a float and no OCR engine"),
        ("pathlib:Path", "no OCR engine"),
    ],
)
def test_what_is_no_engine_is_refused_before_work(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ocr_engine(name)


def test_configuration_takes_names_of_engines_only() -> None:
    assert PdfConfig(ocr=ECHO).ocr == ECHO
    for wrong in ("tesseract", "pipelines:", ":x", "a b:c"):
        with pytest.raises(ValueError, match=r"rapidocr, vl \(a model\), none, or module:object"):
            PdfConfig(ocr=wrong)


def test_the_engine_is_part_of_what_reads_pages() -> None:
    assert pdf_versions(PdfConfig(ocr=ECHO))["ocr"] == "echo/1"
    assert "ocr" not in pdf_versions(PdfConfig(ocr="none"))


def test_what_an_engine_says_becomes_the_text_and_its_name_the_model() -> None:
    row = read_pdf(scan_of(picture(["Two horses"])), PdfConfig(ocr=ECHO))
    assert row.text is not None
    assert re.fullmatch(r"picture 1600 x 53\d [0-9a-f]{16}", row.text)
    assert (row.kind, row.model) == ("transcribed", "echo/1")
    assert row.extractor.endswith("+echo/1")
    assert [(p.outcome, p.reader, p.confidence) for p in row.pages or ()] == [
        ("ocr", "echo/1", 1.0)
    ]


@pytest.mark.parametrize(
    ("engine", "reason", "message", "confidence"),
    [
        ("Unable", "ocr_unread_script", "runes", 0.1),
        ("Broken", "ocr_failed", "RuntimeError: the model is not at home", None),
    ],
)
def test_what_an_engine_cannot_read_is_a_reject_in_its_words(
    engine: str,
    reason: str,
    message: str,
    confidence: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "own_ocr", sys.modules[__name__])
    row = read_pdf(scan_of(picture(["Two horses"])), PdfConfig(ocr=f"own_ocr:{engine}"))
    assert row.text is None
    assert [(p.outcome, p.reason, p.message, p.confidence) for p in row.pages or ()] == [
        ("rejected", reason, message, confidence)
    ]


def test_a_reading_is_a_text_or_a_reason() -> None:
    for wrong in ({}, {"text": "a", "reason": "b"}):
        with pytest.raises(ValueError, match="either a text or the reason"):
            Reading(**wrong)
