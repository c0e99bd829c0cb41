"""What reads like the name of something on the Hub."""

import pytest

from gan.errors import is_hub_id


IDS = ("user/covers", "a/b", "0x/_1", "my-org/covers.128_v2", f"{'u' * 96}/{'c' * 96}")
PATHS = ("", "covers", "user/", "/covers", "a/b/c", "../covers", "./covers", "~/covers", "user/.covers", "-u/covers")
OF_NOBODY = ("user/my covers", "user/b\n", "user/\0", "bücher/covers", "a\\b/c", f"user/{'c' * 97}", f"{'u' * 97}/c")


@pytest.mark.parametrize("name", [*IDS, *PATHS, *OF_NOBODY])
def test_ids_of_the_hub_are_known(name: str) -> None:
    assert is_hub_id(name) == (name in IDS)
