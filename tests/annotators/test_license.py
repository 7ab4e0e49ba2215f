"""Licences of pages: names, addresses, sentences in several languages, and where they were said."""

import pyarrow as pa
import pytest

from annotators.license.annotator import License
from annotators.license.names import of_address, of_name
from annotators.license.sentences import TAIL_BYTES, licence_said, sentences_of

BY_SA = "https://creativecommons.org/licenses/by-sa/4.0/"


def found(text: str = "", license: str | None = None, **meta: str) -> tuple[str | None, str | None]:
    labels = {
        "license": pa.array([license], pa.string()),
        "meta": pa.array([list(meta.items())], pa.map_(pa.string(), pa.string())),
    }
    row = License()(pa.array([text], pa.large_string()), labels)
    assert row.schema == License.columns
    return row["page_license"][0].as_py(), row["license_signal"][0].as_py()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (BY_SA, "CC-BY-SA-4.0"),
        ("//creativecommons.org/licenses/by-nc-nd/3.0/de/", "CC-BY-NC-ND-3.0-DE"),
        ("http://creativecommons.org/licenses/by-nd-nc/2.0/", "CC-BY-NC-ND-2.0"),
        ("https://creativecommons.org/licenses/by/3.0/deed.de", "CC-BY-3.0"),
        ("https://creativecommons.org/licenses/by/3.0/igo/legalcode", "CC-BY-3.0-IGO"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "GFDL-1.3"),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("https://creativecommons.org/licenses/", None),
        ("https://creativecommons.org/licenses/xx/4.0/", None),
        ("https://example.com/licence", None),
    ],
)
def test_an_address_has_one_name(address: str, name: str | None) -> None:
    assert of_address(address) == name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc-by-nc-nd-3.0", "CC-BY-NC-ND-3.0"),
        ("CC0", "CC0-1.0"),
        ("MIT", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International",
         "CC-BY-NC-SA-4.0"),
        ("Creative Commons Namensnennung - Weitergabe unter gleichen Bedingungen 4.0",
         "CC-BY-SA-4.0"),
        ("知识共享 Creative Commons 署名-非商业性使用 4.0 国际", "CC-BY-NC-4.0"),
        ("Creative Commons", None),  # which of them?
        ("CC BY-NC", None),  # no version
        ("CC BY 4.0 or CC BY-SA 4.0", None),  # two
        ("All rights reserved", None),
        ("© 2024 MIT Press", None),
    ],
)  # fmt: skip
def test_a_name_counts_where_it_is_whole(words: str, name: str | None) -> None:
    assert of_name(words) == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("This work is licensed under a Creative Commons Attribution 4.0 International License.",
         "CC-BY-4.0"),
        ("Text is available under CC BY-SA 3.0; additional terms may apply.", "CC-BY-SA-3.0"),
        ("Dieser Artikel steht unter der Lizenz CC BY-ND 3.0.", "CC-BY-ND-3.0"),
        ("Contenido bajo licencia Creative Commons Reconocimiento 4.0", "CC-BY-4.0"),
        ("Текст доступен по лицензии CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("本文采用 CC BY-NC-SA 4.0 许可协议。", "CC-BY-NC-SA-4.0"),
        ("この記事のライセンスは CC BY 4.0 です。", "CC-BY-4.0"),
        (f"Licence: {BY_SA}", "CC-BY-SA-4.0"),
        ("Photo: A. Nonymous, licensed under CC BY 2.0", None),
        ("Bild: CC BY 2.0, Lizenz siehe dort", None),
        ("The software is released under the MIT License.", None),
        ("She wrote about CC BY 4.0 and its history.", None),
        ("Das Werk ist lizenziert.", None),
    ],
)  # fmt: skip
def test_the_last_lines_say_a_licence(line: str, name: str | None) -> None:
    text = f"Der Mond ist aufgegangen.\n{line}\n"
    assert found(text) == (name, "text" if name else None)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("The photo shows a mill. This page is licensed under CC BY 4.0.", "CC-BY-4.0"),
        ("This page is licensed under CC BY 4.0. Photos are by the author.", "CC-BY-4.0"),
        ("Das Bild zeigt eine Mühle. Dieser Text steht unter der Lizenz CC BY-SA 4.0.",
         "CC-BY-SA-4.0"),
        ("На снимке вид (фото редакции). Текст доступен по лицензии CC BY-SA 4.0.", "CC-BY-SA-4.0"),
        ("图片由读者提供。本文采用 CC BY-NC-SA 4.0 许可协议。", "CC-BY-NC-SA-4.0"),
        ("写真は筆者による。この記事のライセンスは CC BY 4.0 です。", "CC-BY-4.0"),
        ("هل هذا logo؟ هذا النص متاح تحت ترخيص CC BY 4.0.", "CC-BY-4.0"),
        ("यह photo है। यह लेख CC BY-SA 4.0 license के अंतर्गत है।", "CC-BY-SA-4.0"),
        # What is said of the picture stays with it.
        ("The photo shows a mill. It is licensed under CC BY 4.0.", None),
        ("Photo of the harbour by Jane Miller. Licensed under CC BY 2.0.", None),
        ("图片由读者提供。采用 CC BY 4.0 许可协议。", None),
        ("Foto vom 12. Mai 2020, Lizenz CC BY 2.0.", None),
        ("Photo: Prof. A. B. Nonymous, licensed under CC BY 2.0", None),
        ("Photo: The Mill Co. Ltd. Archive, licensed under CC BY 2.0", None),
        # The licensing words are another sentence's.
        ("She told the history of CC BY 4.0. All rights reserved.", None),
    ],
)  # fmt: skip
def test_each_sentence_of_a_line_speaks_for_itself(line: str, name: str | None) -> None:
    assert found(f"{line} ")[0] == name
    assert found(f"Der Mond ist aufgegangen. {line}")[0] == name


