"""Planned tokens and judging: what is known of a document before its text is read."""

import numpy as np
import pyarrow as pa
import pytest

from annotators.pii.annotator import Pii
from annotators.text.cuts import CUT, apply_cuts
from mixtures.errors import MixtureError
from mixtures.expressions import ELIGIBLE
from mixtures.spec import REDACTABLE, Stage
from pipelines.mix.judge import VALIDATION, columns_to_judge, judge
from pipelines.mix.planned import count_replacements, planned_tokens

PII = Pii.columns.field("pii").type
TOKENS = {"email": 3, "ip": 5, "phone": 7}
TEXT = "Écrire à ann@uni-köln.example, tél. +33 1 23 45 67 89. 電話です。🙂"

Spans = list[tuple[str, int, int]]


def table(rows: list[Spans | None], **columns: object) -> pa.Table:
    n = len(rows)
    keys = ("kind", "start", "end")
    spans = [None if r is None else [dict(zip(keys, s, strict=True)) for s in r] for r in rows]
    own: dict[str, object] = {
        "num_tokens": pa.array([100] * n, pa.int64()),
        "num_bytes": pa.array([400] * n, pa.int64()),
        "pii": pa.array(spans, PII),
        "duplicate_role": ["alone"] * n,
    }
    return pa.table({**own, **columns})


@pytest.mark.parametrize(
    ("spans", "planned"),
    [
        ([], 101),
        ([("email", 0, 40)], 90 + 3 + 1),
        ([("email", 0, 40), ("phone", 360, 400)], 80 + 3 + 7 + 1),
        ([("phone", 20, 60), ("email", 0, 40)], 85 + 3 + 1),  # overlap: one cut, as the first
        ([("email", 0, 40), ("phone", 40, 80)], 80 + 3 + 7 + 1),  # touching are two
        ([("email", 0, 80), ("phone", 10, 20), ("ip", 70, 90)], 80 + 1),  # 77.5 + 3, to even
        ([("card", 0, 400)], 101),  # not asked for
        ([("email", 0, 400)], 3 + 1),
    ],
)
def test_planned_tokens_follow_the_cuts(spans: Spans, planned: int) -> None:
    labels = table([[], spans, [("ip", 0, 4)]])
    found = planned_tokens(stage_of(redact=["email", "ip", "phone"]), labels, TOKENS)
    assert found.tokens.tolist() == [101, planned, 99 + 5 + 1]
    assert found.tokens.dtype == np.int64
    assert not found.cut_to_nothing.any()


def test_planned_tokens_without_redaction_are_those_of_the_label() -> None:
    labels = table([[("email", 0, 40)]]).select(["num_tokens"])
    found = planned_tokens(stage_of(), labels, {})
    assert (found.tokens.tolist(), found.cut_to_nothing.tolist()) == ([101], [False])


def test_kept_bytes_are_those_that_the_cutter_keeps() -> None:
    chance = np.random.default_rng(5)
    text = TEXT.encode()
    starts = [i for i in range(len(text)) if text[i] & 0xC0 != 0x80]
    for _ in range(50):
        ends = [*starts, len(text)]
        pairs = [sorted(chance.choice(len(ends), 2, replace=False)) for _ in range(3)]
        spans = [("email", ends[low], ends[high]) for low, high in pairs]
        cuts = [{"start": s, "end": e, "replacement": ""} for _, s, e in spans]
        kept = apply_cuts(pa.array([TEXT], pa.large_string()), pa.array([cuts], pa.list_(CUT)))
        one_a_byte = pa.array([len(text)], pa.int64())
        labels = table([spans], num_tokens=one_a_byte, num_bytes=one_a_byte)
        (planned,), _ = planned_tokens(stage_of(redact=["email"]), labels, {"email": 0})
        assert planned - 1 == len(kept[0].as_py().encode())


def test_labels_without_bytes_are_refused() -> None:
    labels = table([[]]).drop_columns(["num_bytes"])
    with pytest.raises(MixtureError, match=r"no column 'num_bytes'; make the labels set 'length'"):
        planned_tokens(stage_of(redact=["email"]), labels, TOKENS)


def test_span_outside_its_document_is_refused() -> None:
    with pytest.raises(MixtureError, match=r"span \[390, 410\) in a document of 400 bytes"):
        planned_tokens(stage_of(redact=["email"]), table([[], [("email", 390, 410)]]), TOKENS)


def test_replacements_are_counted_by_the_tokenizer(tokenizer: str) -> None:
    counted = count_replacements(tokenizer)
    assert set(counted) == set(REDACTABLE)
    assert all(1 <= tokens <= 8 for tokens in counted.values())


def stage_of(**settings: object) -> Stage:
    return Stage.model_validate({"name": "s", "sequence_length": 64, "tokens": "max", **settings})


def test_documents_are_set_aside_before_where_is_asked() -> None:
    labels = table(
        [[], [], None, [], [], [], []],
        duplicate_role=["alone", "repeated_record", *["alone"] * 5],
        split=["train", "validation", "train", "validation", "near_validation", None, "train"],
        num_tokens=pa.array([100, 100, 100, 100, 100, 100, None], pa.int64()),
    )
    judged = judge(stage_of(redact=["email"]), labels, TOKENS)
    assert judged.rows.tolist() == [0]
    assert judged.tokens.tolist() == [101]
    assert +judged.reasons == {
        ELIGIBLE: 1,
        "repeated_record": 1,
        "not_labelled": 3,
        "validation": 1,
        "near_validation": 1,
    }
    assert judged.reasons.total() == labels.num_rows
    assert judged.not_eligible == 6


def test_held_out_documents_are_judged_by_where_alone() -> None:
    labels = table(
        [[]] * 4,
        split=["train", "validation", "validation", "near_validation"],
        duplicate_role=["alone", "alone", "duplicate", "alone"],
    )
    stage = stage_of(where="duplicate_role = 'alone'")
    judged = judge(stage, labels, {}, split=VALIDATION)
    assert judged.rows.tolist() == [1, 2]
    assert judged.selection.eligible.tolist() == [True, False]
    assert judge(stage, labels.drop_columns(["split"]), {}, split=VALIDATION).rows.tolist() == []


def test_text_as_codes_is_judged_as_text() -> None:
    labels = table([[]] * 3, duplicate_role=["alone", None, "repeated_record"])
    stage = stage_of(where="duplicate_role is null", group_by="duplicate_role")
    place = labels.schema.get_field_index("duplicate_role")
    coded = labels.set_column(place, "duplicate_role", labels["duplicate_role"].dictionary_encode())
    for given in (labels, coded):
        judged = judge(stage, given, {})
        assert judged.rows.tolist() == [0, 1]
        assert judged.selection.eligible.tolist() == [False, True]
        assert judged.selection.group.to_pylist()[1] == "null"


def test_columns_are_those_of_expressions_cuts_and_splits() -> None:
    schema = pa.schema(
        [
            pa.field(name, kind)
            for name, kind in {
                "uri": pa.string(),
                "num_tokens": pa.int64(),
                "num_bytes": pa.int64(),
                "pii": PII,
                "duplicate_role": pa.string(),
                "split": pa.string(),
                "language": pa.string(),
            }.items()
        ]
    )
    plain = stage_of(where="language = 'eng_Latn'")
    assert columns_to_judge([plain], schema) == [
        "num_tokens",
        "duplicate_role",
        "split",
        "language",
    ]
    cut = stage_of(redact=["ip"])
    assert columns_to_judge([plain, cut], schema) == schema.names[1:]
