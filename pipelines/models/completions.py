"""A chat completion on the wire: the body that is sent, and what any reply of a server means.

Servers that speak the OpenAI protocol differ in what they leave out, so nothing of a reply is
trusted: whatever its form, it is read as a completion or named as none, and never raises anything
but NoCompletion. Lone surrogates, which JSON may carry and UTF-8 may not, become U+FFFD. The words
by which a refusal is told to be of the context or of a picture are those of vLLM, SGLang, TGI,
llama.cpp and OpenAI.
"""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any, Final, NamedTuple

from pipelines.models.chat import Message, Sampling

MESSAGE_CHARS: Final = 500
"""Of what a server said, as it is kept."""

STRUCTURE_REFUSED: Final = (400, 404, 405, 415, 422, 501)
"""Statuses by which servers refuse `response_format`, in whatever words."""

_LONGEST_TOLD_PAUSE_S: Final = 300.0
_MOST_TOKENS: Final = 1 << 40
"""A count above is no count; sums stay within 64 bits."""
_CONTEXT: Final = re.compile(
    r"context[ _-]?(length|window|size)|max_model_len|(prompt|inputs?|request) (is|are) too long"
    r"|longer than the (maximum )?(model|context)|maximum (model|input|sequence|prompt) length"
    r"|too many (input |prompt )?tokens|max_new_tokens",
    re.IGNORECASE,
)
_PICTURE: Final = re.compile(
    r"image|picture|multi-?modal|\bpixel|\bvision\b|\bPIL\b", re.IGNORECASE
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One completion that is wanted."""

    messages: tuple[Message, ...]
    sampling: Sampling
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the body, such as `chat_template_kwargs`."""
    schema: Mapping[str, Any] | None = None
    key: str = ""
    """Of the request, for X-Request-Id."""
    first_number: int = 1
    """Of its first try, for X-Request-Id."""

    @property
    def has_images(self) -> bool:
        """Whether a message brings a picture."""
        return any(message.images for message in self.messages)


class Completion(NamedTuple):
    """What a model answered."""

    content: str
    reasoning: str | None
    """From a field of its own."""
    is_cut: bool
    refusal: str | None
    model: str
    prompt_tokens: int
    completion_tokens: int


class NoCompletion(Exception):
    """A reply that is no chat completion; `prompt_tokens`, `completion_tokens` as far as told."""

    def __init__(self, said: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        super().__init__(said)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens


def body_of(call: Call, model: str, *, structured: bool = True) -> bytes:
    """The JSON body of a call; pictures as `data:` URLs.

    Args:
        call: What is wanted.
        model: Its name at the endpoint.
        structured: Whether the schema, where there is one, goes along as `response_format`.
    """
    mark = uuid.uuid4().hex
    body = json.dumps(_told(call, model, structured, mark), separators=(",", ":")).encode()
    if not call.has_images:
        return body
    # The encoder would look at each character of a picture, which takes 5 ms for 1.5 MB.
    images = [image.data for message in call.messages for image in message.images]
    first, *rest = body.split(mark.encode())
    pieces = zip(map(base64.b64encode, images), rest, strict=True)
    return b"".join([first, *chain.from_iterable(pieces)])


def _told(call: Call, model: str, structured: bool, mark: str) -> dict[str, Any]:
    """The body, with a mark in the place of each picture."""
    sampling = call.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, mark) for message in call.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    # What OpenAI's own servers do not know is sent only where a recipe asks for it.
    for name in ("top_k", "repetition_penalty", "presence_penalty", "seed"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.ignore_eos:
        body["ignore_eos"] = True
    if structured and call.schema is not None:
        told = {"name": "answer", "strict": True, "schema": dict(call.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": told}
    return {**body, **call.options}


def _message(message: Message, mark: str) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    for image in message.images:
        url = f"data:{image.media_type};base64,{mark}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": message.role, "content": parts}


def read_completion(data: bytes, model: str) -> Completion:
    """Reads the body of a reply with status 200.

    Args:
        data: Any bytes.
        model: Its name where the reply gives none.

    Raises:
        NoCompletion: It is no chat completion; says what it is.
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NoCompletion(f"no JSON: {type(error).__name__} {error}") from None
    usage = told.get("usage") if isinstance(told, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    counts = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    try:
        choice = told["choices"][0]
        message, ended = choice["message"], choice.get("finish_reason")
        content, reasoning = _text(message.get("content")), _reasoning(message)
        refusal = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        said = f"no chat completion: {type(error).__name__} {error}"
        raise NoCompletion(said, *counts) from None
    if ended == "content_filter":
        refusal = refusal or "stopped by the endpoint's content filter"
    name = told.get("model")
    return Completion(
        content,
        reasoning,
        ended == "length",
        clean(str(refusal)) if refusal else None,
        clean(name) if isinstance(name, str) and name else model,
        *counts,
    )


def _text(content: object) -> str:
    """Text of a message: a string, a list of parts, or nothing.

    Raises:
        TypeError: It is something else.
    """
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part["text"] for part in content if part.get("type") in ("text", "output_text")]
        content = "".join(parts)
    if not isinstance(content, str):
        raise TypeError(f"the content is of type {type(content).__name__}")
    return clean(content)


def _reasoning(message: Mapping[str, Any]) -> str | None:
    for name in (
        "reasoning_content",
        "reasoning",
    ):  # its older and its newer name in vLLM
        told = message.get(name)
        if isinstance(told, str) and told.strip():
            return clean(told)
    return None


def _count(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < _MOST_TOKENS else 0  # type: ignore[operator,return-value]


def clean(text: str) -> str:
    """Text that UTF-8 can hold: each lone surrogate becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def reason_of_refusal(status: int, said: str, *, has_images: bool) -> str | None:
    """Why a server refuses a request for good.

    Args:
        status: Of HTTP, 400 or above.
        said: Its message.
        has_images: Whether the request brought pictures.

    Returns:
        `context_overflow`, `image_refused`, `bad_request`, or None where the refusal is not of the
        request but of the key, the model or the address.
    """
    if status not in (400, 413, 415, 422):
        return None
    if _CONTEXT.search(said):
        return "context_overflow"
    if has_images and (status in (413, 415) or speaks_of_pictures(said)):
        return "image_refused"
    return "bad_request"


def speaks_of_pictures(said: str) -> bool:
    """Whether a server's message is about a picture."""
    return _PICTURE.search(said) is not None


def message_of(data: bytes) -> str:
    """What the body of a refusal says, on one line, clipped."""
    text = data.decode(errors="replace")
    try:
        told = json.loads(text)
        error = told.get("error", told) if isinstance(told, dict) else told
        found = error.get("message") if isinstance(error, dict) else error
        text = found if isinstance(found, str) and found else text
    except (ValueError, RecursionError):
        pass  # a proxy's page, or nothing
    return clean(" ".join(text.split()))[:MESSAGE_CHARS]


def told_pause(told: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3)."""
    if not told:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            until = parsedate_to_datetime(told)
        except (ValueError, TypeError, IndexError):
            return None
        # A date of RFC 9110 is in GMT, also where Python reads no zone.
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_TOLD_PAUSE_S) if seconds == seconds else None
