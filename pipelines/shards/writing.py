"""Writing the shards of a plan: which jobs run in which order, and what closes a stage.

    scatter, where a stage is shuffled over all its shards  ->  shards  ->  seal

The driver of a run and the command `shards` call the same function. Before any work it refuses what
no longer fits the plan: another tokenizer, a changed part. A stage is sealed when all its shards
are committed: what was gathered is compared with what was scattered, the index.json that a reader
of MDS begins with is written, and scattered tokens are deleted.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from pipelines.mix.judge import TRAIN
from pipelines.mix.plan import Plan, Unit, refuse_changed_parts, unit_keys
from pipelines.progress import Progress
from pipelines.shards.job import GLOBAL, JOB, ShardsJob
from pipelines.shards.scatter import JOB as SCATTER
from pipelines.shards.scatter import ScatterJob, gathering_units
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartJob, PartKey, entry_of, pending_keys
from pipelines.workspace.ledger import Entry, FileRef, Stopwatch
from pipelines.workspace.workspace import Workspace
from token_shards.mds import index_json
from token_shards.tokenizer import tokenizer_fingerprint

SEAL: Final = "sealed"
"""Name of the job that closes stages, before the mixture."""
_SEAL_VERSION: Final = "1"

MapParts = Callable[[str, Mapping[str, str], Sequence[Mapping[str, PartJob]], list[PartKey]], None]
"""Runs a chain of part jobs over some parts: (title, meters, chain, parts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSettings:
    """What corpus.yaml says of shards."""

    tokenizer: str
    eod: str
    format: str


def write_shards(
    workspace: Workspace, plan: Plan, settings: ShardSettings, map_parts: MapParts
) -> list[ShardsJob]:
    """Writes what is missing of the shards of a plan.

    Args:
        workspace: Where the plan stands.
        plan: The plan.
        settings: Tokenizer and format.
        map_parts: Runs jobs.

    Returns:
        The jobs of all stages.

    Raises:
        ValueError: The tokenizer or the parts are not those of the plan, or a stage does not go
            with the format; before any work.
    """
    fingerprint = tokenizer_fingerprint(settings.tokenizer, eod=settings.eod)
    jobs = {
        stage: ShardsJob(
            plan, stage, settings.tokenizer, fingerprint, settings.eod, settings.format
        )
        for stage in plan.stages
    }
    parts: dict[str, PartJob] = dict(jobs)
    pending = pending_keys(workspace, parts, unit_keys(plan))
    if pending:
        _refuse_other_tokenizer(plan, settings, fingerprint)
        refuse_changed_parts(workspace, plan)
        _scatter(workspace, plan, jobs, pending, map_parts)
        map_parts(f"Write {plan.mixture}", {JOB: "documents"}, [parts], pending)
    for job in jobs.values():
        seal(workspace, job)
    return list(jobs.values())


def _scatter(
    workspace: Workspace,
    plan: Plan,
    jobs: Mapping[str, ShardsJob],
    pending: Sequence[PartKey],
    map_parts: MapParts,
) -> None:
    """Scatters the stages that are shuffled as a whole and lack a shard."""
    lacking = {key.source for key in pending if plan.stages[key.source].shuffle == GLOBAL}
    lacking &= {key.source for key in pending if _unit(plan, key).split == TRAIN}
    if not lacking:
        return
    scatter: dict[str, PartJob] = {
        stage: ScatterJob(plan, stage, jobs[stage].loads) for stage in sorted(lacking)
    }
    units = [unit for stage in sorted(lacking) for unit in gathering_units(plan, stage)]
    keys = pending_keys(workspace, scatter, [PartKey(one.stage, one.number) for one in units])
    if keys:
        map_parts(f"Scatter {plan.mixture}", {SCATTER: "documents"}, [scatter], keys)


def _unit(plan: Plan, key: PartKey) -> Unit:
    return plan.units_of(key.source)[key.part]


def _refuse_other_tokenizer(plan: Plan, settings: ShardSettings, fingerprint: str) -> None:
    if fingerprint != plan.tokenizer_fingerprint:
        from token_shards.tokenizer import load_tokenizer

        eod_id = load_tokenizer(settings.tokenizer, eod=settings.eod).eod_id
        raise ValueError(
            f"tokenizer {settings.tokenizer} with the EOD {settings.eod!r} (id {eod_id}) has "
            f"fingerprint {fingerprint}, and plan {plan.folder.removeprefix('mixtures/')} was made "
            f"with {plan.tokenizer_fingerprint}; give the old tokenizer and EOD, or run the corpus "
            "again to plan anew"
        )


def seal_generation(job: ShardsJob) -> Generation:
    """Of the entry that closes a stage."""
    payload = {
        "version": _SEAL_VERSION,
        "plan": job.plan.generation.full,
        "shards": job.generation.full,
    }
    return Generation(job=f"{SEAL}.{job.plan.mixture}", payload=payload)


def seal(workspace: Workspace, job: ShardsJob) -> None:
    """Closes a stage whose shards are all committed; does nothing while one is missing.

    Equation: tokens scattered = tokens gathered, both 0 where nothing is shuffled as a whole.

    Raises:
        RuntimeError: Gathered is not what was scattered.
    """
    ledger, generation = workspace.ledger, seal_generation(job)
    if ledger.find(generation, job.stage, 0) is None:
        watch = Stopwatch()
        entries = ledger.entries(job.generation, job.stage)
        if len(entries) < len(job.plan.units_of(job.stage)):
            return
        ledger.declare(generation)
        counts = {"shards": len(entries), **_compare(job, entries)}
        files = _index_files(workspace, job, entries) if job.format == "mds" else ()
        key = PartKey(job.stage, 0)
        ledger.commit(entry_of(generation, key, files=files, counts=counts, watch=watch))
    _forget(workspace, ScatterJob(job.plan, job.stage, job.loads))


def _compare(job: ShardsJob, entries: Sequence[Entry]) -> dict[str, int]:
    """Every gathering shard noted how many tokens the whole stage had scattered."""
    gathering = [entry for entry in entries if "scattered_tokens" in entry.detail]
    gathered = sum(entry.counts["tokens"] - entry.counts["padding"] for entry in gathering)
    for scattered in {entry.detail["scattered_tokens"] for entry in gathering}:
        if scattered != gathered:
            raise RuntimeError(
                f"stage {job.stage}: {scattered} tokens were scattered and {gathered} gathered; "
                f"delete ledger/{job.generation.name} and write the shards again"
            )
    return {"scattered": gathered, "gathered": gathered}


def _index_files(
    workspace: Workspace, job: ShardsJob, entries: Sequence[Entry]
) -> tuple[FileRef, ...]:
    """Writes the index.json of every folder of a stage that holds MDS shards."""
    by_folder: dict[str, list[FileRef]] = {}
    for entry in entries:
        if entry.files:
            ref = entry.file("mds")
            by_folder.setdefault(ref.path.rpartition("/")[0], []).append(ref)
    files = []
    for folder, refs in sorted(by_folder.items()):
        listed = [(ref.path.rpartition("/")[2], ref.bytes, ref.rows, ref.sha256) for ref in refs]
        data, path = index_json(listed), f"{folder}/index.json"
        workspace.storage.create(path, data)
        digest = hashlib.sha256(data).hexdigest()
        files.append(
            FileRef(kind="index", path=path, sha256=digest, bytes=len(data), rows=len(refs))
        )
    return tuple(files)


def _forget(workspace: Workspace, scatter: ScatterJob) -> None:
    """Deletes what a sealed stage scattered; entries first, so that no reader opens the files."""
    ledger, name = workspace.ledger, scatter.generation.name
    paths = ledger.entry_files(name, scatter.stage)
    if not paths:
        return
    files = [ref.path for entry in ledger.entries(name, scatter.stage) for ref in entry.files]
    fold = f"ledger/{name}/folded.parquet"
    if workspace.storage.exists(fold):
        workspace.storage.remove(fold)
    for path in (*paths, *files):
        if workspace.storage.exists(path):  # another driver may do the same
            workspace.storage.remove(path)


def map_parts_here(
    workspace: Workspace,
    limits: Limits,
    progress: Progress | None = None,
    beam_args: Sequence[str] = (),
) -> MapParts:
    """Runs part jobs by Beam, in this process unless another runner is named."""

    def run(
        title: str,
        meters: Mapping[str, str],
        chain: Sequence[Mapping[str, PartJob]],
        pending: list[PartKey],
    ) -> None:
        made = _distinct(g for jobs in chain for job in jobs.values() for g in job.generations)
        for generation in made:
            workspace.ledger.declare(generation)
        from pipelines.run import run_transform
        from pipelines.workspace.transform import MapChain

        transform = MapChain(workspace, chain, pending, limits)
        shown = progress.stage(title, parts=len(pending), meters=meters) if progress else None
        with shown or nullcontext() as watch:
            run_transform(transform, beam_args, watch)
        places = {(key.source, key.part) for key in pending}
        for generation in made:
            workspace.ledger.fold(generation, places)

    return run


def _distinct(generations: Iterable[Generation]) -> list[Generation]:
    return list({generation.name: generation for generation in generations}.values())
