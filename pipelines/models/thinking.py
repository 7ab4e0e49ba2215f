"""Thinking before the answer: switched per request, cut at a budget, kept apart from the answer.

Hybrid models such as Qwen3 (arXiv:2505.09388, section 4) are told by the chat template
(`enable_thinking`) or by `/think` and `/no_think` behind the question. What they thought comes back
in a field of its own, or in the content between `<think>` and `</think>`; where the template has
opened the block already, only `</think>` stands there.

A budget takes two calls, as in the report's section on thinking budgets. The first may generate as
many tokens as may be thought. If the thinking has not ended by then, it is closed with a sentence
and the model goes on from there to its answer (`continue_final_message` of vLLM and SGLang); if it
has ended and the answer was cut, the model goes on with the answer. An endpoint that takes no such
continuation is told its thinking in a second turn, and asked for the answer without thinking.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from pipelines.models.chat import (
    Answer,
    Budget,
    Message,
    Request,
    Sampling,
    Thinking,
    thinking_name,
)
from pipelines.models.client import Client, Reply
from pipelines.models.completions import MESSAGE_CHARS, Call, Completion
from pipelines.models.settings import ModelConfig

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
CLOSING: Final = (
    "There is no room left for more thinking, so I answer now with what I have worked out so far."
)
"""Ends thinking that was cut."""

_GOES_ON: Final = {"continue_final_message": True, "add_generation_prompt": False}
_ANSWER_NOW: Final = (
    "Your thinking stops here. Give your final answer to the question now, from what you have "
    "worked out so far."
)


def check_thinking(
    model: ModelConfig, thinking: Thinking | None, sampling: Sampling | None = None
) -> None:
    """Checks that a model can be told to think so; for recipes, when they are read.

    Raises:
        ValueError: It has no switch, or the budget leaves no token for the answer.
    """
    if model.thinking == "none" and thinking not in (None, "off"):
        raise ValueError(
            f"model {model.identity} has `thinking: none`, and it is asked to think "
            f"({thinking_name(thinking)}); set its `thinking` to template or soft, or turn it off"
        )
    if not isinstance(thinking, Budget) or sampling is None:
        return
    if thinking.budget >= sampling.max_tokens:
        raise ValueError(
            f"a thinking budget of {thinking.budget} tokens leaves none of max_tokens "
            f"{sampling.max_tokens} for the answer; raise max_tokens or lower the budget"
        )


async def answer_of(client: Client, request: Request, key: str) -> Answer:
    """Asks a model, in two calls where thinking has a budget.

    Args:
        client: Of the model.
        request: What is asked.
        key: Its key, 32 hexadecimal digits.

    Raises:
        EndpointError: The endpoint cannot be used.
        ValueError: The model cannot be told to think.
    """
    thinking, most = request.thinking, request.sampling.max_tokens
    check_thinking(client.model, thinking)
    call = _call(client.model, request, key)
    if not isinstance(thinking, Budget) or thinking.budget >= most:
        return _plain(await client.complete(call), thinking)
    first = await client.complete(_limited(call, thinking.budget))
    found = first.completion
    if found is None or found.refusal or not found.is_cut:
        return _plain(first, thinking)
    left = max(most - (found.completion_tokens or thinking.budget), 1)
    thought = split(found, thinking)
    thought = thought._replace(text=thought.text.rstrip("\ufffd"))  # half a character at the cut
    replies, said = [first], None
    if client.continues is not False:
        begun = _begun(thought)
        goes_on = _continuation(_limited(call, left, first.tries), thought, begun)
        replies.append(await client.complete(goes_on))
        said = _continued(client, replies[-1], thought, begun)
    if said is None:
        turn = _call(client.model, _second_turn(request, thought), key)
        num_tries = sum(one.tries for one in replies)
        replies.append(await client.complete(_limited(turn, left, num_tries)))
        answered = replies[-1].completion
        said = thought if answered is None else split(answered, "off")
        said = said._replace(reasoning=thought.reasoning)
    return _answer(replies, said)


class Split(NamedTuple):
    """A completion, taken apart."""

    text: str
    reasoning: str | None
    has_ended: bool = True
    """Whether the thinking came to an end, or there was none."""


def split(found: Completion, thinking: Thinking | None) -> Split:
    """Takes thinking and answer apart.

    Args:
        found: What came back.
        thinking: What was asked; behind `off`, a `</think>` within the text is text.
    """
    content = found.content
    if found.reasoning is not None:
        return Split(content.lstrip("\n"), found.reasoning.strip(), bool(content.strip()))
    begun = content.lstrip()
    if begun.startswith(OPEN) or (thinking != "off" and CLOSE in content):
        thought, closed, text = begun.removeprefix(OPEN).partition(CLOSE)
        return Split(text.lstrip(), thought.strip() or None, bool(closed))
    if found.is_cut and thinking not in (None, "off"):
        # The template opened the block, and the model was cut before it closed it.
        return Split("", content.strip() or None, has_ended=False)
    return Split(content, None)


def _call(model: ModelConfig, request: Request, key: str) -> Call:
    thinking, sampling = request.thinking, request.sampling
    if sampling.seed is not None and request.attempt:
        # Else all attempts would be the same.
        sampling = sampling.model_copy(update={"seed": sampling.seed + request.attempt})
    messages, options = request.messages, {}
    if thinking is not None and model.thinking == "template":
        options = {"chat_template_kwargs": {"enable_thinking": thinking != "off"}}
    if thinking is not None and model.thinking == "soft":
        messages = _switched(messages, "/no_think" if thinking == "off" else "/think")
    return Call(
        messages=messages, sampling=sampling, options=options, schema=request.schema, key=key
    )


def _switched(messages: tuple[Message, ...], switch: str) -> tuple[Message, ...]:
    """Puts a soft switch behind the last question."""
    last = max((n for n, one in enumerate(messages) if one.role == "user"), default=None)
    if last is None:
        return messages
    told = replace(messages[last], text=f"{messages[last].text} {switch}")
    return (*messages[:last], told, *messages[last + 1 :])


def _limited(call: Call, max_tokens: int, num_tries: int = 0) -> Call:
    """A call of at most so many tokens, numbered behind `num_tries` of others."""
    sampling = call.sampling.model_copy(update={"max_tokens": max_tokens})
    return replace(call, sampling=sampling, first_number=1 + num_tries)


def _begun(thought: Split) -> str:
    """The turn that the model goes on with, its thinking closed."""
    if thought.has_ended and not thought.reasoning:
        return thought.text
    closing = "" if thought.has_ended else f"\n\n{CLOSING}"
    return f"{OPEN}\n{thought.reasoning or ''}{closing}\n{CLOSE}\n\n{thought.text}"


def _continuation(call: Call, thought: Split, begun: str) -> Call:
    return replace(
        call,
        messages=(*call.messages, Message("assistant", begun)),
        options={**call.options, **_GOES_ON},
        # A grammar would begin anew in the midst of the answer.
        schema=None if thought.text else call.schema,
    )


def _continued(client: Client, reply: Reply, thought: Split, begun: str) -> Split | None:
    """What a continuation gave; None where the endpoint has turned out to take none."""
    found = reply.completion
    if found is None:
        if reply.reason == "bad_request" and client.continues is not True:
            client.continues = False
            return None
        return thought
    found = found._replace(content=found.content.removeprefix(begun))  # some give it back
    if found.reasoning and not found.content.strip():
        # A parser of reasoning that saw no tag took the answer for thinking.
        found = found._replace(content=found.reasoning, reasoning=None)
    anew = split(found, None)
    if client.continues is None:
        # Whoever thinks anew has not gone on: the next is asked in the other way.
        client.continues = found.reasoning is None and not found.content.lstrip().startswith(OPEN)
    if anew.reasoning is not None:
        return Split(anew.text, _joined(thought.reasoning, anew.reasoning), anew.has_ended)
    text = thought.text + anew.text if thought.text else anew.text.lstrip()
    return Split(text, thought.reasoning)


def _second_turn(request: Request, thought: Split) -> Request:
    """Gives the thinking back as a turn of its own and asks for the answer without more."""
    # Without the tags: templates take thinking out of earlier turns.
    told = _joined(thought.reasoning, thought.text) or "(nothing)"
    turns = (*request.messages, Message("assistant", told), Message("user", _ANSWER_NOW))
    return replace(request, messages=turns, thinking="off")


def _joined(*texts: str | None) -> str:
    return "\n\n".join(text for text in texts if text)


def _plain(reply: Reply, thinking: Thinking | None) -> Answer:
    found = reply.completion
    return _answer([reply], Split("", None) if found is None else split(found, thinking))


def _answer(replies: Sequence[Reply], said: Split) -> Answer:
    """The answer of one call or two; the last reply decides how it ended."""
    last = replies[-1]
    found = last.completion
    text: str | None = said.text if said.text.strip() else None
    reason, message = last.reason, last.message
    if found is None:
        text = None
    elif found.refusal is not None:
        text, reason, message = None, "refused", found.refusal[:MESSAGE_CHARS]
    elif found.is_cut:
        reason, message = "truncated", "cut off at the limit of tokens"
    elif text is None:
        reason, message = "empty", "the model ended without an answer"
    return Answer(
        text=text,
        reasoning=said.reasoning,
        reason=reason,
        message=message,
        prompt_tokens=sum(one.prompt_tokens for one in replies),
        completion_tokens=sum(one.completion_tokens for one in replies),
        seconds=sum(one.seconds for one in replies),
        tries=sum(one.tries for one in replies),
        answered_by="" if found is None else found.model,
    )
