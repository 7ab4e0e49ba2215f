"""Both levels through their Beam pipelines: right, the same however they are cut, and resumable."""

import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adversary import committed, outcome_of_one_run, outcome_under_attack
from by_hand import boilerplate_by_hand, repeats_by_hand
from repeat_workspace import (
    LIMITS,
    Documents,
    Row,
    extract_of,
    labels,
    plan_of,
    search,
    written,
)
from signing import sign_again
from small_workspace import OneAfterTheOther

from annotators.contamination.words import WORD
from pipelines.repeats import plan as plan_module
from pipelines.repeats.check import EQUATIONS, FOOTERS, label_faults, repeat_faults
from pipelines.repeats.job import CollectKeys, forget_keys
from pipelines.repeats.plan import BOILERPLATE, REPEATS, RepeatsPlan, plan_repeats
from pipelines.repeats.transform import CommitPart, CommitShared, ReturnKeys, SendKeys, steps
from pipelines.run import run_transform
from pipelines.workspace.audit import audit
from pipelines.workspace.audit_equations import EQUATIONS as AUDITED
from pipelines.workspace.audit_equations import FOOTERS as AUDITED_FOOTERS
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry, Ledger
from pipelines.workspace.transform import RunPart
from pipelines.workspace.workspace import Workspace

LEVELS = (BOILERPLATE, REPEATS)
PASSAGES = (
    "The tide clock in the harbour is wrong by a quarter of an hour and nobody minds at all",
    "Часы у причала спешат на четверть часа и никто на это давно не обращает внимания",
    "Το ρολόι του λιμανιού πάει μπροστά ένα τέταρτο και κανείς δεν ενοχλείται από αυτό",
    "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता",
    "港口的潮汐钟快了一刻钟但没有人在意渔夫们按太阳和潮水出海回来时看不看它都一样",
    "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีแต่ไม่มีใครสนใจ",
)
MENUS = ("Home\nAbout us", "首页 | 关于", "Главная", "Terms of use", "12", "")
COUNTED = {
    BOILERPLATE: {"alone", "representative", "near_duplicate"},
    REPEATS: {"alone", "representative"},
}


def corpus(num_documents: int, seed: int) -> list[Row]:
    """Pages of three hosts and of none, made of passages that some share."""
    chance = random.Random(seed)
    long = [
        " ".join(" ".join(chance.sample(one.split(), len(one.split()))) for _ in range(6))
        if " " in one
        else "".join(chance.sample(one * 6, len(one * 6)))
        for one in PASSAGES
        for _ in range(2)
    ]
    rows = []
    for number in range(num_documents):
        blocks = [chance.choice(MENUS), *chance.sample(long, chance.choice([0, 1, 1, 2]))]
        own = [f"{one} {chr(0x61 + number % 26)}{number}" for one in chance.sample(PASSAGES, 2)]
        text = "\n\n".join([*blocks, *own, chance.choice(MENUS)])
        role = chance.choice(
            ["alone"] * 6 + ["representative", "duplicate", "near_duplicate", "repeated_record"]
        )
        host = chance.choice(["a.example", "b.example", "c.example", None])
        rows.append(Row(chance.randbytes(16), text, host, role))
    return rows


def in_parts(rows: Sequence[Row], sizes: Sequence[int]) -> Documents:
    parts, first = {}, 0
    for number, size in enumerate(sizes):
        parts[PartKey("xy"[number % 2], number)] = rows[first : first + size]
        first += size
    return parts


def by_hand(documents: Documents, level: str) -> dict[PartKey, list[Any]]:
    rows = [row for key in sorted(documents) for row in documents[key]]
    counts = [row.role in COUNTED[level] for row in rows]
    if level == BOILERPLATE:
        given = [(row.text, row.host, one) for row, one in zip(rows, counts, strict=True)]
        found = iter(boilerplate_by_hand(given, 3))
    else:
        some = [(row.id, row.text, one) for row, one in zip(rows, counts, strict=True)]
        found = iter(repeats_by_hand(some, 50 * WORD))
    return {key: [next(found) for _ in documents[key]] for key in sorted(documents)}


