"""The folder that an evaluation leaves."""

from pathlib import Path

from stargan_deploy.evaluation.report.page import REPORT_NAME, write_report
from stargan_deploy.evaluation.report.spreadsheet import CSV_NAME, write_csv
from stargan_deploy.evaluation.results import RESULTS_NAME, save_results
from stargan_deploy.evaluation.run import Evaluation


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write `results.json`, `results.csv` and `report.html`.

    Raises:
        OutputError: the folder cannot be written.
    """
    save_results(evaluation.results, folder / RESULTS_NAME)
    write_csv(evaluation.results, folder / CSV_NAME)
    write_report(evaluation.results, evaluation.galleries, folder / REPORT_NAME)
