"""Utility by the benchmarks the field reports, measured by the harnesses the field uses.

unsee never imports a harness. It writes the command that hands a saved checkpoint over, runs it if asked, and reads the results
folder back into rows of the results table.
"""

from unsee.utility.harnesses import HARNESSES, Harness, Request
from unsee.utility.known import BENCHMARKS, UtilityBenchmark
from unsee.utility.reading import read_results
from unsee.utility.targets import Target, find_targets

__all__ = ["BENCHMARKS", "HARNESSES", "Harness", "Request", "Target", "UtilityBenchmark", "find_targets", "read_results"]
