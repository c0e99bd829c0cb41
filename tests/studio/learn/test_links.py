"""What a link may say of a lesson: anybody may have written it, and its commands are there to be copied."""

import pytest


LESSONS = ("game", "wasserstein", "layers", "normalise", "watch", "critic", "inside", "wrong", "own")
LIKE = "const {like} = await import('/main.js'), {defaults, limits, steps} = m.default;"


def test_these_are_all_lessons(compute):
    assert compute("main.js", "return m.LESSONS") == list(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_takes_what_it_writes_itself(compute, lesson: str):
    script = (
        LIKE
        + """return [defaults, ...steps].flatMap(state => Object.entries(state).map(([key, value]) =>
            [key, value, like(defaults[key], `${value}`, limits[key])]));"""
    )
    found = compute(f"{lesson}.js", script)
    assert found and all(value == taken for _, value, taken in found)
    assert compute(f"{lesson}.js", LIKE + "return Object.keys(limits)") == list(
        dict.fromkeys(key for key, *_ in found)
    )


@pytest.mark.parametrize(
    ("lesson", "key", "text", "taken"),
    [
        ("layers", "size", "1e9", 12),
        ("layers", "kernel", "2.6", 3),
        ("layers", "stride", "NaN", 2),
        ("layers", "padding", "", 1),
        ("game", "k", "-1", 1),
        ("game", "loss", "constructor", "relativistic"),
        ("game", "rate", "Infinity", 0.003),
        ("inside", "part", "__proto__", "channels"),
        ("wrong", "run", "../../x", "well"),
        ("own", "folder", "a; reboot", "my-covers"),
        ("own", "folder", "$(reboot)", "my-covers"),
        ("own", "folder", "--output_dir", "my-covers"),
        ("own", "name", "a\nb", "you"),
        ("own", "folder", "holiday/2024", "holiday/2024"),
    ],
)
def test_and_nothing_else(compute, lesson: str, key: str, text: str, taken: object):
    script = LIKE + "return like(defaults[v.key], v.text, limits[v.key]);"
    assert compute(f"{lesson}.js", script, {"key": key, "text": text}) == taken
