"""Run as a process: reads a Parquet file, walks an epoch, and prints by how much its own memory grew.

Argument: the file. Prints the observations that it walked over, and the MiB that its private memory
(RssAnon: pages of mapped files are the system's) grew at most.
"""

import sys
import threading
from pathlib import Path

import pyarrow.parquet

from tests.unit.training.series_files import settings_for
from training.read import read
from training.segments import TrainingSegments


def private_bytes() -> int:
    """Memory of this process that no file stands behind."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


class Peak:
    """The largest `private_bytes` of a span, looked at by a thread all the time."""

    def __enter__(self) -> "Peak":
        self.first = self.most = private_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.002):
            self.most = max(self.most, private_bytes())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.most = max(self.most, private_bytes())

    @property
    def growth_mib(self) -> float:
        return (self.most - self.first) / 2**20


if __name__ == "__main__":
    file = Path(sys.argv[1])
    # What Arrow and pandas load and keep for themselves is there before.
    next(pyarrow.parquet.ParquetFile(file).iter_batches(1)).to_pandas()
    settings = settings_for(file, batch_size=16, segment_length=64, cache_dir=file.parent / "cache")
    with Peak() as peak:
        dataset = read(settings)
        segments = TrainingSegments(
            dataset.series, horizon=3, batch_size=16, segment_length=64, seed=0, epoch=0
        )
        walked = sum(int((~segment.x[..., 0].isnan()).sum()) for segment in segments)
    print(walked, peak.growth_mib)
