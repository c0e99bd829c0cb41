"""How good the covers of a run are, now and then: measured, drawn, compared with those that it learned from."""

from functools import partial

from torch import nn

from gan.errors import first_line
from gan.pipeline import AlbumCoverPipeline
from train.metrics.best import best_of, is_best
from train.metrics.evaluation import Evaluation
from train.sheet import SHEET_SEEDS
from train.train_gan.phases import PhaseTrainer
from train.train_gan.run import Run
from train.train_gan.start import discriminators_of


def evaluate(run: Run) -> None:
    """Measure every average of the generator; keep the best that there ever was in best/."""
    if not run.is_main or run.evaluation is None or run.stop.asked() or not run.draws:
        return
    with run.monitor.pause():
        run.measured = run.images
        if best := run.monitor.attempt("evaluation", partial(best_average, run, run.evaluation)):
            scores, average = best
            run.averages.choose(scores["ema_sigma"])
            run.averages.keep(average, run.images)
            if is_best(scores, run.evaluations):
                run.folder.save_best(*pipeline_of(run, average))
            run.evaluations.append(scores)
            run.monitor.evaluated(run.images, scores)


def best_average(run: Run, evaluation: Evaluation) -> tuple[dict[str, float], nn.Module]:
    """Return what was measured of the average that measures best, and that average, ready to draw with."""
    scores, averages = [], run.averages.all_ready()
    for sigma, average in zip(run.averages.sigmas, averages, strict=True):
        score = {"ema_sigma": sigma} | evaluation(average)
        if evaluation.features:
            try:
                score |= evaluation.features(average)
            except Exception as error:  # all else is measured
                run.monitor.say(f"--inception: {first_line(error)}")
        scores.append(score)
    best = best_of(scores)
    if evaluation.unseen:
        best["held_out_gap"] = evaluation.held_out_gap(run.trainer.mean_logit)
    return best, averages[scores.index(best)]


def draw(run: Run) -> None:
    """Write the sheet of samples and the pipeline, both by the chosen average.

    While a painter learns to paint, its sheet shows covers beside what it makes of them.
    """
    if run.is_main:
        with run.monitor.pause():
            if not run.draws:
                assert run.evaluation is not None and isinstance(run.trainer, PhaseTrainer)
                covers = run.evaluation.real[: SHEET_SEEDS // 2]
                run.folder.save_repainted(covers, run.trainer.repaint(covers), run.images)
            else:
                sheet = run.folder.save_samples(*pipeline_of(run, run.averages.ready(run.images)), run.images)
                run.monitor.drawn(run.images, sheet)
        run.drawn = run.images, run.averages.chosen


def pipeline_of(run: Run, average: nn.Module) -> tuple[AlbumCoverPipeline, dict[str, nn.Module]]:
    """Return the pipeline of an average, and what judges it, unless that is not to be shared.

    A painter's encoder travels with it.
    """
    gan = run.trainer.gan
    judged = discriminators_of(gan, run.trainer.recipe) if run.shares_discriminator else {}
    return AlbumCoverPipeline(average, getattr(gan, "encoder", None)), judged


def look_for_copies(run: Run) -> None:
    """Look for copies of training covers among generated ones; write copies.json, and say what was found."""
    evaluation, average = run.evaluation, run.averages.ready(run.images)
    if evaluation is None:
        return
    if found := run.monitor.attempt("the look for copies", lambda: evaluation.copies(average)):
        run.folder.save_copies(found, run.images)
        line = "of {samples} generated covers {found} look like one of {training_covers:,} training covers"
        if evaluation.unseen:
            line += "; of as many held-out covers {held_out_found} do"
        run.monitor.say(line.format(**found))
