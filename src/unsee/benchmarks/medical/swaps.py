"""Answers that name another side, modality, organ or plane, from small tables of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from unsee.benchmarks.medical.rewording import Change, Mention, Reworded, Vocabulary, exchanged, in_case_of, reworded
from unsee.benchmarks.medical.table import VqaRow

_OTHER_SIDE = {"left": "right", "right": "left"}
_SIDE = re.compile(
    r"(?<![\w-])(left|right)((?:-| )?sided|wards?|most)?(?!\w)(?!-(?!sided|hand|to-|lower|upper|lung))", re.IGNORECASE
)
_QUADRANT = re.compile(r"(?<![\w-])([LR])(UL|LL|UQ|LQ)(?!\w)")
_BOTH_SIDES = re.compile(r"(?<!\w)(?:bilateral\w*|both|either|each side)(?!\w)", re.IGNORECASE)
_BEFORE_NO_SIDE = {
    "right": r"\s+(?:answers?|away|now|amount|time|choice|diagnosis|way|angles?|conclusion|middle\s+(?:lung\s+)?lobe)\b",
    "left": r"\s+(?:in\s+(?:place|situ)|behind|out|over|untreated|open|alone|unchanged|intact|blank|the|lingula\w*)\b",
}
"""What follows the two words where they mean something else, or where the other side has no such part."""
_AFTER_NO_SIDE = {
    "right": r"\b(?:all|that's|you're|quite|(?:that|this|it|statement|answer|diagnosis)\s+(?:is|was))\s+\Z",
    "left": r"\b(?:nothing|none|much|little|enough|(?:no|any)\s+\w+)\s+\Z",
}
_CLAUSE_END = re.compile(r"\s*(?:[.,;:!?]|\Z)")
_PREDICATE = re.compile(r"\b(?:is|are|was|were)\s+\Z", re.IGNORECASE)
_ABOUT_TRUTH = re.compile(r"(?<!\w)(?:wrong|correct|incorrect|true|false)(?!\w)", re.IGNORECASE)
_ASKS_SIDE = re.compile(r"(?<!\w)(?:sides?|left|lateral\w*|where)(?!\w)", re.IGNORECASE)
_ABOUT_SIDES = re.compile(
    r"(?<!\w)(?:sides?|sided|left|lateral\w*|where|locat\w+|lungs?|lobes?|kidneys?|hemispheres?|hemithorax|breasts?|hands?|"
    r"arms?|legs?|eyes?|ventricles?)(?!\w)",
    re.IGNORECASE,
)

MODALITIES: Mapping[str, tuple[str, ...]] = {
    "CT": ("CT", "CTs", "CAT scan", "computed tomography", "computerized tomography", "computerised tomography"),
    "MRI": ("MRI", "MRIs", "MR", "MR imaging", "magnetic resonance imaging", "magnetic resonance"),
    "X-ray": ("X-ray", "X-rays", "xray", "xrays", "plain film", "plain films", "radiograph", "radiographs", "radiography"),
    "ultrasound": ("ultrasound", "ultrasounds", "US", "ultrasonography", "sonography", "sonogram", "sonograms"),
}
_LONG = {
    "CT": "computed tomography",
    "MRI": "magnetic resonance imaging",
    "X-ray": "radiography",
    "ultrasound": "ultrasonography",
}
_MODALITY = Vocabulary(MODALITIES, exact=("MR", "US"))
_TIED_TO_MODALITY = re.compile(r"(?<!\w)(?:T[12]\w*|FLAIR|DWI|ADC|\w*weighted|doppler|hounsfield|HU)(?!\w)", re.IGNORECASE)

PLANES: Mapping[str, tuple[str, ...]] = {
    "axial": ("axial", "transverse", "transaxial"),
    "coronal": ("coronal", "frontal"),
    "sagittal": ("sagittal",),
}
_PLANE = Vocabulary(
    PLANES,
    not_before=r"[\s-]+(?:lobes?|bones?|sinus(?:es)?|cortex|gyr\w+|horns?|regions?|areas?|skull|poles?|white|process(?:es)?|"
    r"colon|fractures?|diameters?|myelitis|ligaments?|mesocolon|sutures?|skeleton|spine|loading)\b",
)
_PROJECTED = re.compile(r"x[- ]?ray|radiograph|projection|film", re.IGNORECASE)

ORGANS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("head", ("brain", "cerebellum", "brainstem", "skull", "eye", "pituitary gland", "thalamus", "corpus callosum")),
    ("head", ("frontal lobe", "parietal lobe", "temporal lobe", "occipital lobe")),
    ("neck", ("thyroid", "larynx", "pharynx", "trachea", "parotid")),
    ("chest", ("lung", "heart", "trachea", "aorta", "esophagus", "mediastinum", "diaphragm", "rib", "thymus")),
    ("chest", ("upper lobe", "lower lobe")),
    ("chest", ("pleural", "pericardial")),
    (
        "abdomen",
        (
            *("liver", "spleen", "kidney", "pancreas", "stomach", "gallbladder", "colon", "duodenum", "small bowel"),
            *("adrenal gland", "aorta"),
        ),
    ),
    ("abdomen", ("hepatic", "splenic", "renal", "pancreatic", "gastric", "duodenal", "colonic")),
    ("limb", ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
    ("pelvis", ("bladder", "uterus", "prostate", "rectum", "ovary", "hip")),
    ("spine", ("cervical spine", "thoracic spine", "lumbar spine")),
    ("limb", ("femur", "tibia", "fibula", "humerus", "ulna")),
)
"""Region of the body and parts of it that can stand for each other in a sentence."""
_OTHER_SPELLINGS = {
    "brainstem": ("brain stem",),
    "pituitary gland": ("pituitary",),
    "thyroid": ("thyroid gland",),
    "parotid": ("parotid gland",),
    "esophagus": ("oesophagus",),
    "gallbladder": ("gall bladder",),
    "small bowel": ("small intestine",),
    "bladder": ("urinary bladder",),
}
_PLURALS = {
    "eye": "eyes",
    "lung": "lungs",
    "rib": "ribs",
    "kidney": "kidneys",
    "adrenal gland": "adrenal glands",
    "ovary": "ovaries",
    **{f"{part} lobe": f"{part} lobes" for part in ("frontal", "parietal", "temporal", "occipital", "upper", "lower")},
}
_PAIRED = frozenset({"eye", "lung", "kidney", "adrenal gland", "ovary"})
_TWO = re.compile(r"(?<!\w)(?:both|bilateral\w*|left and right|right and left)(?!\w)", re.IGNORECASE)
_ORGAN = Vocabulary(
    {
        name: (name, *_OTHER_SPELLINGS.get(name, ()), *((_PLURALS[name],) if name in _PLURALS else ()))
        for _, names in ORGANS
        for name in names
    },
    not_before=r"\s+(?:rates?|failure|attacks?|beats?|stones?|aches?|death)\b",
)
_REGION_WORDS = {
    "head": ("head", "brain", "skull"),
    "neck": ("neck",),
    "chest": ("chest", "thora", "lung", "heart"),
    "abdomen": ("abd", "liver", "kidney"),
    "pelvis": ("pelv",),
    "limb": ("limb", "arm", "leg"),
}
"""Region -> what names it in a table."""


def sides(text: str, question: str = "") -> list[Mention]:
    """Where a text says left or right and means a side; empty where it says both.

    Args:
        question: what it answers, which tells a side from what is correct.
    """
    if _BOTH_SIDES.search(text):
        return []
    found = []
    for match in _SIDE.finditer(text):
        name = match[1].lower()
        if match[2] is not None or _is_side(name, text[: match.start()], text[match.end() :], question):
            found.append(Mention(name, *match.span(), match.group(), match.group().lower()))
    found += [
        Mention("left" if match[1] == "L" else "right", *match.span(), match.group(), match.group())
        for match in _QUADRANT.finditer(text)
    ]
    found.sort(key=lambda mention: mention.start)
    return found if len({mention.name for mention in found}) == 1 else []


def _is_side(name: str, before: str, after: str, question: str) -> bool:
    if re.match(_BEFORE_NO_SIDE[name], after, re.IGNORECASE) or (name == "right" and _ABOUT_TRUTH.search(question)):
        return False
    if not _CLAUSE_END.match(after):
        return True
    if re.search(_AFTER_NO_SIDE[name], before, re.IGNORECASE):
        return _ASKS_SIDE.search(question) is not None
    return not _PREDICATE.search(before) or _ABOUT_SIDES.search(f"{before} {question}") is not None


def laterality(row: VqaRow) -> list[Reworded]:
    """The other side, everywhere in the answer; none where both sides are named."""
    changes = []
    for mention in sides(row.answer, row.question):
        other = _OTHER_SIDE[mention.name]
        if mention.usual.isupper():
            new = other[0].upper() + mention.spelled[1:]
        else:
            word, ending = mention.spelled[: len(mention.name)], mention.spelled[len(mention.name) :]
            new = in_case_of(other, word, usual=mention.name, opens=True) + ending
        changes.append(Change(mention.start, mention.end, new))
    return [reworded(row.answer, changes)] if changes else []


def modality(row: VqaRow) -> list[Reworded]:
    """Each other modality; none where the answer names several, or a sequence that only one of them has."""
    if _TIED_TO_MODALITY.search(row.answer):
        return []
    return exchanged(row.answer, _MODALITY.mentions(row.answer), list(MODALITIES), _modality_as_spelled)


def _modality_as_spelled(name: str, spelled: str) -> str:
    plain = spelled.casefold()
    if plain.endswith(("graphy", "tomography", "resonance", "imaging")):
        return _LONG[name]
    return f"{name}s" if plain.endswith("s") and plain != "us" else name


def plane(row: VqaRow) -> list[Reworded]:
    """Each other plane; none where the answer names several, or a frontal radiograph, which is no section."""
    is_projection = row.modality == "X-ray" or _PROJECTED.search(row.answer)
    found = [one for one in _PLANE.mentions(row.answer) if one.spelled.casefold() != "frontal" or not is_projection]
    return exchanged(row.answer, found, list(PLANES), lambda name, _: name)


def organ(row: VqaRow) -> list[Reworded]:
    """Another organ of the same region, or one that the question names; the first organ of the answer is exchanged."""
    mentions = _ORGAN.mentions(row.answer)
    if not mentions:
        return []
    first, named = mentions[0], {mention.name for mention in mentions}
    others = [*_beside(first.name, row.region), *_ORGAN.names(row.question)]
    others = [name for name in dict.fromkeys(others) if name not in named]
    own = [mention for mention in mentions if mention.name == first.name]
    is_alone = not re.sub(r"\W", "", row.answer[: own[0].start] + row.answer[own[0].end :])
    plurals = {mention.spelled.casefold() == _PLURALS.get(mention.name) for mention in own}
    if True in plurals and not is_alone:
        others = [name for name in others if name in _PLURALS]
    if _TWO.search(row.answer):
        others = [name for name in others if name in _PAIRED]

    def as_spelled(name: str, spelled: str) -> str:
        is_plural = spelled.casefold() == _PLURALS.get(first.name)
        return _PLURALS.get(name, name) if is_plural else name

    return exchanged(row.answer, own, others, as_spelled)


def _beside(name: str, region: str) -> tuple[str, ...]:
    """Organs of the region of one, the given region where the organ is in several."""
    groups = [(where, names) for where, names in ORGANS if name in names]
    told = [names for where, names in groups if any(word in region.casefold() for word in _REGION_WORDS.get(where, ()))]
    return (told or [names for _, names in groups])[0] if groups else ()


READ: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "laterality": lambda text: tuple(dict.fromkeys(mention.name for mention in sides(text))),
    "modality": _MODALITY.names,
    "organ": _ORGAN.names,
    "plane": _PLANE.names,
}
"""Rule -> what a text says that the rule could exchange."""
