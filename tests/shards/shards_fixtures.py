"""What tests of shards share: the stages they write, and a way to write them without Beam."""

from collections.abc import Callable, Mapping, Sequence

from pipelines.mix.plan import Plan
from pipelines.run_record import RunRecord
from pipelines.shards.job import ShardsJob
from pipelines.shards.writing import MapParts, ShardSettings
from pipelines.workspace.children import Children
from pipelines.workspace.jobs import PartJob, PartKey, is_done
from pipelines.workspace.workspace import Workspace

PACKINGS = ("concat", "best_fit")
SHUFFLES = ("none", "part", "global")
STAGE = {"sequence_length": 20, "tokens": "max", "max_epochs": 2.5}
STAGES = [
    {"name": f"{packing}-{shuffle}", "packing": packing, "shuffle": shuffle, **STAGE}
    for packing in PACKINGS
    for shuffle in SHUFFLES
] + [
    # Sequences of several documents, so that draws of one could meet.
    {**STAGE, "name": f"wide-{shuffle}", "packing": "best_fit", "shuffle": shuffle}
    | {"sequence_length": 120}
    for shuffle in SHUFFLES
]

Write = Callable[[Workspace, str], tuple[Plan, list[ShardsJob]]]
Written = dict[str, tuple[Workspace, Plan, list[ShardsJob]]]

FORMATS = ("megatron", "mds", "parquet", "npy")


def settings_of(record: RunRecord, format_name: str) -> ShardSettings:
    return ShardSettings(tokenizer=record.tokenizer, eod=record.eod, format=format_name)


def map_here(workspace: Workspace, children: Children) -> MapParts:
    """Runs jobs one part after the other in this process."""

    def run(
        title: str,
        meters: Mapping[str, str],
        chain: Sequence[Mapping[str, PartJob]],
        pending: list[PartKey],
    ) -> None:
        for jobs in chain:
            for generation in {g.name: g for j in jobs.values() for g in j.generations}.values():
                workspace.ledger.declare(generation)
            for key in pending:
                if not is_done(workspace, jobs[key.source], key):
                    jobs[key.source].run(workspace, key, children)

    return run
