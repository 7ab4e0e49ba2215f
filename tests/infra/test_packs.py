"""Packs for machines without network: what is kept, what is blanked, what arrives."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "infra" / "vllm"
PTX, MACHINE_CODE = 1, 2


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    """`pack.py` as its own command finds it."""
    sys.path.insert(0, str(FOLDER))
    try:
        import pack
    finally:
        sys.path.remove(str(FOLDER))
    return pack


def image(kind: int, architecture: int, code: bytes) -> bytes:
    header = struct.pack("<HHIQ", kind, 0x101, 64, len(code))
    return header + bytes(12) + struct.pack("<I", architecture) + bytes(32) + code


def container(*images: bytes) -> bytes:
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, sum(map(len, images))) + b"".join(images)


def blanked(pack: ModuleType, path: Path, data: bytes, **options: bool) -> bytes:
    path.write_bytes(data)
    pack.kernels.blank(path, 90, **options)
    return path.read_bytes()


def test_only_code_of_the_gpu_stays(pack: ModuleType, tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    kept = image(MACHINE_CODE, 90, b"hopper" * 9)
    old, new = image(MACHINE_CODE, 80, b"ampere" * 9), image(PTX, 90, b".version 8" * 9)
    data = b"\x7fELF" + b"text" * 5 + container(old, kept, new) + b"behind"
    result = blanked(pack, library, data)
    expected = data.replace(b"ampere" * 9, bytes(54)).replace(b".version 8" * 9, bytes(90))
    assert result == expected


def test_ptx_stays_where_it_is_small_or_wanted(pack: ModuleType, tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    small = container(image(PTX, 80, b"older ptx"), image(PTX, 90, b"newer ptx"))
    assert blanked(pack, library, small) == small.replace(b"older ptx", bytes(9))
    code = b"marlin" * (pack.kernels.SMALL_PTX // 6 + 1)
    large = container(image(PTX, 80, code), image(PTX, 100, b"for Blackwell"))
    assert blanked(pack, library, large) == large.replace(code, bytes(len(code))).replace(
        b"for Blackwell", bytes(13)
    )
    kept = blanked(pack, library, large, keep_ptx=True)
    assert kept == large.replace(b"for Blackwell", bytes(13))
    library.write_bytes(large)
    assert pack.kernels.blank(library, 90).emptied == 1


@pytest.mark.parametrize(
    "data",
    [
        b"no code at all",
        struct.pack("<I", 0xBA55ED50),  # the end of the file
        container(image(PTX, 80, b"x" * 80))[:-1],  # cut short
        struct.pack("<IHHQ", 0xBA55ED50, 2, 16, 8) + bytes(8),  # another version
        struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 8) + bytes(8),  # too short for an image
        container(image(7, 80, b"another kind")),
        container(struct.pack("<HHIQ", PTX, 0, 64, 1 << 40) + bytes(48)),  # beyond its end
    ],
    ids=["nothing", "end", "cut", "version", "short", "kind", "beyond"],
)
def test_what_is_no_container_is_left_alone(pack: ModuleType, tmp_path: Path, data: bytes) -> None:
    whole = container(image(MACHINE_CODE, 80, b"foreign"), image(MACHINE_CODE, 90, b"mine"))
    result = blanked(pack, tmp_path / "lib.so", whole + data)
    assert result == whole.replace(b"foreign", bytes(7)) + data


def test_a_pack_takes_what_is_not_left_out_and_what_is_kept(pack: ModuleType) -> None:
    one = pack.Pack(name="p", packages=(), leave_out=("a/*", "*.h"), keep=("a/en.dat",))
    taken = [path for path in ("a/b/c.py", "a/en.dat", "b/x.h", "b/x.hpp") if one.takes(path)]
    assert taken == ["a/en.dat", "b/x.hpp"]


def test_shipped_packs_have_a_version_for_every_package(pack: ModuleType) -> None:
    packages = {}
    for name in ("vllm", "arrow", "tokenmill", "ocr"):
        target, one = pack.read_pack(FOLDER, name)
        assert (target.python, target.architecture) == ("3.12", 90)
        packages[name] = {package.partition("==")[0] for package in one.packages}
        assert all(package.partition("==")[2] for package in one.packages)
    # One folder takes them all.
    assert sum(map(len, packages.values())) == len(set().union(*packages.values()))


def test_a_pack_that_is_not_there_and_a_package_without_version_are_named(
    pack: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "packs.toml").write_text(
        '[target]\npython = "3.12"\ngpu = "9.0"\n[one]\npackages = "one.txt"\n'
    )
    (tmp_path / "one.txt").write_text("# comment\nnumpy  # no version\n")
    with pytest.raises(ValueError, match=r"no pack 'two' in packs\.toml, which has one"):
        pack.read_pack(tmp_path, "two")
    with pytest.raises(ValueError, match="numpy has no version; write numpy==VERSION"):
        pack.read_pack(tmp_path, "one")


def packed(pack: ModuleType, folder: Path) -> Path:
    """A pack of one small wheel, as `make` writes it."""
    wheel = folder / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/__init__.py", "ANSWER = 42\n")
        archive.writestr("tiny/tests/test_tiny.py", "raise ImportError\n")
        archive.writestr("tiny-1.data/purelib/beside.py", "NAME = 'beside'\n")
        archive.writestr("tiny-1.data/scripts/tiny", "#!python\n")
    site, output = folder / "site", folder / "out"
    site.mkdir()
    output.mkdir()
    one = pack.Pack(name="tiny", packages=(), leave_out=("*/tests/*",))
    assert pack.unpack([wheel], one, site) == len("raise ImportError\n")
    archive = output / "tiny.tar.xz"
    digest = pack.archive(site, archive)
    assert digest == hashlib.sha256(archive.read_bytes()).hexdigest()
    (output / "tiny.sha256").write_text(f"{digest}  tiny.tar.xz\n")
    return archive


def install(target: Path, *archives: Path) -> "subprocess.CompletedProcess[str]":
    command = ["bash", str(FOLDER / "install.sh"), str(target), *map(str, archives)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_packed_arrives_and_can_be_imported(pack: ModuleType, tmp_path: Path) -> None:
    archive = packed(pack, tmp_path)
    target = tmp_path / "a target"
    assert install(target, archive).stdout == "tiny: unpacked\n"
    assert install(target, archive).stdout == "tiny: already there\n"
    code = "import json, tiny, beside; print(json.dumps([tiny.ANSWER, beside.NAME]))"
    done = subprocess.run(
        [
            "bash",
            "-c",
            '. "$1/environment.sh" && exec "$2" -c "$3"',
            "-",
            target,
            sys.executable,
            code,
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert json.loads(done.stdout) == [42, "beside"]
    files = sorted(
        p.relative_to(target / "site").as_posix() for p in (target / "site").rglob("*.py")
    )
    assert files == ["beside.py", "tiny/__init__.py"]


def test_an_archive_that_was_damaged_on_the_way_is_refused(
    pack: ModuleType, tmp_path: Path
) -> None:
    archive = packed(pack, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-1])
    done = install(tmp_path / "target", archive)
    assert done.returncode != 0
    assert "tiny.tar.xz: FAILED" in done.stdout + done.stderr
    assert not (tmp_path / "target" / "site").exists()


def test_the_same_files_give_the_same_archive(pack: ModuleType, tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        site = tmp_path / name
        for path in ("x/one.py", "y.py") if name == "a" else ("y.py", "x/one.py"):
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(path)
        os.utime(site / "y.py", (1, len(name) if name == "a" else 2))
        digests.add(pack.archive(site, tmp_path / f"{name}.tar.xz"))
    assert len(digests) == 1


# What the machine that docs/gpu.md names has beside Python; `tokenmill run` was run there.
IMAGE = frozenset(
    "huggingface-hub jinja2 numba numpy onnxruntime packaging pillow sympy tokenizers".split()
)


def test_packs_bring_all_that_tokenmill_needs() -> None:
    def names(lines: Iterable[str]) -> set[str]:
        return {found[0] for line in lines if (found := re.match(r"[\w.-]+", line))}

    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    packed = set[str]()
    for path in FOLDER.glob("*.txt"):
        packed |= names(path.read_text(encoding="utf-8").splitlines())
    assert names(project["project"]["dependencies"]) - packed == IMAGE
