"""The `synthesize:` of corpus.yaml: which recipe is cooked of which documents by which model."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipelines.quantities import Share

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_YAML: Final = (".yaml", ".yml")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is lower-case letters, digits, '-' and '_': it names sources")
    return name


class SynthesizeConfig(BaseModel):
    """One recipe over some documents.

    What it makes of the source `web` is the source `web.<name>`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(min_length=1)
    """A shipped recipe (`tokenmill synthesize --list`), or a YAML file relative to corpus.yaml."""
    name: Annotated[str, AfterValidator(_check_name)] | None = None
    """Of the source that comes out; default: the name of the recipe."""
    model: str | None = None
    """Key of `models`; default: the only one."""
    sources: tuple[str, ...] = ()
    """Whose documents are seeds; default: all that models did not write. What an earlier item made
    is named `web.<name>`."""
    seeds: str | None = None
    """In place of sources: JSON Lines or text, one seed a line, that become no documents."""
    where: str | None = None
    """Condition on labels of seeds, as in mixtures; default: the recipe's; '' takes all."""
    share: Share | None = Field(default=None, gt=0)
    """Of the seeds that are left, such as `10%`, chosen by a hash of their ids; default: all."""
    options: dict[str, Any] = {}
    """Keys of the recipe's file that are otherwise here, such as `samples: 4`."""

    @model_validator(mode="after")
    def _seeds_come_from_one_place(self) -> Self:
        if self.seeds is not None and (self.sources or self.where is not None):
            raise ValueError(
                "`seeds` has neither labels nor sources: leave `sources` and `where` out"
            )
        return self

    @property
    def output(self) -> str:
        """Name of what comes out, without the source."""
        if self.name is not None:
            return self.name
        return Path(self.recipe).stem if self.recipe.endswith(_YAML) else self.recipe
