"""A dry run: the job that would be submitted first is built and checked, and nothing is submitted.

A run is a chain of pipelines, each made of what those before it committed. So only the first can be
built before anything ran; it has all that is common to them: options, image, workspace, pickled
jobs. The sources are listed for it, into a workspace that is thrown away.
"""

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixtures.errors import listed
from pipelines.config import CorpusConfig
from pipelines.dataflow.luggage import local_sources
from pipelines.driver import run_corpus
from pipelines.progress import Progress
from pipelines.stages import DryRunEnded, RunOptions

if TYPE_CHECKING:
    from pipelines.dataflow.report import JobReport

_RUNNER = "DataflowRunner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a dry run found."""

    report: "JobReport"
    following: tuple[str, ...]
    """Titles of the stages after this one."""

    def __str__(self) -> str:
        then = "; ".join(self.following)
        return f"{self.report}\nThen follow, each from what was committed before it: {then}."


def check_first_job(config: CorpusConfig, options: RunOptions, progress: Progress) -> Checked:
    """Builds and looks at the first job of a run.

    Args:
        config: The corpus.
        options: Of the run that is to come; its workspace need not be there.
        progress: Where notes are shown.

    Raises:
        ValueError: Another runner, or a mistake in the configuration or the sources.
    """
    if not any(_RUNNER in word for word in options.beam_args):
        raise ValueError(
            f"--dry-run: found {' '.join(options.beam_args) or 'no --runner'}; it checks jobs of "
            f"--runner={_RUNNER}; the other runners are tried by running a small corpus"
        )
    with tempfile.TemporaryDirectory(prefix="tokenmill-dry-run-") as folder:
        apart = replace(options, workspace=folder, dry_run=options.workspace)
        try:
            run_corpus(config, apart, progress)
        except DryRunEnded as ended:
            # The first job need not read every source; what both tell is told once.
            problems = dict.fromkeys((*local_sources(config), *ended.report.problems))
            report = replace(ended.report, problems=tuple(problems))
            return Checked(report=report, following=tuple(_following(config, ended.title)))
    raise RuntimeError(f"{config.name} gave no job; has it any source?")


def _following(config: CorpusConfig, title: str) -> list[str]:
    """Titles of the stages after one, in their order."""
    crawls = [f"Crawl {source.name}" for source in config.sources if source.crawl is not None]
    levels = set(config.duplicates.levels)
    stages = [*crawls, "Extract and annotate", "Find duplicates"]
    stages += [f"Make {item.name}" for item in config.synthesize]
    if config.synthesize:
        stages.append("Find duplicates among all")
    stages += ["Find boilerplate"] * ("boilerplate" in levels)
    stages += ["Find repeated passages"] * ("repeats" in levels)
    if config.validation is not None:
        stages += ["Hold out validation texts", "Find validation copies"]
    stages += [f"Plan and write {listed(list(map(str, config.mixtures)))}"]
    return stages[stages.index(title) + 1 :] if title in stages else stages
