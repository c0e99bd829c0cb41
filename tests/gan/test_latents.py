import pytest
import torch

from gan.latents import blend, closed_path, slerp, walk


A, B = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))


def test_slerp_meets_both_ends_and_keeps_the_length_between() -> None:
    torch.testing.assert_close(slerp(A, B, 0.0), A)
    torch.testing.assert_close(slerp(A, B, 1.0), B)
    middle = slerp(A, B, 0.5)
    assert middle.norm().item() == pytest.approx((A.norm() + B.norm()).item() / 2, rel=1e-5)
    assert torch.cosine_similarity(middle, A, 0).item() == pytest.approx(
        torch.cosine_similarity(middle, B, 0).item(), abs=1e-5
    )


def test_slerp_by_hand() -> None:
    quarter = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1 / 3)
    torch.testing.assert_close(quarter, torch.tensor([3**0.5 / 2, 0.5]))


@pytest.mark.parametrize("b", [A, -A, torch.zeros(16)])
def test_slerp_of_parallel_opposite_and_zero_latents_is_finite(b: torch.Tensor) -> None:
    for t in (0.0, 0.3, 0.5, 1.0):
        assert torch.isfinite(slerp(A, b, t)).all()
    torch.testing.assert_close(slerp(A, b, 1.0), b)


def test_walk_is_a_loop_that_turns_gently() -> None:
    steps = walk(A, B, 12)
    assert steps.shape == (12, 16)
    torch.testing.assert_close(steps[0], A)
    torch.testing.assert_close(steps[6], B)
    torch.testing.assert_close(steps[5], steps[7], atol=1e-5, rtol=0)  # back the same way
    pace = (steps - steps.roll(1, 0)).norm(dim=1)
    assert pace[1] < pace[3] / 2 and pace[0] == pytest.approx(pace[1].item(), rel=1e-3)  # slow at the ends


def test_walk_needs_frames() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        walk(A, B, 1)


def test_a_blend_of_four_meets_each_and_is_slerp_along_every_edge() -> None:
    corners = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    for number, (x, y) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        torch.testing.assert_close(blend(corners, x, y), corners[number])
    torch.testing.assert_close(blend(corners, 0.3, 0), slerp(corners[0], corners[1], 0.3))
    torch.testing.assert_close(blend(corners, 1, 0.3), slerp(corners[1], corners[3], 0.3))


@pytest.mark.parametrize("count", (2, 3, 5))
def test_a_closed_path_passes_its_points_without_a_corner(count: int) -> None:
    points = torch.randn(count, 16, generator=torch.Generator().manual_seed(2))
    path = closed_path(points, 200 * count)
    torch.testing.assert_close(path[::200], points)
    lengths = points.norm(dim=1)
    assert lengths.min() * 0.8 < path.norm(dim=1).min()  # not through the middle
    steps = torch.cat((path, path[:1])).diff(dim=0)
    turns = (torch.cat((steps, steps[:1])).diff(dim=0)).norm(dim=1)  # how much one step differs from the next
    if count > 2:  # between two points it comes to rest at both and turns back
        assert turns.max() < 0.1 * steps.norm(dim=1).max()


def test_straight_lines_go_through_the_middle() -> None:
    path = closed_path(torch.stack((A, B)), 40, straight=True)
    torch.testing.assert_close(path[10], (A + B) / 2)
    torch.testing.assert_close(path[30], (A + B) / 2)
    with pytest.raises(ValueError, match="2 points or more"):
        closed_path(A[None], 40)
