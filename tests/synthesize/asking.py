"""A desk whose answers a function gives, and seeds for it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from pipelines.models.chat import Answer, Request
from pipelines.models.desk import Desk
from pipelines.synthesize.chunks import num_tokens
from pipelines.synthesize.recipe import Made, Recipe, Seed
from pipelines.synthesize.recipes import load_recipe


class Answering:
    """What a recipe sees of `Desk`, without a model."""

    model = None

    def __init__(self, answer: Callable[[Request], str | Answer]) -> None:
        self._answer = answer
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        await asyncio.sleep(0)
        self.requests.append(request)
        said = self._answer(request)
        if isinstance(said, Answer):
            return said
        return Answer(text=said, completion_tokens=num_tokens(said))


def passage_of(request: Request) -> str:
    """The passage of a shipped prompt."""
    return request.messages[-1].text.partition("<passage>\n")[2].rpartition("\n</passage>")[0]


def seed(text: str, language: str | None = "eng_Latn", **more: Any) -> Seed:  # noqa: ANN401
    return Seed(id=b"0123456789abcdef", text=text, language=language, **more)


def made(
    recipe: str | Recipe,
    of: Seed,
    answer: Callable[[Request], str | Answer],
    options: Mapping[str, Any] | None = None,
) -> tuple[Made, list[Request]]:
    """What a recipe makes of a seed, and what it asked."""
    loaded = load_recipe(recipe, options) if isinstance(recipe, str) else recipe
    desk = Answering(answer)
    result = asyncio.run(loaded.make((of,), cast(Desk, desk)))
    assert result.units == result.accepted + len(result.rejects)
    return result, desk.requests
