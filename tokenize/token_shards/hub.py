"""Where a tokenizer is: a path, or a name of the Hugging Face hub.

A path that exists wins. Else `owner/name`, or `owner/name@revision` with a branch, tag or commit,
is a repository of the hub; its tokenizer.json is fetched, or where it has none its one `.tiktoken`
file with tokenizer_config.json. `huggingface_hub` fetches and keeps it, so its settings hold:
HF_ENDPOINT (a mirror), HF_HOME (the cache), HF_TOKEN (gated repositories), HF_HUB_OFFLINE=1 (the
cache and nothing else; without it, version 2.4 tries an unreachable hub for 23 s). A name without
a revision means the newest; what came stands in the path, `.../snapshots/<commit>/tokenizer.json`.

A driver resolves once, before work, and hands out the path; a worker on another machine, which
does not have it, resolves the same name at the same commit (`pinned_name`) into its own cache. In
both cases the fingerprint is of the content, so a worker that got something else is refused.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from token_shards.tiktoken_ranks import CONFIG_NAME, SUFFIX

FILE_NAME: Final = "tokenizer.json"
_HUB_NAME: Final = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w./-]+))?", re.ASCII)
_SNAPSHOT: Final = re.compile(r"/models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})/")


def resolve_tokenizer(spec: str | Path, *, base: str | Path | None = None) -> Path:
    """Gives the file of a tokenizer, fetched from the hub where `spec` is a name there.

    Args:
        spec: A tokenizer.json, a `.tiktoken` file, a folder that holds one of the two (a
            tokenizer.json wins), or `owner/name[@revision]`.
        base: Folder that a relative path starts from; by default the current one.

    Returns:
        The tokenizer.json or `.tiktoken` file.

    Raises:
        ValueError: There is no such file and no such repository, or the hub cannot be reached;
            the message says what to do.
    """
    path = Path(base or "", Path(spec).expanduser())
    if path.is_dir():
        return _file_in(path)
    if path.is_file():
        return path
    name = _HUB_NAME.fullmatch(str(spec))
    if name is None or path.suffix in (".json", SUFFIX):
        raise ValueError(
            f"there is no file {path}; give a {FILE_NAME} of Hugging Face tokenizers, a {SUFFIX} "
            "file, the folder that holds one, or a name of the hub such as Qwen/Qwen3-0.6B-Base"
        )
    return _fetch(name[1], name[2], path)


def pinned_name(file: str | Path) -> str | None:
    """Gives `owner/name@commit` of a file that stands in the cache of the hub, else None."""
    found = _SNAPSHOT.search(Path(file).as_posix())
    return f"{found[1]}/{found[2]}@{found[3]}" if found else None


def _file_in(folder: Path) -> Path:
    if (folder / FILE_NAME).is_file():
        return folder / FILE_NAME
    ranks = sorted(path.name for path in folder.glob(f"*{SUFFIX}"))
    return folder / _only(ranks, f"the folder {folder} (there is no file {folder / FILE_NAME})")


def _only(ranks: Sequence[str], where: str) -> str:
    if len(ranks) == 1:
        return ranks[0]
    raise ValueError(
        f"{where} holds no {FILE_NAME} and {len(ranks)} {SUFFIX} files; give a folder or "
        f"repository with a {FILE_NAME}, or the path of one {SUFFIX} file"
    )


def _fetch(repository: str, revision: str | None, path: Path) -> Path:
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled

    where = f"{repository}@{revision}" if revision else repository
    try:
        return _download(repository, revision, where)
    except (EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        raise ValueError(
            f"there is no file {path}, and {where} could not be fetched from the Hugging Face hub "
            f"({_first_line(error)}); check the name, and for a gated repository HF_TOKEN, or "
            f"without a network give the path of a {FILE_NAME}"
        ) from error


def _download(repository: str, revision: str | None, where: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, FILE_NAME, revision=revision))
    except EntryNotFoundError as error:  # not there; or out of reach, and not in the cache
        wanted = [f"*{SUFFIX}", CONFIG_NAME]
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=wanted,
                local_files_only=isinstance(error, LocalEntryNotFoundError),
            )
        )
    return folder / _only(sorted(path.name for path in folder.glob(wanted[0])), where)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else 'no message'}"
