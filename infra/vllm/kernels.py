"""Blanks the GPU code in a shared library that one kind of GPU never runs.

nvcc puts code for several GPUs into a library as "fat binaries", of which the driver takes one
image at load. vLLM's libraries hold code for up to nine kinds; with the others overwritten by
zeros the library keeps every size and offset, loads as before, and the zeros compress to nothing.
NVIDIA's own nvprune shortens object files and static libraries, and refuses shared ones.

NVIDIA documents no layout. This is what cuobjdump's listings agree with, little-endian:

    container  u32 0xBA55ED50 | u16 version 1 | u16 16, bytes of this header | u64 bytes behind it
    image      u16 kind: 1 PTX, 2 machine code | u16 | u32 bytes of this header | u64 bytes of code
               ... at 28: u32 architecture, 90 for sm_90 and sm_90a | ... | code

Code that matches no container is left alone. Of a container with machine code for the GPU that
stays and all else goes. Without such code the driver would compile PTX: the newest that the GPU
takes stays when it is small or `keep_ptx`, else the container is emptied and its kernels cannot
run ("no kernel image is available").
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = struct.pack("<I", 0xBA55ED50)
_CONTAINER: Final = struct.Struct("<4xHHQ")
_IMAGE: Final = struct.Struct("<HHIQ12xI")
_PTX: Final = 1
_MACHINE_CODE: Final = 2
SMALL_PTX: Final = 1 << 16
"""Bytes up to which PTX stays: a few kernels that every model uses exist as PTX alone."""


@dataclass(frozen=True, slots=True)
class Code:
    """One image in a container."""

    kind: int
    architecture: int
    start: int
    """Offset of the code in the file."""
    size: int


@dataclass(slots=True)
class Blanked:
    """What became of a library."""

    containers: int = 0
    kept_bytes: int = 0
    blanked_bytes: int = 0
    emptied: int = 0
    """Containers whose kernels cannot run any more."""


def blank(library: Path, architecture: int, *, keep_ptx: bool = False) -> Blanked:
    """Overwrites what a GPU never runs with zeros, in place.

    Args:
        library: A shared library; one without GPU code is left as it is.
        architecture: 90 for compute capability 9.0.
        keep_ptx: Keeps PTX of any size where there is no machine code.
    """
    data = bytearray(library.read_bytes())
    found = Blanked()
    for images in containers(data):
        kept = _kept(images, architecture, keep_ptx)
        found.containers += 1
        found.emptied += not kept
        for image in images:
            if image in kept:
                found.kept_bytes += image.size
            else:
                data[image.start : image.start + image.size] = bytes(image.size)
                found.blanked_bytes += image.size
    if found.blanked_bytes:
        library.write_bytes(data)
    return found


def containers(data: bytes | bytearray) -> Iterator[list[Code]]:
    """The images of every container."""
    at = data.find(_MAGIC)
    while at >= 0:
        end = at + len(_MAGIC)
        images = _images(data, at)
        if images is not None:
            _, header, size = _CONTAINER.unpack_from(data, at)
            end = at + header + size
            yield images
        at = data.find(_MAGIC, end)


def _images(data: bytes | bytearray, start: int) -> list[Code] | None:
    if start + _CONTAINER.size > len(data):
        return None
    version, header, size = _CONTAINER.unpack_from(data, start)
    at, end = start + header, start + header + size
    if (version, header) != (1, _CONTAINER.size) or end > len(data):
        return None
    images = []
    while at < end:
        if at + _IMAGE.size > end:
            return None
        kind, _, header, size, architecture = _IMAGE.unpack_from(data, at)
        if kind not in (_PTX, _MACHINE_CODE) or header < _IMAGE.size or at + header + size > end:
            return None
        images.append(Code(kind, architecture, at + header, size))
        at += header + size
    return images


def _kept(images: list[Code], architecture: int, keep_ptx: bool) -> list[Code]:
    exact = [i for i in images if i.kind == _MACHINE_CODE and i.architecture == architecture]
    if exact:
        return exact
    ptx = [i for i in images if i.kind == _PTX and i.architecture <= architecture]
    ptx = [i for i in ptx if keep_ptx or i.size < SMALL_PTX]
    return [max(ptx, key=lambda image: image.architecture)] if ptx else []
