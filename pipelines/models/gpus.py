"""Which GPUs of a host a model server takes, where several servers share the host.

Servers of one user note what they hold in a folder of that user, as files that they keep locked; a
lock ends with its process, so what a killed server held is free at once. Taken are the GPUs that
the fewest servers hold. A GPU is shared only when none is left: two small models may well live on
one (`gpu-memory-utilization` in `serve`), and vLLM says so when they do not fit.
"""

import fcntl
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_DEVICE_FILE: Final = re.compile(r"nvidia\d+")


class Devices:
    """GPUs that one server holds until it gives them back or its owner ends."""

    def __init__(self, names: tuple[str, ...], notes: list[IO[str]]) -> None:
        self.names = names
        """As in CUDA_VISIBLE_DEVICES."""
        self._notes = notes

    def release(self) -> None:
        """Gives them back."""
        while self._notes:
            note = self._notes.pop()
            with suppress(FileNotFoundError):
                os.unlink(note.name)
            note.close()


def visible_devices(
    environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")
) -> tuple[str, ...]:
    """The GPUs that this process may use.

    Args:
        environment: Its CUDA_VISIBLE_DEVICES counts.
        dev: Where the driver's device files are; in a container their numbers have gaps, while CUDA
            numbers what it sees from 0.

    Returns:
        Numbers or ids, as in CUDA_VISIBLE_DEVICES; empty where there is no NVIDIA GPU.
    """
    told = environment.get(VISIBLE)
    if told is not None:
        return tuple(name.strip() for name in told.split(",") if name.strip())
    num_files = sum(bool(_DEVICE_FILE.fullmatch(name)) for name in os.listdir(dev))
    return tuple(str(number) for number in range(num_files))


def take_devices(wanted: int, visible: tuple[str, ...], folder: Path) -> Devices | None:
    """Takes GPUs.

    Args:
        wanted: How many.
        visible: Those that may be used.
        folder: Where servers note what they hold.

    Returns:
        What was taken; None where no GPU is visible, and the server may see for itself.

    Raises:
        ValueError: More are wanted than are visible.
    """
    if not visible:
        return None
    if wanted > len(visible):
        raise ValueError(
            f"gpus: {wanted}, but this machine shows {len(visible)} ({','.join(visible)}); lower "
            f"`gpus` of the model, or widen {VISIBLE}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        held = _held(folder)
        chosen = sorted(visible, key=lambda name: (held[name], visible.index(name)))[:wanted]
        names = tuple(sorted(chosen, key=visible.index))
        return Devices(names, [_note(folder, name) for name in names])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of a file; waits for whoever holds it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _held(folder: Path) -> Counter[str]:
    """How many live servers hold each GPU; notes of dead ones are removed."""
    held: Counter[str] = Counter()
    for path in folder.glob("*.held"):
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held[path.name.split("@")[0]] += 1
            else:
                path.unlink()
    return held


def _note(folder: Path, device: str) -> IO[str]:
    note = (folder / f"{device.replace('/', '_')}@{uuid.uuid4().hex}.held").open("a")
    fcntl.flock(note, fcntl.LOCK_EX)
    return note
