"""The command that makes a benchmark of single facts from a user's own pictures, questions and answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from unsee.benchmarks.extended.extend import ExtendOptions
from unsee.benchmarks.extended.picture_makers import RETRIES, TIMEOUT
from unsee.command_line import DONE, Count, Flag, Name, NameOrFolder, console, say
from unsee.errors import ConfigError
from unsee.files import is_used, refuse_used

if TYPE_CHECKING:
    from unsee.benchmarks.extended.extend import Generators
    from unsee.benchmarks.extended.tables import Source
    from unsee.benchmarks.extended.variants import Extension
    from unsee.chat import ChatClient

_Program = Annotated[str | None, tyro.conf.arg(metavar="COMMAND|MODULE:FUNCTION")]
_USUAL = ExtendOptions()
_SHOWN = 5
"""So many skipped rows are told one by one."""


def extend_data(
    *,
    format: Annotated[str, tyro.conf.arg(metavar="NAME")],
    data: NameOrFolder = None,
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    facts: Count = _USUAL.facts,
    keep: float = _USUAL.keep,
    seed: int = _USUAL.seed,
    name: Name = None,
    license: Annotated[str | None, tyro.conf.arg(metavar="SPDX")] = None,
    rewriter: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None,
    rewriter_model: Name = None,
    rewriter_key_env: Name = None,
    rewriter_sees: Flag = False,
    rewriter_timeout: float = 60.0,
    image_editor: _Program = None,
    image_generator: _Program = None,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
    check_model: NameOrFolder = None,
    i_have_the_right_to: Flag = False,
    skip_invalid: Flag = False,
    dry_run: Flag = False,
) -> int:
    """Make a benchmark from your own pictures, questions and answers: graded variants of each fact, checked automatically.

    The easy grades need nothing but the table. With --rewriter, questions and answers are sent to a model behind an
    OpenAI-compatible server, with --rewriter-sees pictures too; --image-editor and --image-generator are programs of yours. A
    killed command goes on where it stopped when it is called again.

    Args:
        format: layout of the data: okvqa, vqa-json, slake, llava-json, or people for any benchmark.
        data: folder with the files; for people a benchmark by name or folder, the embedded one by default.
        out: a new folder, which `--benchmark DIR` reads.
        facts: how many facts are deleted; all that are not kept and can be by default.
        keep: share of the questions that are kept, whole pictures and groups at a time.
        seed: of everything that is drawn.
        name: of the benchmark in results; the name of the folder by default.
        license: of rows that name none; an SPDX identifier.
        rewriter: where the API of a model that rewords begins, such as http://localhost:8000/v1.
        rewriter_model: the model's name on that server.
        rewriter_key_env: environment variable that holds the server's key; without it none is sent.
        rewriter_sees: show pictures to the rewriter, so that it can ask about them.
        rewriter_timeout: seconds to wait for one answer of the rewriter.
        image_editor: edits an object out of a picture.
        image_generator: draws pictures anew, and pictures of other answers.
        timeout: seconds that one picture may take a command.
        retries: how often a request or picture that failed is tried again.
        check_model: model that must still know the rephrased facts and their neighbours; others fail the check.
        i_have_the_right_to: write rows whose licence is non-commercial, credentialed or unclear, and mix licences.
        skip_invalid: go on without rows that cannot be used, and count them.
        dry_run: print what would be made, and write nothing.
    """
    from unsee.benchmarks.extended.extend import extend, told
    from unsee.benchmarks.extended.facts import choose_facts
    from unsee.benchmarks.extended.files import write_extension
    from unsee.benchmarks.extended.tables import read_source
    from unsee.benchmarks.extended.work import discard_work, is_finished, work_for, work_path
    from unsee.benchmarks.medical.files import check_licenses
    from unsee.progress import ConsoleDisplay

    options = ExtendOptions(facts=facts, keep=keep, seed=seed)
    taken = is_used(out)
    if taken and not work_path(out).is_dir():
        refuse_used(out, flag="--out")
    if (rewriter is None) != (rewriter_model is None):
        raise ConfigError("--rewriter URL and --rewriter-model NAME go together; give both or none")
    if rewriter is None and (rewriter_sees or rewriter_key_env):
        raise ConfigError("--rewriter-sees and --rewriter-key-env have no effect without --rewriter URL; add it")
    generators = _generators(
        _rewriter(rewriter, rewriter_model, key_env=rewriter_key_env, timeout=rewriter_timeout, retries=retries),
        rewriter_sees,
        image_editor,
        image_generator,
        timeout,
        retries,
    )
    if generators.rewriter is not None and not dry_run:
        generators.rewriter.reach()
    source = read_source(format, data, license=license, skip_invalid=skip_invalid)
    check_licenses((row.license for row in source.table.rows), i_have_the_right_to=i_have_the_right_to)
    _tell_table(source)
    if dry_run:
        chosen = choose_facts(source, facts=facts, keep=keep, seed=seed)
        say(f"facts to delete: {len(chosen.deleted):,}", f"facts to keep: {len(chosen.facts) - len(chosen.deleted):,}")
        say(*(f"{text}: {count:,}" for text, count in chosen.counts.items()))
        return DONE
    generators = _with_judge(generators, check_model)
    if taken and not is_finished(out, told(source, options, generators)):
        refuse_used(out, flag="--out")
    if not taken:
        with work_for(out) as work:
            with ConsoleDisplay(console()) as display:
                made = extend(
                    source, options, work=work, name=name or out.resolve().name, generators=generators, display=display
                )
            write_extension(out, made)
        _tell(made)
    discard_work(out)
    say(f"benchmark: {out}")
    return DONE


def _rewriter(url: str | None, model: str | None, *, key_env: str | None, timeout: float, retries: int) -> ChatClient | None:
    """The model behind a server, where one is named; nothing is sent yet."""
    from unsee.chat import ChatClient

    if url is None or model is None:
        return None
    return ChatClient(url, model, role="rewriter", key_env=key_env, timeout=timeout, retries=retries)


def _generators(
    client: ChatClient | None, sees: bool, editor: str | None, generator: str | None, timeout: float, retries: int
) -> Generators:
    """What the flags name; programs that are not there are refused."""
    from unsee.benchmarks.extended.extend import Generators
    from unsee.benchmarks.extended.picture_makers import picture_maker

    make = partial(picture_maker, retries=retries, timeout=timeout)
    return Generators(
        rewriter=client,
        sees=sees,
        editor=None if editor is None else make(editor, role="image-editor"),
        generator=None if generator is None else make(generator, role="image-generator"),
    )


def _with_judge(generators: Generators, name: str | None) -> Generators:
    """The generators with the model that checks variants, where one is named."""
    if name is None:
        return generators
    from dataclasses import replace

    from unsee.models.loading import load_model

    return replace(generators, judge=load_model(name))


def _tell_table(source: Source) -> None:
    table = source.table
    licences = " and ".join(name or "no licence" for name in table.licenses)
    say(f"{table.name}: {len(table.rows):,} questions about {len(table.groups):,} pictures or groups, {licences}")
    say(*(f"skipped: {line}" for line in table.skipped[:_SHOWN]))
    if len(table.skipped) > _SHOWN:
        say(f"skipped: {len(table.skipped) - _SHOWN:,} more")


def _tell(made: Extension) -> None:
    """Counts before and after the checks."""
    counts = made.history[-1]["counts"]
    assert isinstance(counts, Mapping)
    say(f"facts to delete: {counts['facts']['delete']:,}", f"facts to keep: {counts['facts'].get('keep', 0):,}")
    say(*(f"{text}: {count:,}" for part in ("table", "absent") for text, count in counts[part].items()))
    say(*(f"{kind}: {count:,} made, {counts['automatic'][kind]:,} passed" for kind, count in counts["raw"].items()))
    say(*(f"failed {code}: {count:,}" for code, count in counts["failed"].items()))
