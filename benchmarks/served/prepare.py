"""Makes the models that the contenders serve: pickle and graph of the forest, and a registry.

`python -m benchmarks.served.prepare FOLDER` runs as a process of its own, so that the benchmark
itself shares no library pages with the contenders whose memory it measures.
"""

import pickle
import sys
from pathlib import Path

from benchmarks.load.workload import BLOCKS, GRAPH, KEYS, PICKLE, REGISTRY, ROWS, SCALARS
from benchmarks.served import bundle, forest, vibration
from serving.publishing import repository
from serving.publishing.keys import Keys

_FORESTS = ((ROWS, 1), (ROWS, 2), (SCALARS, 1))
"""Shape and seq of each forest; one stream has two, which can be swapped."""


def main() -> None:
    """Train the forest, write it in all forms, and publish the bundles."""
    folder = Path(sys.argv[1])
    trees = forest.fitted()
    (folder / PICKLE).write_bytes(pickle.dumps(trees))
    (folder / GRAPH).write_bytes(forest.graph(trees, ROWS, 1))
    keys = Keys(folder / KEYS)
    repository.init(folder / REGISTRY, keys)
    served = [(forest.model(trees, shape, seq), shape, seq) for shape, seq in _FORESTS]
    served += [(vibration.model(shape, 1), shape, 1) for shape in BLOCKS]
    for model, shape, seq in served:
        repository.publish(folder / REGISTRY, bundle.write(folder, model, shape, seq), keys)


if __name__ == "__main__":
    main()
