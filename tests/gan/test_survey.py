"""The survey of a generator: colours of its seeds, names of its faders."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from safetensors.numpy import save_file

from gan.latents import moved
from gan.palettes import palettes
from gan.pipeline import COLOURS, AlbumCoverPipeline
from gan.survey import FADERS, QUALITIES, Survey, SurveyError, load_survey, name_faders, survey
from tests.helpers.tiny import tiny_pipeline


class Paints(ModelMixin, ConfigMixin):
    """A generator whose first latent is the lightness of a plain cover and whose second is how warm it is."""

    @register_to_config
    def __init__(self, latent_dim: int = 16, resolution: int = 8):
        super().__init__()
        self.first = torch.nn.Linear(latent_dim, latent_dim, bias=False)
        # the directions that change the first layer most are the first latents, in this order
        self.first.weight.data = torch.diag(torch.linspace(3, 1, latent_dim))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        light, warm = latents[:, 0, None], latents[:, 1, None]
        covers = torch.cat((light + warm, light, light - warm), 1) * 0.2
        side = self.config.resolution
        return covers[:, :, None, None].expand(-1, -1, side, side)


@pytest.fixture
def paints() -> AlbumCoverPipeline:
    return AlbumCoverPipeline(Paints())


def test_colours_are_those_of_the_covers() -> None:
    pipeline = tiny_pipeline("dcgan")
    found = survey(pipeline, 70)
    assert found.colours.shape == (70, 12) and found.colours.dtype == np.uint8
    assert np.abs(found.colours.sum(1).astype(int) - 255).max() <= 6  # shares, each rounded
    cover = torch.from_numpy(np.array(pipeline(seeds=[66]).images[0]))[None]
    np.testing.assert_allclose(found.colours[66] / 255, palettes(cover)[0] + 1 / 12, atol=0.01)


def test_covers_with_all_the_colours_come_first() -> None:
    shares = np.zeros((4, 12), np.uint8)
    red, blue = list(COLOURS).index("red"), list(COLOURS).index("blue")
    shares[0, red], shares[1, blue], shares[2, [red, blue]], shares[3, 0] = 250, 250, 125, 250
    assert Survey(shares).find(["red"]).tolist()[:2] == [0, 2]
    assert Survey(shares).find(["red", "blue"])[0] == 2 and Survey(shares).find(["black"])[0] == 3


def test_faders_are_called_by_what_they_change(paints: AlbumCoverPipeline) -> None:
    names = name_faders(paints, 64)
    assert set(names[0]) == {"darker", "lighter"} and set(names[1]) == {"cooler", "warmer"}
    assert len(names) == FADERS and names[2:] == (None,) * (FADERS - 2)  # the rest changes nothing
    # the fader's right end has what its second word says
    points = torch.randn(32, paints.synthesis.config.latent_dim, generator=torch.Generator().manual_seed(0))
    direction = torch.zeros(points.shape[1])
    direction[0] = 1.0
    low, high = (paints(latents=moved(points, s * 2.5 * direction), output_type="pt").images.mean() for s in (-1, 1))
    assert low < high and names[0] == ("darker", "lighter")


def test_a_survey_is_kept(tmp_path: Path) -> None:
    kept = Survey(np.eye(12, dtype=np.uint8), (("darker", "lighter"), None, ("warmer", "cooler")), 18)
    kept.save(tmp_path / "survey.safetensors")
    again = load_survey(tmp_path / "survey.safetensors")
    assert np.array_equal(again.colours, kept.colours) and (again.faders, again.opening) == (kept.faders, 18)


@pytest.mark.parametrize(
    ("arrays", "told"),
    (
        ({"colours": np.zeros((4, 11), np.uint8)}, {}),
        ({"colours": np.zeros((4, 12), np.int64)}, {}),
        ({"colours": np.zeros((0, 12), np.uint8)}, {}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"colours": "red"}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"faders": '[["<b>", "lighter"]]'}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"faders": "7"}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"faders": "[" * 100_000}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"opening": "-1"}),
        ({"colours": np.zeros((4, 12), np.uint8)}, {"opening": "true"}),
        ({"colours": np.zeros((400_000, 12), np.uint8)}, {}),
    ),
)
def test_a_strange_survey_is_told_in_one_line(tmp_path: Path, arrays: dict, told: dict) -> None:
    save_file(arrays, tmp_path / "survey.safetensors", {"colours": ",".join(COLOURS)} | told)
    with pytest.raises(SurveyError) as refusal:
        load_survey(tmp_path / "survey.safetensors")
    assert "\n" not in str(refusal.value) and str(tmp_path) not in str(refusal.value)


def test_what_is_no_survey_is_told(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 100):
        (tmp_path / "survey.safetensors").write_bytes(content)
        with pytest.raises(SurveyError, match=r"survey\.safetensors"):
            load_survey(tmp_path / "survey.safetensors")
    with pytest.raises(SurveyError, match="not there"):
        load_survey(tmp_path / "none.safetensors")


def test_a_quality_has_two_words_of_its_own() -> None:
    words = [word for pair in QUALITIES for word in pair]
    assert len(set(words)) == len(words)
