"""What a bundle in the shadow costs the one that serves.

    python -m benchmarks.made_up.shadow [--rounds 5]

The loop of `benchmarks.turn`, from the bytes of PUBLISHes to those of predictions, without a broker
and without a socket, answers readings at QoS 1 with the forest of 100 trees. Rounds without a
shadow and with the same forest in it take turns. Throughput is that of turns as fast as they go;
latency is that of single readings at a fixed rate, from the moment at which each is due, so that a
reading that waits for the candidate counts as late. Memory is that of the process.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Final

from agent.config.settings import Limits
from agent.config.shadow import Shadow
from agent.shadow.candidate import Candidate, Marks, Turn
from agent.shadow.comparison import Comparison
from agent.shadow.spare_time import SpareTime
from agent.streams.pipeline import Pipeline
from benchmarks.load.workload import ROWS
from benchmarks.served import bundle, forest
from benchmarks.turn import Loop, readings
from models.bundle.package import StoredBundle, read_bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving import memory
from serving.clock import SteadyClock
from serving.incidents.under_way import UnderWay
from serving.model import Model, prove
from serving.time_limit import TimeLimit

SIZE, TURNS = 64, 200
RATE, PACED = 1_000, 2_000
NS_PER_S: Final = 1_000_000_000
_MIB: Final = 1 << 20


class Agent:
    """The hot loop with one stream.

    Args:
        champion: the model that serves.
        candidate: the model in its shadow; None for none.
    """

    def __init__(self, champion: Model, candidate: Model | None) -> None:
        limits, clock, settings = Limits(max_future_s=3600), SteadyClock(), Shadow()
        source = {"topic": "plant/l1/{asset}/telemetry", "timestamp": "timestamp", "qos": 1}
        document = {"stream": ROWS.stream, "inputs": [source], "output": {"qos": 1}}
        self.pipeline = Pipeline(PipelineSettings.model_validate(document), limits)
        self.pipeline.activate(champion)
        self._loop = Loop(self.pipeline, 1)
        self._end = Turn(SpareTime(settings.share, limits.turn_s, clock.monotonic_ns))
        self.comparison: Comparison | None = None
        if candidate is not None:
            self.comparison = Comparison(champion, candidate, settings.gates, settings, 0.0)
            marks = Marks(UnderWay(), TimeLimit(limits.inference_s), clock)
            shadow = Candidate(candidate, self.comparison, marks, self._end, limits.max_batch)
            self.pipeline.inference.shadow = shadow

    def turn(self, incoming: bytes) -> int:
        """One turn; returns when its answers were handed over, nanoseconds."""
        done_ns = self._loop.turn(incoming)[-1]
        if self._end.due:
            self._end.end()
        return done_ns

    def throughput(self, turns: list[bytes]) -> float:
        """Readings answered in a second, turns as fast as they go."""
        began_ns = perf_counter_ns()
        for one in turns:
            self.turn(one)
        return SIZE * len(turns) / (perf_counter_ns() - began_ns) * NS_PER_S

    def latency_ms(self, turns: list[bytes]) -> list[float]:
        """Milliseconds from when each reading is due to its answer, at a fixed rate."""
        began_ns, number = perf_counter_ns(), 0
        taken: list[float] = []
        while number < len(turns):
            now_ns = perf_counter_ns() - began_ns
            # A turn takes whatever has arrived since the last one.
            count = min(now_ns * RATE // NS_PER_S + 1, len(turns)) - number
            if count > 0:
                done_ns = self.turn(b"".join(turns[number : number + count])) - began_ns
                due_ns = [at * NS_PER_S // RATE for at in range(number, number + count)]
                taken += [(done_ns - due) / 1e6 for due in due_ns]
                number += count
        return sorted(taken)


def made() -> StoredBundle:
    """The bundle of the forest."""
    with tempfile.TemporaryDirectory(prefix="millhand-shadow-") as folder:
        model = forest.model(forest.fitted(), ROWS, 1)
        return read_bundle(bundle.write(Path(folder), model, ROWS, 1).read_bytes())


def resident_mib() -> float:
    """Resident memory of this process."""
    memory.give_back()
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / _MIB


def measured(rounds: int) -> None:
    """Measure in rounds, and print."""
    stored = made()
    before = resident_mib()
    champion = prove(stored)
    plain = Agent(champion, None)
    busy = list(islice(readings(1, SIZE), TURNS))
    plain.throughput(busy)
    one = resident_mib()
    shadowed = Agent(champion, prove(stored))
    shadowed.throughput(busy)
    print(
        f"memory: {one - before:.1f} MiB with one model, {resident_mib() - one:.1f} more with two"
    )
    paced = list(islice(readings(1, 1), PACED))
    found: dict[str, list[tuple[float, float, float]]] = {"plain": [], "shadow": []}
    for _ in range(rounds):
        for name, agent in (("plain", plain), ("shadow", shadowed)):
            rate, taken = agent.throughput(busy), agent.latency_ms(paced)
            found[name].append((rate, taken[len(taken) // 2], taken[len(taken) * 99 // 100]))
    for name, rows in found.items():
        rate, p50, p99 = (median(column) for column in zip(*rows, strict=True))
        print(f"{name:7} {rate:9.0f} readings/s, p50 {p50:.3f} ms, p99 {p99:.3f} ms at {RATE}/s")
    pairs = list(zip(found["shadow"], found["plain"], strict=True))
    times = [median(a[part] / b[part] for a, b in pairs) for part in range(2)]
    print(f"with a shadow: {times[0]:.2f}x the throughput, {times[1]:.2f}x the p50 (medians)")
    if shadowed.comparison is not None:
        said = shadowed.comparison.document(stream=ROWS.stream, champion=1, candidate=1)
        print(f"compared {said.compared}, left out {said.left_out}, gates {said.verdict}")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    measured(parser.parse_args().rounds)


if __name__ == "__main__":
    main()
