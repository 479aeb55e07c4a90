"""Tables of the machine a benchmark ran on, and of what could not be measured."""

from stargan_deploy.benchmarking.report.columns import number, text
from stargan_deploy.benchmarking.report.format import file_size, moment, precision_name, versions
from stargan_deploy.benchmarking.results import Results, Snapshot
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.tables import Table
from stargan_deploy.presentation.text import NOTHING

SENSORS = {
    "CPU temperature, \N{DEGREE SIGN}C": "cpu_celsius",
    "load average": "load_average",
    "GPU clock, MHz": "gpu_mhz",
    "GPU memory clock, MHz": "gpu_memory_mhz",
    "GPU power, W": "gpu_watts",
    "GPU temperature, \N{DEGREE SIGN}C": "gpu_celsius",
}


def roofs_table(results: Results) -> Table:
    """The machine's limits, as measured."""
    columns = (
        ("precision", lambda roof: precision_name(roof.precision)),
        ("library", text("gemm_library")),
        ("M x N x K", lambda roof: "x".join(map(str, roof.gemm_size))),
        ("GMAC/s", number("gemm_gmacs_per_s")),
        ("memory GB/s", number("bandwidth_gb_per_s")),
    )
    return Table.of("Limits of the machine, measured", results.roofs, columns, num_names=2)


def unusable_table(results: Results) -> Table:
    """Candidates that could not be measured, each with the reason."""
    columns = (("what", text("name")), ("reason", text("reason")))
    return Table.of("Not measured", results.unusable, columns, num_names=2)


def machine_table(results: Results) -> Table:
    """Hardware, software and how the run was started."""
    machine = results.machine
    facts = (
        ("model", f"{results.model} (SHA-256 {results.model_sha256[:16]})"),
        ("measured", moment(results.created)),
        ("CPU", machine.cpu),
        ("cores and threads", f"{machine.num_cores} cores, {machine.num_threads} threads"),
        ("instruction sets", ", ".join(machine.instruction_sets)),
        ("memory", file_size(machine.memory_bytes)),
        ("GPU", machine.gpu or ""),
        ("driver", machine.driver or ""),
        ("operating system", machine.os),
        ("versions", ", ".join(versions(machine))),
        ("git revision", machine.git_revision or ""),
        ("command", machine.command),
    )
    lines = tuple(fact for fact in facts if fact[1])
    return Table(title="Environment", columns=("what", "value"), lines=lines, num_names=2)


def sensors_table(results: Results) -> Table:
    """Sensor readings before and after, where there are sensors."""
    before, after = _sensors(results.machine.before), _sensors(results.machine.after)
    lines = [
        (name, value, after[name])
        for name, value in before.items()
        if {value, after[name]} != {NOTHING}
    ]
    return Table(title="Sensors", columns=("sensor", "before", "after"), lines=tuple(lines))


def _sensors(snapshot: Snapshot) -> dict[str, str]:
    clocks = snapshot.cpu_mhz
    span = map(digits, (min(clocks), max(clocks))) if clocks else ()
    return {
        "CPU clock, MHz": " to ".join(dict.fromkeys(span)) or NOTHING,
        **{name: digits(getattr(snapshot, field)) for name, field in SENSORS.items()},
        "GPU throttled by": ", ".join(snapshot.gpu_throttling) or NOTHING,
    }
