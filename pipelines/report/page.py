"""The page: facts and samples into one HTML file that needs nothing else.

Templates are jinja2 with autoescape on and undefined names refused: every text of a document, URI,
title, label or message is hostile input and goes through the escape. Style stands in the page;
there is no script, font, image or address that a browser would fetch, and a content security policy
in the page forbids it. Nothing enters the page but the facts, so equal workspaces give equal bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from pipelines.report import story, tables
from pipelines.report.conformance import SETS, Conformance
from pipelines.report.facts import LabelFacts, RunFacts
from pipelines.report.language_tags import html_lang, language_name, script_name
from pipelines.report.pictures import around_plan, share
from pipelines.report.rejects import RejectExample
from pipelines.report.samples import Group, Samples

SIGNALS: Final = 120
"""Columns of numbers that get a small histogram."""

_SHOWN: Final = {"language", "script", "topic", "format", "quality_keep", "quality_reason"}
_DRAWN: Final = {"num_tokens", "quality_score", "contamination_score"}
_SHELVES: Final = (
    ("language", "By language"),
    ("topic", "By topic"),
    ("quality_score", "By quality score"),
    ("quality_keep", "Kept by the quality rules"),
    ("quality_reason", "Dropped by the quality rules, and why"),
    ("pii", "With personal data, masked"),
)
_ROLE_NAMES: Final = {
    "alone": "alone: no copy anywhere",
    "representative": "representative of a cluster",
    "duplicate": "copy, word for word",
    "near_duplicate": "near copy",
    "repeated_record": "the same record met twice",
}

_LEVEL_NAMES: Final = {
    "bytes": "the same bytes",
    "text": "the same text, normalised",
    "near": "a similar text",
    "url": "a newer copy of its URL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an hour of one core costs, where the reader wants money to be shown."""

    core_hour: float
    currency: str
    cores: int
    """Cores that one worker holds while its clock runs."""

    def of(self, worker_seconds: float) -> str:
        """Money for worker-seconds, such as `0.0123 USD`."""
        amount = worker_seconds / 3600 * self.cores * self.core_hour
        digits = 2 if amount >= 1 else 4
        return f"{amount:,.{digits}f} {self.currency}"


def render(
    facts: RunFacts,
    samples: Samples,
    rejects: tuple[RejectExample, ...],
    price: Price | None = None,
    conformance: Conformance | None = None,
) -> str:
    """Renders the page.

    Args:
        facts: What is counted.
        samples: What is read.
        rejects: Examples of what was refused.
        price: Where it is given, times are shown as money too.
        conformance: What became of each language; left out, the section is.
    """
    environment = _environment()
    languages = {"conformance": conformance or Conformance(), "conformance_sets": SETS.values()}
    context = _context(facts, samples, rejects, price, languages)
    return environment.get_template("index.html.j2").render(context)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": story.number,
        "short": story.short,
        "percent": story.percent,
        "duration": story.duration,
        "plural": story.plural,
        "language": language_name,
        "script": script_name,
        "lang": html_lang,
        "spoken": lambda name: str(name).replace("_", " "),
    }
    environment.globals |= {"bar_share": share, "around_plan": around_plan, "story": story}
    return environment


def _context(
    facts: RunFacts,
    samples: Samples,
    rejects: tuple[RejectExample, ...],
    price: Price | None,
    languages: Mapping[str, Any],
) -> dict[str, Any]:
    style = files("pipelines.report").joinpath("templates/style.css").read_text("utf-8")
    context: dict[str, Any] = {
        "facts": facts,
        "labels": facts.labels,
        "samples": samples,
        "rejects": rejects,
        "price": price,
        **languages,
        # Our own file, and the only string that is not escaped.
        "style": Markup(style),
        **_intake_tables(facts),
        **_label_tables(facts),
        **_duplicate_tables(facts, samples),
        "account": tables.account(facts),
        "kinds_left": {
            stage.title: tables.kinds_left(stage, facts.labels) for stage in facts.stages
        },
        "left_out": {stage.title: tables.left_out(stage) for stage in facts.stages},
        "groups": {stage.title: tables.group_rows(stage) for stage in facts.stages},
        "compositions": [tables.composition(stage) for stage in facts.stages],
        "shelves": _shelves(samples),
        "fold": tables.fold,
    }
    return context | {"sections": _sections(facts, context), "absent": _absent(facts)}


def _intake_tables(facts: RunFacts) -> dict[str, Any]:
    intake = facts.intake
    return {
        "rejected": tables.counted(intake.reasons["rejects"], whole=intake.counts["records"]),
        "not_asked": tables.counted(intake.reasons["not_asked"], whole=intake.counts["records"]),
        "page_rejects": tables.page_rejects(intake),
        "kind_rows": tables.kind_rows(facts),
        "not_fetched": (
            tables.counted(facts.crawl.reasons["reasons"], whole=facts.crawl.counts["asked"])
            if facts.crawl
            else None
        ),
    }


