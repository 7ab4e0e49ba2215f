"""Cores of a container are those of its quota, in both versions of control groups."""

import os
from pathlib import Path

import pytest

from pipelines.workspace.cores import available_cores

CORES = 16


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 16 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CORES)), raising=False)
    return tmp_path


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


V2 = {"proc/self/cgroup": "0::/kubepods/pod7/worker"}
V1 = {"proc/self/cgroup": "9:memory:/docker/3f\n3:cpu,cpuacct:/docker/3f\n0::/"}
OWN = "sys/fs/cgroup/kubepods/pod7/worker/cpu.max"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, CORES),
        (V2, CORES),
        ({**V2, OWN: "400000 100000"}, 4),
        ({**V2, OWN: "250000 100000"}, 3),
        ({**V2, OWN: "5000 100000"}, 1),
        ({**V2, OWN: "max 100000"}, CORES),
        ({**V2, OWN: "6400000 100000"}, CORES),
        # The pod has a limit, and this container of it none.
        ({**V2, OWN: "max 100000", "sys/fs/cgroup/kubepods/pod7/cpu.max": "200000 100000"}, 2),
        # Only the container's own group is mounted.
        ({**V2, "sys/fs/cgroup/cpu.max": "800000 100000"}, 8),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/3f/cpu.cfs_quota_us": "600000",
                "sys/fs/cgroup/cpu,cpuacct/docker/3f/cpu.cfs_period_us": "100000",
            },
            6,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            CORES,
        ),
    ],
)
def test_the_smallest_quota_counts(root: Path, files: dict[str, str], cores: int) -> None:
    put(root, files)
    assert available_cores(root) == cores


def test_a_system_without_affinity_has_its_cores(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert available_cores(root) == 10
