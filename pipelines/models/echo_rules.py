"""What a rule of the echo server sees of a request, and what it gives back.

A recipe that wants to be rehearsed without a model brings a module with `answer(asked)`. The rule
knows its own requests by the system message of its shipped recipe and leaves all others alone (it
returns None), so that rules do not know each other. Rules are pure: the same request gets the same
answer, in every process and at every try.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoRequest:
    """A chat request as a rule sees it."""

    system: str
    """All system messages, joined by a line break; empty where there is none."""
    user: str
    """Text of the last user message."""
    turns: tuple[tuple[str, str], ...]
    """(role, text) of every message in order, the system's included."""
    images: tuple[bytes, ...] = field(default=(), repr=False)
    """Files, in the order of the messages."""
    temperature: float = 1.0
    thinks: bool = False
    """Whether an answer may bring reasoning; without it the server leaves reasoning out."""
    key: str
    """Hexadecimal digits that name the request and differ by attempt, equal in all its tries."""

    def draw(self, n: int) -> int:
        """A number from 0 to `n` - 1, fixed by the key: lets the answers to attempts vary."""
        digest = blake2b(self.key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % n


@dataclass(frozen=True, slots=True)
class EchoAnswer:
    """What a rule answers."""

    text: str
    reasoning: str | None = None
    """Thinking, without its tags."""


Rule = Callable[[EchoRequest], EchoAnswer | None]
"""Answers a request, or leaves it to the next rule."""
