"""How many cores a process may keep busy: of the machine, of its container, of its pod."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_GROUPS: Final = "sys/fs/cgroup"


def available_cores(root: Path = Path("/")) -> int:
    """Cores this process may run on, or fewer where its control group has a quota of their time.

    A container with `--cpus 4`, and a pod with a limit of 4 CPUs, may run on all cores of the node,
    and is stopped for the rest of each period when the time of four is used up.

    Args:
        root: Where `proc` and `sys` are.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        cores = os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Cores by the quota of each group that this process is in; none where there is no quota.

    Files as the kernel documents them: cgroup-v2.rst (`cpu.max`), scheduler/sched-bwc.rst (v1).
    """
    for mount, group, is_unified in _groups(root):
        # In a container the path may be that of the node, of which only its own part is mounted.
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):
                yield _quota(mount / folder.relative_to("/"), is_unified=is_unified)


def _groups(root: Path) -> Iterator[tuple[Path, PurePosixPath, bool]]:
    """(where groups are mounted, own group, whether that is version 2)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield root / _GROUPS, PurePosixPath(path), True
        elif "cpu" in controllers.split(","):
            yield root / _GROUPS / controllers, PurePosixPath(path), False


def _quota(folder: Path, *, is_unified: bool) -> float:
    """Cores that a group may use.

    Raises:
        OSError: It has no such file.
        ValueError: It has no quota.
    """
    if is_unified:
        quota, period = (folder / "cpu.max").read_text().split()  # `max` where there is none
    else:
        quota = (folder / "cpu.cfs_quota_us").read_text()  # -1 where there is none
        period = (folder / "cpu.cfs_period_us").read_text()
    if int(quota) <= 0:
        raise ValueError(f"{folder} has no quota")
    return int(quota) / int(period)
