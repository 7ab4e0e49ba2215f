"""The echo server over real HTTP: what clients rely on, and what goes wrong on purpose."""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from typing import Any

import aiohttp
import pytest
from PIL import Image

from pipelines.models.echo import ECHO_MODEL, EchoServer, shared_echo_url, shipped_rules
from pipelines.models.echo_requests import tokens
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.models.faults import FAULTS, Faults, parse_faults

Reply = tuple[int, Any]


def user(text: str, *urls: str) -> dict[str, Any]:
    if not urls:
        return {"role": "user", "content": text}
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": text}, *images]}


def png(width: int, height: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def ask(server: EchoServer, *bodies: dict[str, Any], ids: list[str] | None = None) -> list[Reply]:
    """Replies as (status, JSON, or text where it is none, or the exception)."""

    async def one(session: aiohttp.ClientSession, url: str, number: int) -> Reply:
        headers = {"X-Request-Id": ids[number]} if ids else {}
        try:
            async with session.post(url, json=bodies[number], headers=headers) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if text.startswith("{") else text
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, error

    async def every() -> list[Reply]:
        timeout = aiohttp.ClientTimeout(total=3)
        async with (
            server.serving() as url,
            aiohttp.ClientSession(timeout=timeout) as session,
        ):
            return [await one(session, f"{url}/chat/completions", n) for n in range(len(bodies))]

    return asyncio.run(every())


def say(server: EchoServer, **body: object) -> dict[str, Any]:
    """The only choice of a good answer."""
    ((status, told),) = ask(server, body)
    assert status == 200, told
    choice: dict[str, Any] = told["choices"][0]
    return choice


PLAIN = EchoServer(rules=[])


def test_the_last_user_message_comes_back_with_its_counts() -> None:
    messages = [user("Eins"), {"role": "assistant", "content": "Zwei"}, user("Drei, bitte!")]
    ((status, told),) = ask(PLAIN, {"messages": messages}, ids=["beef-1"])
    assert (status, told["model"], told["id"]) == (200, ECHO_MODEL, "chatcmpl-beef")
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "Drei, bitte!"}
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straßenbahn, 7!", ["Stra", "ßenb", "ahn", ",", " 7", "!"]),
        ("東京は日本の首都です。", ["東京は日", "本の首都", "です", "。"]),
        ("नमस्ते  \n", ["नमस", "्", "त", "े", "  \n"]),
        ("", []),
    ],
)
def test_tokens_laid_end_to_end_are_the_text(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected
    assert "".join(tokens(text)) == text


def test_max_tokens_cut_and_stop_strings_end() -> None:
    text = "Une phrase assez longue."
    cut = say(PLAIN, messages=[user(text)], max_tokens=3)
    assert (cut["message"]["content"], cut["finish_reason"]) == ("Une phrase", "length")
    whole = say(PLAIN, messages=[user(text)], max_tokens=len(tokens(text)))
    assert (whole["message"]["content"], whole["finish_reason"]) == (text, "stop")
    stopped = say(PLAIN, messages=[user(text)], stop=["longue", "assez"])
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("Une phrase ", "stop")
    fixed = ask(PLAIN, {"messages": [user("ab")], "max_tokens": 9, "ignore_eos": True})[0][1]
    assert fixed["usage"]["completion_tokens"] == 9
    assert fixed["choices"][0]["message"]["content"] == "ab" * 9


@pytest.mark.parametrize(
    ("text", "switch", "thinks"),
    [
        ("Warum?", None, False),
        ("Warum?", True, True),
        ("Warum?", False, False),
        ("Warum? /think", None, True),
        ("Warum? /no_think", None, False),
        ("Warum? /no_think", True, False),
    ],
)
def test_thinking_is_switched_by_template_and_by_word(
    text: str, switch: bool | None, thinks: bool
) -> None:
    kwargs = {} if switch is None else {"chat_template_kwargs": {"enable_thinking": switch}}
    message = say(PLAIN, messages=[user(text)], **kwargs)["message"]
    assert message["content"] == "Warum?"
    assert ("reasoning_content" in message) is thinks


def test_thinking_stands_where_the_server_was_told_to_put_it() -> None:
    rules = [lambda asked: EchoAnswer("42", "Six times seven." if asked.thinks else None)]
    body = {"messages": [user("6 x 7? /think")]}
    new = say(EchoServer(rules=rules, reasoning="reasoning"), **body)["message"]
    assert (new["reasoning"], new["content"]) == ("Six times seven.", "42")
    raw = say(EchoServer(rules=rules, reasoning="content"), **body)["message"]
    assert raw["content"] == "<think>\nSix times seven.\n</think>\n\n42"
    cut = say(EchoServer(rules=rules, reasoning="content"), **body, max_tokens=2)
    assert cut["message"]["content"] == "<think>\nSix time"
    cut = say(EchoServer(rules=rules), **body, max_tokens=2)
    assert (cut["message"]["content"], cut["finish_reason"]) == ("", "length")


def test_an_answer_that_was_begun_is_continued() -> None:
    rules = [lambda asked: EchoAnswer("The sum is 42.", "Six times seven.")]

    def go_on(begun: str) -> dict[str, Any]:
        messages = [user("6 x 7? /think"), {"role": "assistant", "content": begun}]
        server = EchoServer(rules=rules)
        message = say(server, messages=messages, continue_final_message=True)["message"]
        del message["role"]
        return message

    assert go_on("The sum") == {"content": " is 42."}
    assert go_on("<think>\nSix ti\n</think>\n\n") == {"content": "The sum is 42."}
    assert go_on("<think>\nSix times") == {
        "content": "The sum is 42.",
        "reasoning_content": " seven.",
    }


def test_rules_see_the_request_and_the_first_that_answers_counts() -> None:
    seen: list[EchoRequest] = []

    def shy(asked: EchoRequest) -> None:
        seen.append(asked)

    image = png(57, 28)
    messages = [{"role": "system", "content": "Be brief."}, user("Lies das.", image)]
    server = EchoServer(rules=[shy, lambda asked: EchoAnswer(asked.key), shy])
    body = {"messages": messages, "temperature": 0.1}
    ((_, told),) = ask(server, body, ids=["c0ffee-3"])
    assert told["choices"][0]["message"]["content"] == "c0ffee"
    assert told["usage"]["prompt_tokens"] == 3 * 1 + len(tokens("Be brief.Lies das."))
    assert seen == [
        EchoRequest(
            system="Be brief.",
            user="Lies das.",
            turns=(("system", "Be brief."), ("user", "Lies das.")),
            images=(base64.b64decode(image.partition(",")[2]),),
            temperature=0.1,
            thinks=False,
            key="c0ffee",
        )
    ]


def test_equal_requests_have_one_key_and_draws_differ_between_keys() -> None:
    rules = [lambda asked: EchoAnswer(f"{asked.key} {asked.draw(1000)}")]
    bodies = [{"messages": [user(text)]} for text in ("a", "a", "b")]
    first, again, other = (told["choices"] for _, told in ask(EchoServer(rules=rules), *bodies))
    assert first == again != other
    asked = [EchoRequest(system="", user="", turns=(), key=f"{n:x}") for n in range(64)]
    assert {one.draw(4) for one in asked} == {0, 1, 2, 3}


def test_a_schema_is_met_where_no_rule_answers() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "points": {"type": "integer", "minimum": 1},
            "kind": {"enum": ["prose", "verse"]},
            "tags": {"type": "array", "minItems": 2, "items": {"type": "boolean"}},
        },
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = say(PLAIN, messages=[user("x")], response_format=wanted)["message"]["content"]
    assert json.loads(content) == {
        "title": "", "points": 1, "kind": "prose", "tags": [False, False],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [user("a")], "stream": True}, "does not stream"),
        ({"messages": [user("a")], "max_tokens": 60}, "maximum context length is 50 tokens"),
        ({"messages": [user("a", "http://host/a.png")]}, "URL of the form data:image/png"),
        ({"messages": [user("a", "data:image/png;base64,%")]}, "is no base64"),
        ({"messages": [user("a", "data:image/png;base64,AAAA")]}, "cannot identify image file"),
        ({"messages": [user("a", png(500, 500))]}, "maximum context length is 50 tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "of type text or"),
        ({"messages": [7]}, "no attribute"),
    ],
)
def test_what_no_server_could_answer_has_status_400(body: dict[str, Any], told: str) -> None:
    ((status, reply),) = ask(EchoServer(rules=[], max_model_len=50), body)
    assert status == 400
    assert told in reply["error"]["message"]


