"""What the audit checks of boilerplate and repeats: no key is lost, and what is labelled is true.

`repeat_faults` looks over all parts of a generation. `label_faults` reads texts again: passages of
one host are counted as normalised strings, and stretches as runs of words in the texts that are
said to hold them, so neither trusts the keys that found them. What was pruned is not asked for.
"""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.text.characters import DROPPED, fold_table
from annotators.text.passages import NO_KEY, find_passages
from pipelines.near_duplicates.store import texts_at
from pipelines.repeats.counting import id_numbers, partition_of
from pipelines.repeats.job import COUNTED_ROLES
from pipelines.repeats.plan import BOILERPLATE, GUARDS, PASSAGES, REPEATS, WINDOWS
from pipelines.repeats.stretches import holders_of, windows_at
from pipelines.workspace.audit_entries import InputsGone
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PARTITIONS, PartKey
from pipelines.workspace.ledger import ERASED, Entry, FileRef
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.workspace import Workspace

EQUATIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    BOILERPLATE: (("documents", "rows"),),
    REPEATS: (("documents", "rows"),),
} | {
    job: terms
    for level, what in ((BOILERPLATE, PASSAGES), (REPEATS, GUARDS), (REPEATS, WINDOWS))
    for job, terms in (
        (f"{level}.{what}", (("documents", "counted", "left_out"),)),
        (f"{level}.shared_{what}", (("distinct", "shared", "rare"),)),
    )
}
"""Job -> terms, the first being the sum of the others, of one entry."""

FOOTERS: Final[dict[str, dict[str, str]]] = {
    level: {"labels": "rows", "keys": "keys", "shared": "returned"}
    for level in (BOILERPLATE, REPEATS)
}
"""Job -> what the rows of its files must be, by kind of file."""

_HOST_DOCUMENTS: Final = 2000  # of one host that are read again
_SPANS: Final = 8  # of one part that are looked for again
_PARTS: Final = 4  # in which a stretch is looked for
_ROWS: Final = 1 << 18


