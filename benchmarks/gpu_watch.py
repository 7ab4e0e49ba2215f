"""How busy a GPU is, by what nvidia-smi samples."""

import shutil
import subprocess
import threading
from dataclasses import dataclass
from typing import Final

SAMPLE_MS: Final = 50


@dataclass(frozen=True, slots=True)
class Busy:
    """What nvidia-smi saw."""

    samples: tuple[int, ...]
    """Utilization in percent, one in 50 ms; each is of the last sixth of a second or more."""

    @property
    def idle_share(self) -> float:
        """Of the samples, those in which no kernel ran."""
        return sum(one == 0 for one in self.samples) / len(self.samples)

    @property
    def mean(self) -> float:
        """Share of the time in which a kernel ran."""
        return sum(self.samples) / len(self.samples) / 100


class GpuWatch:
    """Samples the utilization of the first GPU while it is open."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "GpuWatch":
        if shutil.which("nvidia-smi"):
            command = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", f"-lms={SAMPLE_MS}"]
            command += ["--format=csv,noheader,nounits"]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip().isdigit():
                self._samples.append(int(line))

    @property
    def busy(self) -> Busy | None:
        """None without a GPU."""
        return Busy(tuple(self._samples)) if self._samples else None
