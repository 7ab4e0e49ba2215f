"""The sentence under each heading: what the section shows, in one line, computed from the facts.

A reader who reads only these lines knows the run. Each is a function of the facts and says nothing
that the table below it does not print.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from annotators.language.languages import UNDETERMINED
from pipelines.report.conformance import Conformance
from pipelines.report.facts import JobTime, LabelFacts, Losses, RunFacts, StageFacts, count_bins
from pipelines.report.language_tags import language_name
from pipelines.report.models import MadeFacts
from pipelines.report.samples import Samples

KEPT_ROLES: Final = ("alone", "representative")
LARGE: Final = 1e7
"""Numbers from here on are rounded to four digits where a column is narrow."""
_UNITS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


def number(value: float) -> str:
    """A whole number with commas: 1,234,567."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """A number that fits into a narrow column: whole up to ten million, then four digits."""
    if abs(value) < LARGE:
        return number(value)
    unit, letter = next(found for found in _UNITS if abs(value) >= found[0])
    decimals = max(0, 4 - len(f"{abs(value) / unit:.0f}"))
    return f"{value / unit:,.{decimals}f} {letter}"


def percent(part: float, whole: float) -> str:
    """A share, to two digits below ten per cent: 0.31 %, 4.2 %, 57 %."""
    if not whole:
        return "0 %"
    value = 100 * part / whole
    if value >= 10 or value == 0:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 1 else ("< 0.01 %" if value < 0.01 else f"{value:.2f} %")


def plural(count: float, one: str, many: str = "") -> str:
    """`1 document`, `2 documents`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def duration(seconds: float) -> str:
    """`0.24 s`, `12 s`, `3 min 20 s`, `5 h 12 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def headline(facts: RunFacts) -> str:
    """What came out of the whole run."""
    languages = len([code for code in facts.labels.known("language") if code != "und"])
    spoken = f" in {plural(languages, 'language')}" if languages else ""
    made = f"from {plural(facts.documents, 'document')}{spoken}"
    if not facts.stages:
        return f"No tokens were written: {made.removeprefix('from ')} came out."
    stages = plural(len(facts.stages), "training stage")
    return f"{number(facts.tokens)} tokens for {stages}, {made}."


def intake(losses: Losses) -> str:
    """Records and documents."""
    records, documents = losses.counts["records"], losses.counts["documents"]
    if records == documents:
        return f"All {plural(records, 'record')} became documents."
    lost = records - documents
    return (
        f"{number(documents)} of {plural(records, 'record')} became documents; each of the other "
        f"{number(lost)} has a reason."
    )


def crawl(losses: Losses) -> str:
    """URLs asked for and fetched."""
    asked, fetched = losses.counts["asked"], losses.counts["fetched"]
    return f"{number(fetched)} of {plural(asked, 'URL')} that were asked for were fetched."


def left_by_crawl(losses: Losses) -> str:
    """Addresses beyond the limit of a crawl; empty where there are none."""
    if not losses.left:
        return ""
    some = "address was" if losses.left == 1 else "addresses were"
    return (
        f"{number(losses.left)} more {some} known and not asked for: the crawl's max_pages or "
        "max_pages_per_host was reached."
    )


def origins(facts: RunFacts) -> str:
    """How much of the documents people wrote."""
    total = sum(facts.kinds.values())
    if not total:
        return "Who wrote the texts that were drawn."
    people = facts.kinds.get("natural", 0)
    if people == total:
        return f"People wrote all {plural(total, 'document')}."
    return (
        f"People wrote {number(people)} of {plural(total, 'document')} ({percent(people, total)})."
    )


def models(made: Sequence[MadeFacts]) -> str:
    """How much of what was asked of models was kept."""
    accepted = sum(one.counts.get("accepted", 0) for one in made)
    rejected = sum(one.counts.get("rejected", 0) for one in made)
    tokens = sum(one.cost.completion_tokens for one in made if one.cost)
    kept = sum(one.cost.accepted_tokens for one in made if one.cost)
    told = f"{number(accepted)} of {plural(accepted + rejected, 'unit')} accepted"
    if not tokens:
        return f"{told}; no model was asked."
    return f"{told}; {percent(kept, tokens)} of {short(tokens)} generated tokens were kept."


def languages(facts: RunFacts) -> str:
    """Which languages lead."""
    known = {c: n for c, n in facts.labels.known("language").items() if c != "und"}
    if not known:
        return "No document has a language."
    ordered = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    rows = sum(facts.labels.values["language"].values())
    first = f"{language_name(ordered[0][0])} leads with {percent(ordered[0][1], rows)}"
    if len(ordered) < 6:
        return f"{plural(len(ordered), 'language')}. {first} of the documents."
    five = sum(count for _, count in ordered[:5])
    return (
        f"{number(len(ordered))} languages. {first} of the documents; the five largest hold "
        f"{percent(five, rows)}."
    )


def conformance(found: Conformance) -> str:
    """How many of the languages there are, and of what the figures are."""
    present = [row for row in found.present if row.code != UNDETERMINED]
    whole = len(present) + len(found.absent)
    told = f"{number(len(present))} of {number(whole)} languages have documents."
    if not found.is_shipped:
        return f"{told} The model is your own: its F1 is not known here."
    return (
        f"{told} F1 is that of the shipped model on sentences it was not trained on; where "
        "dialects cannot be told apart it is low, and the group is right."
    )


def topics(known: Mapping[str, int], documents: int) -> str:
    """Which domain leads."""
    if not known:
        return "No document has a topic."
    topic, count = max(known.items(), key=lambda item: (item[1], item[0]))
    return (
        f"{plural(len(known), 'topic')}; the largest is {topic.replace('_', ' ')} with "
        f"{percent(count, documents)} of the documents."
    )


def quality(facts: RunFacts) -> str:
    """How much is kept, and the commonest reason against the rest."""
    keep = facts.labels.values["quality_keep"]
    rows, kept = sum(keep.values()), keep.get("true", 0)
    reasons = facts.labels.known("quality_reason")
    told = f"{number(kept)} of {plural(rows, 'document')} ({percent(kept, rows)}) pass"
    if not reasons:
        return f"{told}."
    reason, count = max(reasons.items(), key=lambda item: (item[1], item[0]))
    return f"{told}; what most of the others fail is {reason} ({number(count)})."


def lengths(histogram: Mapping[int, int]) -> str:
    """Where the middle document lies."""
    total, below = sum(histogram.values()), 0
    for low, high, count in count_bins(histogram):
        below += count
        if 2 * below >= total:
            return f"The middle document has {number(low)} to {number(high)} tokens."
    return "No document has a length."


def duplicates(roles: Mapping[str, int]) -> str:
    """Copies and clusters."""
    copies = sum(count for role, count in roles.items() if role not in KEPT_ROLES)
    clusters = roles.get("representative", 0)
    if not copies:
        return "No document is a copy of another."
    near = roles.get("near_duplicate", 0)
    told = f", {number(near)} of them not word for word" if near else ""
    return (
        f"{plural(copies, 'document')} repeat{'s' if copies == 1 else ''} another{told}, in "
        f"{plural(clusters, 'cluster')}."
    )


def contamination(labels: LabelFacts) -> str:
    """Documents that share words with a benchmark, and those that are called contaminated."""
    benchmarks = labels.known("benchmark")
    count = sum(benchmarks.values())
    if not count:
        return "No document shares a run of words with a benchmark."
    names = listed(sorted(benchmarks)[:3] + (["others"] if len(benchmarks) > 3 else []))
    told = f"{plural(count, 'document')} share{'s' if count == 1 else ''} words with {names}"
    most = labels.known("contaminated").get("true", 0)
    return f"{told}; {number(most)} of them are called contaminated by the rule of its kind."


def personal(spans: Mapping[str, int]) -> str:
    """Pieces of personal data."""
    count = sum(spans.values())
    if not count:
        return "No personal data was found."
    return f"{plural(count, 'piece')} of personal data of {plural(len(spans), 'kind')} were found."


def stage(facts: StageFacts) -> str:
    """How a stage came out beside its plan."""
    planned = f"{number(facts.planned)} planned"
    if facts.drawn_tokens != facts.tokens:
        planned = f"{number(facts.drawn_tokens)} without padding, {planned}"
    apart, cut = facts.drawn_tokens - facts.planned, facts.counts.get("cut_tokens", 0)
    if facts.sigmas is None:
        return f"{planned}; nothing was left to chance{_for_cuts(apart, cut)}."
    side = "above" if apart >= 0 else "below"
    return (
        f"{planned}; {number(abs(apart))} {side} ({percent(abs(apart), facts.planned)}), which is "
        f"{abs(facts.sigmas):.2f} \u03c3 of the draw."
    )


def _for_cuts(apart: float, cut: int) -> str:
    """What cuts of personal data have to do with a difference that is not of chance."""
    if not round(apart):
        return ""
    if round(apart) != cut:
        return f", and {number(abs(apart))} {'more' if apart > 0 else 'fewer'} were written"
    done = "removed" if cut < 0 else "added by writing their kind instead"
    return f", and the difference of {number(abs(cut))} is what the cuts of personal data {done}"


def held_out(facts: StageFacts) -> str:
    """What of a stage is for validation; empty where nothing is."""
    if not facts.held_out:
        return ""
    return (
        f"{plural(facts.held_out['documents'], 'document')} "
        f"({plural(facts.held_out['tokens'], 'token')}) stand apart, for validation."
    )


def short_shards(facts: StageFacts) -> str:
    """Shards that training passes over; empty where there are none."""
    if not facts.short_shards:
        return ""
    are = "is shorter than one sequence and is" if facts.short_shards == 1 else None
    return (
        f"{plural(facts.short_shards, 'shard')} ({plural(facts.short_tokens, 'token')}) "
        f"{are or 'are shorter than one sequence and are'} not trained on."
    )


def left_as_they_are(title: str, kinds: Sequence[str]) -> str:
    """Personal data that a stage does not cut."""
    return f"{title} leaves {listed(list(kinds))} as they are."


def grown(facts: StageFacts) -> str:
    """What would make a stage larger; empty where nothing would."""
    ways = {
        "shares": "if groups had their natural shares",
        "length_buckets": "if each length bucket gave all it has and not the share that is set",
        "max_epochs": "if documents could be drawn once more",
        "weight": "if weights left nothing undrawn",
        "synthetic_share": "without the cap on synthetic texts",
    }
    found = [
        f"{number(facts.costs[name])} more {way}"
        for name, way in ways.items()
        if facts.costs.get(name, 0.0) > 0.5
    ]
    return f"There would be {'; '.join(found)}." if found else ""


def binds(facts: StageFacts) -> str:
    """What decides how large a stage can be."""
    most = f"At most {number(facts.attainable)} tokens are to be had"
    if facts.limited_by:
        return f"{most}, and {facts.limited_by} decides that: it is the scarcest for its share."
    epochs = f"{facts.max_epochs:g} {'epoch' if facts.max_epochs == 1 else 'epochs'}"
    return f"{most} at {epochs}; all groups reach that together."


def parts_read(samples: Samples) -> str:
    """`the 2 parts that were read for this page`."""
    were = "was" if samples.parts_read == 1 else "were"
    return f"the {plural(samples.parts_read, 'part')} that {were} read for this page"


def reading(samples: Samples) -> str:
    """How the documents to read were chosen."""
    parts = plural(samples.parts, "part")
    looked = (
        f"all {parts}"
        if samples.parts_read == samples.parts
        else (
            f"{number(samples.parts_read)} of {parts}, chosen by the hash of their names, every "
            "source in turn"
        )
    )
    return (
        f"From {looked}. Of each label up to {number(samples.per_label)} documents with the "
        "smallest ids, which are hashes; none is shown twice, and the rarest labels choose first."
    )


def cost(wall: Mapping[str, float], jobs: tuple[JobTime, ...]) -> str:
    """Time of the whole run."""
    total, worked = sum(wall.values()), sum(job.seconds for job in jobs)
    return f"{duration(total)} on the clock, {duration(worked)} of work in the ledger."