def repeat_faults(workspace: Workspace, generation: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Checks a whole generation of a job of boilerplate or repeats, across its parts.

    Args:
        workspace: Where it is.
        generation: `job@fp`.
        entries: All its entries; faults that an unfinished run would show are not looked for.
    """
    job = generation.split("@")[0]
    if job not in EQUATIONS:
        return
    payload = workspace.ledger.payload(generation)
    by_partition = ".shared_" in job
    if len(entries) != payload["partitions" if by_partition else "parts"]:
        return
    total = _sum(entries)
    if not by_partition and total["documents"] != payload["documents"]:
        yield (
            f"{generation}: {total['documents']} documents were looked at, and "
            f"{payload['documents']} were planned"
        )
    if by_partition:
        senders = _sender(payload)
        sent = workspace.ledger.entries(senders)
        if len(sent) == payload["parts"] and _sum(sent)["keys"] != total["keys"]:
            yield (
                f"{generation}: {total['keys']} keys were counted, and {senders} sent "
                f"{_sum(sent)['keys']}"
            )


def _sum(entries: Sequence[Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry.counts)
    return total


def _sender(payload: Mapping[str, Any]) -> str:
    """The generation whose keys a count of shared keys took."""
    level, _, what = payload["job"].partition(".shared_")
    rest = {name: value for name, value in payload.items() if name != "job"}
    return Generation(job=f"{level}.{what}", payload=rest | {"what": what}).name


def label_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Reads some labelled texts of a part again, and those that are said to hold the same.

    Args:
        workspace: Where they are.
        entry: Of the labels; those of other jobs have nothing to compare.

    Raises:
        InputsGone: Some of the texts were erased, so that what they shared cannot be counted.
    """
    if entry.job not in (BOILERPLATE, REPEATS) or not entry.counts["spans"]:
        return
    payload = workspace.ledger.payload(f"{entry.job}@{entry.fp}")
    corpus = _Corpus(workspace, payload)
    if not corpus.is_whole:
        return
    if corpus.has_erased:
        raise InputsGone(
            f"{entry.job}@{entry.fp} {entry.source} part {entry.part}: texts that it was counted "
            "from were erased"
        )
    if entry.job == BOILERPLATE:
        yield from _boilerplate_faults(corpus, entry)
    else:
        yield from _stretch_faults(corpus, entry)


class _Corpus:
    """The documents of a plan, as its payload names them."""

    def __init__(self, workspace: Workspace, payload: Mapping[str, Any]) -> None:
        self.workspace, self.payload = workspace, payload
        self.level: str = payload["job"]
        self.parts = [PartKey(*place) for place in workspace.ledger.places(payload["duplicates"])]

    @property
    def is_whole(self) -> bool:
        """Whether all its parts are still there."""
        held = {
            PartKey(*place)
            for name in self.payload["texts"]
            for place in self.workspace.ledger.places(self.payload["texts"][name], name)
        }
        return len(self.parts) == self.payload["parts"] and held >= set(self.parts)

    @property
    def has_erased(self) -> bool:
        """Whether some of its texts were erased since they were counted."""
        return any(
            ERASED in entry.detail
            for name in self.payload["texts"]
            for entry in self.workspace.ledger.entries(self.payload["texts"][name], name)
        )

    def file(self, key: PartKey) -> FileRef:
        """The documents of a part."""
        name = self.payload["texts"][key.source]
        return self.workspace.ledger.get(name, key.source, key.part).file("documents")

    def is_counted(self, key: PartKey) -> npt.NDArray[np.bool_]:
        """Which documents of a part are counted: bool[num_documents]."""
        entry = self.workspace.ledger.get(self.payload["duplicates"], key.source, key.part)
        roles = read_table(self.workspace.storage, entry.file("labels"), ["duplicate_role"])
        counted = pa.array(COUNTED_ROLES[self.level])
        found: npt.NDArray[np.bool_] = pc.is_in(roles.column(0), value_set=counted).to_numpy()
        return found

    def texts(self, key: PartKey, rows: npt.NDArray[np.int64]) -> list[pa.LargeStringArray]:
        """Texts of a part at some rows, in batches."""
        return list(texts_at(self.workspace.storage, self.file(key), rows))

    def column(self, key: PartKey, name: str) -> pa.Array:
        """A column of a part."""
        return read_table(self.workspace.storage, self.file(key), [name]).column(0).combine_chunks()


class _Fold(dict[int, str]):
    """Code point -> what normalisation makes of it, for `str.translate`."""

    def __missing__(self, point: int) -> str:
        folded = int(fold_table()[point])
        self[point] = "" if folded == DROPPED else chr(folded)
        return self[point]


_FOLD: Final = _Fold()


def _normal_form(text: bytes) -> str:
    return " ".join(text.decode().translate(_FOLD).split())


def _boilerplate_faults(corpus: _Corpus, entry: Entry) -> Iterator[str]:
    """Counts passages of the smallest host of a part again."""
    key, labels = PartKey(entry.source, entry.part), entry.file("labels")
    lists = read_table(corpus.workspace.storage, labels).column(BOILERPLATE).combine_chunks()
    hosts = corpus.column(key, "host")
    labelled = np.flatnonzero(pc.list_value_length(lists).to_numpy())
    for row in labelled.tolist():
        if not hosts[row].as_py():
            yield f"{labels.path}: row {row} has boilerplate, and no host"
            return
    sizes = _hosts(corpus.workspace.url, f"{entry.job}@{entry.fp}")
    host = min(set(hosts.take(pa.array(labelled)).to_pylist()), key=lambda one: (sizes[one], one))
    rows = labelled[_are(hosts, host)[labelled]][:_SPANS]
    texts = [text.as_py().encode() for batch in corpus.texts(key, rows) for text in batch]
    spans = [
        (row, _normal_form(text[span["start"] : span["end"]]), span["documents"])
        for row, text in zip(rows.tolist(), texts, strict=True)
        for span in lists[row].as_py()
    ]
    found = _count_passages(corpus, host, {form for _, form, _ in spans})
    is_sample = sizes[host] > _HOST_DOCUMENTS
    for row, form, documents in spans:
        if found[form] > documents or (found[form] != documents and not is_sample):
            yield (
                f"{labels.path}: row {row} has {form!r} as boilerplate of {documents} documents of "
                f"{host}, and {found[form]} hold it"
            )


def _are(hosts: pa.Array, host: str) -> npt.NDArray[np.bool_]:
    """Which of them are one host: bool[n]."""
    found: npt.NDArray[np.bool_] = pc.fill_null(pc.equal(hosts, host), False).to_numpy(
        zero_copy_only=False
    )
    return found


@functools.lru_cache(maxsize=1)
def _hosts(url: str, generation: str) -> Counter[str]:
    """Documents of each host."""
    workspace = Workspace(url)
    corpus = _Corpus(workspace, workspace.ledger.payload(generation))
    sizes: Counter[str] = Counter()
    for key in corpus.parts:
        for item in pc.value_counts(corpus.column(key, "host")).to_pylist():
            sizes[item["values"]] += item["counts"]
    return sizes


def _count_passages(corpus: _Corpus, host: str, wanted: set[str]) -> Counter[str]:
    """Documents of a host that hold each of some passages, among the first so many."""
    found: Counter[str] = Counter()
    left = _HOST_DOCUMENTS
    for key in corpus.parts:
        is_of_host = _are(corpus.column(key, "host"), host)
        rows = np.flatnonzero(is_of_host & corpus.is_counted(key))[:left]
        left -= len(rows)
        for texts in corpus.texts(key, rows):
            for held in _normal_forms(texts):
                found.update(held & wanted)
    return found


def _normal_forms(texts: pa.LargeStringArray) -> Iterator[set[str]]:
    """Of the lines and paragraphs of each text."""
    lines, paragraphs = find_passages(texts, np.ones(len(texts), np.uint64))
    whole = paragraphs.keys != NO_KEY
    rows = np.r_[paragraphs.texts[lines.paragraphs], paragraphs.texts[whole]]
    starts = np.r_[lines.starts, paragraphs.starts[whole]].tolist()
    ends = np.r_[lines.ends, paragraphs.ends[whole]].tolist()
    forms: list[set[str]] = [set() for _ in range(len(texts))]
    encoded = [text.as_py().encode() for text in texts]
    for row, start, end in zip(rows.tolist(), starts, ends, strict=True):
        forms[row].add(_normal_form(encoded[row][start:end]))
    yield from forms


class _Found(NamedTuple):
    """What the last count says of a window."""

    documents: int
    first_id: int
    senders: list[int]
    """Positions of the parts that hold it."""


def _stretch_faults(corpus: _Corpus, entry: Entry) -> Iterator[str]:
    """Looks for some stretches of a part in the texts of the parts that sent one of their keys."""
    storage, labels = corpus.workspace.storage, entry.file("labels")
    shared = next(name for name in corpus.payload["evidence"] if f".shared_{WINDOWS}@" in name)
    if len(corpus.workspace.ledger.entries(shared, PARTITIONS)) != corpus.payload["partitions"]:
        return  # pruned
    table = read_table(storage, labels)
    lists = table.column(REPEATS).combine_chunks()
    rows = np.flatnonzero(pc.list_value_length(lists).to_numpy())
    rows = rows[:: max(1, len(rows) // _SPANS)][:_SPANS]
    ids = id_numbers(table.column("id").combine_chunks())
    texts = corpus.texts(PartKey(entry.source, entry.part), rows)
    spans = [max(lists[row].as_py(), key=lambda span: int(span["documents"])) for row in rows]
    windows = [
        windows_at(text.as_py(), span["start"], span["end"])
        for text, span in zip((one for batch in texts for one in batch), spans, strict=True)
    ]
    known = _look_up(corpus, shared, np.concatenate([one.keys for one in windows]))
    for row, span, held in zip(rows.tolist(), spans, windows, strict=True):
        counts = [
            (known[key].documents, number)
            for number, key in enumerate(held.keys.tolist())
            if key in known and (known[key].first_id == int(ids[row])) == span["first"]
        ]
        documents, number = max(counts, default=(0, 0))
        place = f"{labels.path}: row {row}, bytes {span['start']} to {span['end']}:"
        if documents != span["documents"]:
            yield (
                f"{place} said to be in {span['documents']} documents, and its words were counted "
                f"in {documents}"
            )
            continue
        found = known[int(held.keys[number])]
        holders = _holders(corpus, found.senders[:_PARTS], held.words[number])
        # Of a window in more parts, some are looked into, and hold it each.
        is_sample = len(found.senders) > _PARTS
        is_wrong = len(holders) < _PARTS if is_sample else len(holders) != documents
        if is_wrong or (not is_sample and min(holders) != found.first_id):
            yield f"{place} said to be in {documents} documents, and {len(holders)} hold its words"


def _look_up(corpus: _Corpus, shared: str, keys: npt.NDArray[np.uint64]) -> dict[int, _Found]:
    """What the last count says of some windows."""
    wanted = np.unique(keys)
    partitions = partition_of(wanted, corpus.payload["partitions"])
    known: dict[int, _Found] = {}
    for partition in np.unique(partitions).tolist():
        ref = corpus.workspace.ledger.get(shared, PARTITIONS, partition).file("shared")
        some = pa.array(wanted[partitions == partition])
        for batch in read_batches(corpus.workspace.storage, ref, batch_rows=_ROWS):
            rows = batch.filter(pc.is_in(batch.column("key"), value_set=some))
            for key, documents, first_id, sender in zip(*rows.to_pydict().values(), strict=True):
                found = known.setdefault(key, _Found(documents, first_id, []))
                found.senders.append(sender)
    return known


def _holders(corpus: _Corpus, senders: Sequence[int], words: npt.NDArray[np.uint64]) -> set[int]:
    """The counted documents of some parts that hold a run of words, by `id_numbers`."""
    found: set[int] = set()
    for key in (corpus.parts[sender] for sender in senders):
        rows = np.flatnonzero(corpus.is_counted(key))
        ids = id_numbers(corpus.column(key, "id"))[rows]
        first = 0
        for texts in texts_at(corpus.workspace.storage, corpus.file(key), rows):
            holds = holders_of(texts, words)
            found.update(ids[first : first + len(texts)][holds].tolist())
            first += len(texts)
    return found
