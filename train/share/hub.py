"""Upload a generator, a dataset or the page (as a Space) to the Hugging Face Hub."""

import tempfile
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, RepoCard
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from gan.errors import HubError, check_id, errors_in_one_line
from gan.nearest import CopiesError, load_index
from gan.pipeline_folder import COVERS_INDEX, DISCRIMINATORS, SURVEY, load_with_discriminators, save_pipeline
from gan.survey import SurveyError, load_survey
from gan.untrusted import own_file
from train.metrics.run_facts import read_run
from train.share.commit import Files, Upload, commit_files, is_ours, open_repo
from train.share.licenses import license_id
from train.share.model_card import draw_card_picture, model_card
from train.share.onnx import check_onnx_packages, export_onnx
from train.share.space import space_files


__all__ = ["HubError", "Upload", "claim", "upload_dataset", "upload_model", "upload_space"]

PROJECT = Path(__file__).parents[2]
# What an upload consists of. Files of an earlier upload that match and are not sent again are deleted: a Parquet or
# weight file left behind would be read together with the new ones.
MODEL_FILES = (
    "README.md",
    COVERS_INDEX,
    SURVEY,
    "covers.png",
    *(f"{part}/*.{ending}" for part in DISCRIMINATORS for ending in ("json", "safetensors")),
    "encoder/*.json",
    "encoder/*.py",
    "encoder/*.safetensors",
    "generator.onnx",
    "generator.pt2",
    "model_index.json",
    "pipeline.py",
    "synthesis/*.json",
    "synthesis/*.py",
    "synthesis/*.safetensors",
    "training/config.json",
    "training/film.*",
    "training/metrics.jsonl",
    "training/samples.png",
)
DATASET_FILES = ("README.md", "report.html", "report.json", "*.parquet", "data/*.parquet")
SPACE_FILES = ("README.md", "app.py", "requirements.txt", "gan/*")


def claim(kind: str, repo_id: str, private: bool = False) -> None:
    """Create a repository, or check that an upload into the one that exists will be accepted.

    Raises:
        HubError: the repository holds something else, the token may not write to it, or the Hub cannot be reached.
    """
    open_repo(kind, repo_id, private)
    with errors_in_one_line(kind, repo_id):
        # a token that may only read finds a repository that is there, too
        HfApi().auth_check(repo_id, repo_type=kind, write=True)


def upload_model(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    commit_message: str = "Share the generator",
    dry_run: bool = False,
    force: bool = False,
    license: str | None = None,
    tag: str | None = None,
    onnx: bool = False,
    move_tag: bool = False,
    no_discriminator: bool = False,
) -> Upload:
    """Upload a generator to the Hub, so that others load it with diffusers or with torch alone.

    Where the folder is the `pipeline/` of a run folder, the run's configuration, newest sheet of samples and film are
    uploaded too, and the card tells how the generator was trained.

    Args:
        folder: a pipeline folder. A README.md in it is sent as the card; without one a card is written.
        repo_id: "user/name"; created if it does not exist.
        private: create the repository visible to its owner alone.
        commit_message: first line of the commit.
        dry_run: prepare everything and send nothing.
        force: write into a repository that holds something else, and move an existing tag.
        license: identifier that the card names, as the Hub spells it; None keeps that of the card on the Hub.
        tag: name of this snapshot; None is `images-<covers shown>` where the run tells how many.
        onnx: upload a generator.onnx too.
        move_tag: move an existing tag; a resumed run needs this, as it reaches the same number of covers again.
        no_discriminator: leave out what judged the generator, with which others could go on.

    Raises:
        HubError: the folder does not exist, repo_id is malformed, or the Hub cannot be reached or refuses.
        PipelineError: the folder holds no pipeline that loads.
    """
    decided = ("license",) if license else ()
    license = license_id(license) if license else None  # before anything else is done
    folder = Path(folder)
    if not folder.is_dir():
        raise HubError(f"{folder}: no such folder")
    own_card = own_file(folder, "README.md")
    if license and own_card:
        raise HubError(f"{own_card} is sent as the card; name the licence in it, and leave out --license")
    check_id(repo_id)  # before the export, which takes seconds
    if onnx:
        check_onnx_packages()
    pipeline, discriminators = load_with_discriminators(folder)
    discriminators = {} if no_discriminator else discriminators
    images = int(tag.removeprefix("images-")) if tag and tag.removeprefix("images-").isdecimal() else None
    run = read_run(folder, type(pipeline.synthesis), images)
    if tag is None and run.images:
        tag = f"images-{run.images}"
    if license is None and not dry_run:
        license = _named_license(repo_id)
    with tempfile.TemporaryDirectory() as temporary:
        # Written anew, from weights that were read and code that stands here: a folder may be somebody else's, and
        # its files a stranger's programs, or links to what is nobody's business.
        written = Path(temporary) / "pipeline"
        save_pipeline(pipeline, written, discriminators=discriminators)
        files = _matching(written, MODEL_FILES) | run.files
        files |= _sound(folder)
        if onnx:
            files["generator.onnx"] = exported = Path(temporary) / "generator.onnx"
            export_onnx(pipeline.synthesis, exported)
        files["covers.png"] = draw_card_picture(pipeline)
        if own_card:
            files["README.md"] = own_card
        else:
            files["README.md"] = model_card(pipeline, repo_id, run, license, onnx, bool(discriminators)).encode()
        upload = commit_files(
            "model", repo_id, files, MODEL_FILES, private, commit_message, dry_run, force, tag, move_tag, decided
        )
    if license is None and not own_card and not dry_run:
        return _with_note(upload, "its card names no licence, so others may look at it and nothing else (--license)")
    return upload


