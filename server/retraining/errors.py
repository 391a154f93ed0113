"""Why something about a retraining is refused. The message names the remedy.

| code | what was found |
| --- | --- |
| stream_unknown | the stream has no entry under [[retraining.streams]] |
| retraining_unknown | there is no proposal of this name |
| retraining_state | the state of the proposal does not allow the decision |
| second_retraining | another proposal of the stream is open |
| rollout_under_way | a rollout of the stream is not over |
| recipe_unreadable | the recipe cannot be read, or is for another stream |
| no_recordings | there is no file of what the recipe's [data] names |
| few_recordings | too few of them are newer than the bundle that serves |
| trainer_missing | the program that trains is not installed here |
| training_failed | it has ended with an error, or without a bundle that can be used |
| training_stopped | it has reached a limit, or was interrupted too often |
| plan_unusable | the plan of a rollout cannot be made of its template |
| publishing_failed | the command that publishes has ended with an error |
| registry_unreadable | the registry cannot be read |
"""

from typing import ClassVar

from server.rollouts.errors import RolloutError


class RetrainingError(RolloutError):
    """What was asked for about a retraining, or is due, cannot be.

    Args:
        reason: code of the reason, from the bounded set of this module.
        message: what was found, and the remedy.

    Attributes:
        reason: as given.
    """

    code: ClassVar[str] = "retraining"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
