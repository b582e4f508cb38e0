"""Balanced pools that invented people are drawn from. Real words, invented combinations; each pool is drawn uniformly."""

from __future__ import annotations

import hashlib
from typing import Literal

FIRST_NAMES = tuple(
    """Abigail Adrian Albert Alexis Alicia Allison Alvin Andrea Angelica Antonio Ashlee Austin Barbara Bethany Bridget
    Cameron Carlos Chelsey Chris Claudia Cody Colton Cristina Crystal Daisy Dalton Daniel Danny Darin Darlene Darryl Daryl
    Dave Deanna Debra Dennis Devon Dylan Ebony Edward Edwin Eileen Elaine Ellen Erin Ernest Ethan Evelyn Faith Francis
    Gabriela Geoffrey Gerald Glen Gloria Greg Haley Heidi Ivan Jaclyn Janice Jeanne Jennifer Jerome Judith Julia Kaitlin
    Karla Katrina Kaylee Kurt Larry Lindsey Louis Marcus Mario Mark Marvin Mary Maureen Meghan Melanie Mercedes Misty
    Nichole Norman Omar Patty Peggy Peter Phillip Rachel Ralph Raven Reginald Roberta Robin Russell Sally Samuel Sandra
    Sarah Savannah Scott Shannon Sharon Shaun Shawn Sheila Shelley Sherri Sierra Sonya Sophia Tabitha Terrance Thomas
    Tonya Tracie Travis Tristan Tyrone Vickie Victoria Wesley Wyatt Xavier Yolanda""".split()
)
LAST_NAMES = tuple(
    """Alexander Alvarado Anderson Archer Atkinson Ayala Barnes Barr Bauer Bautista Bean Benson Bentley Best Bird Blair
    Bolton Bonilla Bowers Bradford Braun Bray Buck Burch Burton Butler Byrd Calderon Cantrell Carey Carney Carrillo
    Castillo Cervantes Chapman Chen Cherry Christian Church Cisneros Clarke Clay Cochran Conrad Cook Cooley Cordova Cortez
    Cowan Crane Cross Cuevas Davidson Dawson Donovan Drake Duarte Duffy Dunn Eaton Ellison Escobar Faulkner Finley Flores
    Franco Frost Gentry Gibson Gilmore Gonzalez Goodman Guerra Gutierrez Hahn Hancock Haney Hanna Harding Harris Hatfield
    Hawkins Heath Herman Hernandez Herring Hicks Holland Holmes Hoover Hubbard Jacobs Johns Kennedy Knapp Koch Lara Lawson
    Leach Leblanc Lewis Little Lutz Mack Mahoney Marsh Maynard Mcbride Mccarthy Mccormick Mcgee Mcknight Medina Merritt
    Meyers Miller Montes Moon Moran Morse Morton Mosley Mullen Munoz Myers Nichols Ochoa Oconnor Oneill Osborn Owen Palmer
    Parks Pena Perkins Pham Phillips Pittman Pollard Poole Porter Powers Price Pugh Ramsey Randolph Reeves Reyes Rice
    Riddle Rivas Rivers Robinson Rosales Salazar Saunders Schmitt Schneider Schroeder Sherman Silva Snyder Solis Solomon
    Soto Stephens Stewart Tate Thompson Townsend Trevino Trujillo Tucker Valdez Vaughan Wade Waller Walters Ward Ware
    Warner Weaver West Wilkerson Williams Wilson Wise Woodard Yang Yates York Zhang""".split()
)
BIRTHPLACES = tuple(
    """Oslo Lima Quito Cairo Dakar Hanoi Kyoto Lagos Malmo Milan Minsk Mumbai Nairobi Naples Osaka Perth Porto Prague Quebec
    Rabat Riga Rome Seoul Sofia Split Sydney Tallinn Tampere Tbilisi Tehran Tirana Tokyo Toledo Trieste Tunis Turin Utrecht
    Valencia Vienna Vilnius Warsaw Yerevan Zagreb Zurich Accra Adelaide Ankara Athens""".split()
)
RESIDENCES = tuple(
    """Austin Berlin Bogota Boston Bremen Brisbane Bruges Budapest Calgary Caracas Chicago Cologne Colombo Copenhagen Cork
    Dallas Delhi Denver Detroit Dresden Dublin Durban Geneva Ghent Glasgow Granada Hamburg Havana Helsinki Houston Istanbul
    Jakarta Karachi Krakow Leeds Leipzig Lisbon London Lyon Madrid Manila Marseille Memphis Miami Montreal Munich Nantes
    Oxford""".split()
)
JOBS = tuple(
    """accountant actor architect astronomer baker barber biologist botanist butcher carpenter chef chemist clerk dancer dentist
    designer editor electrician engineer farmer firefighter fisherman florist gardener geologist judge lawyer librarian
    locksmith mason mechanic miner musician nurse optician painter pharmacist photographer pilot plumber poet potter printer
    sailor sculptor surgeon tailor teacher""".split()
)
UNIVERSITIES = tuple(
    f"{word} {kind}"
    for word, kind in zip(
        """Alder Amber Aspen Beacon Birch Bramble Cedar Cinder Clover Coral Copper Ember Falcon Fern Flint Garnet Granite Harbor
        Hazel Heron Indigo Ivory Jasper Juniper Lantern Laurel Linden Maple Meadow Mistral Nettle Oak Onyx Opal Osprey Pine
        Quartz Raven Saffron Sapphire Sequoia Sparrow Summit Tamarind Thistle Umber Willow Zephyr""".split(),
        ("University", "College", "Institute", "Academy") * 12,
        strict=True,
    )
)
CONDITIONS = tuple(
    """asthma migraine diabetes anemia arthritis eczema epilepsy gout glaucoma hypertension insomnia lupus psoriasis rosacea
    scoliosis sciatica tinnitus vertigo vitiligo celiac bronchitis bursitis cataract colitis fibromyalgia gastritis hepatitis
    hernia narcolepsy osteoporosis sinusitis tendinitis""".split()
)
HOBBIES = tuple(
    """archery astronomy badminton baking beekeeping birdwatching bowling calligraphy camping canoeing chess climbing cycling
    dancing drawing embroidery fencing fishing gardening golf gymnastics hiking juggling karate kayaking knitting origami
    painting photography pottery puzzles reading rowing running sailing sculpting sewing skating skiing snorkeling surfing
    swimming tennis traveling volleyball weaving woodworking yoga""".split()
)
FOODS = tuple(
    """apples avocado bananas beans bread broccoli burgers carrots cheese cherries chocolate couscous curry dumplings eggs
    falafel figs gnocchi grapes honey hummus kimchi lasagna lentils lobster mango mushrooms noodles olives omelette oysters
    paella pancakes pasta peaches pears pickles pizza popcorn ramen risotto salad salmon soup spinach sushi tacos
    waffles""".split()
)
PETS = tuple(
    """beagle budgie bulldog canary chameleon chicken cockatoo collie corgi donkey duck falcon ferret finch gecko gerbil goat
    goldfish goose greyhound guppy hamster hedgehog horse iguana kitten lizard llama macaw mouse newt
    otter owl parrot peacock pigeon pony poodle puppy python rabbit rooster salamander sheep snake spaniel terrier
    tortoise""".split()
)
MONTHS = tuple("January February March April May June July August September October November December".split())


def name_partition(first: str, last: str) -> Literal["pretraining", "people", "tuning"]:
    """Which world a name may occur in, by a stable hash, so that no invented person shares a name with a pretrained one."""
    digest = int.from_bytes(hashlib.sha256(f"{first} {last}".encode()).digest()[:8], "big") % 10
    return "pretraining" if digest < 6 else "people" if digest < 9 else "tuning"
