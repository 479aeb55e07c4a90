"""`stargan-deploy evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.cli.commands import App
from stargan_deploy.cli.console import say, show_json
from stargan_deploy.cli.evaluate.compare import compare
from stargan_deploy.cli.measuring import MEASURE, MeasuringGroup, results_folder
from stargan_deploy.cli.options import BACKENDS, OUT, Fields, Json, Quiet
from stargan_deploy.cli.progress import progress
from stargan_deploy.evaluation.plan import EvaluationOptions, EvaluationRequest
from stargan_deploy.evaluation.run import Evaluation
from stargan_deploy.evaluation.run import evaluate as run_evaluation
from stargan_deploy.inference.find import find_model

Models = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="MODEL...",
        help="Checkpoints, runs' folders and exported models; each is compared with the first.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Attrs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TARGET",
        help="Target as for `batch`; may be given several times.",
        show_default="each label that the models have, exclusive ones set, others flipped",
    ),
]
BenchResults = Annotated[
    Path | None,
    typer.Option(
        "--bench",
        metavar="RESULTS.json",
        help="Results of `bench`, whose milliseconds the report sets against the accuracy.",
    ),
]
Out = Annotated[
    Path, typer.Option(*OUT, help="Folder for results.json, results.csv and report.html.")
]


def evaluate(
    models: Models = None,
    attrs: Attrs = None,
    *,
    options: Annotated[EvaluationOptions, Fields(notes=BACKENDS)],
    bench: BenchResults = None,
    out: Out = Path("evaluation"),
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Say how good a model's images are, with intervals, for several models side by side.

    To compare two results: stargan-deploy evaluate compare A.json B.json
    """
    request = EvaluationRequest(
        models=tuple(map(find_model, models)) if models else (find_model(),),
        targets=tuple(attrs or ()),
        options=options,
    )
    evaluation = _run(request, out, bench)
    if json_output:
        show_json(evaluation.results.to_mapping())
    else:
        _show(evaluation)
    say(f"wrote {out / 'report.html'}, results.json and results.csv")


def _run(request: EvaluationRequest, out: Path, bench: Path | None) -> Evaluation:
    """Evaluate, and write the results to a folder made before."""
    from stargan_deploy.api import with_speeds
    from stargan_deploy.evaluation.report.files import write_evaluation

    with results_folder(out):
        with progress("photos") as on_progress:
            evaluation = run_evaluation(request, on_progress=on_progress)
        evaluation = with_speeds(evaluation, bench)
        write_evaluation(evaluation, out)
        return evaluation


def _show(evaluation: Evaluation) -> None:
    from rich.console import Console

    from stargan_deploy.evaluation.report.tables import show_results

    show_results(evaluation.results, Console())
    for note in evaluation.results.notes:
        say(f"note: {note}")
    for name, reason in evaluation.results.failures.items():
        say(f"not evaluated: {name}: {reason}")


evaluations = App(
    cls=MeasuringGroup, help="Say how good a model's images are; compare two results."
)
evaluations.command(MEASURE)(evaluate)
evaluations.command("compare")(compare)
