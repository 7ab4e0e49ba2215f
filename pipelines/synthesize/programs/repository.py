"""The maker `repository`: the files of a repository as one long document, without a model.

The form is that of Qwen2.5-Coder (arXiv:2409.12186): the name of the repository
behind its mark, then each file behind another mark, path on the first line, text below. The README
comes first, then files behind those that they import (`dependencies`). A repository of more than
`max_characters` gives several documents in that order, each with the name at its head.

Files come together by `meta.repository` within one part. Files of a repository are neighbours in
the inventory, so most repositories lie in one part; one that a border of parts cuts, or that is
larger than a part, gives documents of its files on either side, and no file is lost or doubled.

Marks are strings; see `fill_in_the_middle` for how they become tokens. Kind and depth stay those of
the files, the licence of a document is that of its first file.

A unit is a file. Rejects: `no_repository`, `no_path` (keys that `meta` lacks), `repeated_path` (the
repository has it already), `holds_special_token`, `too_large` (one file exceeds the limit; it stays
a document of its own), `few_files` (the repository has fewer than `min_files` that can be used).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.extract.code_files import PATH, REPOSITORY
from pipelines.models.desk import Desk
from pipelines.synthesize.programs.dependencies import in_order
from pipelines.synthesize.recipe import Draft, Kind, Made, Reject, Seed

_VERSION: Final = "1"


class RepositoryMarks(BaseModel):
    """Tokens before names and files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str = Field(default="<|repo_name|>", min_length=1)
    file: str = Field(default="<|file_sep|>", min_length=1)


class RepositoryMaker(BaseModel):
    """A recipe that joins files (a `Recipe`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["repository"]
    name: str = Field(min_length=1)
    about: str = ""
    max_characters: int = Field(default=100_000, ge=1000)
    """Of a document."""
    min_files: int = Field(default=2, ge=1)
    """Repositories with fewer give none: their files are documents already."""
    marks: RepositoryMarks = RepositoryMarks()
    where: str | None = None
    """Condition on the labels of seeds."""

    kind: ClassVar[Kind] = "natural"
    needs_model: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()
    group_by: ClassVar[str | None] = REPOSITORY

    @property
    def identity(self) -> Mapping[str, Any]:
        """All of it but the remark about it."""
        told: dict[str, Any] = self.model_dump(mode="json", exclude={"about"})
        return told | {"version": _VERSION}

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Joins the files of one repository."""
        files, rejects = self._usable(seeds)
        if files and len(files) < self.min_files:
            message = f"{len(files)} files that can be used; at least {self.min_files} are wanted"
            rejects += [Reject(reason="few_files", message=f"{path}: {message}") for path in files]
            files = {}
        order = in_order({path: seed.text for path, seed in files.items()})
        groups = list(self._groups([(path, files[path]) for path in order]))
        drafts = [self._draft(one, number, len(groups)) for number, one in enumerate(groups)]
        return Made(units=len(seeds), accepted=len(files), drafts=drafts, rejects=rejects)

    def _usable(self, seeds: Sequence[Seed]) -> tuple[dict[str, Seed], list[Reject]]:
        """Path -> file, and what cannot stand in a document."""
        files: dict[str, Seed] = {}
        rejects: list[Reject] = []
        for seed in seeds:
            reject = self._refused(seed, files)
            if reject is None:
                files[seed.meta[PATH]] = seed
            else:
                rejects.append(reject)
        return files, rejects

    def _refused(self, seed: Seed, files: Mapping[str, Seed]) -> Reject | None:
        for key in (REPOSITORY, PATH):
            if not seed.meta.get(key):
                return Reject(
                    reason=f"no_{key}", message=f"`meta` has no {key}; see `code` of a source"
                )
        repository, path = seed.meta[REPOSITORY], seed.meta[PATH]
        if path in files:
            return Reject(reason="repeated_path", message=f"{repository} has another file {path}")
        for mark in (self.marks.repository, self.marks.file):
            if any(mark in one for one in (repository, path, seed.text)):
                return Reject(reason="holds_special_token", message=f"{path}: {mark} stands in it")
        size = len(self._head(repository)) + len(self._file(path, seed))
        if size > self.max_characters:
            return Reject(
                reason="too_large",
                message=f"{path}: {size} characters; at most {self.max_characters}",
            )
        return None

    def _groups(self, files: Sequence[tuple[str, Seed]]) -> Iterator[list[tuple[str, Seed]]]:
        """Files of each document."""
        group: list[tuple[str, Seed]] = []
        size = 0
        for path, seed in files:
            own = len(self._file(path, seed))
            if group and size + own > self.max_characters:
                yield group
                group = []
            if not group:
                size = len(self._head(seed.meta[REPOSITORY]))
            group.append((path, seed))
            size += own
        if group:
            yield group

    def _draft(self, group: Sequence[tuple[str, Seed]], number: int, total: int) -> Draft:
        repository = group[0][1].meta[REPOSITORY]
        text = self._head(repository) + "".join(self._file(path, seed) for path, seed in group)
        return Draft(
            text=text,
            request=None,
            parents=tuple(seed.id for _, seed in group),
            accepted_tokens=0,
            meta={
                REPOSITORY: repository,
                "files": str(len(group)),
                "document": f"{number + 1}/{total}",
            },
        )

    def _head(self, repository: str) -> str:
        return f"{self.marks.repository}{repository}\n"

    def _file(self, path: str, seed: Seed) -> str:
        return f"{self.marks.file}{path}\n{seed.text}\n"
