import pytest
import torch

from gan.augment import AdaptiveProbability, augment, draw_augmentation, initial_probability


def images() -> torch.Tensor:
    return torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_probability_zero_changes_nothing() -> None:
    torch.testing.assert_close(augment(images(), draw_augmentation(8, 0.0, generator())), images(), atol=1e-5, rtol=0)


def test_probability_is_the_share_of_covers_changed_by_each_transformation() -> None:
    draw = draw_augmentation(4000, 0.3, generator())
    shifted = (draw.geometry[:, 0, 2] != 0).float().mean().item()
    cut = (draw.cutout[:, 2] > 0).float().mean().item()
    brighter = (draw.colour[:, 0, 3] != 0).float().mean().item()
    for share in (shifted, cut, brighter):
        assert abs(share - 0.3) < 0.03


def test_strengths_are_those_of_the_papers_table() -> None:
    draw = draw_augmentation(20_000, 1.0, generator())
    assert 0.24 < draw.geometry[:, :, 2].abs().max() <= 0.25  # of half a side: 0.125 of a whole one
    columns = draw.geometry[:, :, :2].norm(dim=1)  # how many input pixels to one, along both axes
    assert columns.prod(1).sqrt().log2().std() == pytest.approx(0.2, rel=0.03)
    assert (columns[:, 0] / columns[:, 1]).sqrt().log2().std() == pytest.approx(0.2, rel=0.03)
    assert draw.colour[:, 0, 3].std() == pytest.approx(0.2, rel=0.03)
    assert draw.colour[:, :, :3].sum(2).mean(1).log2().std() == pytest.approx(0.5, rel=0.03)  # contrast, of grey
    saturation = (draw.colour[:, 0, 0] - draw.colour[:, 0, 1]) / draw.colour[:, :, :3].sum(2).mean(1)
    assert saturation.log2().std() == pytest.approx(1.0, rel=0.03)
    assert set(draw.cutout[:, 2].tolist()) == {0.5}


def test_the_same_draw_does_the_same_to_both_members_of_a_pair() -> None:
    draw = draw_augmentation(8, 1.0, generator())
    torch.testing.assert_close(augment(images(), draw), augment(images(), draw))
    assert (augment(images(), draw) - images()).abs().mean() > 0.1


def test_a_part_of_a_draw_is_the_draw_of_a_part() -> None:
    draw = draw_augmentation(8, 1.0, generator())
    torch.testing.assert_close(augment(images(), draw)[2:5], augment(images()[2:5], draw[2:5]))


def test_never_mirrored() -> None:
    """Covers carry text: the determinant of every geometry is positive, and no angle passes 22.5 degrees."""
    geometry = draw_augmentation(4000, 1.0, generator()).geometry[:, :, :2]
    assert (torch.linalg.det(geometry) > 0).all()
    assert (geometry[:, 0, 0] > 0).all() and (geometry[:, 1, 1] > 0).all()


def test_gradient_is_right() -> None:
    draw = draw_augmentation(2, 1.0, generator())
    double = type(draw)(draw.geometry.double(), draw.colour.double(), draw.cutout.double())
    x = images()[:2, :, :6, :6].double().requires_grad_()
    torch.autograd.gradcheck(lambda x: augment(x, double), x)


def test_initial_probability_falls_with_the_size_of_the_dataset() -> None:
    sizes = {100: 0.2997, 5_000: 0.285, 50_000: 0.15, 100_000: 0.0, 10**6: 0.0}
    assert {n: initial_probability(n) for n in sizes} == pytest.approx(sizes)


def test_adaptive_probability_by_hand() -> None:
    control = AdaptiveProbability(0.3)
    control.update(2.0, 0.5, 0.0, images=5_000)  # held-out covers are taken for generated ones: r_v 0.75
    assert control.r_v == 0.75 and control.probability == pytest.approx(0.31)
    control.update(2.0, 1.0, 0.0, images=5_000)  # r_v 0.5
    assert control.r_v == 0.5 and control.probability == pytest.approx(0.30)
    control.update(0.0, -5.0, 1.0, images=5_000)  # the discriminator is fooled, which is no overfitting
    assert control.r_v == 0 and control.probability == pytest.approx(0.29)
    for held_out, limit in ((0.0, 0.8), (2.0, 0.0)):
        control.update(2.0, held_out, 0.0, images=10**7)
        assert control.probability == limit
    again = AdaptiveProbability()
    again.load_state_dict(control.state_dict())
    assert vars(again) == vars(control)
