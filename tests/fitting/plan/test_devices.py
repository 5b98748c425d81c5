import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.plan.devices import DEVICES, device_of


def test_a_device_is_found_by_its_name() -> None:
    assert device_of("a100").bandwidth_gbs == 2039
    assert all(name == device.name and device.source for name, device in DEVICES.items())


def test_an_unknown_device_names_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"no device 'h10'; did you mean .*allowed: a100-40.*--mem"
    ):
        device_of("h10")
