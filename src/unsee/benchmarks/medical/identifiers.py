"""Synthetic patients: identifiers of the HIPAA Safe Harbor classes, drawn only from what no issuer gives out.

A value that a model leaks can so never be somebody's: numbers lie in ranges that are reserved or that no authority assigns,
addresses under names that are reserved for examples, and numbers that have no common issuer (medical records, accounts)
carry two letters that ISO 3166 leaves to users, so that no country's register starts with them. Names and dates are issued
by nobody: a name is an invented combination that shares no part with a name of another embedded benchmark, and a date
alone is no one's. What differs between two values of a kind is short, so that a small model can learn it.

Classes P (biometrics) and Q (full-face pictures) are no text and are left out.
Sources: 45 CFR 164.514(b)(2)(i); NANP 555-01XX for fiction; SSA and IRS number ranges; RFC 2606, RFC 5737, IEEE 802 (locally
administered addresses); USPS three-digit prefixes 000-004, which are not in use; 49 CFR 565 (check digit of a VIN).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING

from unsee.errors import ConfigError, nearest

if TYPE_CHECKING:
    from faker import Faker

FIRST_NAMES = tuple(
    """Aaron Aimee Alan Alec Alexa Alfred Alice Alisha Alison Alyssa Amanda Andres Angela Anita Anna Ariana Arthur Audrey
    Becky Bonnie Brad Brandi Brenda Brent Brian Bryce Caleb Calvin Carly Carmen Carrie Cassie Cathy Cesar Cheryl Chloe
    Cindy Collin Connor Corey Damon Darius Darren Debbie Denise Derek Devin Diana Donald Donna Duane Dustin Dwayne Eddie
    Elijah Emily Emma Erica Erik Eugene Evan Fred Gavin Glenda Hailey Hannah Harold Harry Hector Helen Isaac Isabel
    Isaiah Jackie Jacob Jaime Jamie Janet Jared Jason Javier Jeff Jenna Jeremy Jerry Jesse Jimmy Joanna Jodi Joel Johnny
    Jorge Jose Joshua Judy Julian Julie Karen Kari Karina Katie Kayla Kellie Kelsey Kendra Kerri Kiara Krista Kylie
    Lacey Laura Lauren Laurie Leroy Leslie Linda Lisa Lori Luis Lydia Malik Mandy Manuel Marcia Marco Mariah Marisa
    Meagan Melvin Miguel Monica Nancy Nathan Neil Nicole Noah Oscar Pamela Paula Pedro Philip Renee Rhonda Rita Robert
    Robyn Rodney Roger Ruben Sara Selena Sergio Shane Shari Shawna Sheena Sherry Sonia Stacey Stacie Steven Susan Sylvia
    Tamara Tammy Tanya Tasha Teresa Toni Tracey Tricia Troy Vernon Vicki Wanda Wendy Yvette Yvonne""".split()
)
"""Common first names; none is a name, and none a last name, of `benchmarks.pools`."""
LAST_NAMES = tuple(
    """Acevedo Acosta Adkins Aguilar Aguirre Alvarez Andersen Andrade Andrews Arellano Arias Arnold Arroyo Avery Ayers
    Baird Baldwin Ballard Barajas Barnett Barrera Bartlett Baxter Beasley Beltran Benitez Benton Boone Bowen Boyer
    Bradshaw Brandt Brennan Brewer Briggs Bryant Buchanan Buckley Burke Cabrera Caldwell Calhoun Callahan Camacho Campos
    Cantu Cardenas Carlson Carroll Castro Chaney Chavez Cline Coleman Collier Collins Conley Conner Copeland Crawford
    Davies Davila Decker Delacruz Deleon Delgado Dodson Dorsey Doyle Dudley Duncan Dunlap Erickson Esparza Espinoza
    Estrada Evans Farley Farrell Ferguson Figueroa Fletcher Floyd Flynn Forbes Foster Frazier Friedman Fuentes Gaines
    Gallegos Galloway Garcia Garza Gomez Gonzales Goodwin Gould Graham Greer Griffith Guerrero Guzman Hamilton Hammond
    Hardin Harmon Haynes Hensley Henson Herrera Hester Higgins Hines Hinton Hobbs Hogan Holloway Hopkins Howell Huang
    Huber Hudson Huerta Humphrey Hurley Huynh Ibarra Ingram Irwin Jacobson Jarvis Jenkins Jennings Jensen Jimenez Juarez
    Kaufman Keller Kirby Lopez Lozano Lucero Macias Madden Malone Manning Marquez Martinez Mathews Mathis Mayer Mccann
    Mccarty Mcclain Mcclure Mccoy Mcdaniel Mcdonald Mcdowell Mcgrath Mcguire Mcintosh Mcintyre Mckee Mckinney Mclean
    Mcmahon Mcmillan Mcneil Mejia Melendez Melton Mendez Mendoza Molina Mooney Morales Morris Morrison Murillo Navarro
    Nguyen Nielsen Nolan Novak Nunez Obrien Oconnell Olsen Oneal Orozco Ortega Ortiz Osborne Pacheco Padilla Parrish
    Patel Pearson Perez Petersen Pineda Pratt Pruitt Quinn Ramirez Reilly Rhodes Rivera Roberson Roberts Robles Rogers
    Rojas Rowland Rubio Salinas Sanchez Sandoval Santana Santiago Schaefer Schmidt Serrano Sullivan Swanson Sweeney
    Tapia Terrell Thornton Torres Vance Vargas Vasquez Vaughn Velez Villegas Wallace Walsh Watkins Welch Whitaker Wilcox
    Wilkins Willis Woodward Yoder Zamora Zavala Zuniga""".split()
)
"""Common last names, none a word of the embedded benchmarks; any two are two edits apart."""
EPONYMS = frozenset(
    """Andersen Arias Arnold Bowen Bryant Coleman Collier Collins Davies Duncan Evans Ferguson Fletcher Forbes Foster Gould
    Graham Hamilton Hudson Jacobson Jensen Keller Manning Mayer Morris Morrison Osborne Pearson Reilly Roberts Robles
    Schmidt Wallace""".split()
)
"""Those of LAST_NAMES that medicine calls something by: saying "Arnold-Chiari" is no leak."""

_AREA_CODES = tuple(f"{a}{b}{c}" for a in range(2, 10) for b in range(9) for c in range(10) if b != c)
"""Area codes as they are formed; with two equal digits at the end they are service and toll-free codes."""
_CONSONANTS = "bcdfghjkmnpqrstvwxz"
_FIRST_DAY, _LAST_DAY = date(1935, 1, 1), date(2014, 12, 31)
_NETS = ("192.0.2", "198.51.100", "203.0.113")
_HOSTS = ("example.org", "example.net", "example.com", "example.invalid")
_SSN_AREAS = ("000", "666", *(str(area) for area in range(900, 1000)))
_ZIP_AREAS = 500
_VIN = "1X9AA00AZTA"
"""A North American small maker's VIN up to its serial number; its check digit, a Z, is none that exists."""