def test_one_model_only_where_one_is_served() -> None:
    bodies = [{"messages": [user("a")], "model": model} for model in ("mine", "yours")]
    replies = ask(EchoServer(rules=[], served="mine"), *bodies)
    assert [status for status, _ in replies] == [200, 404]


ASKED = {"messages": [user("Tell me of the sea, please.", png(9, 9))], "max_tokens": 40}


@pytest.mark.parametrize(
    ("fault", "status", "content", "finish"),
    [
        ("nothing", 200, "", "stop"),
        ("half_json", 200, '{"text": "', "stop"),
        ("refusal", 200, "I'm sorry, but I can't help with that.", "stop"),
        ("endless", 200, "Tell me of the sea, please.\nTell me of the sea, please.\n", "length"),
        ("slow", 200, "Tell me of the sea, please.", "stop"),
    ],
)
def test_faults_of_the_model(fault: str, status: int, content: str, finish: str) -> None:
    ((found, told),) = ask(EchoServer(Faults({fault: 1.0}, 0.01), rules=[]), ASKED)
    assert found == status
    choice = told["choices"][0]
    assert choice["message"]["content"].startswith(content)
    assert (choice["finish_reason"], bool(choice["message"]["content"])) == (finish, bool(content))


def test_garbage_has_signs_that_no_text_has() -> None:
    ((_, told),) = ask(EchoServer(Faults({"garbage": 1.0}), rules=[]), ASKED)
    content = told["choices"][0]["message"]["content"]
    assert "\x00" in content
    assert "\udbff" in content


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ("http_500", 500, "Internal Server Error"),
        ("http_429", 429, "Too many requests"),
        ("never_ready", 503, "Service Unavailable"),
        ("image_refused", 400, "cannot identify image file"),
        ("context_overflow", 400, "maximum context length"),
    ],
)
def test_faults_that_are_refusals(fault: str, status: int, told: str) -> None:
    ((found, reply),) = ask(EchoServer(Faults({fault: 1.0}), rules=[]), ASKED)
    assert (found, told in reply["error"]["message"]) == (status, True)