def test_sentences_have_every_character_of_their_line() -> None:
    line = "Ver. 3.0 of it! Is 1.5 more? Yes… A. B. said “No”. 是。不是！ نعم؟ हाँ। The end"
    assert "".join(sentences_of(line)) == line
    assert len(list(sentences_of(line))) == 9


def test_sentences_count_at_the_end_only_and_two_licences_are_none() -> None:
    line = "This page is licensed under CC BY 4.0.\n"
    assert licence_said((line + "слово " * 10).encode()) == "CC-BY-4.0"
    assert found(line + "слово " * TAIL_BYTES) == (None, None)
    assert found(line + "This page is licensed under CC BY-SA 4.0.") == (None, None)
    cut = ("я" * TAIL_BYTES + "\n" + line).encode()[-TAIL_BYTES:]  # starts inside a character
    assert licence_said(cut) == "CC-BY-4.0"


def test_the_surest_place_decides() -> None:
    text = "This page is licensed under CC BY 4.0."
    everywhere = {
        "license_link": BY_SA,
        "license_meta": "CC BY-ND 4.0",
        "license_jsonld": "https://creativecommons.org/publicdomain/zero/1.0/",
    }
    assert found(text, "MIT", **everywhere) == ("MIT", "given")
    # Extraction copies the link into the column.
    assert found(text, BY_SA, **everywhere) == ("CC-BY-SA-4.0", "link")
    del everywhere["license_link"]
    assert found(text, **everywhere) == ("CC-BY-ND-4.0", "meta")
    del everywhere["license_meta"]
    assert found(text, **everywhere) == ("CC0-1.0", "json-ld")
    assert found(text, license_meta="© 2024 Example") == ("CC-BY-4.0", "text")


def test_rows_are_judged_alone_and_absent_columns_are_unknown() -> None:
    texts = pa.array(["x", "licensed under CC BY 4.0", "", "\0" * 9], pa.large_string())
    rows = License()(texts, {})
    assert rows["page_license"].to_pylist() == [None, "CC-BY-4.0", None, None]
    sliced = License()(texts.slice(1), {"license": pa.array(["CC0", None, None, "MIT"]).slice(1)})
    assert sliced["page_license"].to_pylist() == ["CC-BY-4.0", None, "MIT"]
    assert License()(texts.slice(0, 0), {}).num_rows == 0
    with pytest.raises(ValueError, match="null"):
        License()(pa.array([None], pa.large_string()), {})
