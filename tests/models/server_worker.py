"""A process that uses a model server until it is told to end, or is killed.

`server_worker.py own|shared FOLDER MODEL_JSON`: prints `URL PID`, and waits for the end
of its input.
"""

import json
import sys
from pathlib import Path

from pipelines.models.server import VllmServer
from pipelines.models.settings import ModelConfig
from pipelines.models.sharing import SharedServer


def main() -> None:
    """Uses the server."""
    kind, folder, model = sys.argv[1], Path(sys.argv[2]), ModelConfig(**json.loads(sys.argv[3]))
    server = (VllmServer if kind == "own" else SharedServer)(model, folder)
    print(server.url, server.pid, flush=True)
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
