"""Which GPUs a server takes: free ones first, and none that is not there."""

from pathlib import Path

import pytest

from pipelines.models.gpus import Devices, take_devices, visible_devices


def take(wanted: int, folder: Path, visible: tuple[str, ...] = ("0", "1", "2")) -> Devices:
    taken = take_devices(wanted, visible, folder)
    assert taken is not None
    return taken


def test_devices_are_those_of_the_variable_or_of_the_driver(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia4", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_devices({}, tmp_path) == ("0", "1")
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "GPU-7f, 3"}, tmp_path) == ("GPU-7f", "3")
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ()


def test_free_ones_first_then_those_that_fewest_hold(tmp_path: Path) -> None:
    first, second = take(1, tmp_path), take(2, tmp_path)
    assert (first.names, second.names) == (("0",), ("1", "2"))
    third = take(1, tmp_path)
    assert third.names == ("0",)
    assert take(2, tmp_path).names == ("1", "2")
    first.release()
    third.release()
    assert take(1, tmp_path).names == ("0",)


def test_what_a_dead_server_held_is_free(tmp_path: Path) -> None:
    (tmp_path / "0@dead.held").touch()
    assert take(1, tmp_path).names == ("0",)
    assert not (tmp_path / "0@dead.held").exists()


def test_more_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gpus: 4, but this machine shows 3 \(0,1,2\)"):
        take(4, tmp_path)
    assert take_devices(4, (), tmp_path) is None
