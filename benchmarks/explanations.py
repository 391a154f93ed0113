"""How often an explanation names the signal that is at fault, and what it costs.

    MILLHAND_DATA=/data/public python -m benchmarks.explanations

A detector is trained by the recipe of SKAB, and for comparison a regression and a classification by
others. Faults are injected into one signal of held-out windows whose rows have the label "normal"
and that raise no alarm; those that then raise one are explained. Costs are processor time of one
thread, each the median of rounds in which the contenders take turns. The table is in
docs/performance.md.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.explain import Explain
from models.bundle.package import Bundle
from serving.explanation.explainer import Explainer
from serving.model import Model, prove
from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.training_rows import training_rows
from trainer.recipe.document import Recipe, read_recipe

RECIPES: Final = Path("tests/realdata/recipes")
CASES: Final = 200
ROUNDS, RUNS = 15, 40
FAULTS: Final = ("step", "drift", "noise", "stuck")
MIN_SAMPLES: Final = 5
LEAST, MOST = 4.0, 10.0
"""Size of a fault, in standard deviations of the signal in training."""

Window = NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A bundle, and windows of its recording.

    Attributes:
        bundle: the bundle.
        train: training windows, `[n, length, channels]`.
        normal: held-out windows whose rows are labelled normal; all of them without labels.
    """

    bundle: Bundle
    train: Window
    normal: Window


def trained(recipe: Recipe) -> Trained:
    """Train by a recipe."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = train(recipe, Path(folder), console=Console()).bundle
    recording, truth = training_rows(recipe)
    parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    is_normal = np.ones(len(parts.test), np.bool_)
    if bundle.manifest.task == "anomaly":
        is_normal = truth.y[parts.test.rows] == 0
    return Trained(bundle, parts.train.values, parts.test.values[is_normal])


def faulty(
    window: Window, channel: int, kind: str, sd: float, drawn: np.random.Generator
) -> Window:
    """A window with a fault in one signal, of random size, sign and beginning."""
    found = window.copy()
    samples = int(drawn.integers(min(MIN_SAMPLES, len(window)), len(window) + 1))
    size = drawn.uniform(LEAST, MOST) * sd * drawn.choice([-1, 1])
    shapes = {
        "step": np.full(samples, size),
        "drift": size * np.linspace(0, 1, samples),
        "noise": size * drawn.standard_normal(samples),
        "stuck": found[-samples, channel] + size - found[-samples:, channel],
    }
    found[-samples:, channel] += shapes[kind].astype(np.float32)
    return found


def cases(model: Model, of: Trained, count: int = CASES) -> Iterator[tuple[int, str, Window]]:
    """Signal and kind of a fault, and a window that raises an alarm by it."""
    session, drawn = model.session, np.random.default_rng(0)
    quiet = of.normal[session.run(of.normal)["value"] == 0]
    width = quiet.shape[2]
    sd = np.nanstd(of.train.reshape(-1, width).astype(np.float64), axis=0)
    made = 0
    while made < count:
        channel, kind = made % width, FAULTS[made // width % len(FAULTS)]
        window = quiet[drawn.integers(len(quiet))]
        window = faulty(window, channel, kind, float(sd[channel]), drawn)
        if session.run(window[np.newaxis])["value"][0] == 1:
            made += 1
            yield channel, kind, window


def first_named(model: Model, explainer: Explainer, window: Window) -> str:
    """The signal that an explanation of a window names first."""
    reasons = explainer.reasons(window, asked(model, explainer, window))
    return "" if not reasons else str(reasons[0]["signal"])


def asked(model: Model, explainer: Explainer, window: Window) -> NDArray[np.float64]:
    """What the model answers to the windows of an explanation."""
    value = 0.0
    return np.concatenate(
        [explainer.explained(model.session.run(some), value) for some in explainer.blocks(window)]
    )


def hits(model: Model, explainer: Explainer, of: Trained) -> Mapping[str, float]:
    """Share of the faults whose signal is named first, by kind, and of `all`."""
    names = [channel.name for channel in model.manifest.channels]
    found: dict[str, list[bool]] = {kind: [] for kind in FAULTS}
    for channel, kind, window in cases(model, of):
        found[kind].append(first_named(model, explainer, window) == names[channel])
    whole = [one for some in found.values() for one in some]
    return {"all": float(np.mean(whole))} | {k: float(np.mean(v)) for k, v in found.items()}


def cost(model: Model, explainer: Explainer, window: Window) -> tuple[float, float]:
    """Microseconds of processor time of a plain prediction, and of explaining one."""
    one = window[np.newaxis]
    plain, explained = [], []
    for _ in range(ROUNDS):
        plain.append(_timed_us(lambda: model.session.run(one)))
        explained.append(
            _timed_us(lambda: explainer.reasons(window, asked(model, explainer, window)))
        )
    return median(plain), median(explained)


def variants(model: Model) -> Iterator[tuple[str, Explainer]]:
    """The explanation of the bundle, and others with the same reference."""
    own = model.explainer
    if own is None:
        raise ValueError("the bundle does not say how answers are explained")
    yield "as the trainer chose", own
    names = [str(channel.name) for channel in model.manifest.channels]
    for method, orders in (("occlusion", 0), ("shapley", 2), ("shapley", 8)):
        section = Explain.model_validate(
            own.explain.model_dump() | {"method": method, "orders": orders}
        )
        label = f"{method} of {orders} orders" if orders else method
        yield label, Explainer(section, names, own.reference)


def still(model: Model, of: Trained) -> Explainer:
    """The explanation of the bundle with the medians as its reference, which do not move."""
    width = of.train.shape[2]
    level = np.nanmedian(of.train.reshape(-1, width), axis=0)
    names = [str(channel.name) for channel in model.manifest.channels]
    reference = np.broadcast_to(level, of.train.shape[1:]).astype(np.float32)
    if model.explainer is None:
        raise ValueError("the bundle does not say how answers are explained")
    return Explainer(model.explainer.explain, names, reference)


def _timed_us(call: Callable[[], object]) -> float:
    begun_ns = process_time_ns()
    for _ in range(RUNS):
        call()
    return (process_time_ns() - begun_ns) / RUNS / 1e3


def main() -> None:
    """Print the tables."""
    print("| detector of SKAB | first of `why` is the faulty signal | " + " | ".join(FAULTS) + " |")
    print("| --- |" + " --- |" * (1 + len(FAULTS)))
    skab = trained(read_recipe(RECIPES / "skab.toml"))
    model = prove(skab.bundle)
    for label, explainer in (*variants(model), ("medians as the reference", still(model, skab))):
        shares = " | ".join(f"{share:.1%}" for share in hits(model, explainer, skab).values())
        print(f"| {label}, {explainer.windows} windows | {shares} |", flush=True)
    print()
    print("| model | explanation | windows | plain, us | explained, us | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("skab", "ai4i", "gas_turbine"):
        of = skab if name == "skab" else trained(read_recipe(RECIPES / f"{name}.toml"))
        model = prove(of.bundle)
        for label, explainer in variants(model):
            plain, explained = cost(model, explainer, of.normal[0])
            print(
                f"| {name} | {label} | {explainer.windows} | {plain:.0f} | {explained:.0f} | "
                f"{explained / plain:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