def _sound(folder: Path) -> Files:
    """Return what others made beside a pipeline, each read before it is sent. Raises HubError where one cannot be."""
    found: Files = {}
    for name, load, anew in (
        (COVERS_INDEX, load_index, "build it anew with train.copies"),
        (SURVEY, load_survey, "make it anew"),
    ):
        if file := own_file(folder, name):
            try:
                load(file)
            except (CopiesError, SurveyError) as error:
                raise HubError(f"{folder}: {error}; take it away, or {anew}") from error
            found[name] = file
    return found


def upload_dataset(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    commit_message: str = "Share the covers",
    dry_run: bool = False,
    force: bool = False,
    license: str | None = None,
) -> Upload:
    """Upload a prepared dataset to the Hub: its Parquet shards, card and report.

    Args:
        folder: what train.prepare wrote.
        repo_id, private, commit_message, dry_run, force: as in `upload_model`.

    Raises:
        HubError: the folder was not written by train.prepare, repo_id is malformed, or the Hub cannot be reached or
            refuses.
    """
    license = license_id(license) if license else None
    files: Files = {}
    files |= _matching(Path(folder), DATASET_FILES)
    if "report.json" not in files or not any(name.endswith(".parquet") for name in files):
        raise HubError(f"{folder}: holds no prepared dataset (train.prepare writes one)")
    if license:
        there = files.get("README.md")
        card = RepoCard(there.read_text(encoding="utf-8") if isinstance(there, Path) else "---\n---\n")
        card.data["license"] = license
        files["README.md"] = str(card).encode()
    decided = ("license",) if license else ()
    return commit_files(
        "dataset", repo_id, files, DATASET_FILES, private, commit_message, dry_run, force, decided=decided
    )


def upload_space(
    repo_id: str,
    model_id: str | None = None,
    model_revision: str = "main",
    private: bool = False,
    commit_message: str = "Share the page",
    dry_run: bool = False,
    force: bool = False,
    suggested_hardware: str = "cpu-basic",
    project: Path = PROJECT,
) -> Upload:
    """Upload the page to the Hub as a Space.

    Args:
        model_id: the model on the Hub that the Space shows (its variable MODEL_ID); None keeps the model that an
            earlier upload named, or else shows the generator that ships with the project.
        model_revision: branch, tag or commit of that model (the variable MODEL_REVISION).
        suggested_hardware: what the Hub proposes to people who duplicate the Space, where README.md does not say it.
        project: folder with app.py, gan/, requirements.txt and README.md.
        repo_id, private, commit_message, dry_run, force: as in `upload_model`.

    Raises:
        HubError: a file of the page is missing or too large, README.md describes no Space that would start, the model
            does not exist or is no generator of this project, or the Hub cannot be reached or refuses.
    """
    check_id(repo_id)
    if model_id:
        check_id(model_id)
    shown, note = model_id, ""
    space_files(project, [], suggested_hardware)  # what is wrong here is said before the Hub is asked
    if not dry_run:
        if model_id:
            note = _check_model(model_id, model_revision)
        else:
            shown = _shown_model(repo_id)
    files = space_files(project, [shown] if shown else [], suggested_hardware)
    upload = commit_files("space", repo_id, files, SPACE_FILES, private, commit_message, dry_run, force)
    if model_id and not dry_run:
        with errors_in_one_line("space", repo_id):
            HfApi().add_space_variable(repo_id, "MODEL_ID", model_id)
            HfApi().add_space_variable(repo_id, "MODEL_REVISION", model_revision)
    return _with_note(upload, note) if note else upload


def _check_model(model_id: str, revision: str) -> str:
    """Raise HubError unless a page can show this model; return what its owner has to do, or ""."""
    with errors_in_one_line("model", model_id):
        info = HfApi().model_info(model_id, revision=revision)
        if not is_ours("model", model_id, {file.rfilename for file in info.siblings or ()}, revision):
            raise HubError(f"{model_id}: no generator of this project, so the page could not show it")
    return f"{model_id} is private: give the Space a token as its secret HF_TOKEN" if info.private else ""


def _shown_model(repo_id: str) -> str | None:
    """Return the model that an earlier upload of this Space named, or None."""
    with errors_in_one_line("space", repo_id):
        if not HfApi().repo_exists(repo_id, repo_type="space"):
            return None
        variables = HfApi().get_space_variables(repo_id)
    return variables["MODEL_ID"].value if "MODEL_ID" in variables else None


def _named_license(repo_id: str) -> str | None:
    """Return the licence of the card on the Hub, or None; an owner who chose one there keeps it."""
    with errors_in_one_line("model", repo_id):
        try:
            license = RepoCard.load(repo_id, repo_type="model").data.get("license")
        except (RepositoryNotFoundError, EntryNotFoundError):
            return None
    return license if isinstance(license, str) else None


def _matching(folder: Path, patterns: tuple[str, ...]) -> Files:
    """Return the files of a folder that match, by their path in the repository."""
    names = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    return {name: path for name in names if (path := own_file(folder, name))}


def _with_note(upload: Upload, note: str) -> Upload:
    return replace(upload, notes=(*upload.notes, note))
