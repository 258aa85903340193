"""What every contender starts from: data, weights, learning rate, in files that all of them read.

A problem is a directory with

    weights.npz    A (m, m), W (m, d), u (m), v (m), float32, as `train --weights` reads them
    inputs.npy     X' (n, d), float32, rows of unit length
    targets.npy    y (n), float32
    problem.json   gamma, tolerance, learning rate

A is drawn from the lattice law by default, widedeq's own default: round(32 x)/32 with x ~ N(0,1),
clipped at 127/32, which int8 holds exactly. `--law gaussian` draws N(0,1) itself.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
GAMMA = 0.5
TOLERANCE = 1e-6
SEED = 1


@dataclass(frozen=True)
class Case:
    name: str
    width: int
    samples: int
    data: str

    def title(self):
        return f"{self.data}, m = {self.width}, n = {self.samples}"


CASES = {
    case.name: case
    for case in (
        Case("digits", 1024, 360, "digits 0/1"),
        Case("mnist", 2048, 500, "MNIST 0/1"),
        Case("4096", 4096, 1000, "sphere"),
        Case("8192", 8192, 1000, "sphere"),
    )
}
TINY = Case("tiny", 64, 16, "sphere")


@dataclass(frozen=True)
class Problem:
    directory: Path
    A: np.ndarray
    W: np.ndarray
    u: np.ndarray
    v: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    gamma: float
    tolerance: float
    learning_rate: float

    @property
    def width(self):
        return self.A.shape[0]

    @property
    def samples(self):
        return self.inputs.shape[0]

    @property
    def s(self):
        return self.gamma / np.sqrt(self.width)


class NoData(Exception):
    """The files of a data set are not there."""


def two_classes(images, labels, samples):
    """Zeros and ones in file order, of unit length, with targets -1 and 1: widedeq's rule."""
    kept = np.flatnonzero(labels <= 1)[:samples]
    inputs = images[kept].reshape(len(kept), -1).astype(np.float64)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    return inputs, 2.0 * labels[kept] - 1.0


def digits(samples):
    folder = REPOSITORY / "host/data/digits"
    return two_classes(np.load(folder / "images.npy"), np.load(folder / "labels.npy"), samples)


def read_idx(path):
    """An IDX file of bytes: two zeros, 8, how many dimensions, each in 4 bytes, and the data."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def mnist(folder, samples):
    if folder is None:
        raise NoData("--mnist DIR was not given")
    for part in ("train", "t10k"):
        for ending in ("", ".gz"):
            images = Path(folder) / f"{part}-images-idx3-ubyte{ending}"
            labels = Path(folder) / f"{part}-labels-idx1-ubyte{ending}"
            if images.exists() and labels.exists():
                return two_classes(read_idx(images), read_idx(labels), samples)
    raise NoData(f"{folder} holds no MNIST files")


def sphere(samples, generator, dimensions=16):
    """Random points on the unit sphere with the smooth targets of `widedeq train --data sphere`."""
    inputs = generator.standard_normal((samples, dimensions))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    a, b = generator.standard_normal((2, dimensions))
    return inputs, (2.0 * np.sin(inputs @ a) + np.cos(2.0 * (inputs @ b))) / 3.0


def draw_recurrent(width, law, generator):
    A = generator.standard_normal((width, width), dtype=np.float32)
    if law == "lattice":
        A = np.clip(np.rint(32.0 * A), -127.0, 127.0) / np.float32(32.0)
    return A.astype(np.float32)


def create(directory, case, law, mnist_folder):
    """Writes the problem's arrays; the learning rate follows with `finish`. Raises NoData."""
    generator = np.random.default_rng(SEED)
    if case.data.startswith("digits"):
        inputs, targets = digits(case.samples)
    elif case.data.startswith("MNIST"):
        inputs, targets = mnist(mnist_folder, case.samples)
    else:
        inputs, targets = sphere(case.samples, generator)
    directory.mkdir(parents=True)
    np.save(directory / "inputs.npy", inputs.astype(np.float32))
    np.save(directory / "targets.npy", targets.astype(np.float32))
    m, d = case.width, inputs.shape[1]
    np.savez(
        directory / "weights.npz",
        A=draw_recurrent(m, law, generator),
        W=generator.standard_normal((m, d), dtype=np.float32),
        u=generator.standard_normal(m, dtype=np.float32),
        v=generator.standard_normal(m, dtype=np.float32),
    )


def finish(directory, learning_rate):
    (directory / "problem.json").write_text(
        json.dumps({"gamma": GAMMA, "tolerance": TOLERANCE, "learning_rate": learning_rate})
    )


def load(directory):
    directory = Path(directory)
    with np.load(directory / "weights.npz") as weights:
        arrays = {name: weights[name] for name in ("A", "W", "u", "v")}
    return Problem(
        directory=directory,
        inputs=np.load(directory / "inputs.npy"),
        targets=np.load(directory / "targets.npy"),
        **arrays,
        **json.loads((directory / "problem.json").read_text()),
    )
