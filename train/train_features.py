"""Train the network that fd_covers compares covers by, on covers without labels.

    python -m train.train_features --dataset_name covers-64 --output_file features.safetensors

Barlow Twins (Zbontar et al. 2021, https://arxiv.org/abs/2103.03230): two views of a cover, the whole and a part of it
in other colours, must give the same features, and no two features may tell the same. So what the views have in common
is kept. A quarter of the covers is damaged before the views are taken: then both have the damage in common, and the
features must tell of it, too (the idea of Re-IQA, Saha et al. 2023, https://arxiv.org/abs/2304.00451).
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from tqdm.auto import tqdm

from train.cli import Parser, UserError, run
from train.covers import Covers, CoversError, load_covers, mixed_seed, seeded, to_float
from train.device import can_bf16, cpu_threads
from train.metrics.faults import blur, jpeg, noise, shuffled
from train.metrics.features import COMPONENTS, SIDE, CoverFeatures, save_features


PART = 40  # pixels a side of the second view
PROJECTED = 512  # outputs of the projector, which only the training needs
REDUNDANCY = 0.005  # the paper's lambda: how much it counts that two features tell the same
LEARNING_RATE = 2e-3
SETTLING = 8192  # covers over which the finished network's statistics and principal components are taken


def train_features(covers: Covers, images: int, batch: int, seed: int, device: torch.device) -> CoverFeatures:
    """Train on `images` covers in batches of `batch`; everything random depends on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(seed))
        network = CoverFeatures()
        projector = nn.Sequential(
            nn.BatchNorm1d(network.components.in_features, affine=False),
            nn.Linear(network.components.in_features, PROJECTED, bias=False),
            nn.BatchNorm1d(PROJECTED),
            nn.ReLU(),
            nn.Linear(PROJECTED, PROJECTED, bias=False),
        )
    move: Any = network.to  # torch's types know no `memory_format` there
    move(device, memory_format=torch.channels_last)
    network.train()
    projector.to(device).train()
    parameters = [*network.stages.parameters(), *projector.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=1e-4)
    steps = images // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    bar = tqdm(total=steps * batch, unit="cover", unit_scale=True)
    for step in range(steps):
        random = seeded(seed, step)
        whole, part = two_views(damage(covers.batch(step * batch, batch), random), random)
        with torch.autocast(device.type, torch.bfloat16, enabled=can_bf16(device)):
            projected = [projector(network.means(view.to(device))) for view in (whole, part)]
        loss = barlow_twins(*(p.float() for p in projected))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.update(batch)
        bar.set_postfix(loss=f"{loss.item():.1f}", refresh=False)
    bar.close()
    return settle(network, covers, device)


def damage(covers: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Blur the last quarter of (N, 64, 64, 3) uint8 covers, add noise, save as bad JPEGs, or cut and shuffle."""
    faults = [
        lambda part, strength: blur(part, 0.3 + 1.7 * strength),
        lambda part, strength: noise(part, 2 + 40 * strength, random),
        lambda part, strength: jpeg(part, 65 - int(60 * strength)),
        lambda part, strength: shuffled(part, 4 if strength > 0.5 else 2, random),
    ]
    quarter = len(covers) // 4
    parts = covers[-quarter:].chunk(2 * len(faults))
    strengths = torch.rand(len(parts), generator=random).tolist()
    damaged = [faults[i % len(faults)](part, s) for i, (part, s) in enumerate(zip(parts, strengths, strict=True))]
    return torch.cat([covers[:-quarter], *damaged])


def two_views(covers: torch.Tensor, random: torch.Generator) -> list[torch.Tensor]:
    """Return two views of (N, 64, 64, 3) uint8 covers: (N, 3, 64, 64) and (N, 3, 40, 40), each in other colours.

    A part is cut out, never scaled, so that it shows the same grain as the whole.
    """
    images = to_float(covers)
    corners = torch.randint(SIDE - PART + 1, (len(covers), 2), generator=random).tolist()
    parts = [image[:, y : y + PART, x : x + PART] for image, (y, x) in zip(images, corners, strict=True)]
    views = (in_other_colours(images, random), in_other_colours(torch.stack(parts), random))
    return [view.contiguous(memory_format=torch.channels_last) for view in views]


def in_other_colours(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Change contrast, saturation, brightness and tint of each of (N, 3, H, W) images in -1..1 a little."""
    contrast, saturation, brightness = torch.rand(3, len(images), 1, 1, 1, generator=random)
    tint = torch.rand(len(images), 3, 1, 1, generator=random)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (0.5 + saturation)
    return images * (0.75 + 0.5 * contrast) + 0.4 * (brightness - 0.5) + 0.3 * (tint - 0.5)


def barlow_twins(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the paper's equation 1 for two views' (N, D): their cross-correlation should be the identity."""
    a, b = ((z - z.mean(0)) / z.std(0).clamp_min(1e-4) for z in (a, b))
    correlation = a.T @ b / len(a)
    same = (1 - correlation.diagonal()).square().sum()
    redundant = correlation.square().sum() - correlation.diagonal().square().sum()
    return same + REDUNDANCY * redundant


@torch.no_grad()
def settle(network: CoverFeatures, covers: Covers, device: torch.device) -> CoverFeatures:
    """Take the normalisation's statistics and the principal components over whole, undamaged covers."""
    count = min(SETTLING, len(covers))
    parts = [to_float(part).to(device) for part in covers.batch(0, count).split(256)]
    update_bn(parts, network)
    network.eval()
    means = torch.cat([network.means(part) for part in parts]).double()
    variances, directions = torch.linalg.eigh(means.T.cov())
    strongest = directions[:, -COMPONENTS:].flip(1) / variances[-COMPONENTS:].flip(0).clamp_min(1e-12).sqrt()
    network.components.weight.copy_(strongest.T)
    network.components.bias.copy_(-means.mean(0) @ strongest)
    return network


def main() -> str:
    """Run the program; return its last line."""
    parser = Parser(prog="train.train_features", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--dataset_name", required=True, help="folder written by train.prepare, or a Hub dataset")
    parser.add_argument("--output_file", required=True, type=Path, help="where the weights go (.safetensors)")
    parser.add_argument("--total_images", type=int, default=80_128, help="covers to show in all")
    parser.add_argument("--train_batch_size", type=int, default=256, help="covers in a batch")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another network")
    args = parser.parse_args()
    if args.train_batch_size < 32 or args.total_images < args.train_batch_size:
        raise UserError("--train_batch_size must be at least 32, --total_images at least a batch")
    if args.output_file.exists():
        raise UserError(f"--output_file {args.output_file} is there already; name a new one")
    if not args.output_file.absolute().parent.is_dir():
        raise UserError(f"--output_file {args.output_file}: no such folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(cpu_threads())
    try:
        covers = load_covers(args.dataset_name, SIDE, seed=args.seed)
    except CoversError as error:
        raise UserError(str(error)) from error
    network = train_features(covers, args.total_images, args.train_batch_size, args.seed, device)
    save_features(network, args.output_file)
    return f"{args.output_file}: trained on {args.total_images:,} covers of {args.dataset_name}"


if __name__ == "__main__":
    run(main, "train.train_features")
