"""Requests of a run to an object store, by part: counted by a server of S3's protocol on loopback.

The same documents are run with few and with many parts; the difference over the difference in parts
is what a part costs, and the rest is what a run costs. Files are small here: s3fs reads a Parquet
file in blocks of up to 50 MB, so parts of 256 MB need up to six further reads each. Listing is a
request for every thousand names on top (`pipelines/scale/limits.py`).

    python benchmarks/scale_store.py --data ../shared/data
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import scale_inputs
from moto.server import ThreadedMotoServer

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = 480
FEW, MANY = 2, 6
_REQUEST: Final = re.compile(r'"(GET|PUT|POST|HEAD|DELETE) (\S+) HTTP')
MIXTURE: Final = """\
name: all
seed: 1
stages:
  - {name: all, sequence_length: 4096, tokens: max, where: quality_keep, max_epochs: 1}
"""


class _Count(logging.Handler):
    """Counts the requests that the server logs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Counts one line."""
        found = _REQUEST.search(record.getMessage())
        if found:
            method, path = found.groups()
            lists = method == "GET" and "list-type" in path
            self.seen["LIST" if lists else method] += 1


def requests_of(data: Path, num_parts: int, folder: Path) -> Counter[str]:
    """Requests of one run, by kind."""
    source = folder / f"in{num_parts}"
    source.mkdir(parents=True)
    for number in range(num_parts):
        rows = range(number * DOCUMENTS // num_parts, (number + 1) * DOCUMENTS // num_parts)
        lines = [json.dumps({"text": scale_inputs.text_of(data, 1, row)}) for row in rows]
        (source / f"part-{number}.jsonl").write_text("\n".join(lines) + "\n")
    largest = max(file.stat().st_size for file in source.iterdir())
    (folder / "all.yaml").write_text(MIXTURE)
    corpus = folder / f"c{num_parts}.yaml"
    config = {
        "name": "store",
        "sources": [{"name": "web", "path": str(source)}],
        "tokenizer": str(ROOT / "examples" / "tokenizer"),
        "part_bytes": largest,  # a file a part
        "mixtures": [str(folder / "all.yaml")],
    }
    corpus.write_text(json.dumps(config))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    count = _Count()
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.handlers, log.propagate = [count], False
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    where = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = os.environ | keys | where
    make = f"import fsspec; fsspec.filesystem('s3').mkdir('mill-{num_parts}')"
    subprocess.run([sys.executable, "-c", make], check=True, env=environment)
    count.seen.clear()
    command = [sys.executable, "-m", "pipelines.cli", "run", str(corpus)]
    command += ["--workspace", f"s3://mill-{num_parts}/w", "--processes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    server.stop()
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return count.seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--write", action="store_true", help="into unit_costs.yaml")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-store-") as folder:
        few = requests_of(asked.data, FEW, Path(folder))
        many = requests_of(asked.data, MANY, Path(folder))
    each = {kind: (many[kind] - few[kind]) / (MANY - FEW) for kind in sorted(few | many)}
    told = {"few": dict(few), "many": dict(many), "a_part": each}
    print(json.dumps(told))
    if asked.write:
        from scale_costs import fixed, write

        on = f"{FEW} and {MANY} parts of small files against a server of S3's protocol (moto)"
        reads, writes = each["GET"] + each["HEAD"], each["PUT"] + each["LIST"]
        unit = "requests / part, all stages"
        write({"requests.read": fixed(reads, unit, on), "requests.write": fixed(writes, unit, on)})


if __name__ == "__main__":
    main()
