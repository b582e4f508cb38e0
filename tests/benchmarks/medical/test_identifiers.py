"""Identifiers of synthetic patients: never issued, unique, the same for the same seed."""

from __future__ import annotations

import ipaddress
import string
from collections.abc import Mapping

import pytest

from unsee.benchmarks import pools
from unsee.benchmarks.medical.identifiers import FIRST_NAMES, KINDS, LAST_NAMES, draw_personas, is_never_issued
from unsee.errors import ConfigError
from unsee.metrics.identifier_search import _within

MANY = 10_000


def drawn(kind: str, count: int, *, seed: int = 0) -> list[str]:
    personas = draw_personas([f"p{i}" for i in range(count)], [kind], seed=seed)
    return [values[kind] for values in personas.values()]


def vin_value(character: str) -> int:
    """Value of a character of a VIN in its checksum (49 CFR 565.15, table III)."""
    return (
        int(character)
        if character.isdigit()
        else dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789")))[character]
    )


def test_kinds_cover_the_classes_that_text_can_carry() -> None:
    assert list(KINDS) == (
        "name geography date phone fax email ssn mrn health_plan account licence vehicle device url ip code".split()
    )
    assert "".join(kind.letter for kind in KINDS.values()) == string.ascii_uppercase[:15] + "R"
    assert len({kind.label for kind in KINDS.values()}) == len(KINDS)
    assert all(kind.key == key for key, kind in KINDS.items())


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_values_are_unique_and_never_issued(kind: str) -> None:
    values = drawn(kind, min(MANY, KINDS[kind].pool))
    assert len(set(values)) == len(values)
    assert [value for value in values if not is_never_issued(kind, value)] == []


def test_only_ip_addresses_are_too_few_for_ten_thousand_patients() -> None:
    assert {key: kind.pool for key, kind in KINDS.items() if kind.pool < MANY} == {"ip": 762}


@pytest.mark.parametrize("kind", KINDS)
def test_values_depend_on_seed_kind_and_place_only(kind: str) -> None:
    groups = [f"p{i}" for i in range(30)]
    alone = draw_personas(groups, [kind], seed=5)
    longer = draw_personas([*groups, "late"], ["mrn", "name", kind], seed=5)
    assert [alone[group][kind] for group in groups] == [longer[group][kind] for group in groups]
    assert drawn(kind, 30, seed=6) != drawn(kind, 30, seed=5)


def test_a_persona_has_what_was_asked_for() -> None:
    personas: Mapping[str, Mapping[str, str]] = draw_personas(["a", "b", "a"], ["mrn", "name"], seed=0)
    assert list(personas) == ["a", "b"]
    assert all(list(values) == ["mrn", "name"] for values in personas.values())
    assert draw_personas([], ["mrn"], seed=0) == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("name", "Jennifer Anderson"),
        ("geography", "10001-1234"),
        ("geography", "00501-0001"),
        ("date", "2020-01-01"),
        ("date", "1962-02-30"),
        ("phone", "(212) 555-0200"),
        ("phone", "(212) 867-5309"),
        ("fax", "(112) 555-0150"),
        ("email", "kws42@gmail.com"),
        ("email", "kws42@example.org.uk"),
        ("ssn", "123-45-6789"),
        ("ssn", "665-45-6789"),
        ("ssn", "912-70-1234"),
        ("mrn", "482913"),
        ("account", "XM-482913"),
        ("vehicle", "1M8GDM9AXKP042788"),
        ("device", "00:1A:2B:10:17:DB"),
        ("url", "example.edu/16qfq"),
        ("ip", "8.8.8.8"),
        ("ip", "192.0.2.256"),
        ("ip", "192.0.3.1"),
        ("code", "XC-123456"),
    ],
)
def test_values_that_may_be_issued_are_refused(kind: str, value: str) -> None:
    assert not is_never_issued(kind, value)


def test_addresses_lie_in_the_documentation_nets() -> None:
    nets = [ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    assert all(any(ipaddress.ip_address(value) in net for net in nets) for value in drawn("ip", 762))


def test_device_addresses_are_administered_locally_and_of_one_device() -> None:
    assert all(int(value[:2], 16) & 0b11 == 0b10 for value in drawn("device", 200))


def test_the_check_digit_of_a_vehicle_is_wrong() -> None:
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)

    def check_digit(vin: str) -> str:
        return "0123456789X"[sum(vin_value(character) * weight for character, weight in zip(vin, weights)) % 11]

    assert check_digit("1M8GDM9AXKP042788") == "X"
    assert all(len(value) == 17 and value[8] != check_digit(value) for value in drawn("vehicle", 500))


def test_phone_and_fax_numbers_share_none() -> None:
    assert not set(drawn("phone", 1000)) & set(drawn("fax", 1000))


def test_names_share_no_part_with_those_of_other_benchmarks_and_are_far_apart() -> None:
    assert not set(FIRST_NAMES) & {*pools.FIRST_NAMES, *pools.LAST_NAMES}
    assert not set(LAST_NAMES) & {*pools.FIRST_NAMES, *pools.LAST_NAMES, *FIRST_NAMES}
    words = {word for name, pool in vars(pools).items() if name.isupper() for value in pool for word in value.split()}
    assert not {name.lower() for name in (*FIRST_NAMES, *LAST_NAMES)} & {word.lower() for word in words}
    lasts = [name.lower() for name in LAST_NAMES]
    assert [(one, other) for i, one in enumerate(lasts) for other in lasts[:i] if _within(one, other, 1)] == []


def test_last_names_repeat_only_after_all_were_given() -> None:
    lasts = [name.split()[1] for name in drawn("name", 2 * len(LAST_NAMES))]
    assert sorted(lasts[: len(LAST_NAMES)]) == sorted(LAST_NAMES)
    assert sorted(lasts[len(LAST_NAMES) :]) == sorted(LAST_NAMES)


def test_a_pool_that_is_too_small_is_named_with_its_size_and_a_remedy() -> None:
    with pytest.raises(ConfigError, match=r"'ip' has only 762 values .* 763 patients .* leave 'ip' out"):
        draw_personas([str(i) for i in range(763)], ["mrn", "ip"], seed=0)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown identifier 'licens'; did you mean 'licence'"):
        draw_personas(["a"], ["licens"], seed=0)
    with pytest.raises(ConfigError, match="unknown identifier"):
        is_never_issued("iban", "x")
