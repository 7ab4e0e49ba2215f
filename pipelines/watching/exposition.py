"""A run in the text format of Prometheus, for the textfile collector of its node exporter.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4). Base units,
and `_total` on counters only, as https://prometheus.io/docs/practices/naming/ has it; so the parts
to be done, a gauge, are `tokenmill_stage_parts`. The file is written whole and renamed, because the
collector may read at any moment; it looks only at files whose names end in `.prom`. Every sample is
labelled with its workspace, because the collector refuses two files with the same series; only
those of the run itself with the run, which would make each run a new set of series.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pipelines.watching.states import ENDED, FAILED, RUNNING, WatchedRun, WatchedStage
from pipelines.workspace.meter import counter_name

_READABLE: Final = 0o644  # the collector is another user
_REJECTS: Final = "rejects:"

Sample = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, list[Sample]]
"""Name, type, help and samples of a metric."""


def exposition(record: WatchedRun) -> str:
    """All metrics of a run."""
    none: Mapping[str, str] = {}
    info: Mapping[str, str] = {"run": record.run, "command": record.command, "host": record.host}
    states: list[Sample] = [
        ({"state": one}, float(one == record.state)) for one in (RUNNING, ENDED, FAILED)
    ]
    stages: list[Sample] = [
        ({"stage": title}, taken) for title, taken in sorted(record.stage_seconds.items())
    ]
    families: list[Family] = [
        ("run_info", "gauge", "The run that wrote this file.", [(info, 1.0)]),
        ("run_state", "gauge", "1 for the state that the run is in.", states),
        ("run_start_time_seconds", "gauge", "When the run began.", [(none, record.started)]),
        ("run_beat_time_seconds", "gauge", "When this was written.", [(none, record.beat)]),
        *_stage(record.stage),
        ("stage_seconds_total", "counter", "Wall-clock seconds of stages that are done.", stages),
        *_counters(record.counters),
    ]
    lines: list[str] = []
    for name, kind, told, samples in families:
        if samples:
            lines += [f"# HELP tokenmill_{name} {told}", f"# TYPE tokenmill_{name} {kind}"]
        for labels, value in samples:
            every = {"workspace": record.workspace, **labels}
            lines.append(f"tokenmill_{name}{_labels(every)} {_number(value)}")
    return "\n".join(lines) + "\n"


def write_exposition(path: Path, record: WatchedRun) -> None:
    """Writes the file as a whole.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(exposition(record))
            os.fchmod(file.fileno(), _READABLE)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _stage(stage: WatchedStage | None) -> Iterable[Family]:
    if stage is None:
        return
    of: Mapping[str, str] = {"stage": stage.title}
    left = [] if stage.seconds_left is None else [(of, stage.seconds_left)]
    rated: list[Sample] = [({**of, "of": stage.rate_of}, stage.rate)]
    yield "stage_parts", "gauge", "Parts to be done.", [(of, stage.parts)]
    yield "stage_parts_done", "gauge", "Parts done.", [(of, stage.parts_done)]
    yield "stage_elapsed_seconds", "gauge", "Since the stage began.", [(of, stage.seconds)]
    yield "stage_still_seconds", "gauge", "Since anything was counted.", [(of, stage.seconds_still)]
    yield "stage_left_seconds", "gauge", "Until the stage will end; may be absent.", left
    yield "stage_rate", "gauge", "Done a second of late.", rated


def _counters(counters: Mapping[str, int]) -> Iterable[Family]:
    """Parts, bytes, rejects by reason, and records by what became of them.

    The values of `kind` overlap (records are documents and rejects), so they are not to be added
    up.
    """
    found: dict[str, list[Sample]] = {"parts": [], "bytes": [], "rejects": [], "records": []}
    for name, amount in sorted(counters.items()):
        job, kind = _split(name)
        if kind in ("parts", "bytes"):
            found[kind].append(({"job": job}, amount))
        elif kind.startswith(_REJECTS):
            reason = kind.removeprefix(_REJECTS)
            found["rejects"].append(({"job": job, "reason": reason}, amount))
        elif kind != "begun":
            found["records"].append(({"job": job, "kind": kind}, amount))
    yield "parts_total", "counter", "Parts done by this run.", found["parts"]
    yield "written_bytes_total", "counter", "Bytes of committed files.", found["bytes"]
    yield "records_total", "counter", "Records by what became of them.", found["records"]
    yield "rejects_total", "counter", "Committed rejects by reason.", found["rejects"]


def _split(name: str) -> tuple[str, str]:
    """Job and count of a metered name; reasons may hold points, names of counts do not."""
    plain, colon, reason = counter_name(name).partition(":")
    job, _, count = plain.rpartition(".")
    return job, count + colon + reason


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + inside + "}" if inside else ""


def _escaped(value: str) -> str:
    value = value.encode("utf-8", "replace").decode()  # a lone surrogate of a file's name
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))
