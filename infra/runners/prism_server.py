"""Prism on loopback: Beam's own portable runner, one binary, for one machine.

    go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0
    python infra/runners/prism_server.py --prism ~/go/bin/prism -- \\
        sh -c 'tokenmill run corpus.yaml $TOKENMILL_PRISM_OPTIONS'

starts it, runs the command with the Beam options in its environment, and stops it. Its own port of
metrics and its web page stay closed. All that passes a GroupByKey stands in its memory.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from processes import Servers, free_port

OPTIONS: Final = "TOKENMILL_PRISM_OPTIONS"


@dataclass(frozen=True, slots=True)
class Prism:
    """A Prism that runs."""

    port: int
    process: "subprocess.Popen[bytes]"

    def options(self) -> list[str]:
        """Beam's options for it, all but the environment of its Python workers."""
        return ["--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{self.port}"]


@contextmanager
def prism_server(binary: Path, folder: Path) -> Iterator[Prism]:
    """Starts Prism; stops it at the end.

    Args:
        binary: What `go install` made.
        folder: For its log.

    Raises:
        ServerError: It did not start.
    """
    port = free_port()
    command = [str(binary), f"-job_port={port}", "-serve_http=false"]
    with Servers(folder) as servers:
        yield Prism(port=port, process=servers.start("prism", command, port=port))


def main() -> int:
    """Runs a command beside Prism; gives its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prism", type=Path, required=True, help="the binary")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what is run, after --")
    args = parser.parse_args()
    with TemporaryDirectory() as folder, prism_server(args.prism, Path(folder)) as prism:
        options = [*prism.options(), "--environment_type=LOOPBACK"]
        environment = {**os.environ, OPTIONS: " ".join(options)}
        return subprocess.run(args.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