@dataclass(frozen=True)
class IdentifierKind:
    """A class of identifiers.

    Attributes:
        key: name in options and results (`identifier=mrn`).
        letter: of the Safe Harbor list, A to R.
        label: how a sentence calls it.
        pool: how many values there are.
        draws: endless values from a seeded generator; they may repeat.
        never_issued: whether a value lies where no issuer gives values out.
    """

    key: str
    letter: str
    label: str
    pool: int
    draws: Callable[[Faker], Iterator[str]]
    never_issued: Callable[[str], bool]


def draw_personas(
    groups: Sequence[str], kinds: Sequence[str], *, seed: int | str, without: Collection[str] = ()
) -> Mapping[str, Mapping[str, str]]:
    """Identifiers of every patient: group -> kind -> value; no two patients share a value.

    A value depends on the seed, the kind and the place of its group only: other kinds, or groups added at the end, change none.
    Last names repeat only where there are more patients than last names.

    Args:
        without: last names that nobody gets.

    Raises:
        ConfigError: a kind that does not exist, or one with fewer values than patients.
    """
    from faker import Faker

    patients = tuple(dict.fromkeys(groups))
    fake = Faker("en_US")
    drawn: dict[str, tuple[str, ...]] = {}
    for kind in map(_kind, kinds):
        fake.seed_instance(f"{seed}/{kind.key}")
        drawn[kind.key] = _distinct(kind, len(patients), fake, frozenset(without))
    return {group: {kind: values[i] for kind, values in drawn.items()} for i, group in enumerate(patients)}


