"""The price of a run's models before it starts: a sample is made, counted, and scaled up.

Seeds of a sample are taken by a hash of their ids, so the run itself asks the same requests for
them and finds the answers in the journal: what an estimate paid for is not paid again. Extraction
and labels up to there are those of the run. Pages that a model is to read are sampled by files, in
a workspace that is thrown away.

What is scaled: the seeds chosen in all by those that were sampled, of an item that reads what an
earlier one makes by both. The error is that of a sample; its size is told beside the figure.
"""

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipelines.annotate.registry import AnnotatorSpec, specs_of
from pipelines.checks import check_items
from pipelines.config import CorpusConfig
from pipelines.driver import read_sources, with_tokenizer_file
from pipelines.extract.job import ExtractJob
from pipelines.extract.sources import list_source
from pipelines.models.costs import Cost, cost_of
from pipelines.progress import Progress
from pipelines.stages import RunOptions, Stages
from pipelines.synthesize.job import SynthesizeJob
from pipelines.synthesize.seeds import choose
from pipelines.synthesize.stage import (
    Item,
    Settings,
    Sources,
    settings_of,
    sources_of,
    synthesize,
)
from pipelines.workspace.inventory import Inventory, Listed
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

LEAST_SEEDS: Final = 20
"""Seeds of a sample, where there are as many: a thousandth of a small corpus is nothing."""
LEAST_FILES: Final = 8
_PAGED: Final = ("pdf", "image", "warc", "html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one use of a model will take."""

    what: str
    sampled: int
    """Seeds, or pages, that were asked about."""
    total: float
    """Of those in all."""
    cost: Cost
    """Of the sample."""

    @property
    def factor(self) -> float:
        """What the sample is multiplied by."""
        return self.total / self.sampled if self.sampled else 0.0


def estimate(
    config: CorpusConfig, options: RunOptions, progress: Progress, sample: float
) -> list[Estimate]:
    """Samples every use of a model in a corpus.

    Args:
        config: The corpus.
        options: Of the run that is to come.
        progress: Where progress is shown.
        sample: Share of seeds and files.

    Raises:
        ValueError: Nothing in the corpus asks a model, or a mistake in it.
        EndpointError: A model cannot be asked.
    """
    if not config.models:
        raise ValueError(
            "models: found none; an estimate prices what models make: add `models` with "
            "`synthesize` or `extract.pdf.ocr: vl`"
        )
    config = with_tokenizer_file(config)
    specs = specs_of(config)
    items = check_items(config, specs)
    found = _pages(config, options, progress, sample) if config.extract.pdf.ocr == "vl" else []
    if not items:
        return found
    without = config.extract.pdf.model_copy(update={"ocr": "none", "ocr_model": None})
    if config.extract.pdf.ocr == "vl":
        progress.say("note: seeds are taken from text layers; pages that a model reads add to them")
        extract = config.extract.model_copy(update={"pdf": without})
        config = config.model_copy(update={"extract": extract})
    stages = Stages(Workspace.create(options.workspace), options, progress)
    result = read_sources(stages, config, specs)
    known = sources_of(result.sources, result.documents, result.annotate, result.duplicates.labels)
    scale: dict[str, float] = {}
    settings = settings_of(config)
    for item in items:
        found += _item(stages, settings, item, specs, known, sample, scale)
    return found


def _item(
    stages: Stages,
    settings: Settings,
    item: Item,
    specs: tuple[AnnotatorSpec, ...],
    known: Sources,
    sample: float,
    scale: dict[str, float],
) -> list[Estimate]:
    """Makes a sample of one item; it stands for the whole where a later item reads it."""
    before = len(known.made)
    share = item.settings.share or 1.0
    wanted = _sample_share(stages.workspace, item, known, sample)
    chosen = item.settings.model_copy(update={"share": share * wanted})
    synthesize(stages, settings, (replace(item, settings=chosen),), specs, known)
    found = []
    for name in list(known.made)[before:]:
        job = known.made[name].job
        entries = stages.workspace.ledger.entries(job.generation, name)
        sampled = sum(entry.counts["chosen"] for entry in entries)
        whole = replace(job, choice=replace(job.choice, share=item.settings.share))
        keys = [PartKey(job.parent.name, part) for part in known.parts[name]]
        total = _num_seeds(stages.workspace, whole, keys) * scale.get(job.parent.name, 1.0)
        scale[name] = total / sampled if sampled else 1.0
        cost = cost_of(name, entries)
        if cost is not None:
            found.append(Estimate(what=name, sampled=sampled, total=total, cost=cost))
    return found


def _sample_share(workspace: Workspace, item: Item, known: Sources, sample: float) -> float:
    """The share of seeds to be sampled: more of a small corpus."""
    rows = sum(
        entry.counts["documents"]
        for parent in item.sources
        for entry in workspace.ledger.entries(known.documents[parent], parent)
    )
    return min(1.0, max(sample, LEAST_SEEDS / rows if rows else 1.0))


def _num_seeds(workspace: Workspace, job: SynthesizeJob, keys: Sequence[PartKey]) -> int:
    """Seeds of a job by labels alone; what the takedowns or held-out texts among them take is
    little.
    """
    return sum(
        len(choose(workspace, job.parent.pins(key.part), key, job.choice).rows) for key in keys
    )


def _pages(
    config: CorpusConfig, options: RunOptions, progress: Progress, sample: float
) -> list[Estimate]:
    """Reads the pages of some files, in a workspace of its own."""
    reader = config.models[config.extract.pdf.ocr_model or ""]
    found = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-estimate-") as folder:
        stages = Stages(Workspace.create(folder), replace(options, workspace=folder), progress)
        for source in config.sources:
            if source.crawl is not None:
                progress.say(f"note: source {source.name} is a crawl, and no page of it is counted")
                continue
            listed = [one for one in list_source(source, config.part_bytes) if one.format in _PAGED]
            some = _some_files(listed, sample)
            if not some:
                continue
            job = ExtractJob(source, config.extract, reader)
            inventory = Inventory(stages.workspace.storage, source.name)
            inventory.extend(some, config.part_bytes)
            keys = [PartKey(source.name, part) for part in inventory.parts()]
            chain = [{source.name: job}]
            title = f"Sample pages of {source.name}"
            stages.map_at_once(title, {"extract": "files"}, chain, keys, reader)
            entries = stages.workspace.ledger.entries(job.generation, source.name)
            cost = cost_of(f"pages of {source.name}", entries)
            if cost is not None:
                pages = cost.accepted + cost.rejected
                total = pages * len(listed) / len(some)
                found.append(Estimate(what=cost.what, sampled=pages, total=total, cost=cost))
        stages.end_servers()
    return found


def _some_files(listed: Sequence[Listed], sample: float) -> list[Listed]:
    """Files by a hash of their names: a share of them, and a few at least."""
    ordered = sorted(listed, key=lambda one: hashlib.blake2b(one.file.encode()).digest())
    return ordered[: max(LEAST_FILES, math.ceil(sample * len(ordered)))]
