"""Reads chat requests as the echo server takes them, and counts their tokens.

The form is that of the OpenAI protocol as vLLM serves it; what vLLM refuses with status 400 is
refused here too, so that a client meets it in rehearsal.
"""

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from pipelines.models.echo_rules import EchoRequest

_TOKEN: Final = re.compile(r"\s*(?:\w{1,4}|[^\w\s])|\s+")
_SWITCH: Final = re.compile(r"\s*/(no_)?think\s*$")
_PATCH: Final = 28


class BadRequestError(ValueError):
    """The request is refused with status 400; the message goes to the client."""


def tokens(text: str) -> list[str]:
    """Splits text by the rule of `pipelines.models.echo`; laid end to end they are the text."""
    return _TOKEN.findall(text)


def read_request(body: Mapping[str, Any], key: str) -> EchoRequest:
    """Reads the body of a chat request.

    Args:
        body: As the protocol has it; pictures as `data:` URLs.
        key: Names the request.

    Raises:
        BadRequestError: The body is none that a server could answer.
    """
    if body.get("stream"):
        raise BadRequestError("the echo server does not stream; leave `stream` out")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list of at least one message")
    turns, images = [], []
    for message in messages:
        text, found = content_of(message.get("content"))
        turns.append((str(message["role"]), text))
        images += found
    users = [text for role, text in turns if role == "user"]
    user, switch = _switch(users[-1] if users else "")
    told = (body.get("chat_template_kwargs") or {}).get("enable_thinking")
    temperature = body.get("temperature")
    return EchoRequest(
        system="\n".join(text for role, text in turns if role == "system"),
        user=user,
        turns=tuple(turns),
        images=tuple(images),
        temperature=1.0 if temperature is None else float(temperature),
        thinks=bool(switch if told is None else told and switch is not False),
        key=key,
    )


def content_of(content: object) -> tuple[str, list[bytes]]:
    """Text and pictures of a message."""
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise BadRequestError("content must be text or a list of parts")
    texts = [part["text"] for part in content if part["type"] == "text"]
    images = [_image(part["image_url"]["url"]) for part in content if part["type"] == "image_url"]
    if len(texts) + len(images) != len(content):
        raise BadRequestError("parts of a content must be of type text or image_url")
    return "\n".join(texts), images


def _image(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise BadRequestError("a picture must be a URL of the form data:image/png;base64,...")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"the picture is no base64: {error}") from None


def image_tokens(data: bytes) -> int:
    """Tokens of a picture: one for every 28 x 28 pixels, begun ones too.

    Raises:
        BadRequestError: It is no picture that Pillow knows.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError):
        raise BadRequestError(f"cannot identify image file of {len(data)} bytes") from None
    return -(-width // _PATCH) * -(-height // _PATCH)


def _switch(user: str) -> tuple[str, bool | None]:
    """The message without Qwen3's soft switch at its end, and what that says."""
    found = _SWITCH.search(user)
    if found is None:
        return user, None
    return user[: found.start()], found[1] is None


def key_of(header: str | None, body: object) -> tuple[str, int]:
    """Key and number of the try: of `X-Request-Id: <key>-<try>`, or of the body's own hash."""
    key, _, number = (header or "").rpartition("-")
    if key and number.isdecimal():
        return key, int(number)
    if header:
        return header, 0
    told = json.dumps(body, sort_keys=True).encode()
    return blake2b(told, digest_size=16).hexdigest(), 0


def stops_of(body: Mapping[str, Any]) -> list[str]:
    """Strings at which an answer ends."""
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else [one for one in stop if one]


def schema_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """JSON Schema that the answer must meet, or None."""
    wanted = (body.get("response_format") or {}).get("json_schema")
    return None if wanted is None else wanted.get("schema")


def least_value(schema: Mapping[str, Any]) -> object:
    """The least value that a plain JSON Schema allows."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return least_value(schema["anyOf"][0])
    if schema.get("type") == "object" or "properties" in schema:
        return {name: least_value(one) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [least_value(schema.get("items", {}))] * int(schema.get("minItems", 0))
    if schema.get("type") in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(str(schema.get("type")), "")
