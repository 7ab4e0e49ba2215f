"""The synthesize job: a part of one source in, a part of made documents out.

Part n of the source `web.<name>` is made of part n of `web`. Seeds are chosen by labels, the recipe
works on as many of them at once as the model takes, and documents, rejects and samples are
committed with one ledger entry. Every answer stands in the journal before anything is made of it,
so a part that was broken off is made again of the answers that were paid for.

Equations: rows = chosen + not chosen; chosen = used + unused, where a seed is used that is the
chief parent of a document; units = accepted + rejected. Each rejected unit is a row of the rejects,
with the id and the place of its seed.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pyarrow as pa

from annotators.text.hashing import normal_hashes
from pipelines.mix.pins import Pins, SourcePins
from pipelines.models.chat import thinking_name
from pipelines.models.client import EndpointError
from pipelines.models.costs import priced
from pipelines.models.desk import Desk, open_desk
from pipelines.models.sandbox import SandboxError
from pipelines.models.settings import ModelConfig
from pipelines.synthesize.recipe import Draft, Made, Recipe, Reject, Seed
from pipelines.synthesize.recipes import load_recipe
from pipelines.synthesize.samples import SAMPLE
from pipelines.synthesize.seeds import (
    Choice,
    Parent,
    choose,
    documents_ref,
    read_seeds,
)
from pipelines.workspace.children import Children
from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.jobs import METER, PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, documents_folder, rejects_folder
from pipelines.workspace.schema import DOCUMENT, REJECT, document_id, payload_digest
from pipelines.workspace.takedown import PARENT_URI, read_takedowns
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
JOB: Final = "synthesize"
EXTRACTOR: Final = f"synthesize/{VERSION}"
"""In the column `extractor` of what recipes make."""
RECIPE_ERROR: Final = "recipe_error"
UNCHANGED: Final = "unchanged"
"""Figure: documents whose refined text is their own, so that none is made."""
_GENERATED: Final = ("rewritten", "synthetic")
_SAMPLES: Final = "samples"
_ROWS: Final = 256
_MESSAGE_CHARS: Final = 500


@dataclass(frozen=True, kw_only=True)
class ParentSource:
    """The source whose documents are seeds, pinned."""

    name: str
    documents: Generation
    labels: Mapping[str, Generation] = field(default_factory=dict)
    """Labels set -> generation; empty for seeds from a file."""

    def pins(self, part: int) -> Pins:
        """As the readers of labels want them."""
        labels = {name: made.name for name, made in self.labels.items()}
        source = SourcePins(documents=self.documents.name, labels=labels, parts=(part,))
        return Pins({self.name: source}, "")


@dataclass(frozen=True, kw_only=True)
class SynthesizeJob:
    """Cooks one recipe of the parts of one source."""

    output: str
    """The source that comes out."""
    parent: ParentSource
    recipe: str
    """Name or path, as `load_recipe` takes it."""
    options: str = "{}"
    """Changes of the recipe, as canonical JSON."""
    model: ModelConfig | None = None
    """None for recipes that ask none."""
    choice: Choice = field(default_factory=Choice)
    first_rewrite: int = 0
    """`rewrite_index` of the first rewrite of a seed: earlier items made as many."""

    @property
    def cooked(self) -> Recipe:
        """The recipe itself."""
        return _recipe(self.recipe, self.options)

    @property
    def generation(self) -> Generation:
        """The documents that come out; where the model runs does not enter."""
        payload = {
            "version": VERSION,
            "output": self.output,
            "recipe": dict(self.cooked.identity),
            "model": None if self.model is None else [self.model.identity, self.model.thinking],
            "where": self.choice.where,
            "share": self.choice.share,
            "validation": self.choice.validation_share,
            "first_rewrite": self.first_rewrite,
            "documents": self.parent.documents.full,
            "labels": {name: made.full for name, made in sorted(self.parent.labels.items())},
        }
        return Generation(job=JOB, payload=payload)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """One."""
        return (self.generation,)

    def run(self, workspace: Workspace, key: PartKey, children: Children) -> None:
        """Makes and commits one part.

        Raises:
            EndpointError: The model cannot be asked; nothing is committed, answers are kept.
        """
        watch, storage, generation = Stopwatch(), workspace.storage, self.generation
        pins, parent_key = self.parent.pins(key.part), PartKey(self.parent.name, key.part)
        ref = documents_ref(workspace, pins, parent_key)
        chosen = choose(workspace, pins, parent_key, self.choice)
        takedowns = read_takedowns(storage)
        seeds = read_seeds(workspace, ref, chosen, self.choice, takedowns, chosen.reasons)
        tally = _Tally(self, ref.path)
        with (
            open_desk(self.model, workspace, key, children) as desk,
            PartFile(storage, DOCUMENT) as documents,
            PartFile(storage, SAMPLE) as samples,
        ):
            for group, made in self._made(seeds, desk):
                rows = tally.add(group, made)
                METER.add(JOB, len(group))
                if rows:
                    documents.write(batch_of(rows, DOCUMENT))
                if made.samples:
                    samples.write(batch_of(map(dict, made.samples), SAMPLE))
            desk.check_answered()
            folder = documents_folder(key.source, generation.fp)
            files = [documents.publish("documents", folder, key.part)]
            if samples.rows:
                place = f"{_SAMPLES}/{generation.name}/{key.source}"
                files.append(samples.publish(_SAMPLES, place, key.part))
            usage = desk.usage
        if tally.rejects:
            with PartFile(storage, REJECT) as listed:
                listed.write(batch_of(tally.rejects, REJECT))
                place = rejects_folder(JOB, generation.fp, key.source)
                files.append(listed.publish("rejects", place, key.part))
        counts = {
            "rows": ref.rows,
            **tally.counts(ref.rows - sum(chosen.reasons.values())),
            "not_chosen": sum(chosen.reasons.values()),
            "documents": documents.rows,
            _SAMPLES: samples.rows,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
        detail = {
            "recipe": self.cooked.name,
            "kind": self.cooked.kind,
            "model": None if self.model is None else self.model.identity,
            "not_chosen": dict(sorted(chosen.reasons.items())),
            "rejects": dict(sorted(tally.reasons.items())),
            "figures": dict(sorted(tally.figures.items())),
            "usage": usage.to_json(),
            "price": None if self.model is None else priced(self.model),
            "text_bytes": tally.text_bytes,
            "kinds": {self.cooked.kind: documents.rows} if documents.rows else {},
        }
        entry = entry_of(
            generation, key, files=tuple(files), counts=counts, watch=watch, detail=detail,
            inputs=(ref.path,),
        )  # fmt: skip
        workspace.ledger.commit(entry)

    def _made(
        self, seeds: Iterator[tuple[Seed, Parent]], desk: Desk
    ) -> Iterator[tuple["_Group", Made]]:
        """What the recipe makes of every group of seeds, in their order."""
        recipe = self.cooked
        groups = _groups(seeds, recipe.group_by)
        yield from desk.map_ordered(groups, partial(_make, recipe, desk))


_Group = tuple[tuple[Seed, Parent], ...]


async def _make(recipe: Recipe, desk: Desk, group: _Group) -> tuple[_Group, Made]:
    """One group through the recipe; a mistake in it costs the group, and says so."""
    try:
        return group, await recipe.make(tuple(seed for seed, _ in group), desk)
    except (EndpointError, SandboxError, MemoryError, OSError):  # not the seed's: a full disk, say
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        return group, Made(
            units=1, accepted=0, rejects=(Reject(reason=RECIPE_ERROR, message=message),)
        )


def _groups(seeds: Iterable[tuple[Seed, Parent]], group_by: str | None) -> Iterator[_Group]:
    """Seeds one by one, or those of a part that share a value of `meta`, by its first place."""
    if group_by is None:
        for pair in seeds:
            yield (pair,)
        return
    found: dict[str, list[tuple[Seed, Parent]]] = defaultdict(list)
    for pair in seeds:
        found[pair[0].meta.get(group_by, "")].append(pair)
    for group in found.values():
        yield tuple(group)


def _is_same(made: str, seed: str) -> bool:
    """Whether two texts are exact duplicates: equal without case, punctuation and spaces."""
    texts = pa.array([made.encode("utf-8", "replace").decode(), seed], pa.large_string())
    first, second = normal_hashes(texts)
    return bool(first == second)


_RECIPES: dict[tuple[str, str], Recipe] = {}


def _recipe(name: str, options: str) -> Recipe:
    """A recipe, read once a process."""
    key = (name, options)
    if key not in _RECIPES:
        _RECIPES[key] = load_recipe(name, json.loads(options))
    return _RECIPES[key]


class _Tally:
    """Counts what was made of a part, and gives documents their ids and provenance."""

    def __init__(self, job: SynthesizeJob, parent_path: str) -> None:
        self._job, self._recipe, self._path = job, job.cooked, parent_path
        self.rejects: list[dict[str, Any]] = []
        self.reasons: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.text_bytes = 0
        self._units = self._accepted = self._accepted_tokens = 0
        self._used: set[bytes] = set()

    def add(self, group: _Group, made: Made) -> list[dict[str, Any]]:
        """Counts what came of a group; gives its DOCUMENT rows.

        Raises:
            ValueError: The recipe's own sum is wrong.
        """
        if made.units != made.accepted + len(made.rejects):
            raise ValueError(
                f"recipe {self._recipe.name} says {made.units} units, {made.accepted} of them "
                f"accepted and {len(made.rejects)} rejected; a unit is one or the other"
            )
        self._units += made.units
        self._accepted += made.accepted
        for name, value in made.figures.items():
            self.figures[name] += value  # type: ignore[assignment]
        parents = {seed.id: (seed, parent) for seed, parent in group}
        first = group[0]
        for reject in made.rejects:
            self.reasons[reject.reason] += 1
            self.rejects.append(self._reject(first, reject))
        rows = []
        for number, draft in enumerate(made.drafts):
            chief = parents.get(draft.parents[0], first)
            if self._recipe.kind == "refined" and _is_same(draft.text, chief[0].text):
                # It would be an exact duplicate of what it takes the place of.
                self.figures[UNCHANGED] += 1
                continue
            rows.append(self._document(chief, parents, draft, number))
        return rows

    def counts(self, chosen: int) -> dict[str, int]:
        """Of the ledger entry."""
        return {
            "chosen": chosen,
            "used": len(self._used),
            "unused": chosen - len(self._used),
            "units": self._units,
            "accepted": self._accepted,
            "rejected": len(self.rejects),
            "accepted_tokens": self._accepted_tokens,
        }

    def _reject(self, of: tuple[Seed, Parent], reject: Reject) -> dict[str, Any]:
        seed, parent = of
        return {
            "id": seed.id,
            "uri": seed.uri,
            "locator": self._locator(parent),
            "reason": reject.reason,
            "message": (reject.message or reject.reason)[:_MESSAGE_CHARS],
        }

    def _locator(self, parent: Parent) -> dict[str, Any]:
        return {"file": self._path, "offset": parent.row, "length": 1}

    def _document(
        self,
        chief: tuple[Seed, Parent],
        parents: Mapping[bytes, tuple[Seed, Parent]],
        draft: Draft,
        number: int,
    ) -> dict[str, Any]:
        seed, parent = chief
        text = draft.text.encode("utf-8", "replace").decode()
        data = text.encode()
        self.text_bytes += len(data)
        self._accepted_tokens += draft.accepted_tokens
        self._used.add(seed.id)
        depth = max(parents[one][1].depth for one in draft.parents if one in parents)
        meta = {**draft.meta, **({PARENT_URI: seed.uri} if seed.uri else {})}
        name = seed.id.hex()
        return {
            "id": document_id(self._job.output, name, payload_digest(data), number),
            "text": text,
            "uri": None,
            "host": parent.host,
            "source": self._job.output,
            "media_type": draft.media_type,
            "fetched_at": None,
            "license": parent.license,
            "declared_language": draft.language or seed.language,
            "locator": self._locator(parent),
            "extractor": EXTRACTOR,
            "meta": sorted(meta.items()),
            "provenance": self._provenance(parent, draft, depth),
        }

    def _provenance(self, parent: Parent, draft: Draft, depth: int) -> dict[str, Any]:
        kind, request = self._recipe.kind, draft.request
        sampling = None
        if request is not None:
            sampling = canonical_json(request.sampling.model_dump(exclude_defaults=True))
        is_rewrite = kind == "rewritten"
        return {
            "kind": kind,
            "recipe": self._recipe.name,
            "model": None if self._job.model is None else self._job.model.identity,
            "prompt_hash": draft.prompt_hash,
            "sampling": sampling,
            "thinking": None if request is None else thinking_name(request.thinking),
            "parents": list(draft.parents),
            "rewrite_index": self._job.first_rewrite + draft.attempt if is_rewrite else None,
            "depth": depth + (kind in _GENERATED),
            "root": parent.root,
        }
