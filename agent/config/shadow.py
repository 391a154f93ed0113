"""`[shadow]`: what a bundle in the shadow of another may take, and what ends its trial."""

from typing import Annotated

from pydantic import Field

from models.control.rollout import MAX_ANSWERS
from models.rollout.plan import Gates, Share
from models.settings import Seconds, Section
from serving.gates.constant import ConstantLimits
from serving.gates.out_of_range import RangeLimits
from serving.gates.storm import StormLimits


class Hard(Section):
    """Limits of the gates that end a trial at once.

    What a model may cost is said by the proof: `proof.memory_bytes` and `proof.latency_factor`.

    Attributes:
        constant: one and the same answer, where the model that serves answers differently.
        range: answers far from those of training, where those of the model that serves are not.
        storm: alarms in most windows, where the model that serves is quiet.
    """

    constant: ConstantLimits = ConstantLimits()
    range: RangeLimits = RangeLimits()
    storm: StormLimits = StormLimits()


class Shadow(Section):
    """Models in the shadow, which answer the same windows as those that serve.

    Those of a rollout are judged by `block_s`, `disagreement`, `alpha` and `beta` of its plan.

    Attributes:
        share: share of all time that models in the shadow may take, all together.
        block_s: seconds of a block of time, of which each counts once; None takes what the bundle
            says of how long the plant remembers, and 600 where it says nothing.
        disagreement: share of the windows on which the model in the shadow may disagree with the
            one that serves.
        alpha: probability that a harmless model is said to be worse, over all looks together.
        beta: probability that a model is said to be no worse that disagrees on more than it may.
        evidence_s: seconds after which the evidence is published again where it has changed.
        answers: answers of both models that the evidence carries at most, evenly chosen from all
            windows, for whoever draws them; 0 for none.
        probation_s: seconds for which the bundle before answers in the shadow of a new one, and
            comes back where a gate speaks against that one; 0 for no probation.
        hard: limits of the gates that end a trial at once.
    """

    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.25
    block_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    disagreement: Share = 0.03
    alpha: Share = 0.01
    beta: Share = 0.01
    evidence_s: Seconds = 10.0
    answers: Annotated[int, Field(ge=0, le=MAX_ANSWERS)] = 60
    probation_s: Annotated[float, Field(ge=0, le=366 * 86_400)] = 600.0
    hard: Hard = Hard()

    @property
    def gates(self) -> Gates:
        """The statistical gates, for a model that no rollout has brought."""
        return Gates(disagreement=self.disagreement, alpha=self.alpha, beta=self.beta)
