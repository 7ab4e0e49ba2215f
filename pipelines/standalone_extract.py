"""`crawl` and `extract` over plain files and addresses, without a corpus.

Their output folder is a workspace with the same files that a run would write up to its documents.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.config import ExtractConfig, SourceConfig, is_path_list
from pipelines.extract.inputs import local_path
from pipelines.extract.job import ExtractJob
from pipelines.models.settings import ModelConfig
from pipelines.progress import Progress
from pipelines.run_record import RunRecord, read_run_record
from pipelines.stages import RunOptions, Stages
from pipelines.standalone import PART_BYTES, Texts, keep_record, name_of, named
from pipelines.workspace.children import Limits, default_processes
from pipelines.workspace.jobs import PartKey, pending_keys
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.crawl.job import CrawlJob


def open_output(
    output: str, processes: int | None, connect: Mapping[str, str] | None = None
) -> Stages:
    """The stages that extract or crawl into a folder.

    Raises:
        ValueError: The folder holds something else, or is the workspace of a corpus.
    """
    workspace = Workspace.create(output)
    try:
        record: RunRecord | None = read_run_record(workspace)
    except LookupError:
        record = None
    if record is not None and record.tokenizer:
        raise ValueError(
            f"{workspace.url} is the workspace of the corpus {record.corpus!r}, which `tokenmill "
            "run` fills; name another folder"
        )
    limits = Limits(processes=processes or default_processes())
    options = RunOptions(workspace=output, limits=limits, connect=connect or {}, is_watched=True)
    return Stages(workspace, options, Progress())


def extract_files(
    stages: Stages,
    inputs: Sequence[str],
    settings: ExtractConfig,
    base: str | None = None,
    model: ModelConfig | None = None,
) -> dict[str, ExtractJob]:
    """Extracts the texts of files of every format.

    Args:
        stages: Of the output folder.
        inputs: Files, folders and globs, or NAME=PATH to name the source; fsspec URLs too.
        settings: How they are read.
        base: Where the paths lie that lists among the inputs name; default: at Common Crawl.
        model: Reads pages, with `pdf.ocr: vl`.

    Returns:
        Source -> its job, all of whose parts are committed.

    Raises:
        ValueError: A path matches nothing, or two sources have one name, or a base is given and no
            input is a list of paths.
    """
    sources = _sources(inputs, base)
    jobs = {name: ExtractJob(source, settings, model) for name, source in sources.items()}
    parts = {name: stages.number(source, PART_BYTES) for name, source in sources.items()}
    keys = [PartKey(name, part) for name, numbers in parts.items() for part in numbers]
    pending = pending_keys(stages.workspace, jobs, keys)
    stages.compile_kernels(pending)
    stages.map("Extract", {"extract": "extracted"}, [jobs], pending, at_once=model is not None)
    extract = {name: job.generation for name, job in jobs.items()}
    texts = Texts(
        workspace=stages.workspace, sources=parts, extract=extract, annotate={}, rejects={}, made={}
    )
    keep_record(stages, texts)
    return jobs


def _sources(inputs: Sequence[str], base: str | None) -> dict[str, SourceConfig]:
    """Name -> source, of each input."""
    if base is not None and local_path(base) is not None:
        base = os.path.abspath(os.path.expanduser(base))
    sources: dict[str, SourceConfig] = {}
    for word in inputs:
        name, path = named(word)
        name = name or name_of(path.rstrip("/*"))
        if name in sources:
            raise ValueError(
                f"--input: {sources[name].path} and {path} are both called {name!r}; name one of "
                "them otherwise, as NAME=PATH"
            )
        below = base if is_path_list(path) else None
        sources[name] = SourceConfig(name=name, path=path, base=below)
    if base is not None and all(source.base is None for source in sources.values()):
        raise ValueError(
            f"--base: found {base!r} and no list of paths among the inputs; it is where the paths "
            "of a list lie: give a file that ends in .paths or .paths.gz, or leave --base out"
        )
    return sources


def crawl_pages(stages: Stages, source: SourceConfig) -> "CrawlJob":
    """Crawls a source to its end, or on from where it was; gives its job.

    Raises:
        ValueError: A seed, a host or an address that cannot be.
    """
    from pipelines.crawl.job import CrawlJob

    assert source.crawl is not None
    stages.crawl(source.name, source.crawl)
    return CrawlJob(source.name, source.crawl, dict(stages.options.connect))
