"""What reads like the name of something on the Hub, and what a line says of many names."""

import pytest

from gan.errors import LONGEST_NAMED, HubError, errors_in_one_line, is_hub_id, some


IDS = ("user/covers", "a/b", "0x/_1", "my-org/covers.128_v2", f"{'u' * 96}/{'c' * 96}")
PATHS = ("", "covers", "user/", "/covers", "a/b/c", "../covers", "./covers", "~/covers", "user/.covers", "-u/covers")
OF_NOBODY = ("user/my covers", "user/b\n", "user/\0", "bücher/covers", "a\\b/c", f"user/{'c' * 97}", f"{'u' * 97}/c")


@pytest.mark.parametrize("name", [*IDS, *PATHS, *OF_NOBODY])
def test_ids_of_the_hub_are_known(name: str) -> None:
    assert is_hub_id(name) == (name in IDS)


def test_of_many_names_a_line_has_a_few() -> None:
    assert some([]) == "none" and some(["a", "b"]) == "a, b"
    assert some([str(n) for n in range(10)]).endswith("8, 9")
    assert some([str(n) for n in range(1234)], 2) == "0, 1, and 1,232 more"
    assert some(["x" * LONGEST_NAMED, "y" * 100_000]) == f"{'x' * LONGEST_NAMED}, {'y' * LONGEST_NAMED}…"


def test_who_repeats_the_token_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may answer with the request that it was sent."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(HubError) as told, errors_in_one_line("model", "user/covers"):
        raise OSError("not let through: GET /api/models authorization: Bearer hf_secret")
    assert str(told.value).endswith("not let through: GET /api/models authorization: Bearer ***")
