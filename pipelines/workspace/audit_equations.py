"""What must add up in the counts of a ledger entry, and which of them are rows of its files."""

from collections.abc import Iterator
from typing import Final

from pipelines.workspace.audit_damage import name_of
from pipelines.workspace.ledger import Entry

# Job -> equations; of the terms of each, the first is the sum of the others. A job `a.b` without a
# line of its own has those of `a`. Counts that an entry lacks are zero.
EQUATIONS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "extract": (
        ("records", "documents", "rejects", "not_asked"),
        ("pages", "pages_text", "pages_ocr", "pages_blank", "pages_rejected"),
    ),
    "annotate": (("documents", "rows"),),
    "deduplicate": (
        ("documents", "rows"),
        (
            "rows",
            "role.alone",
            "role.representative",
            "role.duplicate",
            "role.repeated_record",
            "role.near_duplicate",
        ),
    ),
    "deduplicate.same_bytes": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.same_text": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.same_url": (
        ("documents", "rows"),
        ("rows", "role.alone", "role.representative", "role.duplicate", "role.repeated_record"),
    ),
    "deduplicate.clusters": (
        ("members", "alone", "representative", "duplicate", "repeated_record"),
    ),
    "deduplicate.url_clusters": (
        ("members", "alone", "representative", "duplicate", "repeated_record"),
    ),
    "near_duplicates.repeated": (),
    "near_duplicates.bands": (("bands", "sent", "single"),),
    "near_duplicates.candidates": (),
    "near_duplicates.requests": (("pairs", "known", "new"),),
    "near_duplicates.texts": (),
    "near_duplicates.shingles": (),
    "near_duplicates.pairs": (("pairs", "known", "compared"), ("pairs", "similar", "different")),
    "near_duplicates.components": (),
    "near_duplicates.blocks": (),
    "near_duplicates.ends": (),
    "near_duplicates.arcs": (("arcs", "texts", "pairs"),),
    "near_duplicates.cuts": (),
    "near_duplicates.runs": (("arcs", "texts", "pairs"),),
    "near_duplicates.taken": (("arcs", "taken", "passed"), ("arcs", "texts", "pairs")),
    "near_duplicates.clusters": (("texts_in_pairs", "alone", "representative", "near_duplicate"),),
    "boilerplate": (("documents", "rows"),),
    "repeats": (("documents", "rows"),),
    "boilerplate.passages": (("documents", "counted", "left_out"),),
    "boilerplate.shared_passages": (("distinct", "shared", "rare"),),
    "repeats.guards": (("documents", "counted", "left_out"),),
    "repeats.shared_guards": (("distinct", "shared", "rare"),),
    "repeats.windows": (("documents", "counted", "left_out"),),
    "repeats.shared_windows": (("distinct", "shared", "rare"),),
    "validation": (
        ("documents", "rows"),
        ("rows", "train", "validation", "near_validation"),
    ),
    "validation.texts": (("documents", "held_out", "others", "failed"),),
    "validation.items": (
        ("passages", "items", "too_short", "repeated", "repetitive"),
        ("items", "indexed", "common"),
    ),
    "tally": (("judged", "eligible", "not_eligible"), ("judged", "tallied", "set_aside")),
    "histogram": (("documents", "eligible", "not_eligible"),),
    "preview": (("eligible", "drawn_documents", "not_drawn"),),
    "scatter": (("tokens", "document_tokens", "eod", "cut_tokens"),),
    "shards": (("tokens", "document_tokens", "eod", "padding", "cut_tokens"),),
    "sealed": (("gathered", "scattered"),),
    "crawl": (("asked", "fetched", "not_fetched"),),
    "crawl.frontier": (
        ("candidates", "planned", "waiting", "over_max_pages_per_host", "over_max_pages"),
    ),
    "takedown": (("documents", "rows"), ("rows", "taken_down", "kept")),
    "superseded": (("documents", "rows"), ("rows", "superseded", "standing")),
    "synthesize": (
        ("rows", "chosen", "not_chosen"),
        ("chosen", "used", "unused"),
        ("units", "accepted", "rejected"),
    ),
}
# Job -> what the rows of its files must be, by kind of file; without the file the count is zero.
FOOTERS: Final[dict[str, dict[str, str]]] = {
    "extract": {
        "documents": "documents",
        "rejects": "rejects",
        "page_rejects": "pages_rejected",
        "pages": "pages",
    },
    "annotate": {"labels": "rows"},
    "deduplicate": {"labels": "rows"},
    "boilerplate": {"labels": "rows", "keys": "keys", "shared": "returned"},
    "repeats": {"labels": "rows", "keys": "keys", "shared": "returned"},
    "validation": {"labels": "rows", "items": "items", "held_out": "held_out"},
    "takedown": {"labels": "rows"},
    "superseded": {"labels": "rows"},
    "synthesize": {"documents": "documents", "rejects": "rejected", "samples": "samples"},
    "crawl": {"fetches": "rows", "links": "links"},
}


def equations_of(job: str) -> tuple[tuple[str, ...], ...]:
    """The equations of a job, each as its terms: the first is the sum of the others."""
    return EQUATIONS.get(job, EQUATIONS.get(job.split(".")[0], ()))


def equation_of(job: str) -> tuple[str, ...]:
    """The terms of a job's first equation; none where it has no equation."""
    return next(iter(equations_of(job)), ())


def equation_faults(entry: Entry) -> Iterator[str]:
    """The equations of its job that the counts of an entry break."""
    for total, *rest in equations_of(entry.job):
        right = sum(entry.counts.get(term, 0) for term in rest)
        if entry.counts.get(total, 0) != right:
            sums = " + ".join(f"{term} {entry.counts.get(term, 0)}" for term in rest)
            yield f"{name_of(entry)}: {total} {entry.counts.get(total, 0)} is not {sums} = {right}"
