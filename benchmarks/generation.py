"""What tokenmill takes off a model server's speed: the same requests, three clients, one server.

    python benchmarks/generation.py text MODEL     # MODEL: a folder that vLLM can serve
    python benchmarks/generation.py pages MODEL    # a vision-language model
    python benchmarks/generation.py kill MODEL

text: as many requests of about 260 tokens, 256 of them in flight, answers of 256 tokens exactly
(`ignore_eos`). tokenmill asks through its desk: request keys, journal on disk, accounting. Beside
it stand `vllm bench serve` (which streams, as its figures need; tokenmill has no use for that) and
a bare client, one coroutine a request around a POST, whose bodies are made before the clock starts.

pages: scanned pages, made here, from a PDF to the answer: tokenmill draws, packs and asks at the
same time (`pipelines.extract.pdf.vl_stream`), one try a page and no fallback. The bare client posts
pictures that were drawn before the clock starts. How long the GPU had nothing to do is sampled.

kill: the text requests, and SIGKILL for the server when a quarter is answered. All must be answered
in the end, and nothing that the journal held before be asked again; then all is asked once more,
which must reach no server.

Clients take turns in each round, after a warm-up; rates are medians over rounds. Prompts are of
random words, and the server's prefix cache is off, so nobody gains from coming second. A ratio
above 1 speaks for tokenmill. Where there is no vLLM, TOKENMILL_VLLM_COMMAND='python -m
pipelines.models.echo' lets everything run against the echo server, which generates nothing: the
figures are then those of the clients alone, and of no use for anything else.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from generation_clients import (
    WARM_UP,
    Bench,
    Clocked,
    bodies_of,
    clock_desk,
    clock_vllm_bench,
    in_turns,
    opened,
    post_all,
    serves_vllm,
    text_requests,
)
from generation_kill import run_kill
from generation_pages import run_pages
from rich.console import Console
from rich.table import Table

from pipelines.models.chat import Request
from pipelines.models.server import VllmServer
from pipelines.models.settings import ModelConfig


def run_text(bench: Bench, server: VllmServer) -> None:
    """Tokens a second of the three clients."""
    url = server.url
    with opened(bench, server) as handler:
        clients: dict[str, Callable[[Sequence[Request]], Clocked]] = {
            "tokenmill": lambda requests: clock_desk(bench, handler, requests),
            "bare client": lambda requests: asyncio.run(
                post_all(bench, url, bodies_of(bench.model, requests))
            ),
        }
        if serves_vllm():
            clients["vllm bench serve"] = lambda requests: clock_vllm_bench(bench, url, requests)
        warm = text_requests(bench, 0, min(WARM_UP, bench.requests))
        for client in clients.values():
            client(warm)
        found = in_turns(bench, clients, lambda n: text_requests(bench, n + 1))
    table = Table("client", "tokens/s", "of each round", "tokenmill / this", title="Text")
    rates = _medians({name: [c.tokens_per_second for c in all_] for name, all_ in found.items()})
    for name, rounds in found.items():
        table.add_row(
            name,
            f"{rates[name]:,.0f}",
            " ".join(f"{one.tokens_per_second:,.0f}" for one in rounds),
            f"{rates['tokenmill'] / rates[name]:.3f}",
        )
    bench.console.print(table)


def _medians(rates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(all_) for name, all_ in rates.items()}


def _model(options: argparse.Namespace) -> ModelConfig:
    serve = {"max-num-seqs": options.in_flight, "enable-prefix-caching": False}
    for told in options.serve:
        key, is_valued, value = told.partition("=")
        serve[key] = value if is_valued else True
    if options.what == "pages":
        serve.setdefault("limit-mm-per-prompt", '{"image":1,"video":0}')
    return ModelConfig(
        engine="vllm",
        model=options.model,
        name="bench",
        thinking="template",
        in_flight=options.in_flight,
        max_model_len=8192,
        serve=serve,
    )


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["text", "pages", "kill"])
    parser.add_argument("model", help="a folder that vLLM can serve")
    parser.add_argument("--requests", type=int, default=1024, help="or pages, a multiple of 16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument(
        "--serve", action="append", default=[], metavar="FLAG[=VALUE]", help="of `vllm serve`"
    )
    options = parser.parse_args()
    run = {"text": run_text, "pages": run_pages, "kill": run_kill}[options.what]
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(
            model=_model(options),
            requests=options.requests,
            rounds=options.rounds,
            max_tokens=options.max_tokens,
            work=Path(work),
            console=Console(width=120),
        )
        server = VllmServer(bench.model, Path(work) / "server")
        try:
            started = monotonic()
            bench.say(f"{server.url} after {monotonic() - started:.1f} s")
            run(bench, server)
        finally:
            server.close()


if __name__ == "__main__":
    main()