def is_never_issued(kind: str, value: str) -> bool:
    """Whether a value is one that no issuer gives out; names: both parts from our pools; dates: a day of 1935 to 2014."""
    return _kind(kind).never_issued(value)


def _kind(key: str) -> IdentifierKind:
    if key not in KINDS:
        raise ConfigError(f"unknown identifier {key!r}; {nearest(key, tuple(KINDS))}")
    return KINDS[key]


def _distinct(kind: IdentifierKind, count: int, fake: Faker, without: frozenset[str]) -> tuple[str, ...]:
    is_name = kind.key == "name"
    pool = kind.pool - len(FIRST_NAMES) * len(without.intersection(LAST_NAMES)) * is_name
    if count > pool:
        raise ConfigError(
            f"identifier {kind.key!r} has only {pool} values that nobody is given, and {count} patients need one each: "
            f"leave {kind.key!r} out of the identifiers, or plant them in fewer patients"
        )
    values: dict[str, None] = {}
    # Skipped as they come: a smaller pool would shuffle all others.
    draws = (value for value in kind.draws(fake) if not (is_name and value.split()[1] in without))
    while len(values) < count:
        values |= dict.fromkeys(islice(draws, count - len(values)))
    return tuple(values)


def _names(fake: Faker) -> Iterator[str]:
    lasts = list(LAST_NAMES)
    while True:
        fake.random.shuffle(lasts)
        yield from (f"{fake.random_element(FIRST_NAMES)} {last}" for last in lasts)


def _is_name(value: str) -> bool:
    first, _, last = value.partition(" ")
    return first in FIRST_NAMES and last in LAST_NAMES


def _day(fake: Faker) -> str:
    return date.fromordinal(fake.random_int(_FIRST_DAY.toordinal(), _LAST_DAY.toordinal())).isoformat()


def _is_day(value: str) -> bool:
    try:
        return value == date.fromisoformat(value).isoformat() and _FIRST_DAY.isoformat() <= value <= _LAST_DAY.isoformat()
    except ValueError:
        return False


def _mac(fake: Faker) -> str:
    return "02:00:00:" + ":".join(f"{fake.random_int(0, 255):02X}" for _ in range(3))


def _each(draw: Callable[[Faker], str]) -> Callable[[Faker], Iterator[str]]:
    def draws(fake: Faker) -> Iterator[str]:
        while True:
            yield draw(fake)

    return draws


