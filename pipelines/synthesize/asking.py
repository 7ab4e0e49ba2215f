"""Several requests of one recipe at once."""

import asyncio
from collections.abc import Sequence

from pipelines.models.chat import Answer, Request, Thinking
from pipelines.models.desk import Desk


async def asked(desk: Desk, requests: Sequence[Request]) -> list[Answer]:
    """Asks side by side; how many at once is the model's business.

    Args:
        desk: Of the part.
        requests: In any number.

    Returns:
        One answer a request, in their order.

    Raises:
        EndpointError: The model cannot be asked; what was under way is cancelled first.
    """
    tasks = [asyncio.ensure_future(desk.ask(request)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def switched(thinking: Thinking | None, desk: Desk) -> Thinking | None:
    """What to ask for: a model without the switch does not think, so `off` needs no saying."""
    without = desk.model is not None and desk.model.thinking == "none"
    return None if without and thinking == "off" else thinking
