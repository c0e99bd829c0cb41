import pytest
import torch

from gan.latents import slerp, walk


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
