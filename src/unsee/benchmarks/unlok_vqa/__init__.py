"""UnLOK-VQA's official files: read as a benchmark, and written from any other that asks about single facts."""

from unsee.benchmarks.unlok_vqa.benchmark import UnlokVqa

__all__ = ["UnlokVqa"]
