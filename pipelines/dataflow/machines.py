"""Compute Engine's machine types and accelerators, as far as a dry run needs them.

Cores and memory follow from a machine type's name ("General-purpose machine family" and
"Accelerator-optimized machine family" in Google's Compute Engine documentation). Prices and
regions change and are left to Google's own tables; a family that is not listed here is not refused,
only not judged.
"""

import re
from dataclasses import dataclass
from typing import Final

GIB: Final = 1 << 30

# Memory a core in GiB: by family, then by kind.
_SHARED: Final = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_FAMILIES: Final = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "n2": _SHARED,
    "n2d": _SHARED,
    "e2": _SHARED,
    "n4": {**_SHARED, "highcpu": 2.0},
    "c3": {**_SHARED, "highcpu": 2.0},
    "c3d": {**_SHARED, "highcpu": 2.0},
    "c4": {"standard": 3.75, "highmem": 7.75, "highcpu": 2.0},
    "c2": {"standard": 4.0},
    "c2d": {"standard": 4.0, "highmem": 8.0, "highcpu": 2.0},
    "t2d": {"standard": 4.0},
}
# G2: cores -> GPUs; memory is 4 GiB a core.
_G2: Final = {4: 1, 8: 1, 12: 1, 16: 1, 32: 1, 24: 2, 48: 4, 96: 8}
# Kind -> (cores, GiB) of each GPU, and the counts that are offered.
_PER_GPU: Final = {
    "a2-highgpu": (12, 85.0, (1, 2, 4, 8)),
    "a2-megagpu": (6, 85.0, (16,)),
    "a2-ultragpu": (12, 170.0, (1, 2, 4, 8)),
    "a3-highgpu": (26, 234.0, (1, 2, 4, 8)),
    "a3-megagpu": (26, 234.0, (8,)),
    "a3-ultragpu": (28, 369.0, (8,)),
}
ACCELERATORS: Final = {
    "nvidia-l4": ("g2-standard",),
    "nvidia-tesla-a100": ("a2-highgpu", "a2-megagpu"),
    "nvidia-a100-80gb": ("a2-ultragpu",),
    "nvidia-h100-80gb": ("a3-highgpu",),
    "nvidia-h100-mega-80gb": ("a3-megagpu",),
    "nvidia-h200-141gb": ("a3-ultragpu",),
    "nvidia-tesla-t4": ("n1-",),
    "nvidia-tesla-v100": ("n1-",),
    "nvidia-tesla-p100": ("n1-",),
    "nvidia-tesla-p4": ("n1-",),
}
"""Accelerator, as Compute Engine spells it -> the machine types that can have it."""

ARM_FAMILIES: Final = ("t2a", "c4a", "n4a")
"""Families with Arm processors ("Arm VMs on Compute" of the same documentation)."""

_TYPE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
_ACCELERATOR: Final = re.compile(r"type:([^;:]+);count:(\d+)(;install-nvidia-driver(:\w+)?)?")
_EXAMPLE: Final = "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine type has."""

    name: str
    cores: int
    memory_bytes: int
    gpus: int = 0
    """Those that come with the type; N1 gets its GPUs from the accelerator option alone."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """GPUs of a worker."""

    kind: str
    count: int
    installs_driver: bool


def is_type_name(name: str) -> bool:
    """Whether a machine type is spelled as Compute Engine spells its own, such as n2-highmem-8."""
    return _TYPE.fullmatch(name) is not None


def is_arm(name: str) -> bool:
    """Whether machines of this type have Arm processors."""
    return name.partition("-")[0] in ARM_FAMILIES


def machine_of(name: str) -> Machine | None:
    """Cores, memory and GPUs of a machine type; None where its family is not known here."""
    if custom := re.fullmatch(r"(?:\w+-)?custom-(\d+)-(\d+)(?:-ext)?", name):
        return Machine(name, int(custom[1]), int(custom[2]) << 20)
    if attached := re.fullmatch(r"(a\d-\w+gpu)-(\d+)g", name):
        if attached[1] not in _PER_GPU or int(attached[2]) not in _PER_GPU[attached[1]][2]:
            return None
        cores, gib, _ = _PER_GPU[attached[1]]
        gpus = int(attached[2])
        return Machine(name, gpus * cores, int(gpus * gib * GIB), gpus)
    plain = re.fullmatch(r"(\w+)-(\w+)-(\d+)", name)
    if plain is None:
        return None
    family, kind, cores = plain[1], plain[2], int(plain[3])
    if family == "g2" and kind == "standard" and cores in _G2:
        return Machine(name, cores, cores * 4 * GIB, _G2[cores])
    gib = _FAMILIES.get(family, {}).get(kind, 0.0)
    return Machine(name, cores, int(cores * gib * GIB)) if gib else None


def accelerator_of(value: str) -> Accelerator:
    """Reads what stands behind `worker_accelerator=`.

    Raises:
        ValueError: It is not of the form that Dataflow reads.
    """
    found = _ACCELERATOR.fullmatch(value)
    if found is None or int(found[2]) < 1:
        raise ValueError(
            f"--dataflow_service_options: found worker_accelerator={value}; allowed is "
            f"type:TYPE;count:NUMBER[;install-nvidia-driver], such as {_EXAMPLE} (in quotes: the "
            "shell ends a command at a semicolon)"
        )
    return Accelerator(found[1], int(found[2]), found[3] is not None)


def misfit(accelerator: Accelerator, machine_type: str | None) -> str | None:
    """Why an accelerator does not go with a machine type; None where it does."""
    machines = ACCELERATORS.get(accelerator.kind)
    if machines is None:
        return (
            f"worker_accelerator: found the type {accelerator.kind}; known are "
            f"{', '.join(sorted(ACCELERATORS))}; see `gcloud compute accelerator-types list`"
        )
    if machine_type is None or not machine_type.startswith(machines):
        wanted = " or ".join(f"{one.rstrip('-')}-..." for one in machines)
        return (
            f"worker_accelerator: found {accelerator.kind} on --machine_type="
            f"{machine_type or 'none'}; it is only in {wanted}; give such a machine type"
        )
    machine = machine_of(machine_type)
    if machine is not None and machine.gpus and machine.gpus != accelerator.count:
        return (
            f"worker_accelerator: found count:{accelerator.count} on {machine_type}, which has "
            f"{machine.gpus}; give count:{machine.gpus}, or another size"
        )
    return None
