"""Thinking is switched, cut at its budget to the token, and kept apart from the answer."""

import asyncio
import re
from typing import Any

import pytest
from scripted import Asked, Place, Said, Server, client_of, completion, question, refusal, serving

from pipelines.models.chat import Answer, Budget, Message, Request, Sampling, Thinking
from pipelines.models.completions import Completion
from pipelines.models.echo import EchoServer
from pipelines.models.echo_requests import tokens
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.models.settings import ModelConfig
from pipelines.models.thinking import CLOSING, Split, answer_of, check_thinking, split

KEY = "0f" * 16
THOUGHT = "Erst zähle ich die Äpfel , dann die Birnen , dann beide zusammen ."
SAID = "Es sind sieben . Drei Äpfel und vier Birnen ."


def found(content: str, *, cut: bool = False, reasoning: str | None = None) -> Completion:
    return Completion(content, reasoning, cut, None, "tiny", 5, 3)


@pytest.mark.parametrize(
    ("completion", "thinking", "wanted"),
    [
        (found("<think>\nhm\n</think>\n\nja"), "on", Split("ja", "hm")),
        (found("\n<think>hm</think>ja"), None, Split("ja", "hm")),
        (found("<think>\n\n</think>\n\nja"), "off", Split("ja", None)),
        (found("hm\n</think>\n\nja"), "on", Split("ja", "hm")),  # the template opened the block
        (found("hm\n</think>\n\nja"), None, Split("ja", "hm")),
        (found("Der Tag </think> schließt"), "off", Split("Der Tag </think> schließt", None)),
        (found("ja"), "on", Split("ja", None)),
        (found(" ja\n"), "off", Split(" ja\n", None)),
        (found("\n\nja", reasoning="hm"), "on", Split("ja", "hm")),
        (found("<think>\nhm", cut=True), "on", Split("", "hm", has_ended=False)),
        (found("<think>\nhm", cut=True), "off", Split("", "hm", has_ended=False)),
        (found("hm", cut=True), "on", Split("", "hm", has_ended=False)),
        (found("hm", cut=True), None, Split("hm", None)),
        (found("ja", cut=True), "off", Split("ja", None)),
        (found("", cut=True, reasoning="hm"), "on", Split("", "hm", has_ended=False)),
        (found("ja", cut=True, reasoning="hm"), "on", Split("ja", "hm")),
        (found("<think>a</think>b</think>c"), "on", Split("b</think>c", "a")),
    ],
)
def test_split_takes_thinking_and_answer_apart(
    completion: Completion, thinking: Thinking | None, wanted: Split
) -> None:
    assert split(completion, thinking) == wanted


def settings(thinking: str) -> ModelConfig:
    told = {"engine": "endpoint", "model": "tiny", "url": "http://x", "thinking": thinking}
    return ModelConfig.model_validate(told)


def test_check_thinking_names_what_does_not_fit() -> None:
    check_thinking(settings("none"), None)
    check_thinking(settings("none"), "off")
    check_thinking(settings("soft"), Budget(budget=9), Sampling(max_tokens=10))
    with pytest.raises(ValueError, match=r"tiny has `thinking: none`.*asked to think \(budget 9\)"):
        check_thinking(settings("none"), Budget(budget=9))
    with pytest.raises(ValueError, match="budget of 9 tokens leaves none of max_tokens 9"):
        check_thinking(settings("template"), Budget(budget=9), Sampling(max_tokens=9))


def asked(script: Any, request: Request, thinking: str = "template") -> tuple[Answer, Server]:  # noqa: ANN401
    async def run() -> tuple[Answer, Server]:
        async with serving(script) as server:
            async with client_of(Place(server.url), thinking=thinking) as client:
                return await answer_of(client, request, KEY), server

    return asyncio.run(run())


@pytest.mark.parametrize(("thinking", "switch"), [("on", True), ("off", False)])
def test_answer_of_template_is_told(thinking: Thinking, switch: bool) -> None:
    _, server = asked(lambda one: completion(), question(thinking=thinking))
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": switch}
    assert server.asked[0].user == question().messages[0].text


@pytest.mark.parametrize(("thinking", "switch"), [("on", "/think"), ("off", "/no_think")])
def test_answer_of_soft_switch_stands_behind_the_last_question(
    thinking: Thinking, switch: str
) -> None:
    turns = (Message("user", "eins"), Message("assistant", "zwei"), Message("user", "drei"))
    _, server = asked(lambda one: completion(), Request(messages=turns, thinking=thinking), "soft")
    assert [one["content"] for one in server.asked[0].body["messages"]] == [
        "eins", "zwei", f"drei {switch}",
    ]  # fmt: skip
    assert "chat_template_kwargs" not in server.asked[0].body


