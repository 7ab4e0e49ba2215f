"""Packs Python packages for a machine without network: one archive, its hash, a manifest.

    python infra/vllm/pack.py vllm tokenmill --output FOLDER

Runs where a package index can be reached; needs pip, and `strip` of binutils. `packs.toml` says
what is in a pack and what is left out of the packages; `install.sh` unpacks on the other machine.
What makes the difference is what a machine never loads: kernels for other GPUs (`kernels.py`),
debug symbols, tests, headers. The archive is the same, byte for byte, for the same wheels: names
are sorted, owners and times are constant.
"""

import argparse
import fnmatch
import hashlib
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import kernels

HERE: Final = Path(__file__).parent
NEWEST_GLIBC: Final = 39
"""Minor version of glibc on the machine: manylinux_2_39 and all before it. pip takes tags only by
their exact names."""
_LEGACY_TAGS: Final = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")
_DICTIONARY: Final = 128 << 20
"""Bytes that xz looks back: libraries that hold one kernel in many variants shrink by it. As much
memory is needed to unpack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine that a pack is for."""

    python: str
    gpu: str
    """Compute capability, such as 9.0."""

    @property
    def architecture(self) -> int:
        """90 for 9.0."""
        return int(self.gpu.replace(".", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A table of packs.toml."""

    name: str
    packages: tuple[str, ...]
    """name==version."""
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """Stays even where `leave_out` names it."""
    blank: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether a file of a wheel goes into the pack."""
        return _matches(path, self.keep) or not _matches(path, self.leave_out)


def read_pack(folder: Path, name: str) -> tuple[Target, Pack]:
    """Reads a table of packs.toml.

    Raises:
        ValueError: There is no such table, or a package has no version.
    """
    tables = tomllib.loads((folder / "packs.toml").read_text())
    target = Target(**tables.pop("target"))
    if name not in tables:
        raise ValueError(f"no pack {name!r} in packs.toml, which has {', '.join(sorted(tables))}")
    table: dict[str, Any] = tables[name]
    versions = _versions(folder / table.pop("versions")) if "versions" in table else {}
    lines = (folder / table.pop("packages")).read_text().splitlines()
    names = [line.partition("#")[0].strip() for line in lines]
    packages = tuple(_pinned(one, versions) for one in names if one)
    return target, Pack(
        name=name, packages=packages, **{key: tuple(value) for key, value in table.items()}
    )


def _pinned(package: str, versions: Mapping[str, str]) -> str:
    if "==" in package:
        return package
    if package not in versions:
        raise ValueError(f"{package} has no version; write {package}==VERSION")
    return f"{package}=={versions[package]}"


def _versions(lock: Path) -> dict[str, str]:
    """The versions in a lock file; a package that has several, by Python, is left out."""
    found = re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    counted = Counter(name for name, _ in found)
    return {name: version for name, version in found if counted[name] == 1}


def download(packages: Sequence[str], target: Target, folder: Path) -> list[Path]:
    """Wheels of packages, without what they need in turn, for the Python of the target."""
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST_GLIBC, 4, -1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", target.python]
    command += [flag for tag in (*tags, *_LEGACY_TAGS) for flag in ("--platform", tag)]
    subprocess.run([*command, *packages], check=True)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: Sequence[Path], pack: Pack, site: Path) -> int:
    """Lays out the files of wheels as an installer would; returns the bytes left out."""
    left_out = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                path = _installed(entry.filename)
                if entry.is_dir() or path is None:
                    continue
                if not pack.takes(path):
                    left_out += entry.file_size
                    continue
                (site / path).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, (site / path).open("wb") as file:
                    shutil.copyfileobj(source, file)
    return left_out


def _installed(path: str) -> str | None:
    """Where a file of a wheel goes; None for scripts and data, which `python -m` does without."""
    folder, _, rest = path.partition("/")
    if not folder.endswith(".data"):
        return path
    scheme, _, rest = rest.partition("/")
    return rest if scheme in ("purelib", "platlib") else None


def slim(pack: Pack, target: Target, site: Path, *, keep_ptx: bool) -> Iterator[str]:
    """Blanks foreign kernels and strips symbols; tells what it did."""
    for library in _found(site, pack.blank):
        done = kernels.blank(library, target.architecture, keep_ptx=keep_ptx)
        if done.containers:
            yield (
                f"{library.relative_to(site)}: {done.kept_bytes >> 20} MiB of kernels kept,"
                f" {done.blanked_bytes >> 20} blanked, {done.emptied} of {done.containers}"
                " groups of kernels cannot run"
            )
    for library in _found(site, pack.strip):
        subprocess.run(["strip", "--strip-unneeded", str(library)], check=True)


def _found(site: Path, patterns: Sequence[str]) -> list[Path]:
    files = (path for path in site.rglob("*") if path.is_file())
    return sorted(path for path in files if _matches(path.relative_to(site).as_posix(), patterns))


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def archive(site: Path, output: Path) -> str:
    """Writes the files as .tar.xz; returns its sha256."""
    filters = [
        {"id": lzma.FILTER_X86},
        {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY},
    ]
    with lzma.open(output, "wb", filters=filters) as compressed:
        # GNU names: no extra header for the times and long paths of every file.
        with tarfile.open(fileobj=compressed, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(site.rglob("*")):
                if path.is_file():
                    data = path.read_bytes()
                    entry = tarfile.TarInfo(f"site/{path.relative_to(site).as_posix()}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    return _sha256(output)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(
    name: str,
    output: Path,
    *,
    folder: Path = HERE,
    python: str | None = None,
    keep_ptx: bool = False,
) -> list[str]:
    """Makes a pack: NAME.tar.xz, NAME.sha256, NAME.json; returns what is worth telling."""
    target, pack = read_pack(folder, name)
    target = replace(target, python=python or target.python)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        wheels, site = Path(temporary) / "wheels", Path(temporary) / "site"
        site.mkdir()
        found = download(pack.packages, target, wheels)
        left_out = unpack(found, pack, site)
        told = list(slim(pack, target, site, keep_ptx=keep_ptx))
        file = output / f"{name}.tar.xz"
        digest = archive(site, file)
        manifest = {
            "python": target.python,
            "gpu": target.gpu,
            "sha256": digest,
            "bytes": file.stat().st_size,
            "bytes_left_out": left_out,
            "wheels": {wheel.name: _sha256(wheel) for wheel in found},
        }
    (output / f"{name}.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (output / f"{name}.sha256").write_text(f"{digest}  {file.name}\n")
    size = file.stat().st_size / (1 << 20)
    return [*told, f"{file}: {len(found)} packages, {size:.1f} MiB, sha256 {digest}"]


def main() -> None:
    """Makes the packs that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", nargs="+", metavar="PACK", help="a table of packs.toml")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument(
        "--packs-folder", type=Path, default=HERE, help="where packs.toml and its lists are"
    )
    parser.add_argument(
        "--keep-ptx",
        action="store_true",
        help="keep kernels that the driver has to compile, such as those of quantised models",
    )
    parser.add_argument("--python", help="minor version of the other machine (packs.toml has one)")
    options = parser.parse_args()
    for name in options.packs:
        made = make(
            name,
            options.output,
            folder=options.packs_folder,
            python=options.python,
            keep_ptx=options.keep_ptx,
        )
        print("\n".join(made))


if __name__ == "__main__":
    main()
