"""Judging a sample: the journal of answers, and the labelled documents that come of it.

In the output folder:

    answers.journal      one JSON object an answer, appended as it comes; never rewritten
    judged.jsonl         the documents of the sample with a valid answer: text, labels, reasons
    rejects/rejects.jsonl  those without one, with the reason
    judge.json           rubric, model, sample, counts, tokens

An answer is filed under the hash of all that decides it: document, rubric, model, tokens allowed.
So a second call asks only what is missing, a larger sample only for its new documents, and another
rubric or model begins anew beside the old answers. Documents whose request failed are
rejects, but asked again too: the failure may have passed. The other files are written whole at the
end of each call, from the journal, in the order of the sample: they do not tell in which order the
model answered. Where a call stops early they hold what there is, and judge.json counts the missing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.judge.asking import Answer, Asker, Endpoint, EndpointError
from pipelines.judge.echo import ECHO_ENDPOINT, ECHO_MODEL, EchoServer
from pipelines.judge.rubric import Rubric
from pipelines.judge.sample import Document, Sample

JOURNAL: Final = "answers.journal"
FORMATS: Final = ("jsonl", "parquet")

_REQUEST_FAILED: Final = ("endpoint", "bad_request")
_SUMMARY: Final = "judge.json"
_REJECTS: Final = "rejects/rejects.jsonl"


class Filed(NamedTuple):
    """An answer as the journal has it."""

    request: str
    """32 hexadecimal digits: of document, rubric, model and tokens allowed."""
    values: dict[str, int | str] | None
    reasons: dict[str, str] | None
    reason: str | None
    message: str | None
    answered_by: str
    prompt_tokens: int
    completion_tokens: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a sample, over all calls so far."""

    path: Path
    """The judged documents."""
    num_judged: int
    num_asked: int
    """In this call."""
    num_missing: int
    rejects: Mapping[str, int]
    """Reason -> documents."""
    prompt_tokens: int
    """Of the answers that stand in the output."""
    completion_tokens: int
    values: Mapping[str, Mapping[int | str, int]]
    """Question -> answer -> documents."""
    error: str | None
    """Why not all were asked."""


