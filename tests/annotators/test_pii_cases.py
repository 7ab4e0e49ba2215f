"""Personal data: the cases of the package, how they are made, and what is computed from them."""

import json
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pii_cases_generator as made
import pytest

from annotators.pii.annotator import KINDS, Pii
from annotators.pii.evaluation import (
    CASES,
    PiiCase,
    count_hits,
    evaluate_pii,
    read_pii_cases,
    read_texts,
    render_pii,
    sample_hits,
)

KNOWN_MISTAKES = {"Java annotation", "EC number", "DE"}
"""Notes of the cases that the rules do not get right."""


def test_cases_are_those_of_the_templates(tmp_path: Path) -> None:
    made.write_cases(tmp_path)
    names = sorted(path.name for path in CASES.glob("*.jsonl"))
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (CASES / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_cases_are_many_and_of_all_kinds_and_scripts() -> None:
    cases = read_pii_cases()
    assert sum(bool(case.spans) for case in cases) >= 300
    assert sum(case.is_lookalike for case in cases) >= 300
    assert not any(case.spans for case in cases if case.is_lookalike)
    counts = Counter(kind for case in cases for kind, _, _ in case.spans)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 25
    letters = {one for case in cases for one in case.text if one.isalpha()}
    scripts = {unicodedata.name(one).split()[0] for one in letters}
    assert {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "CJK", "HANGUL", "THAI"} <= scripts


def test_cases_are_found_and_lookalikes_left_alone() -> None:
    cases = read_pii_cases()
    scores = evaluate_pii(cases)
    assert {line.split(":")[0] for line in scores.mistakes} <= KNOWN_MISTAKES
    assert scores.num_alarms <= 2
    assert scores.num_cases >= 300
    assert all(one.num_exact == one.num_recalled for one in scores.kinds)


WORDS = {
    "cn_ric": "身份证号", "in_aadhaar": "Aadhaar", "br_cpf": "CPF", "br_cnpj": "CNPJ",
    "ru_inn10": "ИНН", "ru_inn12": "ИНН", "ru_snils": "СНИЛС", "mx_curp": "CURP",
    "de_idnr": "Steuer-ID", "fr_nir": "NIR", "it_cf": "codice fiscale", "es_dni": "DNI",
    "es_nie": "NIE", "uk_nhs": "NHS number", "kr_rrn": "주민등록번호", "jp_my": "マイナンバー",
    "tr_tckn": "TCKN", "pl_pesel": "PESEL", "nl_bsn": "BSN", "se_pnr": "personnummer",
    "za_id": "ID number", "ar_cuit": "CUIT", "ir_id": "کد ملی", "iban_de": "IBAN",
    "iban_gb": "IBAN", "iban_fr": "IBAN", "iban_pk": "IBAN", "iban_br": "IBAN",
}  # fmt: skip


@pytest.mark.parametrize("maker", WORDS)
def test_a_number_counts_with_its_check_digit_only(maker: str) -> None:
    chance = random.Random(maker)
    cases = []
    for _ in range(30):
        number = made._MAKERS[maker](chance)
        lead = f"{WORDS[maker]}: "
        kind = "iban" if maker.startswith("iban") else "national_id"
        start = len(lead.encode())
        spans = ((kind, start, start + len(number)),)
        cases.append(PiiCase(text=lead + number, spans=spans, note=number, is_lookalike=False))
        if maker != "iban_br":  # may end in a letter, which this changes into no other kind
            last = number[-1]
            digits = made.string.digits if last.isdigit() else made.string.ascii_uppercase
            wrong = number[:-1] + digits[(digits.index(last) + 1) % len(digits)]
            cases.append(PiiCase(text=lead + wrong, spans=(), note=wrong, is_lookalike=True))
    found = evaluate_pii(cases)
    kinds = {one.kind: one for one in found.kinds}
    of_kind = kinds["iban" if maker.startswith("iban") else "national_id"]
    assert of_kind.num_exact == of_kind.num_found == 30, found.mistakes


def case(text: str, *spans: tuple[str, int, int], is_lookalike: bool = False) -> PiiCase:
    return PiiCase(text=text, spans=spans, note="made", is_lookalike=is_lookalike)


def test_shares_are_counted_by_overlap_and_exactly() -> None:
    cases = [
        case("to a@b.org or c@d.org", ("email", 3, 10), ("email", 14, 20)),  # one byte short
        case("e@f.org", is_lookalike=True),
        case("nothing here", ("phone", 0, 7)),
    ]
    scores = evaluate_pii(cases)
    email, phone = (next(k for k in scores.kinds if k.kind == name) for name in ("email", "phone"))
    assert (email.num_true, email.num_found, email.num_recalled, email.num_right) == (2, 3, 2, 2)
    assert (email.precision, email.recall, email.exact) == (2 / 3, 1.0, 0.5)
    assert (phone.precision, phone.recall, phone.exact) == (None, 0.0, None)
    assert (scores.num_cases, scores.num_lookalikes, scores.num_alarms) == (2, 1, 1)
    assert len(scores.mistakes) == 3
    table = render_pii(scores, count_hits(one.text for one in cases), mistakes=True)
    assert "email              2      0.667   1.000   0.500    10000.0" in table
    assert "[email: e@f.org]" in table


def test_hits_are_counted_and_shown_with_what_stands_around() -> None:
    texts = ["x"] * 1500 + ["mail a@b.org, thanks"] * 1000
    assert count_hits(texts)["email"] == 4000.0
    assert count_hits([]) == {}
    shown = sample_hits(texts, 3)
    assert shown["email"] == ["mail [email: a@b.org], thanks"] * 3
    assert shown["card"] == []


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        '{"text": "a", "spans": [["email", 0, 2]]}',
        '{"text": "a", "spans": [[1, 0, 1]]}',
        "x",
    ],
)
def test_a_line_that_is_no_case_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"text": "a", "spans": []}) + "\n" + line, encoding="utf-8")
    with pytest.raises(ValueError, match=r"cases\.jsonl, line 2: .*a case is a JSON object"):
        read_pii_cases(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give a \.jsonl file"):
        read_pii_cases(tmp_path)
    with pytest.raises(ValueError, match="give JSON lines with a field text"):
        list(read_texts(tmp_path / "none.jsonl"))
    (tmp_path / "other.jsonl").write_text('{"body": "x"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="no field text"):
        list(read_texts(tmp_path / "other.jsonl"))


def test_the_version_names_the_libraries_that_decide() -> None:
    assert "phonenumbers-" in Pii.version
    assert "stdnum-" in Pii.version
