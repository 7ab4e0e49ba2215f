"""The extract job: input files of a part to one documents part and one rejects part.

Equations: records = documents + rejects + records not asked for; and, of PDF files that could be
opened, pages = text + ocr + blank + rejected. Every record that the readers meet and every page is
counted exactly once, and the sums are counted apart from their terms. All pages, of documents and
of rejected files, are rows of a third file, and the rejected ones of a fourth, which exist where
there are any.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.annotate.compiling import compile_on_worker
from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract import kernels
from pipelines.extract.engines import engine_name
from pipelines.extract.given_in_children import make_in_children
from pipelines.extract.inputs import InputRange, ReadSettings, read_settings, source_identity
from pipelines.extract.kernels import are_formats_uncompiled
from pipelines.extract.markup import canonical_uri, extract_records, host_of
from pipelines.extract.page_rows import pages_folder
from pipelines.extract.pdf.schema import BLANK, OCR, REJECTED, TEXT
from pipelines.extract.pdf.triage import threshold_of
from pipelines.extract.pdf.versions import pdf_versions
from pipelines.extract.records import read_records
from pipelines.extract.sources import NOT_READ
from pipelines.extract.stream import (
    Look,
    extract_in_children,
    lowest_rank_of,
    regroup,
)
from pipelines.extract.tally import Tally
from pipelines.models.costs import priced
from pipelines.models.settings import ModelConfig
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.inventory import Inventory, Span
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import FileRef, Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, documents_folder, rejects_folder
from pipelines.workspace.schema import (
    DOCUMENT,
    ID,
    LOCATOR,
    NOT_ASKED,
    PAGES,
    PROVENANCE,
    RECORD,
    REJECT,
    VL_PAGES,
    document_id,
)
from pipelines.workspace.storage import Storage
from pipelines.workspace.takedown import read_takedowns
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.models.desk import Desk

VERSION: Final = "5"
JOB: Final = "extract"
PAGE_REJECTS: Final = "extract.pages"
"""Under which rejected pages stand in `rejects/`."""
# Records and bytes that one call of a child gets: large enough to hide the pipe, small enough that
# all children have work on a small part.
_FRAGILE_CHUNK: Final = (16, 2 << 20)
_GIVEN_CHUNK: Final = (4096, 8 << 20)
# Formats whose records hold the text itself; those of the second kind are read in blocks.
_GIVEN: Final = {"wet"}
_IN_BLOCKS: Final = {"jsonl", "parquet"}
_GENERATED: Final = ("rewritten", "synthetic")  # one generation of models from a human


@dataclass(frozen=True)
class ExtractJob:
    """Extracts the parts of one source."""

    source: SourceConfig
    settings: ExtractConfig
    model: ModelConfig | None = None
    """Reads pages, with `pdf.ocr: vl`."""

    def __post_init__(self) -> None:
        if (self.settings.pdf.ocr == "vl") != (self.model is not None):
            raise ValueError(
                f"extract.pdf.ocr is {self.settings.pdf.ocr} and the model given is "
                f"{self.model and self.model.identity}; with vl, and only then, there must be one: "
                "that of `models` which ocr_model names"
            )
        longest = self.model.max_model_len if self.model is not None else None
        if longest is not None and longest <= self.settings.pdf.vl.max_tokens:
            raise ValueError(
                f"extract.pdf.vl.max_tokens: found {self.settings.pdf.vl.max_tokens}; the model "
                f"takes {longest} tokens of prompt, picture and answer together (max_model_len); "
                "lower the one or raise the other, or no page fits"
            )

    @property
    def generation(self) -> Generation:
        """The documents generation; where the files lie does not enter.

        Raises:
            ValueError: The engine for PDF files is not installed.
        """
        payload = {
            "version": VERSION,
            "source": source_identity(self.source),
            "settings": self._told_settings(),
            # Another release of an engine's library may find another text.
            "engine": engine_name(self.settings.html_engine),
            "pdf": pdf_versions(self.settings.pdf),
        }
        return Generation(job=JOB, payload=payload)

    def _told_settings(self) -> dict[str, Any]:
        """What decides a text; of a model its identity, not by what name it is known here."""
        told = self.settings.model_dump()
        if self.settings.pdf.ocr == "vl":
            assert self.model is not None
            told["pdf"]["ocr_model"] = self.model.identity
        else:
            del told["pdf"]["ocr_model"], told["pdf"]["vl"]
        return told

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Reads, extracts and commits one part."""
        watch = Stopwatch()
        storage, fp = workspace.storage, self.generation.fp
        spans = Inventory(storage, key.source).part(key.part)
        _compile_for(spans)
        takedowns = read_takedowns(storage)
        lowest_rank = self._lowest_rank(spans, children)
        schema = PAGES if self.model is None else VL_PAGES
        with (
            PartFile(storage, DOCUMENT) as documents,
            PartFile(storage, schema) as pages,
            self._desk(workspace, key, children) as desk,
        ):
            tally = Tally(pages.write, schema, takedowns)
            look = _look(desk, children, self.settings)
            for batch in self._documents(spans, children, tally, lowest_rank, look):
                documents.write(batch)
            files = [documents.publish("documents", documents_folder(key.source, fp), key.part)]
            if pages.rows:
                files.append(pages.publish("pages", pages_folder(JOB, fp, key.source), key.part))
        files.append(_publish(storage, "rejects", JOB, fp, key, tally.rejects))
        if tally.page_rejects:
            files.append(
                _publish(storage, "page_rejects", PAGE_REJECTS, fp, key, tally.page_rejects)
            )
        counts = {
            "records": tally.records,
            "documents": files[0].rows,
            "rejects": len(tally.rejects),
            "not_asked": sum(tally.not_asked.values()),
            "pages": tally.num_pages,
            **{f"pages_{name}": tally.pages[name] for name in (TEXT, OCR, BLANK, REJECTED)},
        }
        detail = {
            "rejects": dict(sorted(tally.reasons.items())),
            "page_rejects": dict(sorted(tally.page_reasons.items())),
            "not_asked": dict(sorted(tally.not_asked.items())),
            "kinds": dict(sorted(tally.kinds.items())),
            **({"truncated": dict(sorted(tally.truncated.items()))} if tally.truncated else {}),
            "text_bytes": tally.text_bytes,
            "extents": tally.extents,
            **({"takedowns": takedowns.fingerprint} if takedowns.made else {}),
            **({"ocr_threshold": threshold_of(lowest_rank)} if lowest_rank else {}),
            **self._spent(desk, tally),
        }
        entry = entry_of(
            self.generation, key, files=tuple(files), counts=counts, watch=watch, detail=detail
        )
        workspace.ledger.commit(entry)

    def _desk(
        self, workspace: Workspace, key: PartKey, children: Children
    ) -> AbstractContextManager["Desk | None"]:
        """Where the model is asked; None where there is none."""
        if self.model is None:
            return nullcontext(None)
        from pipelines.models.desk import open_desk

        return open_desk(self.model, workspace, key, children)

    def _spent(self, desk: "Desk | None", tally: Tally) -> dict[str, Any]:
        """What the model was asked, and what for."""
        if self.model is None or desk is None:
            return {}
        desk.check_answered()
        return {
            "model": self.model.identity,
            "price": priced(self.model),
            "usage": desk.usage.to_json(),
            "vl": tally.vl(),
        }

    def _lowest_rank(self, spans: list[Span], children: Children) -> int:
        """Of the pages that the budget of OCR reaches; 0 where there is none."""
        if self.settings.pdf.ocr_budget is None:
            return 0
        whole = [span for span in spans if _way_of_reading(span) == (False, False)]
        asked = self._asked(whole, Tally())
        return lowest_rank_of(regroup(asked, *_FRAGILE_CHUNK), children, self.settings)

    def _documents(
        self,
        spans: list[Span],
        children: Children,
        tally: Tally,
        lowest_rank: int,
        look: Look | None,
    ) -> Iterator[pa.RecordBatch]:
        """Document batches in the order of the records."""
        for (in_blocks, given), group in itertools.groupby(spans, key=_way_of_reading):
            if in_blocks:
                yield from self._documents_of_blocks(group, children, tally)
                continue
            chunks = regroup(
                self._asked(group, tally), *(_GIVEN_CHUNK if given else _FRAGILE_CHUNK)
            )
            if given:
                pairs = _pairs_of_texts(chunks, self.settings)
            else:
                pairs = extract_in_children(
                    chunks, children, self.settings, lowest_rank=lowest_rank, look=look
                )
            for records, extracted in pairs:
                batch = self._join(records, extracted, tally)
                METER.add(JOB, extracted.num_rows)
                if batch.num_rows:
                    yield batch

    def _documents_of_blocks(
        self, spans: Iterable[Span], children: Children, tally: Tally
    ) -> Iterator[pa.RecordBatch]:
        """Documents of JSONL and Parquet, made in children."""
        settings = read_settings(self.source, self.settings)
        ranges = (range_of(span) for span in spans)
        for made in make_in_children(ranges, children, self.source, settings):
            tally.add(made)
            METER.add(JOB, made.num_asked)
            if made.documents.num_rows:
                provenance = _given_provenance(self.source, made.documents.num_rows)
                batch = made.documents.append_column("provenance", provenance).cast(DOCUMENT)
                batch = tally.without_taken_down(batch)
                tally.count(batch)
                if batch.num_rows:
                    yield batch

    def _asked(self, spans: Iterable[Span], tally: Tally) -> Iterator[pa.RecordBatch]:
        """Records to be extracted; all others are tallied on the way."""
        settings = read_settings(self.source, self.settings)
        for span in spans:
            for batch in read_span(span, settings):
                asked = tally.sort_out(batch)
                if asked.num_rows:
                    yield asked

    def _join(
        self, records: pa.RecordBatch, extracted: pa.RecordBatch, tally: Tally
    ) -> pa.RecordBatch:
        """Documents of a chunk; its rejects and its pages are tallied."""
        uris = [canonical_uri(u) if u else None for u in records.column("uri").to_pylist()]
        ids = self._ids(records, uris)
        kept = pc.is_null(extracted.column("reason"))
        paged = pc.is_valid(extracted.column("pages"))
        told = pc.or_(pc.invert(kept), paged)
        for row in np.flatnonzero(told.to_numpy(zero_copy_only=False)).tolist():
            result = extracted.slice(row, 1).drop_columns(["text"]).to_pylist()[0]
            record = records.slice(row, 1).drop_columns(["payload", "text"]).to_pylist()[0]
            if result["reason"] is not None:
                tally.reject(record, result["reason"], result["message"] or "", ids[row])
            is_kept = result["reason"] is None
            tally.add_pages(record, result["pages"] or [], ids[row], is_kept=is_kept)
        table = _documents(self.source, records, extracted, ids, uris, self._read_by()).filter(kept)
        table = tally.without_taken_down(table)
        tally.count(table)
        return table

    def _read_by(self) -> dict[str, dict[str, str]]:
        """Model -> what provenance says of the texts that it read."""
        if self.model is None:
            return {}
        from pipelines.extract.pdf.vl_ladder import provenance_of

        return {self.model.identity: provenance_of(self.settings.pdf.vl)}

    def _ids(self, records: pa.RecordBatch, uris: list[str | None]) -> list[bytes]:
        names = ("file", "digest", "ordinal")
        columns = (records.column(name).to_pylist() for name in names)
        return [
            document_id(self.source.name, uri or file, digest or b"", ordinal)
            for uri, file, digest, ordinal in zip(uris, *columns, strict=True)
        ]


