"""The truth in float64 NumPy: training as the formulas say, and the residuals of a given solution.

Samples are rows here, as in every file that is exchanged: Z, L and Phi are (n, m), so that
P = s A Z + Phi of the textbook reads P = s Z A' + Phi.
"""

import numpy as np

# Far below every tolerance that is checked against.
REFERENCE_TOLERANCE = 1e-13
MAX_SWEEPS = 1000


class Reference:
    """Gradient descent on A, W, u, v from the problem's start."""

    def __init__(self, problem):
        self.A, self.W, self.u, self.v, self.X, self.y = (
            array.astype(np.float64)
            for array in (
                problem.A,
                problem.W,
                problem.u,
                problem.v,
                problem.inputs,
                problem.targets,
            )
        )
        self.s = problem.s
        self.root = np.sqrt(problem.width)
        self.learning_rate = problem.learning_rate

    def solve(self):
        """Phi, Z = relu(s A Z + Phi), L = D o (u 1' + s A' L)."""
        Phi = np.maximum(self.X @ self.W.T, 0.0) / self.root
        Z = iterate(lambda Z: np.maximum(self.s * (Z @ self.A.T) + Phi, 0.0), Phi)
        D = self.s * (Z @ self.A.T) + Phi > 0.0
        L = iterate(lambda L: D * (self.u + self.s * (L @ self.A)), D * self.u)
        return Phi, Z, L

    def epoch(self):
        """One step of gradient descent; returns the loss before it."""
        Phi, Z, L = self.solve()
        r = Z @ self.u + Phi @ self.v - self.y
        B = (Phi > 0.0) * (L + self.v)
        eta = self.learning_rate
        self.A -= eta * self.s * ((L * r[:, None]).T @ Z)
        self.W -= eta / self.root * ((B * r[:, None]).T @ self.X)
        self.u -= eta * (r @ Z)
        self.v -= eta * (r @ Phi)
        return 0.5 * float(r @ r)

    def gram(self):
        """H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi, (n, n)."""
        Phi, Z, L = self.solve()
        B = (Phi > 0.0) * (L + self.v)
        ZZ = Z @ Z.T
        injected = (B @ B.T) * (self.X @ self.X.T) / self.root**2
        return self.s**2 * (L @ L.T) * ZZ + injected + ZZ + Phi @ Phi.T


def iterate(f, z):
    for _ in range(MAX_SWEEPS):
        following = f(z)
        residual = np.linalg.norm(following - z, axis=1) / np.linalg.norm(following, axis=1)
        z = following
        if residual.max() <= REFERENCE_TOLERANCE:
            return z
    raise RuntimeError("the float64 reference does not converge: gamma is too large")


def residuals(solution, inputs, gamma):
    """The worst per-sample relative residuals of a solution at its own weights, in float64.

    `solution` holds A, W, u and the rows Z, adjoint. An entry of P within rounding of zero, 2e-6
    ||z||, may be on in single precision and off in double, and either is right: there D is read off
    the adjoint, which is zero where the unit is off. Elsewhere D is the sign of P.
    """
    A, W, u, Z, L = (solution[name].astype(np.float64) for name in ("A", "W", "u", "Z", "adjoint"))
    m = A.shape[0]
    s = gamma / np.sqrt(m)
    P = s * (Z @ A.T) + np.maximum(inputs.astype(np.float64) @ W.T, 0.0) / np.sqrt(m)
    length = np.linalg.norm(Z, axis=1)
    forward = np.linalg.norm(np.maximum(P, 0.0) - Z, axis=1) / length

    on = np.where(np.abs(P) <= 2e-6 * length[:, None], L != 0.0, P > 0.0)
    adjoint = np.linalg.norm(on * (u + s * (L @ A)) - L, axis=1) / np.linalg.norm(L, axis=1)
    return float(forward.max()), float(adjoint.max())
