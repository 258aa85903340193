"""Plain PyTorch, as a good PyTorch programmer writes it for this one network.

The loop and the implicit gradient are written by hand: no autograd, every product goes into a
buffer that exists already, and bias and scale go along inside the product (addmm). One adjoint
solve with unit residual serves the gradient and the kernel. Samples are rows, so that norms run
along memory.

Cold: Z starts at Phi, L at D o u, which cost no product. Warm: both start at the previous epoch's.
"""

import math

import torch

MAX_SWEEPS = 1000


class TorchLoop:
    def __init__(self, problem, tolerance, threads, warm):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.A, self.W, self.u, self.v, self.X, self.y = (
            torch.from_numpy(array.copy())
            for array in (
                problem.A,
                problem.W,
                problem.u,
                problem.v,
                problem.inputs,
                problem.targets,
            )
        )
        self.s, self.root = problem.s, math.sqrt(problem.width)
        self.learning_rate, self.tolerance, self.warm = problem.learning_rate, tolerance, warm
        shape = (problem.samples, problem.width)
        self.Phi, self.Z, self.next_Z, self.D, self.L, self.next_L, self.Q, self.B = (
            torch.empty(shape) for _ in range(8)
        )
        self.XX = self.X @ self.X.T
        self.has_previous = False

    def is_close(self, following, current):
        """||f(z) - z|| <= tolerance ||f(z)|| for every row; overwrites `current`."""
        torch.sub(following, current, out=current)
        change = torch.linalg.vector_norm(current, dim=1)
        return bool((change <= self.tolerance * torch.linalg.vector_norm(following, dim=1)).all())

    def solve_forward(self):
        """Z = relu(s A Z + Phi); returns the number of products with A."""
        torch.mm(self.X, self.W.T, out=self.Phi).relu_().div_(self.root)
        if not (self.warm and self.has_previous):
            self.Z.copy_(self.Phi)
        for sweep in range(1, MAX_SWEEPS + 1):
            torch.addmm(self.Phi, self.Z, self.A.T, alpha=self.s, out=self.next_Z).relu_()
            self.Z, self.next_Z = self.next_Z, self.Z
            if self.is_close(self.Z, self.next_Z):
                return sweep
        raise RuntimeError("forward: the tolerance was not reached")

    def solve_adjoint(self):
        """L = D o Q, Q = u 1' + s A' L; returns the number of products with A'."""
        torch.sign(self.Z, out=self.D)  # Z >= 0: one where a unit is on
        # Warm: a unit that has just been switched on finds its value in Q, which is not masked.
        start = self.Q if self.warm and self.has_previous else self.u
        torch.mul(self.D, start, out=self.L)
        for sweep in range(1, MAX_SWEEPS + 1):
            torch.addmm(self.u, self.L, self.A, alpha=self.s, out=self.Q)
            torch.mul(self.D, self.Q, out=self.next_L)
            self.L, self.next_L = self.next_L, self.L
            if self.is_close(self.L, self.next_L):
                return sweep
        raise RuntimeError("adjoint: the tolerance was not reached")

    def epoch(self, gram):
        forward = self.solve_forward()
        r = torch.mv(self.Z, self.u).addmv_(self.Phi, self.v).sub_(self.y)
        adjoint = self.solve_adjoint()
        self.has_previous = True

        # B = Dphi o (L + v 1')
        torch.add(self.L, self.v, out=self.B).mul_(torch.sign(self.Phi, out=self.next_Z))
        record = {
            "loss": 0.5 * float(r.double().square().sum()),
            "sweeps_forward": forward,
            "sweeps_adjoint": adjoint,
        }
        if gram:
            # The kernel in single precision, its eigenvalues in double.
            eigenvalues = torch.linalg.eigvalsh(self.form_gram().double())
            record.update(lambda_min=float(eigenvalues[0]), lambda_max=float(eigenvalues[-1]))

        # theta <- theta - eta dloss/dtheta
        eta = self.learning_rate
        column = r[:, None]
        torch.mul(self.L, column, out=self.next_L)
        self.A.addmm_(self.next_L.T, self.Z, alpha=-eta * self.s)
        self.W.addmm_(self.B.mul_(column).T, self.X, alpha=-eta / self.root)
        self.u.addmv_(self.Z.T, r, alpha=-eta)
        self.v.addmv_(self.Phi.T, r, alpha=-eta)
        return record

    def form_gram(self):
        """H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi from the last solve."""
        ZZ = self.Z @ self.Z.T
        H = torch.mm(self.L, self.L.T).mul_(self.s**2).add_(1.0).mul_(ZZ)
        H.addcmul_(torch.mm(self.B, self.B.T), self.XX, value=1.0 / self.root**2)
        return H.addmm_(self.Phi, self.Phi.T)

    def ntk(self):
        """H at the current weights, from nothing."""
        self.solve_forward()
        self.solve_adjoint()
        torch.add(self.L, self.v, out=self.B).mul_(torch.sign(self.Phi, out=self.next_Z))
        return self.form_gram().numpy()

    def solution(self):
        """Solves at the current weights, as the next epoch would, and shows everything."""
        self.solve_forward()
        self.solve_adjoint()
        arrays = dict(A=self.A, W=self.W, u=self.u, v=self.v, Z=self.Z, adjoint=self.L)
        return {name: tensor.numpy() for name, tensor in arrays.items()}


def versions():
    return {"torch": torch.__version__}
