"""The empirical kernel without a closed form: H = J J', J by automatic differentiation.

This stands in for neural-tangents, whose last version (0.6.5) does not import with a JAX as pinned
here: it needs `jax.core.Jaxpr` and `jax.util`, which JAX has removed. What its Jacobian contraction
does is this: differentiate the network's output for every sample, here through the equilibrium by
the implicit function theorem, and contract the n Jacobians over all parameters. J has
n (m^2 + m d + 2 m) entries, which is what limits the size: 1.6 GB at m = 1024, n = 360.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MAX_SWEEPS = 1000


def iterate(f, z, tolerance):
    """z = f(z) for one sample; under vmap, every sample stops by its own residual."""

    def unfinished(carry):
        _, residual, sweeps = carry
        return (residual > tolerance) & (sweeps < MAX_SWEEPS)

    def sweep(carry):
        z, _, sweeps = carry
        following = f(z)
        residual = jnp.linalg.norm(following - z) / jnp.linalg.norm(following)
        return following, residual, sweeps + 1

    return lax.while_loop(unfinished, sweep, (z, jnp.float32(jnp.inf), 0))[0]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def equilibrium(A, phi, s, tolerance):
    """z = relu(s A z + phi)"""
    return iterate(lambda z: jnp.maximum(s * (A @ z) + phi, 0.0), phi, tolerance)


def equilibrium_forward(A, phi, s, tolerance):
    z = equilibrium(A, phi, s, tolerance)
    return z, (A, z)


def equilibrium_backward(s, tolerance, saved, g):
    """adjoint = D o (g + s A' adjoint):  dA = s adjoint z',  dphi = adjoint"""
    A, z = saved
    on = z > 0.0
    start = jnp.where(on, g, 0.0)
    adjoint = iterate(lambda x: jnp.where(on, g + s * (A.T @ x), 0.0), start, tolerance)
    return s * jnp.outer(adjoint, z), adjoint


equilibrium.defvjp(equilibrium_forward, equilibrium_backward)


def output(weights, x, s, tolerance):
    A, W, u, v = weights
    phi = jnp.maximum(W @ x, 0.0) / np.float32(np.sqrt(A.shape[0]))
    return u @ equilibrium(A, phi, s, tolerance) + v @ phi


@partial(jax.jit, static_argnums=(2, 3))
def kernel(weights, X, s, tolerance):
    jacobians = jax.vmap(lambda x: jax.grad(output)(weights, x, s, tolerance))(X)
    flat = [jacobian.reshape(len(X), -1) for jacobian in jacobians]
    return sum(jacobian @ jacobian.T for jacobian in flat)


class JacobianContraction:
    def __init__(self, problem, tolerance, threads):
        # XLA takes as many threads as the process may use cores; machine.start has seen to that.
        del threads
        weights = (problem.A, problem.W, problem.u, problem.v)
        self.weights = tuple(jnp.array(array) for array in weights)
        self.X = jnp.array(problem.inputs)
        self.s, self.tolerance = float(problem.s), tolerance

    def ntk(self):
        return np.asarray(kernel(self.weights, self.X, self.s, self.tolerance))


def versions():
    return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}
