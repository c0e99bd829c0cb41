"""The Inception network of FID, from a file that the user names: it is never downloaded unasked."""

import hashlib
import io
import sys
import tempfile
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download

from gan.errors import first_line
from train.cli import UserError
from train.covers import Covers
from train.metrics.distances import frechet_distance, kernel_distance, precision_recall
from train.metrics.evaluation import draw
from train.metrics.features import in_float32
from train.metrics.inception_v3 import InceptionV3


COVERS = 5_000  # of each kind, at most
HELP = (  # of the flag --inception
    "also measure FID, KID, precision and recall: NVIDIA's inception-2015-12-05.pt or torch-fidelity's "
    "weights-inception-2015-12-05-6726825d.pth, as a file, an address (https://...) or hf://user/repository/file"
)


def _program(content: bytes) -> torch.jit.ScriptModule:
    return torch.jit.load(io.BytesIO(content), map_location="cpu").eval()


def _weights(content: bytes) -> InceptionV3:
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random weights first: a run's random numbers are the same with and without FID
        network = InceptionV3()
    network.load_state_dict({name: part for name, part in state.items() if not name.startswith("fc.")}, assign=True)
    return network.eval().requires_grad_(False)


# The 2015 network as two others took it from TensorFlow: SHA-256, name, what reads it. NVIDIA's file (StyleGAN2-ADA,
# StyleGAN3, EDM) is a program and scales covers itself; torch-fidelity's is weights alone, and so is pytorch-fid's
# pt_inception-2015-12-05-6726825d.pth: the same file, by its size and the digits in its name.
NVIDIA = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
FIDELITY = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FILES = {
    NVIDIA: ("NVIDIA's inception-2015-12-05.pt", _program),
    FIDELITY: ("torch-fidelity's weights-inception-2015-12-05-6726825d.pth", _weights),
}


def load_inception(source: str) -> torch.nn.Module:
    """Inception, called as `network(covers, return_features=True)` on (N, 3, H, W) uint8; gives (N, 2048).

    Args:
        source: a file, an address (https://...), or hf://user/repository/path/of/the/file. It must be one of `FILES`:
            a TorchScript file is a program, so no other one is run, and with other weights it would not be FID.

    Raises:
        UserError: it is not there, cannot be downloaded, or is another file.
    """
    try:
        content = _read(source)
    except Exception as error:  # the system's, urllib's and the Hub client's errors
        raise UserError(f"--inception {source}: {first_line(error)}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest not in FILES:
        names = " nor ".join(name for name, _ in FILES.values())
        raise UserError(f"--inception {source}: neither {names} (its SHA-256 is another one)")
    _, load = FILES[digest]
    return load(content)


def _read(source: str) -> bytes:
    if source.startswith("hf://"):
        if source.count("/") < 4:
            raise ValueError("a file on the Hub reads hf://user/repository/file")
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
        with in_float32():
            return torch.cat([self.network(part, return_features=True).float() for part in parts])


def features(inception: str | None, covers: Covers, device: torch.device) -> FeatureDistances | None:
    """What measures FID and its like, or None with one line that says why not: a yardstick never stops a run."""
    if inception is None:
        return None
    try:
        return FeatureDistances(load_inception(inception), covers, device)
    except Exception as error:
        print(f"{first_line(error)}; FID and KID are not measured", file=sys.stderr)
        return None