@pytest.fixture(scope="module")
def documents() -> Documents:
    return in_parts(corpus(60, seed=3), [25, 0, 1, 34])


@pytest.fixture(scope="module")
def start(documents: Documents, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return written(tmp_path_factory.mktemp("start") / "w", documents)


@pytest.fixture(scope="module")
def done(
    start: Workspace, documents: Documents, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Workspace, RepeatsPlan]]:
    """Each level in a workspace of its own."""
    made = {}
    for level in LEVELS:
        folder = tmp_path_factory.mktemp(level) / "w"
        shutil.copytree(start.url, folder)
        workspace = Workspace.open(str(folder))
        made[level] = workspace, search(workspace, documents, level)
    return made


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    shutil.copytree(workspace.url, folder / "w")
    return Workspace.open(str(folder / "w"))


def faults(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the whole audit, with what this folder adds to it."""
    for job, terms in EQUATIONS.items():
        monkeypatch.setitem(AUDITED, job, terms)
    for job, kinds in FOOTERS.items():
        monkeypatch.setitem(AUDITED_FOOTERS, job, kinds)
    checks = dict.fromkeys(LEVELS, label_faults)
    return audit(workspace, deep_checks=checks, across_parts=(repeat_faults,)).faults


@pytest.mark.parametrize("level", LEVELS)
def test_labels_are_those_of_brute_force(
    done: dict[str, tuple[Workspace, RepeatsPlan]], documents: Documents, level: str
) -> None:
    found = labels(*done[level])
    assert found == by_hand(documents, level)
    spans = [span for rows in found.values() for row in rows for span in row]
    assert len(spans) > 20
    assert max(span["documents"] for span in spans) > 4
    if level == BOILERPLATE:
        assert {span["kind"] for span in spans} == {"line", "paragraph"}
    else:
        assert {span["first"] for span in spans} == {True, False}


@pytest.mark.parametrize("level", LEVELS)
def test_labels_do_not_depend_on_parts_partitions_or_memory(
    documents: Documents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    rows = [row for part in documents.values() for row in part]
    random.Random(8).shuffle(rows)
    other = {PartKey("a", 0): rows[:7], PartKey("a", 3): rows[7:50], PartKey("c", 0): rows[50:]}
    monkeypatch.setattr(plan_module, "_PARTITION_BYTES", 9_000)
    workspace = written(tmp_path / "w", other)
    plan = search(workspace, other, level, memory_bytes=60_000)
    assert plan.num_partitions >= 3
    expected = {
        row.id: spans
        for key, found in by_hand(documents, level).items()
        for row, spans in zip(documents[key], found, strict=True)
    }
    found = {
        row.id: spans
        for key, some in labels(workspace, plan).items()
        for row, spans in zip(other[key], some, strict=True)
    }
    assert found == expected
    assert faults(workspace, monkeypatch) == []


@pytest.mark.parametrize("level", LEVELS)
def test_finished_search_is_sound_and_forgets_its_keys(
    done: dict[str, tuple[Workspace, RepeatsPlan]],
    documents: Documents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    workspace, plan = copy_of(done[level][0], tmp_path), done[level][1]
    assert faults(workspace, monkeypatch) == []
    for generation in plan.generations:
        workspace.ledger.fold(generation)
    before = labels(workspace, plan)
    for _ in range(2):
        forget_keys(workspace, plan)
        left = {name for name in workspace.ledger.generations() if name.startswith(level)}
        held = {name for name in left if workspace.ledger.entries(name)}
        assert held == {plan.countings[-1].shared.name, plan.labels.name}
    assert faults(workspace, monkeypatch) == []
    assert labels(workspace, plan) == before
    assert list(steps(workspace, plan, sorted(documents), LIMITS, 1 << 30)) == []


def change(workspace: Workspace, plan: RepeatsPlan, **changed: object) -> None:
    """Changes one label, as if it had been committed so."""
    for entry in workspace.ledger.entries(plan.labels):
        path = workspace.storage.path(entry.file("labels").path)
        rows = pq.read_table(path)
        lists = rows.column(plan.level).to_pylist()
        spans = [span for row in lists for span in row]
        if spans:
            for span in spans:
                span.update(changed)
            field = rows.schema.field(plan.level)
            index = rows.schema.get_field_index(plan.level)
            pq.write_table(rows.set_column(index, field, pa.array(lists, field.type)), path)
            sign_again(workspace, entry)
            return


@pytest.mark.parametrize(
    ("level", "changed", "message"),
    [
        (BOILERPLATE, {"documents": 77}, "as boilerplate of 77 documents of"),
        (REPEATS, {"documents": 77}, "said to be in 77 documents"),
        (REPEATS, {"first": True}, "said to be in"),
    ],
)
def test_check_notices_labels_that_were_changed(
    done: dict[str, tuple[Workspace, RepeatsPlan]],
    tmp_path: Path,
    level: str,
    changed: dict[str, object],
    message: str,
) -> None:
    workspace, plan = copy_of(done[level][0], tmp_path), done[level][1]
    entries = workspace.ledger.entries(plan.labels)
    assert [fault for entry in entries for fault in label_faults(workspace, entry)] == []
    change(workspace, plan, **changed)
    entries = workspace.ledger.entries(plan.labels)
    found = [fault for entry in entries for fault in label_faults(workspace, entry)]
    assert any(message in fault for fault in found)


@pytest.mark.parametrize("level", LEVELS)
def test_check_notices_keys_that_were_lost(
    done: dict[str, tuple[Workspace, RepeatsPlan]], tmp_path: Path, level: str
) -> None:
    workspace, plan = copy_of(done[level][0], tmp_path), done[level][1]
    counting = plan.countings[-1]
    (path,) = workspace.ledger.entry_files(counting.shared.name)
    keys = workspace.ledger.read_entry(path).counts["keys"]
    file = Path(workspace.storage.path(path))
    file.write_text(file.read_text().replace(f'"keys": {keys}', f'"keys": {keys - 1}'))
    entries = workspace.ledger.entries(counting.shared)
    (fault,) = repeat_faults(workspace, counting.shared.name, entries)
    assert f"{keys - 1} keys were counted" in fault
    assert f"sent {keys}" in fault


@pytest.mark.parametrize("level", LEVELS)
def test_search_that_was_stopped_anywhere_goes_on_to_the_same(
    done: dict[str, tuple[Workspace, RepeatsPlan]],
    start: Workspace,
    documents: Documents,
    tmp_path: Path,
    level: str,
) -> None:
    workspace = copy_of(start, tmp_path)
    names = []
    while True:  # one pipeline a start
        plan = plan_of(workspace, documents, level)
        transform = next(steps(workspace, plan, sorted(documents), LIMITS, 1 << 30), None)
        if transform is None:
            break
        names.append(type(transform).__name__)
        run_transform(transform, ())
    again = ["TakeBack", "CountKeys"] if level == REPEATS else []
    assert names == ["MapChain", "CountKeys", *again, "TakeBack"]
    assert committed(workspace.url) == committed(done[level][0].url)


def search_and_die(url: str, documents: Documents, number: int) -> None:
    """Kills its process at a commit, the n-th of the search, before it is made."""
    left, commit = number, Ledger.commit

    def commit_or_die(self: Ledger, entry: Entry) -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return commit(self, entry)

    Ledger.commit = commit_or_die  # type: ignore[method-assign]
    search(Workspace.open(url), documents, REPEATS)


def test_search_that_was_killed_between_the_halves_goes_on_to_the_same(
    done: dict[str, tuple[Workspace, RepeatsPlan]],
    start: Workspace,
    documents: Documents,
    tmp_path: Path,
) -> None:
    workspace = copy_of(start, tmp_path)
    num_parts = len(documents)
    in_windows = num_parts + 1 + 2  # guards, their count, and the second part of the windows
    process = multiprocessing.get_context("spawn").Process(
        target=search_and_die, args=(workspace.url, documents, in_windows)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    made = {
        name.split("@")[0]
        for name in workspace.ledger.generations()
        if workspace.ledger.entries(name)
    }
    assert made == {
        "extract",
        "deduplicate",
        "repeats.guards",
        "repeats.shared_guards",
        "repeats.windows",
    }
    search(workspace, documents, REPEATS)
    assert committed(workspace.url) == committed(done[REPEATS][0].url)


def given_to(
    workspace: Workspace, plan: RepeatsPlan, keys: list[PartKey]
) -> list[tuple[Any, list[Any]]]:
    """Each DoFn that commits, and the elements that it gets."""
    job = CollectKeys(plan)
    found: list[tuple[Any, list[Any]]] = [
        (RunPart(workspace, dict.fromkeys(plan.sources, job), LIMITS), keys)
    ]
    for number, counting in enumerate(plan.countings):
        partitions = list(range(counting.num_partitions))
        sent: dict[int, list[pa.RecordBatch]] = {partition: [] for partition in partitions}
        for key in keys:
            for partition, batch in SendKeys(workspace, plan, number, partitions).process(key):
                sent[partition].append(batch)
        found.append((CommitShared(workspace, plan, number), list(sent.items())))
        back: dict[int, list[pa.RecordBatch]] = {index: [] for index in range(len(keys))}
        for partition in partitions:
            for index, batch in ReturnKeys(workspace, plan, number, keys).process(partition):
                back[index].append(batch)
        after = number + 1 if number + 1 < len(plan.countings) else -1
        found.append((CommitPart(workspace, plan, after, keys), list(back.items())))
    return found


def test_every_job_under_attack_gives_the_same(
    done: dict[str, tuple[Workspace, RepeatsPlan]], documents: Documents, tmp_path: Path
) -> None:
    workspace, plan = done[REPEATS]
    steps_ = given_to(workspace, plan, sorted(documents))
    empty = copy_of(workspace, tmp_path)
    for generation in plan.generations:
        for path in empty.ledger.entry_files(generation.name):
            empty.storage.remove(path)
    chain = OneAfterTheOther([dofn for dofn, _ in steps_])
    elements = [(number, one) for number, (_, some) in enumerate(steps_) for one in some]
    clean = outcome_of_one_run(Path(empty.url), chain, elements)
    assert clean == committed(workspace.url)
    assert outcome_under_attack(Path(empty.url), chain, elements) == clean


def test_plan_refuses_what_cannot_be(start: Workspace, documents: Documents) -> None:
    extract = {key.source: extract_of(key.source) for key in documents}
    duplicates = plan_of(start, documents, REPEATS).duplicates
    keys = sorted(documents)
    with pytest.raises(ValueError, match=r"found the level 'near'; .*'boilerplate', 'repeats'"):
        plan_repeats(start, "near", extract, duplicates, keys)
    with pytest.raises(ValueError, match="min_documents: found 1"):
        plan_repeats(start, BOILERPLATE, extract, duplicates, keys, 1)
    with pytest.raises(ValueError, match="found no parts"):
        plan_repeats(start, REPEATS, extract, duplicates, [])
    with pytest.raises(LookupError, match=r"extract@.* has no entry for part 9 of x"):
        plan_repeats(start, REPEATS, extract, duplicates, [*keys, PartKey("x", 9)])
    plan = plan_of(start, documents, BOILERPLATE)
    with pytest.raises(ValueError, match="found 3 parts, and the plan"):
        next(steps(start, plan, keys[1:], LIMITS, 1 << 30))


def test_plan_changes_with_what_it_is_made_from(start: Workspace, documents: Documents) -> None:
    extract = {key.source: extract_of(key.source) for key in documents}
    duplicates = plan_of(start, documents, REPEATS).duplicates
    keys = sorted(documents)
    of_three, of_four = (
        plan_repeats(start, BOILERPLATE, extract, duplicates, keys, n) for n in (3, 4)
    )
    assert of_three.labels != of_four.labels
    assert plan_repeats(start, REPEATS, extract, duplicates, keys, 3).labels == (
        plan_repeats(start, REPEATS, extract, duplicates, keys, 4).labels
    )
    assert plan_repeats(start, BOILERPLATE, extract, duplicates, keys[1:]).labels != of_three.labels
