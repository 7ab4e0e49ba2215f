"""Which spans a stage takes out of a document, and that planning and cutting agree on them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from label_workspace import CUT_SETS

from annotators.pii.annotator import Pii
from annotators.text.cuts import apply_cuts
from mixtures.errors import MixtureError
from mixtures.expressions import CUT_TO_NOTHING, ELIGIBLE
from mixtures.spec import CUT_LABELS, CUTTABLE, Stage
from pipelines.mix.cut_spans import spans_of
from pipelines.mix.judge import columns_to_judge, judge
from pipelines.mix.planned import planned_tokens
from pipelines.shards.redaction import cuts_of

TEXT = "mail@site.example: 電話 +33 1 23. Écrire? नाव! 🙂\n\u3000قارب"
TYPES = {
    "pii": Pii.columns.field("pii").type,
    **{field.name: field.type for schema in CUT_SETS.values() for field in schema},
}
FLAGS = {"contamination_spans": "contaminated", "repeats": "first"}

Span = tuple[int, int] | tuple[int, int, bool | None] | tuple[int, int, str]


def stage_of(**settings: object) -> Stage:
    return Stage.model_validate({"name": "s", "sequence_length": 64, "tokens": "max", **settings})


def table(num_bytes: int = 400, **columns: list[list[Span] | None]) -> pa.Table:
    """Documents of 100 tokens with spans (start, end and a kind or flag) in some columns."""
    (n,) = {len(rows) for rows in columns.values()}
    made: dict[str, Any] = {
        "num_tokens": pa.array([100] * n, pa.int64()),
        "num_bytes": pa.array([num_bytes] * n, pa.int64()),
        "duplicate_role": ["alone"] * n,
    }
    for name, rows in columns.items():
        third = FLAGS.get(name, "kind")
        spans = [
            None
            if row is None
            else [dict(zip(("start", "end", third), span, strict=False)) for span in row]
            for row in rows
        ]
        made[name] = pa.array(spans, TYPES[name])
    return pa.table(made)


def cut(stage: Stage, text: str, **columns: list[Span]) -> str:
    labels = table(len(text.encode()), **{name: [spans] for name, spans in columns.items()})
    texts = pa.array([text], pa.large_string())
    (found,) = apply_cuts(texts, cuts_of(spans_of(stage, labels))).to_pylist()
    return str(found)


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ({"boilerplate": [(0, 2), (4, 6)]}, "23678 9"),
        ({"contamination_spans": [(0, 2, True), (4, 6, False)]}, "2345678 9"),
        ({"contamination_spans": [(0, 2, None)]}, "2345678 9"),
        ({"repeats": [(0, 2, True), (4, 6, False), (5, 7, None)]}, "0123678 9"),
        # Cuts of several labels that overlap are one; those that touch are two.
        ({"boilerplate": [(1, 4)], "repeats": [(3, 6, False)]}, "0678 9"),
        ({"boilerplate": [(1, 4)], "contamination_spans": [(4, 6, True)]}, "0678 9"),
        # Personal data: beside a cut, over its edges, around it, inside it.
        ({"pii": [(1, 3, "email")], "boilerplate": [(3, 5)]}, "0<email>5678 9"),
        ({"pii": [(1, 3, "email")], "boilerplate": [(2, 5)]}, "0<email>5678 9"),
        ({"pii": [(4, 6, "email")], "boilerplate": [(2, 5)]}, "01678 9"),
        ({"pii": [(1, 6, "email")], "boilerplate": [(2, 4)]}, "0<email>678 9"),
        ({"pii": [(2, 4, "email")], "boilerplate": [(1, 6)]}, "0678 9"),
        ({"pii": [(1, 4, "email")], "boilerplate": [(1, 6)]}, "0678 9"),
        ({"pii": [(1, 6, "email")], "boilerplate": [(1, 6)]}, "0678 9"),
        ({"pii": [(1, 6, "email")], "repeats": [(1, 6, True)]}, "0<email>678 9"),
        ({"pii": [(1, 6, "phone")], "boilerplate": [(7, 8)]}, "01234568 9"),
        # Inside two cuts that touch, in none of them alone.
        ({"pii": [(1, 6, "email")], "boilerplate": [(1, 3), (3, 7)]}, "078 9"),
        ({"pii": [(2, 5, "email")], "boilerplate": [(1, 3), (3, 7)]}, "078 9"),
    ],
)
def test_cuts_settle_together(spans: dict[str, list[Span]], wanted: str) -> None:
    kinds = tuple(name for name in CUTTABLE if CUT_LABELS[name] in spans)
    stage = stage_of(redact=["email"] if "pii" in spans else [], cut=kinds)
    assert cut(stage, "012345678 9", **spans) == wanted


def test_spans_of_one_document_do_not_reach_into_another() -> None:
    labels = table(
        boilerplate=[[(0, 300)], [], [(10, 20)]],
        pii=[[], [(0, 5, "email"), (290, 299, "ip")], [(20, 25, "email")]],
    )
    spans = spans_of(stage_of(redact=["email", "ip"], cut=["boilerplate"]), labels)
    assert not spans.inside.any()
    assert {kind: found.tolist() for kind, found in spans.by_kind().items()} == {
        "email": [0, 1, 1],
        "ip": [0, 1, 0],
        "boilerplate": [1, 0, 1],
    }


def test_personal_data_inside_a_cut_is_counted_and_leaves_no_mark() -> None:
    labels = table(boilerplate=[[(0, 100)]], pii=[[(0, 5, "email"), (95, 100, "email")]])
    stage = stage_of(redact=["email"], cut=["boilerplate"])
    spans = spans_of(stage, labels)
    assert {kind: found.tolist() for kind, found in spans.by_kind().items()} == {
        "email": [2],
        "boilerplate": [1],
    }
    assert cuts_of(spans).to_pylist() == [[{"start": 0, "end": 100, "replacement": ""}]]
    assert planned_tokens(stage, labels, {"email": 3}).tokens.tolist() == [76]


def test_plan_keeps_the_bytes_that_the_cutter_keeps() -> None:
    chance = np.random.default_rng(3)
    text = TEXT.encode()
    edges = [at for at in range(len(text) + 1) if at == len(text) or text[at] & 0xC0 != 0x80]
    stage = stage_of(redact=["email", "ip"], cut=list(CUTTABLE))
    texts = pa.array([TEXT], pa.large_string())
    seen_inside = seen_nothing = 0

    def some(third: list[Any]) -> list[Span]:
        pairs = [sorted(chance.choice(edges, 2, replace=False)) for _ in range(chance.integers(3))]
        return [(int(low), int(high), third[chance.integers(len(third))]) for low, high in pairs]

    for _ in range(400):
        labels = table(
            len(text),
            pii=[some(["email", "ip", "card"])],
            boilerplate=[some(["line", "paragraph"])],
            repeats=[some([True, False])],
            contamination_spans=[some([True, False])],
        )
        labels = labels.set_column(0, "num_tokens", pa.array([len(text)], pa.int64()))
        spans = spans_of(stage, labels)
        (left,) = apply_cuts(texts, cuts_of(spans)).to_pylist()
        replaced = left.count("<email>") + left.count("<ip>")
        plain = left.replace("<email>", "").replace("<ip>", "")
        found = planned_tokens(stage, labels, {"email": 1000, "ip": 1000})
        assert found.tokens.tolist() == [len(plain.encode()) + 1000 * replaced + 1]
        assert found.cut_to_nothing.tolist() == [left == ""]
        seen_inside += int(spans.inside.any())
        seen_nothing += left == ""
    assert seen_inside > 20
    assert seen_nothing > 2


def test_document_cut_to_nothing_is_out_where_it_would_have_been_eligible() -> None:
    labels = table(
        boilerplate=[[(0, 400)], [(0, 200), (200, 400)], [(0, 399)], [(0, 400)], [], [(0, 400)]],
        pii=[[], [], [], [(390, 400, "email")], [], []],
    ).append_column("wanted", pa.array([True, True, True, True, True, False]))
    stage = stage_of(redact=["email"], cut=["boilerplate"], where="wanted")
    judged = judge(stage, labels, {"email": 3})
    assert +judged.reasons == {CUT_TO_NOTHING: 3, ELIGIBLE: 2, "where_false": 1}
    assert judged.selection.eligible.tolist() == [False, False, True, False, True, False]
    alone = judge(stage_of(redact=["email"], where="wanted"), labels, {"email": 3})
    assert +alone.reasons == {ELIGIBLE: 5, "where_false": 1}


def test_document_that_is_all_personal_data_is_not_cut_to_nothing() -> None:
    labels = table(pii=[[(0, 400, "email")]], boilerplate=[[]])
    found = planned_tokens(stage_of(redact=["email"], cut=["boilerplate"]), labels, {"email": 3})
    assert (found.tokens.tolist(), found.cut_to_nothing.tolist()) == ([4], [False])


@pytest.mark.parametrize("kind", CUTTABLE)
def test_what_was_not_looked_at_is_set_aside(kind: str) -> None:
    labels = table(**{CUT_LABELS[kind]: [[], None]})
    assert +judge(stage_of(cut=[kind]), labels, {}).reasons == {ELIGIBLE: 1, "not_labelled": 1}
    assert +judge(stage_of(), labels, {}).reasons == {ELIGIBLE: 2}
    with pytest.raises(
        MixtureError, match=rf"document row 1 is .* `{CUT_LABELS[kind]} is not null`"
    ):
        spans_of(stage_of(cut=[kind]), labels)


@pytest.mark.parametrize("kind", CUTTABLE)
def test_missing_labels_and_spans_of_another_text_are_refused(kind: str) -> None:
    name = CUT_LABELS[kind]
    with pytest.raises(MixtureError, match=rf"cuts {kind}, and the labels have no column '{name}'"):
        planned_tokens(stage_of(cut=[kind]), table(pii=[[]]), {})
    flag = kind != "repeats"
    labels = table(**{name: [[(0, 4, flag)] if name in FLAGS else [(0, 4)]]})
    other = labels.set_column(1, "num_bytes", pa.array([3], pa.int64()))
    with pytest.raises(MixtureError, match=rf"\[0, 4\) in a document of 3 bytes; the '{name}'"):
        planned_tokens(stage_of(cut=[kind]), other, {})


def test_columns_to_judge_are_those_of_the_cuts() -> None:
    schema = pa.schema(
        [pa.field("num_tokens", pa.int64()), pa.field("num_bytes", pa.int64())]
        + [pa.field(name, kind) for name, kind in TYPES.items()]
    )
    assert columns_to_judge([stage_of()], schema) == ["num_tokens"]
    for kind in CUTTABLE:
        wanted = ["num_tokens", "num_bytes", CUT_LABELS[kind]]
        assert columns_to_judge([stage_of(cut=[kind])], schema) == wanted