def judge(
    sample: Sample,
    rubric: Rubric,
    endpoint: Endpoint,
    output: Path,
    *,
    format: str = "jsonl",
    concurrency: int = 8,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, asked: None,
    notice: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Asks about every document of a sample that the journal has no answer of, and writes all.

    Args:
        sample: Drawn by `sample.draw_sample`.
        rubric: The questions.
        endpoint: The model; `echo:` as its URL is the model of rules in `echo`.
        output: Folder.
        format: Of the judged documents, one of FORMATS.
        concurrency: Requests at once.
        seed: That the sample was drawn with, for the record.
        told: Called after each answer with how many there are, of how many that are asked.
        notice: Called with a line on what is done otherwise than was wanted.

    Raises:
        ValueError: The folder or its journal is something else.
    """
    is_echo = endpoint.url == ECHO_ENDPOINT
    model = ECHO_MODEL if is_echo else endpoint.model
    requests = {
        document.key: _request(document, rubric, model, endpoint.max_tokens)
        for document in sample.documents
    }
    output.mkdir(parents=True, exist_ok=True)
    known = read_journal(output / JOURNAL)
    left = _to_be_asked(sample.documents, requests, known)
    error, num_asked = None, 0

    def count(done: int, asked: int) -> None:
        nonlocal num_asked
        num_asked = done
        told(done, asked)

    if left:
        try:
            asyncio.run(
                _ask_all(
                    left, requests, rubric, endpoint, output / JOURNAL, concurrency, count, notice,
                    has_answers=any(known[one].values for one in requests.values() if one in known),
                )
            )  # fmt: skip
        except EndpointError as stopped:
            error = str(stopped)
        known = read_journal(output / JOURNAL)
    filed = {key: known[request] for key, request in requests.items() if request in known}
    outcome = _write(sample, filed, rubric, model, output, format, num_asked, error)
    _write_summary(outcome, sample, rubric, endpoint, model, output, seed)
    return outcome


def _to_be_asked(
    documents: Sequence[Document], requests: Mapping[str, str], known: Mapping[str, Filed]
) -> list[Document]:
    """Documents without an answer, then those whose request failed, which may again stop all."""
    new = [one for one in documents if requests[one.key] not in known]
    filed = [(one, known[requests[one.key]]) for one in documents if requests[one.key] in known]
    return new + [one for one, answer in filed if answer.reason in _REQUEST_FAILED]


def read_journal(path: Path) -> dict[str, Filed]:
    """Request -> last answer, of a journal; nothing where there is none.

    Its last line is incomplete where a call was killed while it wrote; that answer is asked again.

    Raises:
        ValueError: A whole line is no answer.
    """
    if not path.exists():
        return {}
    data = path.read_bytes()
    found: dict[str, Filed] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            one = Filed(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} line {number} is no answer ({error}); name another --output, or remove "
                "the line: its document is asked again"
            ) from None
        found[one.request] = one
    return found


async def _ask_all(
    documents: Sequence[Document],
    requests: Mapping[str, str],
    rubric: Rubric,
    endpoint: Endpoint,
    journal: Path,
    concurrency: int,
    told: Callable[[int, int], None],
    notice: Callable[[str], None],
    *,
    has_answers: bool,
) -> None:
    """Asks about documents, several at once, and files each answer as it comes.

    Raises:
        EndpointError: The endpoint cannot be used.
    """
    waiting = iter(documents)
    done = 0
    _cut_incomplete_line(journal)
    async with _reached(endpoint) as reached, aiohttp.ClientSession() as session:
        asker = Asker(session, reached, rubric, notice, has_answers=has_answers)
        with journal.open("ab") as lines:

            async def work() -> None:
                nonlocal done
                for document in waiting:
                    answer = await asker.ask(document.text)
                    lines.write(_line(requests[document.key], answer))
                    lines.flush()
                    done += 1
                    told(done, len(documents))

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(concurrency, len(documents))):
                        group.create_task(work())
            except* EndpointError as failed:
                raise failed.exceptions[0] from None


@asynccontextmanager
async def _reached(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    """The endpoint, or the server of rules while it serves."""
    if endpoint.url != ECHO_ENDPOINT:
        yield endpoint
        return
    async with EchoServer().serving() as url:
        yield Endpoint(url=url, model=ECHO_MODEL, max_tokens=endpoint.max_tokens)


def _line(request: str, answer: Answer) -> bytes:
    filed = Filed(
        request=request,
        values=answer.judged.values if answer.judged else None,
        reasons=answer.judged.reasons if answer.judged else None,
        reason=answer.reason,
        message=answer.message,
        answered_by=answer.answered_by,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        tries=answer.tries,
    )
    # ASCII: what a model writes may hold lone surrogates.
    return json.dumps(filed._asdict()).encode() + b"\n"


def _cut_incomplete_line(path: Path) -> None:
    if path.exists():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)


def _request(document: Document, rubric: Rubric, model: str, max_tokens: int) -> str:
    told = json.dumps([document.key, rubric.hash, model, max_tokens])
    return sha256(told.encode()).hexdigest()[:32]


def _write(
    sample: Sample,
    filed: Mapping[str, Filed],
    rubric: Rubric,
    model: str,
    output: Path,
    format: str,
    num_asked: int,
    error: str | None,
) -> Outcome:
    """Writes the judged documents and the rejects."""
    judged, rejects = [], []
    values: dict[str, Counter[int | str]] = {name: Counter() for name in rubric.questions}
    for document in sample.documents:
        one = filed.get(document.key)
        if one is None:
            continue
        if one.values is None:
            rejects.append(_reject(document, one, model, rubric))
            continue
        judged.append(_row(document, one, model, rubric))
        for name, value in one.values.items():
            values[name][value] += 1
    path = output / f"judged.{format}"
    for other in FORMATS:
        (output / f"judged.{other}").unlink(missing_ok=True)
    if format == "parquet":
        _write_parquet(path, judged, rubric)
    else:
        _write_lines(path, judged)
    _write_lines(output / _REJECTS, rejects)
    return Outcome(
        path=path,
        num_judged=len(judged),
        num_asked=num_asked,
        num_missing=len(sample.documents) - len(filed),
        rejects=dict(sorted(Counter(one["reason"] for one in rejects).items())),
        prompt_tokens=sum(one.prompt_tokens for one in filed.values()),
        completion_tokens=sum(one.completion_tokens for one in filed.values()),
        values={name: dict(counts) for name, counts in values.items()},
        error=error,
    )


def _row(document: Document, filed: Filed, model: str, rubric: Rubric) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for name in rubric.questions:
        labels[name] = (filed.values or {})[name]
        labels[f"{name}_reason"] = (filed.reasons or {})[name]
    return {
        "id": document.id,
        "doc_id": document.doc_id,
        "url": document.url,
        "text": document.text,
        **labels,
        **_origin(filed, model, rubric),
    }


def _reject(document: Document, filed: Filed, model: str, rubric: Rubric) -> dict[str, Any]:
    return {
        "id": document.id,
        "doc_id": document.doc_id,
        "url": document.url,
        "reason": filed.reason,
        "message": filed.message,
        "text": document.text,
        **_origin(filed, model, rubric),
    }


def _origin(filed: Filed, model: str, rubric: Rubric) -> dict[str, Any]:
    return {
        "judge": model,
        "judge_answered_by": filed.answered_by,
        "judge_tries": filed.tries,
        "judge_prompt_tokens": filed.prompt_tokens,
        "judge_completion_tokens": filed.completion_tokens,
        "rubric": f"{rubric.name}/{rubric.version}",
        "rubric_hash": rubric.hash,
    }


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8", errors="backslashreplace") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    new.replace(path)


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]], rubric: Rubric) -> None:
    fields: list[pa.Field[Any]] = [pa.field(name, pa.string()) for name in ("id", "doc_id", "url")]
    fields.append(pa.field("text", pa.large_string()))
    for name, question in rubric.questions.items():
        fields.append(pa.field(name, pa.int32() if question.points else pa.string()))
        fields.append(pa.field(f"{name}_reason", pa.string()))
    fields += [pa.field(name, pa.string()) for name in ("judge", "judge_answered_by")]
    fields += [
        pa.field(f"judge_{name}", pa.int32())
        for name in ("tries", "prompt_tokens", "completion_tokens")
    ]
    fields += [pa.field(name, pa.string()) for name in ("rubric", "rubric_hash")]
    new = path.with_name(path.name + ".new")
    pq.write_table(pa.Table.from_pylist(list(rows), pa.schema(fields)), new)
    new.replace(path)


def _write_summary(
    outcome: Outcome,
    sample: Sample,
    rubric: Rubric,
    endpoint: Endpoint,
    model: str,
    output: Path,
    seed: int,
) -> None:
    told = {
        "judge": model,
        # Neither a name nor a key that an address may hold.
        "endpoint": endpoint.url if endpoint.url == ECHO_ENDPOINT else _host(endpoint.url),
        "max_tokens": endpoint.max_tokens,
        "rubric_hash": rubric.hash,
        "rubric": rubric.model_dump(mode="json"),
        "sample": {
            "documents": len(sample.documents),
            "seed": seed,
            "read": sample.num_read,
            "twice": sample.num_twice,
            "without_text": sample.num_without_text,
        },
        "judged": outcome.num_judged,
        "rejects": outcome.rejects,
        "missing": outcome.num_missing,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "values": {
            name: dict(sorted(counts.items(), key=lambda one: str(one[0])))
            for name, counts in outcome.values.items()
        },
    }
    (output / _SUMMARY).write_text(
        json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _host(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
