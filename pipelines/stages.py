"""The stages of a run: each a chain of jobs over the parts of a workspace, in one Beam pipeline.

A stage asks the ledger what is missing, makes that, and folds the ledger of what it made. With
nothing missing it imports neither Beam nor a model. Which stages there are, and what goes from one
to the next, the driver says; commands that need only some of them (`deduplicate`, `decontaminate`)
call those.
"""

import importlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from mixtures.budgets import TokenBudget
from pipelines.annotate import compiling
from pipelines.annotate.compiling import EXTRACT_NOTE, NOTE, are_uncompiled, compile_with
from pipelines.annotate.job import AnnotateJob
from pipelines.config import CrawlConfig, SourceConfig
from pipelines.deduplicate.plan import DuplicatesPlan
from pipelines.erasure.swap import refuse_unfinished
from pipelines.extract import kernels
from pipelines.extract.job import ExtractJob
from pipelines.extract.kernels import are_formats_uncompiled
from pipelines.extract.sources import list_source
from pipelines.progress import Progress
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.inventory import Inventory, InventoryError, Listed
from pipelines.workspace.jobs import PartJob, PartKey, pending_keys
from pipelines.workspace.lease import Lease, hold
from pipelines.workspace.passes import pending_parts
from pipelines.workspace.patience import say_waits
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.annotate.registry import AnnotatorSpec
    from pipelines.dataflow.report import JobReport
    from pipelines.models.settings import ModelConfig
    from pipelines.repeats.plan import RepeatsPlan