def test_faults_of_the_form() -> None:
    ((_, reply),) = ask(EchoServer(Faults({"wrong_type": 1.0}), rules=[]), ASKED)
    assert reply["choices"][0]["message"]["content"] == {"text": 7}
    ((status, page),) = ask(EchoServer(Faults({"not_json": 1.0}), rules=[]), ASKED)
    assert (status, page[:6]) == (200, "<html>")
    ((_, error),) = ask(EchoServer(Faults({"closes": 1.0}), rules=[]), ASKED)
    assert isinstance(error, aiohttp.ClientPayloadError)


def test_an_answer_that_trickles_never_comes() -> None:
    async def wait() -> None:
        async with (
            EchoServer(Faults({"trickles": 1.0}), rules=[]).serving() as url,
            aiohttp.ClientSession() as session,
            session.post(f"{url}/chat/completions", json=ASKED) as answer,
        ):
            assert answer.status == 200
            for _ in range(2):
                assert await answer.content.readany()
            assert not answer.content.at_eof()

    asyncio.run(wait())


def test_pictures_are_refused_only_where_there_are_some() -> None:
    bodies = [{"messages": [user("a")]}, ASKED]
    replies = ask(EchoServer(Faults({"image_refused": 1.0}), rules=[]), *bodies)
    assert [status for status, _ in replies] == [200, 400]


def test_a_fault_hits_its_share_of_tries_and_always_the_same() -> None:
    faults = parse_faults("http_500:0.3, slow:0.5")
    tries = [(f"{key:x}", number) for key in range(500) for number in range(4)]
    hits = [faults.hit(key, number) for key, number in tries]
    assert hits == [faults.hit(key, number) for key, number in tries]
    assert hits.count("http_500") / len(tries) == pytest.approx(0.3, abs=0.04)
    assert hits.count("slow") / len(tries) == pytest.approx(0.7 * 0.5, abs=0.04)
    same = sum(a == b == "http_500" for a, b in zip(hits[::4], hits[1::4], strict=True))
    assert same / 500 == pytest.approx(0.09, abs=0.04), "tries are hit independently"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("http_501", "no fault is called http_501; there are nothing, garbage"),
        ("slow:much", "slow:much: write the rate as a number, such as slow:0.3"),
        ("slow:0", "the rate of slow is 0.0; it must be above 0, at most 1"),
    ],
)
def test_faults_that_are_none_are_refused(told: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_faults(told)


def test_the_server_of_a_process_is_one_and_knows_the_shipped_rules() -> None:
    assert shared_echo_url() == shared_echo_url()
    nobodys = EchoRequest(system="Nobody's recipe.", user="Hm.", turns=(), key="00")
    assert [rule(nobodys) for rule in shipped_rules()] == [None] * 4


def test_the_command_prints_its_url_and_ends_as_told() -> None:
    command = [sys.executable, "-m", "pipelines.models.echo", "--faults", "refusal"]
    with subprocess.Popen(
        [*command, "--die-after", "1", "--enforce-eager"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()

        async def twice() -> list[Any]:
            async with aiohttp.ClientSession() as session:
                chat = f"{url}/chat/completions"
                async with session.post(chat, json={"messages": [user("a")]}) as answer:
                    said = (await answer.json())["choices"][0]["message"]["content"]
                with pytest.raises(aiohttp.ClientError):
                    await session.post(chat, json={"messages": [user("a")]})
                return [said]

        assert asyncio.run(twice()) == ["I'm sorry, but I can't help with that."]
        assert process.wait() == 1
        assert "of no meaning here: --enforce-eager" in process.stderr.read()


def test_every_fault_is_told_of_and_can_be_asked_for() -> None:
    assert parse_faults(",".join(FAULTS)).rates == dict.fromkeys(FAULTS, 1.0)
