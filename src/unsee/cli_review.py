"""The commands around people's judgement: the page on which variants are judged, and the filter that follows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from unsee.command_line import DONE, Count, File, Flag, Name, complain, console, say
from unsee.errors import ConfigError
from unsee.files import refuse_used


def review_data(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")],
    *,
    out: File = None,
    annotator: Name = None,
    seed: int = 0,
    failed: Flag = False,
    serve: Flag = False,
    decisions: File = None,
    port: Count = None,
) -> int:
    """Make the page on which people keep or reject the variants that `unsee data extend` made.

    The page opens offline and its decisions are downloaded. With --serve it is given out on this machine only, and each
    decision is on disk at once; Ctrl-C ends it.

    Args:
        data: folder that `unsee data extend` wrote.
        out: the page; review.html in that folder by default.
        annotator: who judges; the page asks by default.
        seed: of the order, which is another one for each annotator.
        failed: also have variants judged that failed automatic checks.
        serve: give the page out on this machine instead of writing it.
        decisions: with --serve, the file decisions are added to; what the annotator decided there is taken up.
        port: with --serve, a port; any free one by default.
    """
    from unsee.benchmarks.extended.files import read_extension
    from unsee.progress import ConsoleDisplay
    from unsee.review.page import write_page
    from unsee.review.server import ReviewServer
    from unsee.review.server import serve as serve_until_interrupted

    if not serve:
        if decisions is not None or port is not None:
            raise ConfigError("--decisions and --port have no effect without --serve; add it")
        with ConsoleDisplay(console()) as display:
            display.plan(1)
            display.job("pictures of the page")
            extension = read_extension(data)
            page = write_page(
                extension,
                out or data / "review.html",
                annotator=annotator or "",
                seed=seed,
                failed=failed,
                progress=display.stage("pictures"),
            )
        say(f"review: {page}")
        return DONE
    if out is not None:
        raise ConfigError("--out has no effect with --serve; leave one of them out")
    if decisions is None or annotator is None:
        raise ConfigError("--serve needs --decisions FILE and --annotator NAME, under which decisions are written")
    server = ReviewServer(
        read_extension(data),
        data,
        decisions=decisions,
        annotator=annotator,
        seed=seed,
        failed=failed,
        port=port or 0,
        report=complain,
    )
    say(f"review: {server.url}", f"decisions of {server.annotator}: {decisions}; Ctrl-C ends")
    serve_until_interrupted(server)
    return DONE


def filter_data(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")],
    *,
    decisions: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")],
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    keep_if: Literal["all", "majority", "any"] = "all",
    unsure: Literal["reject", "keep", "ignore"] = "reject",
    undecided: Literal["drop", "keep"] = "drop",
    skip_invalid: Flag = False,
    seed: int = 0,
) -> int:
    """Keep the variants that annotators agree on, as a folder that `--benchmark DIR` reads, and report how far they agree.

    Variants that failed automatic checks stay out, whatever people said.

    Args:
        data: folder that was reviewed.
        decisions: files of the annotators; one file may hold several of them.
        out: a new folder.
        keep_if: all who judged a variant kept it, more than half did (majority), or any did.
        unsure: what a verdict unsure counts as; ignore leaves it out.
        undecided: what happens to variants without a verdict that counts.
        skip_invalid: leave out decisions about variants that are not there, and count them.
        seed: of the bootstrap behind the intervals of agreement.
    """
    from unsee.benchmarks.extended.files import read_extension, write_extension
    from unsee.review.console import print_filtered
    from unsee.review.decisions import read_decisions
    from unsee.review.filtering import filter_extension

    refuse_used(out, flag="--out")
    given = [decision for path in decisions for decision in read_decisions(path)]
    found = filter_extension(
        read_extension(data),
        given,
        keep_if=keep_if,
        unsure=unsure,
        undecided=undecided,
        skip_invalid=skip_invalid,
        seed=seed,
    )
    write_extension(out, found.extension)
    print_filtered(found, console())
    if not found.manual:
        complain("warning: no variant was kept")
    say(f"benchmark: {out}")
    return DONE
