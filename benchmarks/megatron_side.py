"""The Megatron-LM side of `shards.py`; runs under the interpreter of its own venv.

    python megatron_side.py '{"tool": "preprocess_data_fast", "checkout": ..., "output": ..., ...}'

One process imports a tool of a checkout as it is, clocks its `main`, and writes `result.json`. The
imports (torch and Megatron, about 20 s) are outside that clock, building the tokenizer is inside.
`multiprocessing` must find the functions of the tool in a module that can be imported, so it is
imported as `tools.<name>` and not run as a script.
"""

import importlib
import json
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "gigatoken")


def run(task: dict[str, Any]) -> None:
    """Runs one tool.

    Args:
        task: `tool` (a module of tools/), `checkout` and `output` folders, `arguments` of its
            command line.
    """
    sys.path.insert(0, task["checkout"])
    tool = importlib.import_module(f"tools.{task['tool']}")
    sys.argv = [tool.__file__ or task["tool"], *task["arguments"]]
    begin, cpu = monotonic(), _cpu_seconds()
    tool.main()
    seconds, cpu = monotonic() - begin, _cpu_seconds() - cpu
    package = importlib.import_module("megatron.core.package_info")
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "versions": {"megatron-core": package.__version__} | dict(map(_version, PACKAGES)),
    }
    Path(task["output"], "result.json").write_text(json.dumps(result), encoding="utf-8")


def _cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _version(name: str) -> tuple[str, str]:
    try:
        return name, version(name)
    except PackageNotFoundError:
        return name, "absent"


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
