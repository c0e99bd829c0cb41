"""The Inception network of FID, from a file that the user names: it is never downloaded unasked."""

import hashlib
import tempfile
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download

from gan.covers import Covers
from gan.metrics import frechet_distance, kernel_distance, precision_recall
from train.cli import UserError, first_line
from train.evaluation import draw


# NVIDIA's TorchScript file of the 2015 network (StyleGAN2-ADA, StyleGAN3, EDM): it scales covers to 299 px itself
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
COVERS = 5_000  # of each kind, at most
HELP = (  # of the flag --inception
    "also measure FID, KID, precision and recall: NVIDIA's inception-2015-12-05.pt, as a file, an address "
    "(https://...) or hf://user/repository/file"
)


def load_inception(source: str, sha256: str = SHA256) -> torch.jit.ScriptModule:
    """Inception, called as `network(covers, return_features=True)` on (N, 3, H, W) uint8; gives (N, 2048).

    Args:
        source: a file, an address (https://...), or hf://user/repository/path/of/the/file.
        sha256: what the file must be; a TorchScript file is a program, so no other one is run.

    Raises:
        UserError: it is not there, cannot be downloaded, or is another file.
    """
    try:
        content = _read(source)
    except Exception as error:  # the system's, urllib's and the Hub client's errors
        raise UserError(f"--inception {source}: {first_line(error)}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"--inception {source}: not NVIDIA's inception-2015-12-05.pt (its SHA-256 is another one)")
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:  # what was checked, and nothing that replaced it since
        file.write(content)
        file.flush()
        return torch.jit.load(file.name, map_location="cpu").eval()


def _read(source: str) -> bytes:
    if source.startswith("hf://"):
        owner, name, path = source.removeprefix("hf://").split("/", 2)
        return Path(hf_hub_download(f"{owner}/{name}", path)).read_bytes()
    if source.startswith(("https://", "http://")):
        with tempfile.TemporaryDirectory() as folder:
            torch.hub.download_url_to_file(source, f"{folder}/file", progress=False)
            return Path(folder, "file").read_bytes()
    return Path(source).read_bytes()


class FeatureDistances:
    """FID, KID, precision and recall of a generator against training covers.

    Args:
        network: see `load_inception`.
        train: covers that are trained on; the first 5,000 of its shuffled order are used, or all if there are fewer.
        device: where the network runs.
    """

    def __init__(self, network: torch.nn.Module, train: Covers, device: torch.device):
        self.network, self.device = network.to(device), device
        count = min(COVERS, len(train))
        self.real, self.labels = self._features(train.batch(0, count)), train.batch_labels(0, count)

    def __call__(self, generator: torch.nn.Module, progress: bool = False) -> dict[str, float]:
        """`fid`, `kid`, `precision`, `recall`, and `inception_covers`: how many of each kind were compared."""
        fake = self._features(draw(generator, len(self.real), self.labels, progress))
        precision, recall = precision_recall(self.real, fake)
        return {
            "fid": round(frechet_distance(self.real, fake), 3),
            "kid": round(kernel_distance(self.real, fake), 6),
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "inception_covers": len(self.real),
        }

    @torch.no_grad()
    def _features(self, covers: torch.Tensor) -> torch.Tensor:
        """(N, H, W, 3) uint8 covers to (N, D)."""
        parts = (part.permute(0, 3, 1, 2).to(self.device) for part in covers.split(64))
        return torch.cat([self.network(part, return_features=True).float() for part in parts])
