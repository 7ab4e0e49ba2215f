"""The bar of a stage on a terminal, as wide as that is; a stage that is done stays as a line."""

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from pipelines.watching.states import WatchedStage
from pipelines.watching.wording import stage_facts

_TITLE: Final = 26
_BAR: Final = 20
_WITH_BAR: Final = 84
"""The narrowest terminal that has room for a bar beside the facts."""
_OTHERS: Final = 1 + 7
"""Columns of the spinner and the time."""


class Bar:
    """Shows one stage while it is entered."""

    def __init__(self, console: Console, stage: WatchedStage) -> None:
        is_wide = console.width >= _WITH_BAR
        self._facts = _Facts(console, stage, is_wide=is_wide)
        columns = [
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn(f"{{task.description:<{_TITLE}}}" if is_wide else "{task.description}"),
            *([BarColumn(bar_width=_BAR)] if is_wide else []),
            MofNCompleteColumn(),
            self._facts,
            TimeElapsedColumn(),
        ]
        self._bars = RichProgress(*columns, console=console)
        self._task = self._bars.add_task(_plain(stage.title), total=max(stage.parts, 1))

    def update(self, stage: WatchedStage) -> None:
        """Shows what is known now."""
        self._facts.stage = stage
        self._bars.update(self._task, completed=min(stage.parts_done, max(stage.parts, 1)))

    def __enter__(self) -> Self:
        self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.__exit__(kind, error, traceback)


class _Facts(ProgressColumn):
    """Amounts, rate and time left, as far as there is room."""

    max_refresh = 0.2

    def __init__(self, console: Console, stage: WatchedStage, *, is_wide: bool) -> None:
        super().__init__()
        self.stage = stage
        self._console, self._is_wide = console, is_wide

    def render(self, task: Task) -> Text:
        """What stands between the parts and the time."""
        stage = self.stage
        unit = "parts  " if self._is_wide else "parts "
        title = max(len(stage.title), _TITLE if self._is_wide else 0)
        columns = [title, 2 * len(str(stage.parts)) + 1, len(unit)]
        columns += [_BAR] if self._is_wide else []
        room = self._console.width - _OTHERS - sum(columns) - len(columns) - 1
        said = stage_facts(stage, room)
        return Text(unit + said, no_wrap=True, overflow="ellipsis")


def _plain(title: str) -> str:
    return title.replace("[", r"\[")  # rich reads brackets as markup
