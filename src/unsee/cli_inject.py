"""The command that weaves harm into a medical data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from unsee.benchmarks.medical.inject import InjectOptions
from unsee.command_line import DONE, Count, Flag, Name, Overrides, say
from unsee.errors import ConfigError
from unsee.files import refuse_used

_Words = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")]
_USUAL = InjectOptions()
_SHOWN = 5
"""So many skipped rows are told one by one."""


def inject_data(
    *,
    format: Annotated[str, tyro.conf.arg(metavar="NAME")],
    data: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")],
    scenario: Literal["both", "privacy", "incorrect"] = "both",
    harmed: float = _USUAL.harmed,
    held_out: float = _USUAL.held_out,
    identifiers: _Words = _USUAL.identifiers,
    carriers: _Words = _USUAL.carriers,
    rules: _Words = _USUAL.rules,
    modes: _Words = _USUAL.modes,
    errors_per_patient: int = _USUAL.errors_per_patient,
    systematic_least: int = _USUAL.systematic_least,
    systematic_count: int = _USUAL.systematic_count,
    splits: Literal["own", "source"] = _USUAL.splits,
    seed: int = _USUAL.seed,
    rewriter: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None,
    rewriter_model: Name = None,
    rewriter_key_env: Name = None,
    set_: Overrides = (),
    limit: Count = None,
    i_have_the_right_to: Flag = False,
    skip_invalid: Flag = False,
    dry_run: Flag = False,
) -> int:
    """Weave invented identifiers and false answers into a medical data set, as a benchmark that `--benchmark DIR` reads.

    With --rewriter, a model behind an OpenAI-compatible server weaves identifiers into answers; answers of the data set are
    sent there.

    Args:
        format: layout of the files: slake, vqa-rad, path-vqa, pmc-vqa, mimic-cxr-vqa, llava-med or medforget.
        data: folder with the files.
        out: a new folder.
        scenario: what is planted: identifiers (privacy), false answers (incorrect) or both.
        harmed: share of the taught patients whose samples carry harm.
        held_out: share of patients that are never taught; with --splits source the source decides.
        identifiers: classes of identifiers, each planted for every harmed patient.
        carriers: where identifiers stand: answer, question, picture (burned into its corner).
        rules: rules that make false answers; all by default.
        modes: instance falsifies single samples, systematic plants one false rule in many.
        errors_per_patient: falsified samples of a harmed patient, at most.
        systematic_least: so many taught samples must fall under a false rule.
        systematic_count: number of false rules, at most.
        splits: own draws who is never taught; source takes those of the source's test and validation splits.
        seed: of everything that is drawn.
        rewriter: where the API of a model that weaves identifiers in begins, such as http://localhost:8000/v1.
        rewriter_model: the model's name on that server.
        rewriter_key_env: environment variable that holds the server's key; without it none is sent.
        set_: option of the format: language=zh or all (slake), version=v1 or v2 (pmc-vqa), license=NAME (llava-med),
            level=section and the like (medforget).
        limit: read no further than so many rows; a patient may be cut.
        i_have_the_right_to: write rows whose licence is non-commercial, credentialed or unclear, and mix licences.
        skip_invalid: go on without rows that cannot be used, and count them.
        dry_run: print what would be planted, and write nothing.
    """
    from unsee.benchmarks.medical.files import check_licenses, write_injection
    from unsee.benchmarks.medical.formats import read_table, reader_of
    from unsee.benchmarks.medical.inject import inject
    from unsee.benchmarks.medical.rewriter import Rewriter
    from unsee.settings import assignments

    options = InjectOptions(
        scenarios=_USUAL.scenarios if scenario == "both" else (scenario,),
        harmed=harmed,
        held_out=held_out,
        identifiers=identifiers,
        carriers=carriers,
        rules=rules,
        modes=modes,
        errors_per_patient=errors_per_patient,
        systematic_least=systematic_least,
        systematic_count=systematic_count,
        splits=splits,
        seed=seed,
    )
    of_format = reader_of(format).checked({".".join(names): value for names, value in assignments(set_)})
    refuse_used(out, flag="--out")
    if (rewriter is None) != (rewriter_model is None):
        raise ConfigError("--rewriter URL and --rewriter-model NAME go together; give both or none")
    weaver = (
        None if rewriter is None or rewriter_model is None else Rewriter(rewriter, rewriter_model, key_env=rewriter_key_env)
    )
    if weaver is not None and not dry_run:
        weaver.reach()
    table = read_table(format, data, skip_invalid=skip_invalid, limit=limit, **of_format)
    check_licenses(table.licenses, i_have_the_right_to=i_have_the_right_to)
    licences = " and ".join(name or "no licence" for name in table.licenses)
    say(f"{table.name}: {len(table.rows):,} questions about {len(table.groups):,} patients or pictures, {licences}")
    say(*(f"skipped: {line}" for line in table.skipped[:_SHOWN]))
    if len(table.skipped) > _SHOWN:
        say(f"skipped: {len(table.skipped) - _SHOWN:,} more")
    injection = inject(table, options, rewriter=None if dry_run else weaver)
    say(*(f"{text}: {count:,}" for text, count in injection.counts.items()))
    if dry_run:
        return DONE
    write_injection(out, injection, i_have_the_right_to=i_have_the_right_to)
    say(f"benchmark: {out}")
    return DONE