def test_answer_of_model_without_a_switch_is_told_nothing() -> None:
    _, server = asked(lambda one: completion(), question(), "none")
    assert "chat_template_kwargs" not in server.asked[0].body
    with pytest.raises(ValueError, match="thinking: none"):
        asked(lambda one: completion(), question(thinking="on"), "none")


def test_answer_of_attempts_draw_with_seeds_of_their_own() -> None:
    request = question(sampling=Sampling(seed=7), attempt=3)
    _, server = asked(lambda one: completion(), request, "none")
    assert server.asked[0].body["seed"] == 10


@pytest.mark.parametrize(
    ("said", "text", "reason"),
    [
        (completion("ja"), "ja", None),
        (completion("<think>hm</think>ja", "length"), "ja", "truncated"),
        (completion(" \n"), None, "empty"),
        (completion(None), None, "empty"),
        (completion("<think>hm</think>\n"), None, "empty"),
        (completion("<think>hm", "length"), None, "truncated"),
        (completion("half", "content_filter"), None, "refused"),
        (completion(None, refusal="no"), None, "refused"),
        (refusal(400, "maximum context length is 9"), None, "context_overflow"),
    ],
)
def test_answer_of_every_ending_has_its_reason(
    said: Said, text: str | None, reason: str | None
) -> None:
    answer, _ = asked(lambda one: said, question(thinking="on"))
    assert (answer.text, answer.reason) == (text, reason)
    assert (answer.message is None) == (reason is None)
    assert answer.answered_by == ("" if reason == "context_overflow" else "tiny")


# A model that thinks THOUGHT and says SAID, one token a word, in each of the ways servers have.


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


NUM_THOUGHT, NUM_SAID = len(words(THOUGHT)), len(words(SAID))


def thinker(one: Asked, *, field: str | None, opened: bool = False) -> dict[str, Any]:
    """Generates at most max_tokens words, and goes on from a last assistant turn."""
    most = one.body["max_tokens"]
    last = one.body["messages"][-1]
    stream = [*words(f"<think>\n{THOUGHT}\n"), *words("</think>\n\n"), *words(SAID)]
    if opened:
        stream = stream[1:]
    if last["role"] == "assistant":
        assert one.body["continue_final_message"] is True
        assert one.body["add_generation_prompt"] is False
        begun = last["content"].split("</think>\n\n")[1]
        stream = words(SAID)[len(words(begun)) :]
        assert SAID.startswith(begun)
    elif not one.body["chat_template_kwargs"]["enable_thinking"]:
        stream = words(SAID)
    text = "".join(stream[:most])
    told: dict[str, Any] = {"content": text}
    if field is not None and last["role"] == "assistant":
        told = {"content": None, field: text}  # a parser that sees no tag
    elif field is not None and "<think>" in text:
        thought, _, rest = text.removeprefix("<think>\n").partition("</think>")
        told = {"content": rest or None, field: thought}
    finish = "length" if len(stream) > most else "stop"
    usage = {"prompt_tokens": 10, "completion_tokens": min(most, len(stream))}
    return {"choices": [{"finish_reason": finish, "message": told}], "usage": usage}


@pytest.mark.parametrize("field", [None, "reasoning_content", "reasoning"])
@pytest.mark.parametrize("budget", [1, 5, 14, 15, 16, 17, 20, 25, 26, 40])
def test_answer_of_budget_cuts_thinking_and_leaves_the_answer_whole(
    budget: int, field: str | None
) -> None:
    request = question(thinking=Budget(budget=budget), sampling=Sampling(max_tokens=60))
    answer, server = asked(lambda one: thinker(one, field=field), request)
    assert (answer.text, answer.reason) == (SAID, None)
    thought = " ".join((answer.reasoning or "").split())
    assert " ".join(THOUGHT.split()).startswith(thought)
    assert len(thought.split()) == min(budget - 1, NUM_THOUGHT)
    spent = [one.body["max_tokens"] for one in server.asked]
    num_block = 1 + NUM_THOUGHT + 1  # with its tags
    num_all = num_block + NUM_SAID
    assert spent[0] == budget
    assert len(spent) == (1 if budget >= num_all else 2)
    assert sum(spent) == (budget if budget >= num_all else 60)
    assert answer.completion_tokens == (budget + NUM_SAID if budget < num_block else num_all)
    assert answer.prompt_tokens == 10 * len(spent)
    ids = [one.headers["X-Request-Id"] for one in server.asked]
    assert ids == [f"{KEY}-{n + 1}" for n in range(len(spent))]


def test_answer_of_budget_closes_the_block_in_words() -> None:
    request = question(thinking=Budget(budget=4))
    _, server = asked(lambda one: thinker(one, field=None), request)
    assert server.asked[1].body["messages"][-1] == {
        "role": "assistant",
        "content": f"<think>\nErst zähle ich\n\n{CLOSING}\n</think>\n\n",
    }
    assert server.asked[1].body["chat_template_kwargs"] == {"enable_thinking": True}


