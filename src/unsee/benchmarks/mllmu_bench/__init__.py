"""MLLMU-Bench's official files: read as a benchmark, and written from any other."""

from unsee.benchmarks.mllmu_bench.benchmark import MllmuBench

__all__ = ["MllmuBench"]
