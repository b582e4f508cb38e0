"""Which patterns hold on both embedded bases, the LLaVA `tiny` and the Idefics3 `tiny-idefics3`?

    python studies/bases.py

Reads what studies/modality.py and studies/tradeoff.py wrote about each base and fills the comparisons of
docs/studies/modality.md and docs/studies/trade-off.md.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import polars as pl
from answers import MEASURE_TITLES, METHOD_TITLES, SHOWN_TITLES, between, markdown
from modality import LEARNED_TITLES, LEVELS
from scipy.stats import spearmanr
from tradeoff import COLUMNS

from unsee.files import fill

BASES = {"LLaVA": "", "Idefics3": "-idefics3"}
"""Form of the base -> suffix of its CSV."""
ARM = ("learned_from", "method", "set", "modality", "measure")
"""What a difference between unlearning from pictures and by name is about."""
CSV_TITLES = {"learned_from": LEARNED_TITLES, "method": METHOD_TITLES, "modality": SHOWN_TITLES, "measure": MEASURE_TITLES}


def differences(file: Path) -> pl.DataFrame:
    """Pictures minus names on forget and test at the first level, in points: columns of `ARM`, `told`, `sign`, `star`."""
    table = pl.read_csv(file).filter(
        pl.col("first") == "image_text", pl.col("set").is_in(["forget", "test"]), pl.col("retain_score") == LEVELS[0]
    )
    told = [between(*row, signed=True) for row in table.select("difference", "ci_low", "ci_high").iter_rows()]
    star = pl.col("after_holm").cast(pl.Boolean)
    marked = pl.Series(told) + pl.when(star).then(pl.lit(" \\*")).otherwise(pl.lit(""))
    return table.select(*ARM, marked.alias("told"), pl.col("difference").sign().alias("sign"), star.alias("star"))


def modality_table(files: dict[str, Path]) -> str:
    """Differences that are apart from 0 on a base, beside those of the other, and whether both say the same."""
    first, second = files
    both = differences(files[first]).join(differences(files[second]), on=ARM, suffix="_second", maintain_order="left")
    apart = both.filter(pl.col("star") | pl.col("star_second"))
    same, stars = pl.col("sign") == pl.col("sign_second"), pl.col("star") & pl.col("star_second")
    verdict = pl.when(same & stars).then(pl.lit("yes")).when(same).then(pl.lit("direction alone"))
    verdict = verdict.when(stars).then(pl.lit("**opposite**")).otherwise(pl.lit("no"))
    rows = [
        [*(CSV_TITLES.get(name, {}).get(row[name], row[name]) for name in ARM), row["told"], row["told_second"], row["verdict"]]
        for row in apart.with_columns(verdict.alias("verdict")).iter_rows(named=True)
    ]
    table = markdown(["learned from", "method", "set", "asked", "measure", first, second, "holds on both"], rows)
    return f"{table}\n\nThe other {len(both) - len(apart)} of {len(both)} comparisons are apart from 0 on neither base."


def traded(file: Path) -> pl.DataFrame:
    """Every number of the trade-off's tables, in percent."""
    titles = pl.DataFrame([(*key, title) for key, title in COLUMNS.items()], ["set", "measure", "column"], orient="row")
    table = pl.read_csv(file).join(titles, on=["set", "measure"], maintain_order="left")
    return table.select("ratio", "method", "unlearned", "modality", "column", "value")


def trade_off_tables(files: dict[str, Path]) -> str:
    """Values of both bases side by side, and how alike they order the unlearned models (Spearman's rank correlation)."""
    first, second = files
    key = ["ratio", "method", "unlearned", "modality", "column"]
    both = traded(files[first]).join(traded(files[second]), on=key, suffix="_second", maintain_order="left")
    beside = pl.format("{} / {}", *(pl.col(name).round(0).cast(pl.Int64) for name in ("value", "value_second")))
    parts = []
    for asked, title in SHOWN_TITLES.items():
        own = both.filter(pl.col("modality") == asked).with_columns(beside.alias("beside"))
        wide = own.pivot("column", index=["ratio", "method", "unlearned"], values="beside", maintain_order=True)
        heading = ["ratio", "method", "unlearned", *(column for column in COLUMNS.values() if column in wide.columns)]
        table = markdown(heading, wide.select(heading).fill_null("").iter_rows())
        parts.append(f"Asked {title}, {first} / {second}:\n\n{table}")
    rows = []
    for asked, column in product(SHOWN_TITLES, COLUMNS.values()):
        own = both.filter(pl.col("method") != "gold", modality=asked, column=column)
        if len(own):
            alike = spearmanr(own["value"], own["value_second"]).statistic
            rows.append([SHOWN_TITLES[asked], column, f"{alike:.2f}", str(len(own))])
    parts.append(f"How alike both order the models:\n\n{markdown(['asked', '', 'rank correlation', 'models'], rows)}")
    return "\n\n".join(parts)


TABLES = {"modality": modality_table, "trade-off": trade_off_tables}
"""Page -> what is compared on it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("docs/studies"))
    parser.add_argument("--pages", nargs="+", choices=list(TABLES), default=list(TABLES))
    arguments = parser.parse_args()
    folder = arguments.folder
    for page in arguments.pages:
        table = TABLES[page]
        fill(folder / f"{page}.md", {"both-bases": table({base: folder / f"{page}{end}.csv" for base, end in BASES.items()})})


if __name__ == "__main__":
    main()
