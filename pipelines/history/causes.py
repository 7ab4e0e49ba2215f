"""What differs between the settings of two runs, by the step that it can change.

First what people wrote, corpus.yaml and the mixtures. Then what follows from it and from files: a
generation is named by the hash of all that decides its content, and keeps what was hashed beside
its entries, so where two runs have different generations of a job, the difference is in there:
settings, model files, the declared version, or a generation that it was made from. The last says
nothing new: it is told where it stands itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.history.fates import DUPLICATES, QUALITY, SET_ASIDE
from pipelines.history.runs import Run

LABELLED: Final = "labelled"
DRAWN: Final = "drawn"
# Name of a job, or its beginning -> the step that it decides.
_STEP_OF: Final = {
    "crawl": LABELLED,
    "extract": LABELLED,
    "synthesize": LABELLED,
    "annotate.language": LABELLED,
    "annotate.domain": LABELLED,
    "annotate.quality": QUALITY,
    "annotate.minhash": DUPLICATES,
    "annotate.signatures": DUPLICATES,
    "deduplicate": DUPLICATES,
    "near_duplicates": DUPLICATES,
    "takedown": SET_ASIDE,
    "superseded": SET_ASIDE,
    "validation": SET_ASIDE,
}
# Key of corpus.yaml -> the step that it decides; of the others (annotators) any.
_STEP_OF_KEY: Final = {
    "sources": LABELLED,
    "extract": LABELLED,
    "synthesize": LABELLED,
    "models": LABELLED,
    "duplicates": DUPLICATES,
    "validation": SET_ASIDE,
    "mixtures": DRAWN,
}
# Generations and hashes of them; those of model files stand under `models`.
_HASHED: Final = re.compile(r"@[0-9a-f]{8}|^[0-9a-f]{64}$")
_FILES: Final = "models"
_ANNOTATORS: Final = "annotators"
_SHORT: Final = 60  # characters of a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A setting that differs."""

    step: str
    """LABELLED, one of `fates.STEPS`, or DRAWN."""
    what: str
    """Job or file, and key."""
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after}"


def causes_of(before: Run, after: Run) -> list[Cause]:
    """All settings that differ, each once."""
    found = [*_written_settings(before, after), *_sources(before, after)]
    found += [*_mixtures(before, after), *_generations(before, after)]
    if before.record.code != after.record.code:
        codes = (before.record.code or "unknown", after.record.code or "unknown")
        found.append(Cause(step="", what="tokenmill", before=codes[0], after=codes[1]))
    return list(dict.fromkeys(found))


def _written_settings(before: Run, after: Run) -> Iterator[Cause]:
    old, new = dict(before.record.settings), dict(after.record.settings)
    for key in sorted(old.keys() | new.keys()):
        one, other = dict(_leaves(old.get(key), key)), dict(_leaves(new.get(key), key))
        for leaf in sorted(one.keys() | other.keys()):
            if _bare(one.get(leaf)) != _bare(other.get(leaf)):
                values = (_written(some.get(leaf)) for some in (one, other))
                yield _cause(_STEP_OF_KEY.get(key, ""), f"corpus.yaml {leaf}", values)


def _bare(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value without the folders of a path: where a corpus stands decides nothing."""
    if isinstance(value, list):
        return [_bare(one) for one in value]
    return value.rpartition("/")[2] if isinstance(value, str) else value


def _cause(step: str, what: str, values: Iterator[str]) -> Cause:
    before, after = values
    return Cause(step=step, what=what, before=before, after=after)


def _sources(before: Run, after: Run) -> Iterator[Cause]:
    old, new = before.record.sources, after.record.sources
    for name in sorted({*old, *new}):
        parts = [f"{len(some[name])} parts" if name in some else "absent" for some in (old, new)]
        if parts[0] != parts[1]:
            one, other = parts
            yield Cause(step=LABELLED, what=f"source {name}", before=one, after=other)


def _generations(before: Run, after: Run) -> Iterator[Cause]:
    old, new = _jobs_of(before), _jobs_of(after)
    for job in sorted(old.keys() & new.keys()):
        if old[job] == new[job]:
            continue
        step = next((step for name, step in _STEP_OF.items() if job.startswith(name)), "")
        one, other = _payload(before, old[job]), _payload(after, new[job])
        for key in sorted({*one, *other}):
            pair = one.get(key), other.get(key)
            if pair[0] == pair[1] or (_is_hash(pair) and not key.startswith(_FILES)):
                continue
            without_near = None in pair and key.startswith("near.")  # said by its level
            if one and other and not without_near:
                yield _cause(step, f"{job} {key}", (_written(value) for value in pair))


def _jobs_of(run: Run) -> dict[str, str]:
    """Job, with its source where each source has its own -> generation."""
    record = run.record
    found = {f"extract of {source}": name for source, name in record.documents.items()}
    found |= {f"crawl of {source}": name for source, name in record.crawl.items()}
    for sets in record.annotate.values():
        found |= {f"annotate.{name}": generation for name, generation in sets.items()}
    found |= dict(record.labels)
    if record.duplicates:
        found["deduplicate"] = record.duplicates
        found |= _made_from(run, record.duplicates)
    if record.validation:
        found["validation"] = record.validation
    return found


def _made_from(run: Run, generation: str) -> dict[str, str]:
    """Generations of near-duplicates that the labels of duplicates were made from."""
    known = {name.split("@")[1]: name for name in run.workspace.ledger.generations()}
    leaves = _payload(run, generation).values()
    names = [known[str(leaf)[:8]] for leaf in leaves if str(leaf)[:8] in known]
    return {name.split("@")[0]: name for name in names if name.startswith("near_duplicates")}


def _payload(run: Run, generation: str) -> dict[str, Any]:
    """What a generation was hashed from, as dotted keys; empty where it is gone."""
    try:
        return dict(_leaves(run.workspace.ledger.payload(generation)))
    except FileNotFoundError:
        return {}


def _mixtures(before: Run, after: Run) -> Iterator[Cause]:
    from pipelines.mix.comparison import compare
    from pipelines.mix.plan import read_plan

    old, new = before.record.mixtures, after.record.mixtures
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name] and before.workspace == after.workspace:
            continue
        try:
            plans = read_plan(before.workspace, old[name]), read_plan(after.workspace, new[name])
        except (LookupError, FileNotFoundError):
            continue
        compared = compare(*plans)
        settings = [(name, one) for one in compared.settings]
        settings += [(f"{name}, {s.name}", one) for s in compared.stages for one in s.settings]
        for where, one in settings:
            yield Cause(
                step=DRAWN,
                what=f"mixture {where}: {one.key}",
                before=_written(one.before),
                after=_written(one.after),
            )


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list) and prefix == _ANNOTATORS:
        for one in tree:  # a name, or a name with its options
            name, options = (one, {}) if isinstance(one, str) else next(iter(one.items()))
            yield f"{prefix}.{name}", "on"
            yield from _leaves(options or {}, f"{prefix}.{name}")
    elif isinstance(tree, list) and any(isinstance(one, dict | list) for one in tree):
        for number, value in enumerate(tree):
            yield from _leaves(value, f"{prefix}[{number}]")
    else:
        yield prefix, tree


def _is_hash(pair: tuple[Any, Any]) -> bool:
    """Whether a value only names what something was made from."""
    values = [one for value in pair for one in (value if isinstance(value, list) else [value])]
    return any(isinstance(value, str) and _HASHED.search(value) for value in values)


def _written(value: Any) -> str:  # noqa: ANN401 - JSON
    text = "none" if value is None else " ".join(str(value).split())
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
