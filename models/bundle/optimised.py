"""How a network was made smaller, and what that cost: a part of the manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Figure = Annotated[float, Field(allow_inf_nan=False)]
Size = Annotated[int, Field(ge=1)]


class Optimised(BaseModel):
    """The weights of a network in eight bits, and the held-out figure before and after.

    Attributes:
        method: `int8`: weights and the values that they are multiplied with are whole numbers.
        metric: name of the figure.
        before: the figure of the network in full precision, on the test part.
        after: the figure of the graph in the bundle, on the test part.
        bytes_before: size of the graph in full precision, bytes.
        bytes_after: size of the graph in the bundle, bytes.
        worst: most that an answer to a test window differs from that in full precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    method: Literal["int8"] = "int8"
    metric: str
    before: Figure
    after: Figure
    bytes_before: Size
    bytes_after: Size
    worst: Figure

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.after:.4g} instead of {self.before:.4g} held out, "
            f"{self.bytes_after / 1e6:.2f} MB instead of {self.bytes_before / 1e6:.2f}; answers "
            f"differ by {self.worst:.2g} at most"
        )