def test_answer_of_budget_block_that_the_template_opened() -> None:
    request = question(thinking=Budget(budget=4))
    answer, _ = asked(lambda one: thinker(one, field=None, opened=True), request)
    assert (answer.text, answer.reasoning) == (SAID, "Erst zähle ich die")


def test_answer_of_budget_as_large_as_max_tokens_is_one_call() -> None:
    request = question(thinking=Budget(budget=9), sampling=Sampling(max_tokens=9))
    answer, server = asked(lambda one: thinker(one, field=None), request)
    assert len(server.asked) == 1
    assert (answer.text, answer.reason) == (None, "truncated")


def test_answer_of_budget_without_continuation_takes_a_second_turn() -> None:
    def script(one: Asked) -> Said:
        if "continue_final_message" in one.body:
            return refusal(400, "unknown key continue_final_message")
        return thinker(one, field="reasoning")

    request = question(thinking=Budget(budget=4), sampling=Sampling(max_tokens=60))

    async def run() -> tuple[list[Answer], Server]:
        async with serving(script) as server:
            async with client_of(Place(server.url), thinking="template", in_flight=30) as client:
                first = await asyncio.gather(*(answer_of(client, request, KEY) for _ in range(30)))
                return [*first, await answer_of(client, request, KEY)], server

    answers, server = asyncio.run(run())
    assert {(one.text, one.reasoning, one.reason) for one in answers} == {
        (SAID, "Erst zähle ich", None)
    }
    assert answers[0].completion_tokens == 4 + NUM_SAID
    assert answers[0].tries == 3
    assert answers[-1].tries == 2  # it is known by then
    last = server.asked[-1].body
    assert [one["role"] for one in last["messages"]] == ["user", "assistant", "user"]
    assert last["messages"][1]["content"] == "Erst zähle ich"
    assert last["chat_template_kwargs"] == {"enable_thinking": False}
    assert last["max_tokens"] == 56


def test_answer_of_budget_endpoint_that_ignores_the_continuation_is_found_out() -> None:
    def script(one: Asked) -> Said:
        if "continue_final_message" not in one.body:
            return thinker(one, field=None)
        return completion("<think>\nVon vorn.\n</think>\n\nSieben.")

    request = question(thinking=Budget(budget=4))

    async def run() -> tuple[list[Answer], Server]:
        async with serving(script) as server:
            async with client_of(Place(server.url), thinking="template") as client:
                return [await answer_of(client, request, KEY) for _ in range(2)], server

    (first, second), _ = asyncio.run(run())
    assert (first.text, first.reasoning) == ("Sieben.", "Erst zähle ich\n\nVon vorn.")
    assert (second.text, second.reasoning) == (SAID, "Erst zähle ich")


def test_answer_of_budget_failure_behind_the_cut_is_the_answers() -> None:
    def script(one: Asked) -> Said:
        if one.number > 1:
            return refusal(400, "maximum context length is 9")
        return thinker(one, field=None)

    answer, _ = asked(script, question(thinking=Budget(budget=4)))
    assert (answer.text, answer.reason, answer.reasoning) == (
        None, "context_overflow", "Erst zähle ich",
    )  # fmt: skip
    assert answer.completion_tokens == 4


def test_answer_of_budget_half_a_character_at_the_cut_is_left_to_the_rest() -> None:
    def script(one: Asked) -> Said:
        if one.number == 1:
            return completion("<think>hm</think>Birne \ufffd", "length")
        assert one.body["messages"][-1]["content"].endswith("Birne ")
        return completion("🍐!")

    answer, _ = asked(script, question(thinking=Budget(budget=4)))
    assert answer.text == "Birne 🍐!"


def echo_rule(one: EchoRequest) -> EchoAnswer:
    return EchoAnswer(f"Antwort auf {one.user} mit vielen Wörtern.", "Ich denke lange. " * 40)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "content"])
@pytest.mark.parametrize("budget", [1, 7, 100, 500])
def test_answer_of_budget_holds_to_the_token_at_the_echo_server(field: Any, budget: int) -> None:  # noqa: ANN401
    async def run() -> Answer:
        echo = EchoServer(rules=[echo_rule], reasoning=field)
        async with echo.serving() as url, client_of(Place(url), thinking="template") as client:
            request = question("Frage", thinking=Budget(budget=budget))
            return await answer_of(client, request, KEY)

    answer = asyncio.run(run())
    assert answer.text == "Antwort auf Frage mit vielen Wörtern."
    thought = answer.reasoning or ""
    num_thought, num_said = len(tokens(thought)), len(tokens(answer.text))
    assert num_thought == min(budget, len(tokens(("Ich denke lange. " * 40).strip())))
    assert answer.completion_tokens in (num_thought + num_said, num_thought + num_said + 1)