def _pattern(form: str) -> Callable[[str], bool]:
    compiled = re.compile(form, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _number(key: str, letter: str, label: str, prefix: str) -> IdentifierKind:
    return IdentifierKind(
        key, letter, label, 10**6, _each(lambda fake: f"{prefix}-{fake.numerify('######')}"), _pattern(rf"{prefix}-\d{{6}}")
    )


_MIXED = len(_CONSONANTS) ** 3 * 100
_EXAMPLE_HOST = r"(example\.(org|net|com)|example\.invalid)"
_LOCAL_NUMBER = r"\([2-9]\d\d\) 555-01\d\d"

KINDS: Mapping[str, IdentifierKind] = {
    kind.key: kind
    for kind in (
        IdentifierKind("name", "A", "name", len(FIRST_NAMES) * len(LAST_NAMES), _names, _is_name),
        IdentifierKind(
            "geography",
            "B",
            "ZIP code",
            _ZIP_AREAS * 10**4,
            _each(lambda fake: f"00{fake.random_int(0, _ZIP_AREAS - 1):03d}-{fake.numerify('####')}"),
            _pattern(r"00[0-4]\d\d(-\d{4})?"),
        ),
        IdentifierKind("date", "C", "date of birth", _LAST_DAY.toordinal() - _FIRST_DAY.toordinal() + 1, _each(_day), _is_day),
        # The two kinds of number share no line, so that a fax number is no leaked phone number.
        IdentifierKind(
            "phone",
            "D",
            "phone number",
            len(_AREA_CODES) * 50,
            _each(lambda fake: f"({fake.random_element(_AREA_CODES)}) 555-01{fake.random_int(0, 49):02d}"),
            _pattern(_LOCAL_NUMBER),
        ),
        IdentifierKind(
            "fax",
            "E",
            "fax number",
            len(_AREA_CODES) * 50,
            _each(lambda fake: f"({fake.random_element(_AREA_CODES)}) 555-01{fake.random_int(50, 99)}"),
            _pattern(_LOCAL_NUMBER),
        ),
        IdentifierKind(
            "email",
            "F",
            "e-mail address",
            _MIXED * len(_HOSTS),
            _each(lambda fake: f"{fake.bothify('???##', letters=_CONSONANTS)}@{fake.random_element(_HOSTS)}"),
            _pattern(rf"[\w.+-]+@{_EXAMPLE_HOST}"),
        ),
        # Groups from 50 on are left out after 9xx: the IRS gives them to taxpayers without a social security number.
        IdentifierKind(
            "ssn",
            "G",
            "social security number",
            len(_SSN_AREAS) * 49 * 10**4,
            _each(lambda fake: f"{fake.random_element(_SSN_AREAS)}-{fake.random_int(1, 49):02d}-{fake.numerify('####')}"),
            _pattern(r"(000|666)-\d\d-\d{4}|9\d\d-[0-4]\d-\d{4}"),
        ),
        _number("mrn", "H", "MRN", "XM"),
        _number("health_plan", "I", "health plan number", "XH"),
        _number("account", "J", "account number", "XA"),
        _number("licence", "K", "licence number", "XL"),
        # The ninth character of a North American VIN is a check digit: 0 to 9 or X.
        IdentifierKind(
            "vehicle",
            "L",
            "vehicle number",
            10**6,
            _each(lambda fake: _VIN + fake.numerify("######")),
            _pattern(r"[1-5][A-HJ-NPR-Z\d]{7}[A-HJ-NPR-WYZ][A-HJ-NPR-Z\d]{8}"),
        ),
        # The second bit from the right of the first byte: administered locally, given out by no maker.
        IdentifierKind("device", "M", "device address", 256**3, _each(_mac), _pattern(r"[\dA-F][26AE](:[\dA-F]{2}){5}")),
        IdentifierKind(
            "url",
            "N",
            "web address",
            _MIXED * len(_HOSTS),
            _each(lambda fake: f"{fake.random_element(_HOSTS)}/{fake.bothify('##???', letters=_CONSONANTS)}"),
            _pattern(rf"(https?://)?(www\.)?{_EXAMPLE_HOST}/\S*"),
        ),
        IdentifierKind(
            "ip",
            "O",
            "IP address",
            len(_NETS) * 254,
            _each(lambda fake: f"{fake.random_element(_NETS)}.{fake.random_int(1, 254)}"),
            _pattern(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"),
        ),
        IdentifierKind(
            "code",
            "R",
            "patient code",
            len(_CONSONANTS) ** 6,
            _each(lambda fake: f"XC-{fake.lexify('??????', letters=_CONSONANTS.upper())}"),
            _pattern(r"XC-[A-Z]{6}"),
        ),
    )
}
"""Every class of the Safe Harbor list that text can carry."""