def _label_tables(facts: RunFacts) -> dict[str, Any]:
    labels, documents = facts.labels, facts.documents
    return {
        "language_rows": tables.language_rows(facts),
        "scripts": tables.counted(labels.known("script"), name=script_name, whole=documents),
        "topics": tables.label_counts(labels, "topic", tables.NO_TOPIC),
        "formats": tables.label_counts(labels, "format", tables.NO_FORMAT),
        "line_shares": tables.line_shares(labels),
        "reasons": tables.counted(labels.known("quality_reason"), whole=documents),
        "score": tables.score_histogram(labels, "quality_score"),
        "lengths": tables.length_histogram(labels),
        "pii": tables.counted(labels.spans.get("pii", {})),
        "benchmarks": tables.counted(labels.known("benchmark"), whole=documents),
        "overlaps": tables.counted(tables.overlaps(labels), whole=documents),
        "signals": [tables.sparkline(labels, column) for column in _signals(labels)],
        "other_values": {
            column: tables.counted(labels.known(column), whole=documents)
            for column in _other_values(labels)
            if labels.known(column)
        },
    }


def _signals(labels: LabelFacts) -> list[str]:
    """Columns of numbers that no section of their own shows; not those that are null everywhere."""
    drawn = [column for column, bins in labels.histograms.items() if bins and column not in _DRAWN]
    return sorted(drawn)[:SIGNALS]


def _other_values(labels: LabelFacts) -> list[str]:
    """Columns of text and truth that no section of their own shows."""
    own = {*_SHOWN, "benchmark", "benchmark_item"}
    return [column for column in sorted(labels.values) if column not in own]


def _duplicate_tables(facts: RunFacts, samples: Samples) -> dict[str, Any]:
    sizes = {f"{size:,} documents": count for size, count in samples.cluster_sizes.items()}
    return {
        "roles": tables.counted(
            facts.duplicates, name=lambda role: _ROLE_NAMES.get(role, tables.spoken(role))
        ),
        "cluster_sizes": tables.counted(sizes),
        "levels": tables.counted(
            facts.found.levels if facts.found else {},
            name=lambda level: _LEVEL_NAMES.get(level, level),
            whole=facts.documents,
        ),
    }


def _shelves(samples: Samples) -> list[tuple[str, list[Group]]]:
    """Groups of documents to read, under their headings."""
    shelves = [
        (title, [group for group in samples.groups if group.column == column])
        for column, title in _SHELVES
    ]
    return [(title, groups) for title, groups in shelves if groups]


def _sections(facts: RunFacts, context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(anchor, title) of the sections that this run fills, in order."""
    labels = facts.labels
    present = {
        "funnel": ("From records to tokens", True),
        "origins": ("Where texts come from", bool(context["kind_rows"] or facts.origins)),
        "models": ("What models made", bool(facts.made)),
        "languages": ("Languages", "language" in labels.values),
        "conformance": ("All 119 languages", bool(context["conformance"].present)),
        "domains": ("Domains", "topic" in labels.types or bool(context["line_shares"])),
        "quality": ("Quality", _has_quality(labels)),
        "lengths": ("Lengths", context["lengths"] is not None),
        "duplicates": ("Duplicates", bool(facts.duplicates)),
        "pii": ("Personal data", "pii" in labels.types),
        "contamination": ("Contamination", bool(facts.benchmarks)),
        "labels": ("Other labels", bool(context["signals"] or context["other_values"])),
        "mixtures": ("Mixtures", bool(facts.stages or facts.refused)),
        "reading": ("Read some documents", bool(context["shelves"])),
        "rejects": ("Rejects", bool(context["rejects"])),
        "cost": ("Time and cost", bool(facts.jobs or facts.wall)),
        "trace": ("Check it yourself", True),
    }
    return [(anchor, title) for anchor, (title, there) in present.items() if there]


def _has_quality(labels: LabelFacts) -> bool:
    return "quality_keep" in labels.values or "quality_score" in labels.histograms


def _absent(facts: RunFacts) -> list[str]:
    """What this run could have done and did not, so that nobody takes a missing section for a
    clean one. A crawl or PDF files are inputs: a corpus without them lacks nothing.
    """
    labels = facts.labels
    there = {
        "languages": "language" in labels.values,
        "domains": "topic" in labels.types,
        "quality score": "quality_score" in labels.types,
        "duplicates": bool(facts.duplicates),
        "near duplicates": not facts.exact_only,
        "personal data": "pii" in labels.types,
        "contamination (no benchmark is configured)": bool(facts.benchmarks),
    }
    return [name for name, present in there.items() if not present]