def _compile_for(spans: Iterable[Span]) -> None:
    """Has kernels that read these files compiled here, where they never were."""
    is_cold = are_formats_uncompiled(span.format for span in spans)
    compile_on_worker(kernels.WARM, is_cold=is_cold)


def _look(desk: "Desk | None", children: Children, settings: ExtractConfig) -> Look | None:
    """How a model looks at pages; None where there is none."""
    if desk is None:
        return None
    from pipelines.extract.pdf.vl_stream import look_with_model

    return functools.partial(look_with_model, children=children, settings=settings, desk=desk)


def _pairs_of_texts(
    chunks: Iterable[pa.RecordBatch], settings: ExtractConfig
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Texts that were given: they need no parser, so no child."""
    for records in chunks:
        yield records, extract_records(records, settings=settings)


def _documents(
    source: SourceConfig,
    records: pa.RecordBatch,
    extracted: pa.RecordBatch,
    ids: list[bytes],
    uris: list[str | None],
    read_by: Mapping[str, Mapping[str, str]],
) -> pa.RecordBatch:
    """DOCUMENT rows of extracted records; what extraction found comes before what was declared."""
    n = records.num_rows
    one_of = {
        name: pc.coalesce(extracted.column(name), records.column(name))
        for name in ("media_type", "license", "declared_language")
    }
    if source.license:
        one_of["license"] = pc.coalesce(one_of["license"], pa.scalar(source.license))
    place = [records.column(name) for name in ("file", "offset", "length")]
    pages = _good_pages(extracted.column("pages"))
    columns = {
        "id": pa.array(ids, ID),
        "text": extracted.column("text"),
        "uri": pa.array(uris, pa.string()),
        "host": pa.array([host_of(uri) if uri else None for uri in uris], pa.string()),
        "source": pa.repeat(source.name, n),
        "fetched_at": records.column("fetched_at"),
        "locator": pa.StructArray.from_arrays([*place, pages], fields=list(LOCATOR)),
        "extractor": pc.coalesce(extracted.column("extractor"), pa.scalar("none")),
        "meta": _merged_meta(records.column("meta"), extracted.column("meta")),
        "provenance": _provenance(source, extracted, read_by),
        **one_of,
    }
    return pa.RecordBatch.from_arrays([columns[f.name] for f in DOCUMENT], schema=DOCUMENT)


def _good_pages(pages: pa.ListArray) -> pa.ListArray:
    """Numbers of the pages that gave text; null for what has no pages."""
    numbers = [
        None if row is None else [page["page"] for page in row if page["outcome"] in (TEXT, OCR)]
        for row in ([None] * len(pages) if pages.null_count == len(pages) else pages.to_pylist())
    ]
    return pa.array(numbers, LOCATOR.field("pages").type)


def _provenance(
    source: SourceConfig,
    extracted: pa.RecordBatch,
    read_by: Mapping[str, Mapping[str, str]],
) -> pa.StructArray:
    """Where texts come from: what corpus.yaml says of the source, else what extraction did.

    OCR transcribes, so the depth stays; a text that a model wrote is one generation from a human.
    """
    kind = source.provenance.kind if source.provenance is not None else "natural"
    transcribed = extracted.column("kind") if kind == "natural" else None
    if transcribed is None or transcribed.null_count == len(transcribed):
        return _given_provenance(source, extracted.num_rows)
    base = _declared_provenance(source)
    pairs = zip(transcribed.to_pylist(), extracted.column("model").to_pylist(), strict=True)
    told = [
        {**base, **({"kind": kind, "model": model, **read_by.get(model, {})} if kind else {})}
        for kind, model in pairs
    ]
    return pa.array(told, PROVENANCE)


def _declared_provenance(source: SourceConfig) -> dict[str, Any]:
    """What corpus.yaml says of a source."""
    given = source.provenance
    kind = given.kind if given is not None else "natural"
    return {
        "kind": kind,
        "model": given.model if given is not None else None,
        "recipe": given.recipe if given is not None else None,
        "parents": [],
        "depth": int(kind in _GENERATED),
    }


def _given_provenance(source: SourceConfig, n: int) -> pa.StructArray:
    """The same for `n` documents."""
    rows = pa.array(np.zeros(n, np.int64))
    return pa.array([_declared_provenance(source)], PROVENANCE).take(rows)


def _publish(
    storage: Storage, kind: str, job: str, fp: str, key: PartKey, rows: list[dict[str, Any]]
) -> FileRef:
    """A part of rejects, in the order of their places."""
    # Events come in an order that depends on how many children there are.
    ordered = sorted(rows, key=_by_place)
    with PartFile(storage, REJECT) as file:
        file.write(batch_of(ordered, REJECT))
        return file.publish(kind, rejects_folder(job, fp, key.source), key.part)


def _by_place(row: dict[str, Any]) -> tuple[Any, ...]:
    place = row["locator"]
    return place["file"], place["offset"], place.get("pages") or [], row["reason"]


def _merged_meta(given: pa.MapArray, found: pa.MapArray) -> pa.MapArray:
    """What extraction found, added to what came with the record; sorted by key."""
    merged = [
        sorted({**dict(one or ()), **dict(two or ())}.items())
        for one, two in zip(given.to_pylist(), found.to_pylist(), strict=True)
    ]
    return pa.array(merged, DOCUMENT.field("meta").type)


def count_records(
    source: SourceConfig, settings: ExtractConfig, spans: Iterable[Span]
) -> Counter[str]:
    """Reads the inputs of a part again and counts their records by outcome."""
    outcomes: Counter[str] = Counter()
    for span in spans:
        for batch in read_span(span, read_settings(source, settings)):
            outcomes.update(batch.column("outcome").to_pylist())
    return outcomes


def read_span(span: Span, settings: ReadSettings) -> Iterator[pa.RecordBatch]:
    """RECORD batches of one file or range; a file that no reader takes is one record, not asked."""
    if span.format in NOT_READ:
        row = {
            "file": span.file,
            "offset": 0,
            "length": span.bytes,
            "outcome": NOT_ASKED,
            "reason": NOT_READ[span.format],
            "ordinal": 0,
        }
        yield batch_of([row], RECORD)
        return
    yield from read_records(range_of(span), settings)


def range_of(span: Span) -> InputRange:
    """What a reader is asked for."""
    return InputRange(
        url=span.url, file=span.file, format=span.format, start=span.start, end=span.end
    )


def _way_of_reading(span: Span) -> tuple[bool, bool]:
    """(whether it is read in blocks, whether its records hold the text itself)."""
    has_blocks = span.format in _IN_BLOCKS and span.bytes > 0  # an empty file is one reject
    return has_blocks, span.format in _GIVEN
