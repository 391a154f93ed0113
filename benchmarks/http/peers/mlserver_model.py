"""The forest in MLServer: a runtime of its own on onnxruntime, without a worker process."""

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Forest(MLModel):
    """Answers windows by a graph."""

    async def load(self) -> bool:
        """Build the session, with one thread as in the server."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        window = NumpyCodec.decode_input(payload.inputs[0])
        value, score = self._session.run(["value", "score"], {"window": window})
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("value", value),
                NumpyCodec.encode_output("score", score),
            ],
        )
