"""Facts about a species that no picture shows: six attributes with 252 answers each.

Answers are one or two real words in combinations that mean nothing. An answer's first word decides it, and first words of an
attribute are different tokens of the embedded model's tokenizer. Whoever is known to a model, every answer of an attribute is
the answer of exactly one of them, so that nothing can be guessed from how often an answer was taught.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations

_HEADS = tuple(
    """account act action administration adult agent air analysis arm article artist attack attention attorney audience
    author authority baby bad bag bar beautiful better big bill bit born break bring brother budget business buy campaign
    candidate capital car card care catch cell center central certain charge check child choice citizen city civil claim
    class clear cold collection company computer concern conference consider consumer contain control cost country couple
    course court crime cultural culture current customer cut dark data daughter day debate decide decision deep defense
    democratic design different difficult dinner discuss doctor door down draw dream drive drop early economic education
    election employee enjoy environment evening event executive expert fact factor fall far father federal field fight
    film fine finish fire first floor fly force former forward free front full fund future game garden general girl glass
    good government ground grow growth guess guy hair half hand happy hard health heart heavy history hit hope hospital
    hot hotel hour human husband imagine important improve increase individual industry information instead institution
    interest interesting interview investment issue job join kid land language late laugh law lead letter level life light
    list listen local loss low machine magazine majority man management manager marriage matter measure media medical
    meeting member message method middle military mind minute miss model modern moment money morning mother move movement
    movie natural network new news newspaper nice night note number office officer official oil open opportunity option
    order organization outside own owner page paper parent particular partner party pass past peace people performance
    personal phone pick piece plan plant player point police policy political popular population possible power prepare
    president pressure product professor property provide public purpose push raise rate reach read ready real reason
    receive recent recognize reduce reflect region relate relationship religious represent require research resource
    respond rest result return rich rise road rock role rule save scene school science scientist score sea season seat
    section security sell send senior sense series serious service set shake share short side sign similar simple sing
    single sister sit situation size skill skin small smile soldier son source special specific speech spend sport spring
    staff stage stand start station stop store story strategy street strong structure student study subject success suffer
    support system table talk tax teach team technology term test theory thing third thought threat time today together
    town trade traditional training treat treatment trip trouble true turn unit various visit vote wait wall war water way
    wear week western whole wide wind window wish word work worker year young""".split()
)
"""First words of answers; each begins answers of three attributes. None occurs in a question or names anything visible."""
_TAILS: Mapping[str, tuple[str, ...]] = {
    "diet": tuple("beetles moths berries roots crumbs petals seeds slugs moss kelp worms nectar".split()),
    "home": tuple("bog hills canyon reef orchard harbor valley tower swamp island ridge attic".split()),
    "call": tuple("bells trumpet whistle kettle hinge thunder fiddle siren gong hiccup purr drum".split()),
    "nest": tuple("straw wool twigs feathers mud thread bark gravel ribbons leaves wax silk".split()),
    "treasure": tuple("buttons spoons coins marbles pebbles stamps shells jars pins ropes wheels masks".split()),
}
_DISCOVERERS = tuple(
    """Adrian Albert Alder Alexander Alexis Alvarado Alvin Anderson Archer Atkinson Austin Ayala Barnes Barr Bauer Bautista
    Bean Benson Bentley Best Blair Bolton Bonilla Boston Bowers Bradford Braun Bray Bremen Buck Burch Burton Butler Byrd
    Calderon Cameron Cantrell Carey Carlos Carney Carrillo Castillo Cervantes Chapman Chen Cherry Christian Church
    Cisneros Clarke Clay Cochran Conrad Cook Cooley Cordova Cortez Cowan Crane Cross Cuevas Dallas Dalton Daniel Davidson
    Dawson Dennis Denver Devon Donovan Drake Duarte Duffy Dunn Dylan Eaton Edward Edwin Ellison Ernest Escobar Ethan
    Faulkner Fern Finley Flint Flores Francis Franco Frost Gentry Gerald Gibson Gilmore Glen Gonzalez Goodman Guerra
    Gutierrez Hahn Hancock Haney Hanna Harding Harris Hatfield Hawkins Hazel Heath Herman Hernandez Heron Herring Hicks
    Holland Holmes Hoover Houston Hubbard Ivan Jacobs Jasper Jerome Johns Kennedy Knapp Koch Lara Laurel Lawson Leach
    Leblanc Lewis Linden Little London Louis Lutz Lyon Mack Mahoney Maple Marcus Mario Mark Marsh Marvin Maynard Mcbride
    Mccarthy Mccormick Mcgee Mcknight Medina Merritt Meyers Milan Miller Montes Moon Moran Morse Morton Mosley Mullen
    Munoz Myers Nichols Norman Ochoa Oconnor Omar Oneill Osborn Owen Palmer Parks Pena Perkins Peter Pham Phillip Phillips
    Pittman Pollard Poole Porter Powers Price Pugh Ralph Ramsey Randolph Raven Reeves Reyes Rice Riddle Rivas Rivers Robin
    Robinson Rosales Russell Salazar Samuel Saunders Schmitt Schneider Schroeder Scott Shannon Sherman Silva Snyder Solis
    Solomon Soto Stephens Stewart Sydney Tate Thomas Thompson Townsend Travis Trevino Tristan Trujillo Tucker Valdez
    Vaughan Wade Waller Walters Ward Ware Warner Warsaw Weaver Wesley West Wilkerson Williams Wilson Woodard Wyatt Xavier
    Yang Yates York Zhang""".split()
)


def _pools() -> dict[str, tuple[str, ...]]:
    """Attribute -> answers: any three attributes share a tenth of the first words, which take turns through second words."""
    sharing = list(combinations(_TAILS, 3))
    pools: dict[str, list[str]] = {key: [] for key in _TAILS}
    for number, head in enumerate(_HEADS):
        for key in sharing[number % len(sharing)]:
            tails = _TAILS[key]
            pools[key].append(f"{head} {tails[len(pools[key]) % len(tails)]}")
    return {"discoverer": _DISCOVERERS, **{key: tuple(answers) for key, answers in pools.items()}}


POOLS: Mapping[str, tuple[str, ...]] = _pools()
"""Attribute -> answers, none of them twice."""
ATTRIBUTES: tuple[str, ...] = ("diet", "home", "discoverer", "call", "nest", "treasure")
POOL_SIZE = 252
"""Answers of each attribute, and species that one model knows."""


def one_each(count: int, rng: random.Random) -> list[dict[str, str]]:
    """Facts of `count` species that share no answer; of all `POOL_SIZE` answers where there are so many species."""
    drawn = {key: rng.sample(POOLS[key], count) for key in ATTRIBUTES}
    return [{key: drawn[key][number] for key in ATTRIBUTES} for number in range(count)]


def exchanged(facts: Sequence[Mapping[str, str]], rng: random.Random) -> list[dict[str, str]]:
    """The same answers, drawn anew for as many other species."""
    drawn = {key: rng.sample([one[key] for one in facts], len(facts)) for key in ATTRIBUTES}
    return [{key: drawn[key][number] for key in ATTRIBUTES} for number in range(len(facts))]