EXTRACT: Final = "extract"
_BEAM: Final = "pipelines.run"  # is the first to import Beam, so that it can silence it
_REPEATS_TITLES: Final = {"boilerplate": "Find boilerplate", "repeats": "Find repeated passages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where and how to run; nothing of it changes a result, but the token budget."""

    workspace: str
    limits: Limits
    beam_args: tuple[str, ...] = ()
    tokens: TokenBudget | None = None
    """Budget of every stage, in place of that in the mixtures."""
    connect: Mapping[str, str] = field(default_factory=dict)
    """Host of a crawl -> `address:port` that serves it."""
    shuffle_memory_bytes: int = 1 << 30
    """What a shuffle may take at a time; more data goes in several passes."""
    wait_s: float = 0.0
    """How long to wait for another run that writes into the workspace; 0 refuses at once."""
    is_watched: bool = False
    """Whether beats of the run are written into the workspace, for `tokenmill status`."""
    dry_run: str | None = None
    """The workspace that pipelines are to name while the first of them is only looked at."""


class DryRunEnded(Exception):
    """The first pipeline of a dry run was built."""

    def __init__(self, title: str, report: "JobReport") -> None:
        super().__init__(title)
        self.title, self.report = title, report


class Stages:
    """The stages of one run, sharing workspace, options and progress.

    As a context manager it holds the lease of the workspace, so that no other run writes there.
    """

    def __init__(self, workspace: Workspace, options: RunOptions, progress: Progress) -> None:
        self.workspace, self.options, self.progress = workspace, options, progress
        self._serving: ModelConfig | None = None
        self._lease: Lease | None = None
        self._held = ExitStack()
        self.parts_done = 0
        """Parts, partitions and shards that were made; 0 when all was there."""
        self.crawls: dict[str, str] = {}
        """Source -> `crawl@fp`."""
        self.gone: dict[str, set[str]] = {}
        """Source -> numbered files that are no longer there."""

    def __enter__(self) -> Self:
        """Takes the workspace.

        Raises:
            WorkspaceHeld: Another run writes there.
            ValueError: An erasure there is unfinished.
        """
        progress, wait_s = self.progress, self.options.wait_s
        say_waits(progress.say)
        held = hold(self.workspace, what=called_as(), wait_s=wait_s, say=progress.say)
        self._lease = self._held.enter_context(held)
        try:
            refuse_unfinished(self.workspace.storage)
        except ValueError:
            self._held.close()
            raise
        if self.options.is_watched:
            progress.attach(self.workspace)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Gives it back."""
        if self.options.is_watched:
            self.progress.end(error)
        self._lease = None
        self._held.close()

    def number(self, source: SourceConfig, part_bytes: int) -> list[int]:
        """Numbers the files of a source; gives all its parts."""
        name = source.name
        inventory = Inventory(self.workspace.storage, name)
        self._refuse_lost(inventory)
        if source.crawl is None:
            listed = list_source(source, part_bytes)
            refuse_own_files(self.workspace, name, listed)
            chosen = source.model_dump(include={"path", "format", "include", "exclude"})
        else:
            listed = self.crawl(name, source.crawl)
            chosen = {"crawl": self.crawls[name]}
        inventory.extend(listed, part_bytes, canonical_json(chosen))
        self.gone[name] = set(inventory.missing(listed))
        if self.gone[name]:
            self.progress.say(
                f"note: {len(self.gone[name])} files of source {name} are no longer there (first: "
                f"{min(self.gone[name])}); what was extracted from them stays"
            )
        return inventory.parts()

    def crawl(self, name: str, settings: CrawlConfig) -> list[Listed]:
        """Crawls a source to its end, or on from where it was; gives its archives."""
        from pipelines.crawl.job import CrawlJob, crawled_files

        job = CrawlJob(name, settings, dict(self.options.connect))
        self.crawls[name] = job.generation.name
        while keys := job.next_round(self.workspace):
            pending = pending_keys(self.workspace, {name: job}, keys)
            self.map(f"Crawl {name}", {"crawl": "pages"}, [{name: job}], pending)
        return crawled_files(self.workspace, job)

    def per_part(
        self,
        extract: Mapping[str, ExtractJob],
        annotate: Mapping[str, AnnotateJob],
        keys: list[PartKey],
        *,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Extracts and annotates, fused: labels are made while a part's text is warm.

        Args:
            extract: The job of each source.
            annotate: Likewise.
            keys: All parts.
            before: Called where there is work, before it begins.
        """
        unread = pending_keys(self.workspace, extract, keys)
        self._refuse_gone(unread)
        unlabelled = pending_keys(self.workspace, annotate, keys)
        self.compile_kernels(unread, {s for key in unlabelled for s in annotate[key.source].specs})
        pending = sorted({*unread, *unlabelled})
        if pending:
            before()
        meters = {"extract": "extracted", "annotate": "annotated"}
        model = next((job.model for job in extract.values() if job.model is not None), None)
        chain: Sequence[Mapping[str, PartJob]] = [extract, annotate]
        if model is None:
            self.map("Extract and annotate", meters, chain, pending)
        else:
            self.map_at_once("Extract and annotate", meters, chain, pending, model)

    def compile_kernels(
        self, unread: Iterable[PartKey], specs: Collection["AnnotatorSpec"] = ()
    ) -> None:
        """Has kernels compiled where none of their package ever was, and says so.

        Not left to the children: what they do is timed, and a document would be rejected as slow
        because a compiler was at work.

        Args:
            unread: Parts that are to be extracted.
            specs: Annotators that will be called.
        """
        if self.options.dry_run is not None:
            return
        modules = []
        if self.say_compiling(unread):
            modules.append(kernels.WARM)
        if are_uncompiled(specs):
            self.progress.say(NOTE)
            modules.append(compiling.WARM)
        for note in compile_with(modules):
            self.progress.say(note)

    def say_compiling(self, unread: Iterable[PartKey]) -> bool:
        """Says so where extraction has kernels of which none was ever compiled; whether it has.

        Args:
            unread: Parts that are to be extracted.
        """
        parts: dict[str, set[int]] = {}
        for key in unread:
            parts.setdefault(key.source, set()).add(key.part)
        formats = {
            span.format
            for source, wanted in parts.items()
            for span in Inventory(self.workspace.storage, source).spans()
            if span.part in wanted
        }
        is_cold = are_formats_uncompiled(formats)
        if is_cold:
            self.progress.say(EXTRACT_NOTE)
        return is_cold

    def deduplicate(self, plan: DuplicatesPlan, keys: list[PartKey]) -> None:
        """Labels what equals or resembles something else, over all sources."""
        self._declare(plan.generations)
        pending = self._pending(plan.label_sets.values(), keys)
        if pending:
            importlib.import_module(_BEAM)
            from pipelines.deduplicate.transform import steps

            options = self.options
            made = steps(self.workspace, plan, keys, options.limits, options.shuffle_memory_bytes)
            meters = {"deduplicate": "documents"}
            self.run("Find duplicates", meters, made, len(pending))
            for generation in (plan.clusters, *plan.label_sets.values()):
                self.workspace.ledger.fold(generation)
        if plan.near is not None:
            from pipelines.near_duplicates.texts import forget_shingles

            forget_shingles(self.workspace, plan.near)

    def repeats(self, plan: "RepeatsPlan", keys: list[PartKey]) -> None:
        """Labels lines, paragraphs or passages that stand in several documents."""
        self._declare(plan.generations)
        pending = self._pending([plan.labels], keys)
        if pending:
            importlib.import_module(_BEAM)
            from pipelines.repeats.transform import steps

            options = self.options
            made = steps(self.workspace, plan, keys, options.limits, options.shuffle_memory_bytes)
            title = _REPEATS_TITLES[plan.level]
            # Not the level's own meter: there the jobs that collect keys count parts as well.
            self.run(title, {f"{plan.level}_labels": "documents"}, made, len(pending))
            self.workspace.ledger.fold(plan.labels)

    def map(
        self,
        title: str,
        meters: Mapping[str, str],
        chain: Sequence[Mapping[str, PartJob]],
        pending: list[PartKey],
        *,
        at_once: bool = False,
    ) -> None:
        """Runs the jobs of a chain over the pending parts in one pipeline."""
        if not pending:
            return
        made = [g for jobs in chain for job in jobs.values() for g in job.generations]
        generations = {generation.name: generation for generation in made}.values()
        self._declare(generations)
        importlib.import_module(_BEAM)
        module = "pipelines.models.transform" if at_once else "pipelines.workspace.transform"
        mapped = getattr(
            importlib.import_module(module), "MapChainAtOnce" if at_once else "MapChain"
        )
        workspace = Workspace(self.options.dry_run) if self.options.dry_run else self.workspace
        transform = mapped(workspace, chain, pending, self.options.limits)
        self.run(title, meters, [transform], len(pending))
        places = {(key.source, key.part) for key in pending}
        for generation in generations:
            self.workspace.ledger.fold(generation, places)

    def map_at_once(
        self,
        title: str,
        meters: Mapping[str, str],
        chain: Sequence[Mapping[str, PartJob]],
        pending: list[PartKey],
        model: "ModelConfig | None",
    ) -> None:
        """As `map`, several parts at a time in one worker: for jobs that wait for a model.

        The server of the model before ends first where that was another: this one needs its GPU.
        """
        if not pending:
            return
        if self._serving != model:
            self.end_servers()
            self._serving = model
        self.map(title, meters, chain, pending, at_once=True)

    def end_servers(self) -> None:
        """Ends the server of the last model, where this process has one."""
        if self._serving is not None:
            from pipelines.models.sharing import stop_servers

            stop_servers()
            self._serving = None

    def run(
        self,
        title: str,
        meters: Mapping[str, str],
        transforms: Iterable[Any],
        parts: int,
    ) -> None:
        """Runs pipelines one after the other; each is asked for when those before it are done.

        Raises:
            LeaseLost: Another run has taken the workspace over.
            DryRunEnded: With `dry_run`, once the first is built.
        """
        from pipelines.run import run_transform

        if self.options.dry_run is not None:
            from pipelines.dataflow.transform import inspect_job

            first = next(iter(transforms))
            raise DryRunEnded(title, inspect_job(first, self.options.beam_args))

        with self.progress.stage(title, parts=parts, meters=meters) as watch:
            for transform in transforms:
                if self._lease is not None:
                    self._lease.check()
                run_transform(transform, self.options.beam_args, watch)
        self.parts_done += parts

    def _refuse_lost(self, inventory: Inventory) -> None:
        """Refuses to number anew what has parts already.

        Raises:
            InventoryError: Parts are committed, and which files they are of is not known.
        """
        if inventory.parts():
            return
        ledger, source = self.workspace.ledger, inventory.source
        for generation in ledger.generations():
            if generation.startswith(f"{EXTRACT}@") and ledger.places(generation, source):
                raise InventoryError(
                    f"inventory/{source}/ is gone, and parts of {source} are committed in "
                    f"{generation}: numbered anew, files would be taken for others; restore it "
                    "from a copy, or give the source another name"
                )

    def _refuse_gone(self, unread: Sequence[PartKey]) -> None:
        for key in unread:
            spans = Inventory(self.workspace.storage, key.source).part(key.part)
            lost = sorted({span.file for span in spans} & self.gone.get(key.source, set()))
            if lost:
                raise InventoryError(
                    f"source {key.source}: part {key.part} is to be extracted, and {lost[0]} of it "
                    "is no longer there; put it back, or give the source another name"
                )

    def _declare(self, generations: Iterable[Generation]) -> None:
        for generation in generations:
            self.workspace.ledger.declare(generation)

    def _pending(self, labels: Iterable[Generation], keys: list[PartKey]) -> list[PartKey]:
        """The parts that one of some labels sets lacks."""
        found = {k for made in labels for k in pending_parts(self.workspace, made, keys)}
        return sorted(found)


def called_as() -> str:
    """The command of this process, for those who find the workspace taken; without its options."""
    words = [Path(sys.argv[0]).name, *(word for word in sys.argv[1:3] if not word.startswith("-"))]
    return " ".join(words)


def refuse_own_files(workspace: Workspace, source: str, listed: Sequence[Listed]) -> None:
    """Refuses a source that holds the workspace: a run would read what it writes.

    Raises:
        InventoryError: A listed file stands in the workspace.
    """
    root = workspace.storage.path("").rstrip("/") + "/"
    for item in listed:
        if item.url.split("://")[-1].startswith(root.split("://")[-1]):
            raise InventoryError(
                f"source {source} holds the workspace itself ({item.file}); name another folder "
                "with --workspace, or a narrower path for the source"
            )
