"""JAX: a whole epoch is one compiled function, solves included, and its buffers are donated.

Forward and adjoint are `lax.while_loop`s; the gradient is the implicit one, through the adjoint's
fixed point. Samples are rows. Cold and warm starts as in torch_loop.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MAX_SWEEPS = 1000


def iterate(f, z, tolerance, seen=lambda z: z):
    """Applies f until every row of seen(z) changes by at most `tolerance` of its length; how often."""

    def unfinished(carry):
        _, residual, sweeps = carry
        return (residual > tolerance) & (sweeps < MAX_SWEEPS)

    def sweep(carry):
        z, _, sweeps = carry
        following = f(z)
        change = jnp.linalg.norm(seen(following) - seen(z), axis=1)
        residual = jnp.max(change / jnp.linalg.norm(seen(following), axis=1))
        return following, residual, sweeps + 1

    z, _, sweeps = lax.while_loop(unfinished, sweep, (z, jnp.float32(jnp.inf), 0))
    return z, sweeps


def solve(weights, start, X, s, tolerance):
    """Phi, Z, L and Q = u 1' + s A' L as the last sweep has it, and the products with A and A'.

    `start` is the last epoch's Z and Q, or None for a cold start.
    """
    A, W, u, _ = weights
    Phi = jnp.maximum(X @ W.T, 0.0) / np.float32(np.sqrt(A.shape[0]))
    Z, forward = iterate(
        lambda Z: jnp.maximum(s * (Z @ A.T) + Phi, 0.0),
        Phi if start is None else start[0],
        tolerance,
    )
    on = Z > 0.0

    def masked(Q):
        return jnp.where(on, Q, 0.0)

    Q, adjoint = iterate(
        lambda Q: u + s * (masked(Q) @ A),
        jnp.broadcast_to(u, Z.shape) if start is None else start[1],
        tolerance,
        masked,
    )
    return Phi, Z, masked(Q), Q, forward, adjoint


def form_gram(v, Phi, Z, L, X, s):
    """H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi"""
    B = jnp.where(Phi > 0.0, L + v, 0.0)
    ZZ = Z @ Z.T
    injected = (B @ B.T) * (X @ X.T) / Z.shape[1]
    return s**2 * (L @ L.T) * ZZ + injected + ZZ + Phi @ Phi.T


# The weights and the last solution are donated: the new ones take their memory.
@partial(jax.jit, donate_argnums=(0, 1), static_argnames=("warm", "gram"))
def epoch(weights, start, X, y, s, eta, tolerance, warm, gram):
    A, W, u, v = weights
    Phi, Z, L, Q, forward, adjoint = solve(weights, start, X, s, tolerance)
    r = Z @ u + Phi @ v - y
    H = form_gram(v, Phi, Z, L, X, s) if gram else None

    B = jnp.where(Phi > 0.0, L + v, 0.0)
    L_r, B_r = L * r[:, None], B * r[:, None]
    weights = (
        A - eta * s * (L_r.T @ Z),
        W - eta / np.float32(np.sqrt(A.shape[0])) * (B_r.T @ X),
        u - eta * (r @ Z),
        v - eta * (r @ Phi),
    )
    return weights, (Z, Q) if warm else None, r, H, forward, adjoint


@jax.jit
def ntk(weights, X, s, tolerance):
    Phi, Z, L, _, _, _ = solve(weights, None, X, s, tolerance)
    return form_gram(weights[3], Phi, Z, L, X, s)


class Jax:
    def __init__(self, problem, tolerance, threads, warm):
        # XLA takes as many threads as the process may use cores; machine.start has seen to that.
        del threads
        self.weights = tuple(
            jnp.array(array) for array in (problem.A, problem.W, problem.u, problem.v)
        )
        self.X, self.y = jnp.array(problem.inputs), jnp.array(problem.targets)
        self.s, self.learning_rate = np.float32(problem.s), np.float32(problem.learning_rate)
        self.tolerance, self.warm = np.float32(tolerance), warm
        # A warm run starts where a cold one does, so that one compiled function serves all epochs.
        self.start = None
        if warm:
            Phi = np.maximum(problem.inputs @ problem.W.T, 0.0) / np.float32(np.sqrt(problem.width))
            self.start = (jnp.array(Phi), jnp.array(np.broadcast_to(problem.u, Phi.shape)))

    def epoch(self, gram):
        self.weights, self.start, r, H, forward, adjoint = epoch(
            self.weights, self.start, self.X, self.y, self.s, self.learning_rate, self.tolerance,
            self.warm, gram,
        )  # fmt: skip
        record = {
            "loss": 0.5 * float(np.square(np.asarray(r, np.float64)).sum()),
            "sweeps_forward": int(forward),
            "sweeps_adjoint": int(adjoint),
        }
        jax.block_until_ready(self.weights)
        if gram:
            # The kernel in single precision, its eigenvalues in double.
            eigenvalues = np.linalg.eigvalsh(np.asarray(H, np.float64))
            record.update(lambda_min=float(eigenvalues[0]), lambda_max=float(eigenvalues[-1]))
        return record

    def ntk(self):
        return np.asarray(ntk(self.weights, self.X, self.s, self.tolerance))

    def solution(self):
        _, Z, L, _, _, _ = jax.jit(solve)(self.weights, self.start, self.X, self.s, self.tolerance)
        arrays = dict(zip(("A", "W", "u", "v"), self.weights, strict=True), Z=Z, adjoint=L)
        return {name: np.asarray(array) for name, array in arrays.items()}


def versions():
    return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}
