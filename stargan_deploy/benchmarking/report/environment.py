"""Tables of what a benchmark ran on, and of what it could not run."""

from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.columns import Table
from stargan_deploy.benchmarking.report.format import digits, file_size, precision_name
from stargan_deploy.benchmarking.results import Results, Snapshot
from stargan_deploy.presentation.page import NOTHING


def roofs_table(results: Results) -> Table:
    """The machine's limits, as measured."""
    lines = [
        (
            precision_name(roof.precision),
            roof.gemm_library,
            "x".join(map(str, roof.gemm_size)),
            digits(roof.gemm_gmacs_per_s),
            digits(roof.bandwidth_gb_per_s),
        )
        for roof in results.roofs
    ]
    return Table(
        title="Limits of the machine, measured",
        columns=("precision", "library", "M x N x K", "GMAC/s", "memory GB/s"),
        lines=tuple(lines),
        num_names=2,
    )


def unusable_table(results: Results) -> Table:
    """What could not be measured, with the reason."""
    return Table(
        title="Not measured",
        columns=("what", "reason"),
        lines=tuple((item.name, item.reason) for item in results.unusable),
        num_names=2,
    )


def machine_table(results: Results) -> Table:
    """Hardware, software and how the run was started."""
    machine = results.machine
    facts = (
        ("model", f"{results.model} (SHA-256 {results.model_sha256[:16]})"),
        ("measured", wording.moment(results.created)),
        ("CPU", machine.cpu),
        ("cores and threads", f"{machine.num_cores} cores, {machine.num_threads} threads"),
        ("instruction sets", ", ".join(machine.instruction_sets)),
        ("memory", file_size(machine.memory_bytes)),
        ("GPU", machine.gpu or ""),
        ("driver", machine.driver or ""),
        ("operating system", machine.os),
        ("versions", ", ".join(wording.versions(machine))),
        ("git revision", machine.git_revision or ""),
        ("command", machine.command),
    )
    return Table(
        title="Surroundings",
        columns=("what", "value"),
        lines=tuple(fact for fact in facts if fact[1]),
        num_names=2,
    )


def sensors_table(results: Results) -> Table:
    """What the sensors said before and after; those that there are."""
    before, after = _sensors(results.machine.before), _sensors(results.machine.after)
    lines = [
        (name, value, after[name])
        for name, value in before.items()
        if {value, after[name]} != {NOTHING}
    ]
    return Table(title="Sensors", columns=("sensor", "before", "after"), lines=tuple(lines))


def _sensors(snapshot: Snapshot) -> dict[str, str]:
    clocks = snapshot.cpu_mhz
    span = [digits(edge) for edge in dict.fromkeys((min(clocks), max(clocks)))] if clocks else []
    return {
        "CPU clock, MHz": " to ".join(dict.fromkeys(span)) or NOTHING,
        "CPU temperature, \N{DEGREE SIGN}C": digits(snapshot.cpu_celsius),
        "load average": digits(snapshot.load_average),
        "GPU clock, MHz": digits(snapshot.gpu_mhz),
        "GPU memory clock, MHz": digits(snapshot.gpu_memory_mhz),
        "GPU power, W": digits(snapshot.gpu_watts),
        "GPU temperature, \N{DEGREE SIGN}C": digits(snapshot.gpu_celsius),
        "GPU throttled by": ", ".join(snapshot.gpu_throttling) or NOTHING,
    }
