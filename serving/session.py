"""Sessions: graphs of bundles that are loaded, checked against their manifests, and run.

Contract: building a session blocks for milliseconds to seconds, and belongs on a worker. `run`
blocks for one inference; the hot thread calls it. An error of onnxruntime is always raised as one
of ours: `IncompatibleBundleError` while a session is built (the bundle must not serve), and
`InferenceError` afterwards (drop the windows, and count them).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import compare, read_golden
from models.bundle.manifest import Manifest
from models.bundle.package import StoredBundle
from models.errors import IncompatibleBundleError
from serving.errors import InferenceError, ModelFailedError, TimedOutError
from serving.runtime.device import CPU, Device
from serving.runtime.graph import INPUT, InferenceSession, RunOptions, load_graph, run_graph

_ORT_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)"}


class Session:
    """The graph of a bundle, loaded and checked against its manifest.

    Args:
        bundle: bundle whose digests were verified. The graph is loaded from its bytes, never from
            its path, so that what runs is what was hashed.
        device: device that the graph runs on.
        is_shared: whether other threads of the program have to go on while the graph is loaded.

    Attributes:
        manifest: manifest of the bundle.
        device: as given.
        options: options of each run. Another thread may set their flag `terminate` to end the run
            that is under way.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph, or its inputs, outputs, stream or
            seq differ from the manifest.
    """

    def __init__(
        self, bundle: StoredBundle, device: Device = CPU, *, is_shared: bool = False
    ) -> None:
        self.manifest = bundle.manifest
        self.device = device
        self.options = RunOptions()
        self._names = [output.name for output in bundle.manifest.outputs]
        try:
            self._session = load_graph(bundle.model, device, is_shared=is_shared)
            _check_graph(self._session, bundle.manifest)
        except IncompatibleBundleError as exc:
            raise IncompatibleBundleError(f"{bundle.ref}: {exc}") from exc

    def run(self, windows: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        """Run the model on a batch of windows; blocks until the outputs are there.

        Args:
            windows: float32 `[n, length, channels]` in engineering units, NaN = missing.

        Returns:
            The outputs by name, each with `n` as its first axis: `value` `[n]`, `score` `[n]`,
            `probabilities` `[n, classes]`, as far as the manifest lists them.

        Raises:
            ModelFailedError: the graph fails on the windows, or its outputs have another number of
                rows. The session can be used again.
            TimedOutError: the flag `terminate` was set in the options. The session can be used
                again after `renew_options`.
        """
        count = len(windows)
        try:
            arrays = run_graph(self._session, self._names, windows, self.options)
        except InferenceError as exc:
            if self.options.terminate:
                message = f"{self._name}: an inference of {count} windows took too long"
                raise TimedOutError(f"{message}: {exc}") from exc
            raise ModelFailedError(f"{self._name}: {exc}") from exc
        for name, array in zip(self._names, arrays, strict=True):
            if array.shape[:1] != (count,):
                found = f"'{name}' has the shape {list(array.shape)} for {count} windows"
                raise ModelFailedError(f"{self._name}: no batch axis in an output: {found}")
        return dict(zip(self._names, arrays, strict=True))

    def renew_options(self) -> None:
        """Use new options, because the flag `terminate` of the old ones may have been set."""
        self.options = RunOptions()

    @property
    def _name(self) -> str:
        return f"{self.manifest.stream}#{self.manifest.seq}"

    def replay_golden(self, content: bytes) -> float:
        """Check that the model answers the golden windows here as it did where it was trained.

        Args:
            content: bytes of `golden.npz`.

        Returns:
            The largest absolute difference in a float output.

        Raises:
            BundleError: the golden vectors cannot be read.
            GoldenMismatchError: an output differs by more than the manifest's tolerance.
            IncompatibleBundleError: the graph fails on the golden windows.
        """
        golden = read_golden(content, self.manifest)
        try:
            outputs = self.run(golden.windows)
        except InferenceError as exc:
            message = f"the graph fails on its own golden windows: {exc}"
            raise IncompatibleBundleError(message) from exc
        return compare(golden.outputs, outputs, self.manifest.golden)


def _check_graph(session: InferenceSession, manifest: Manifest) -> None:
    marks = session.get_modelmeta().custom_metadata_map
    if (marks.get("stream"), marks.get("seq")) != (manifest.stream, str(manifest.seq)):
        found = f"{marks.get('stream')}#{marks.get('seq')}"
        raise IncompatibleBundleError(
            f"the metadata of the graph name stream and seq {found}, another bundle's"
        )
    inputs = session.get_inputs()
    length, width = manifest.window.length, len(manifest.channels)
    if [found.name for found in inputs] != [INPUT] or inputs[0].type != _ORT_TYPES["float32"]:
        found = ", ".join(f"{i.name} {i.type}" for i in inputs)
        raise IncompatibleBundleError(f"input must be float32 '{INPUT}', found {found}")
    if len(inputs[0].shape) != 3 or inputs[0].shape[1:] != [length, width]:  # noqa: PLR2004  rank of [batch, length, channels]
        raise IncompatibleBundleError(
            f"input must be [batch, {length}, {width}], found {inputs[0].shape}"
        )
    given = {output.name: output.type for output in session.get_outputs()}
    for output in manifest.outputs:
        if given.get(output.name) != _ORT_TYPES[output.dtype]:
            raise IncompatibleBundleError(
                f"output '{output.name}' must be {output.dtype}, the graph has {given}"
            )
