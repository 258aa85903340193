"""torchdeq (0.1.0): its forward solvers, its implicit gradient (ift), PyTorch's own SGD.

What its interface lets one say, and what not:

- f_tol and b_tol with stop mode "rel" ask for ||f(z) - z|| <= tol ||f(z)|| of every sample, which
  is the tolerance meant here. fixed_point_iter and anderson return f(z) of the z they have
  measured, broyden z itself. What they really reach is measured afterwards (reference.residuals),
  and trials.py tightens the tolerance of one that misses it. A solver that does not converge in
  max_iter iterations returns the best it has seen and says nothing.
- anderson's regularisation `lam` is absolute, 1e-4 by default. Near the solution the squared
  residuals are 1e-12, far below it: the mixing then degenerates to an average of the last six
  iterates. The option "lam" gives another value through `register_solver`, the library's own way.
- The forward start can be given, so a warm start is a matter of passing the last Z. The backward
  solver always gets a start of zeros; a registered solver that replaces it is what "warm" uses.
- The backward solve is that of the loss: G = u r' + s A' (D o G), whose L is D o G with each column
  divided by its r_j. A warm start therefore takes the last G / r' times the new r': without that,
  samples whose r_j changes much would start further away than zero is.
- No closed form of the kernel comes with the library, so it takes no part in epochs with a Gram.
"""

import math

import torch
from torchdeq import get_deq
from torchdeq.solver import get_solver, register_solver

# Broyden keeps two m-vectors of every iteration for every sample, hence a limit that is not higher.
MAX_ITERATIONS = 60


class TorchDeq:
    def __init__(self, problem, tolerance, threads, solver, warm, solver_options=None):
        torch.set_num_threads(threads)
        arrays = (problem.A, problem.W, problem.u, problem.v)
        self.parameters = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in arrays]
        self.optimizer = torch.optim.SGD(self.parameters, lr=problem.learning_rate)
        self.X, self.y = torch.from_numpy(problem.inputs), torch.from_numpy(problem.targets)
        self.s, self.root, self.warm = problem.s, math.sqrt(problem.width), warm
        self.Z = self.Q = None

        solve = get_solver(solver)
        solver_options = solver_options or {}

        def forward(func, x0, **arguments):
            return solve(func, x0, **arguments, **solver_options)

        def backward(func, x0, **arguments):
            """Solves for G, from the last epoch's where that is wanted; keeps Q = G / r'."""

            def counted(x):
                self.products_adjoint += 1
                return func(x)

            r = self.r[:, None]
            start = self.Q * r if self.warm and self.Q is not None else x0
            result = solve(counted, start, **arguments, **solver_options)
            self.Q = result[0] / r
            return result

        register_solver("compared-forward", forward)
        register_solver("compared-backward", backward)
        self.deq = get_deq(
            core="indexing", ift=True, f_solver="compared-forward", b_solver="compared-backward",
            f_max_iter=MAX_ITERATIONS, b_max_iter=MAX_ITERATIONS, f_tol=tolerance, b_tol=tolerance,
            f_stop_mode="rel", b_stop_mode="rel",
        )  # fmt: skip

    def evaluate(self):
        """Forward, loss and gradient at the current weights; returns the loss."""
        A, W, u, v = self.parameters
        self.products_forward = self.products_adjoint = 0
        self.optimizer.zero_grad(set_to_none=True)
        Phi = torch.relu(self.X @ W.T) / self.root

        def f(Z):
            """relu(s A Z + Phi)"""
            self.products_forward += 1
            return torch.relu(torch.addmm(Phi, Z, A.T, alpha=self.s))

        self.apply = f
        start = self.Z if self.warm and self.Z is not None else Phi.detach()
        Z = self.deq(f, start)[0][-1]
        self.Z = Z.detach()
        r = Z @ u + Phi @ v - self.y
        self.r = r.detach()
        (0.5 * r.square().sum()).backward()
        return 0.5 * float(self.r.double().square().sum())

    def epoch(self, gram):
        if gram:
            raise ValueError("torchdeq has no kernel")
        loss = self.evaluate()
        self.optimizer.step()
        return {
            "loss": loss,
            "sweeps_forward": self.products_forward,
            "sweeps_adjoint": self.products_adjoint,
        }

    def solution(self):
        self.evaluate()
        # The library's adjoint takes D from one more application of f to Z.
        with torch.no_grad():
            adjoint = self.Q * (self.apply(self.Z) > 0.0)
        arrays = dict(zip(("A", "W", "u", "v"), self.parameters, strict=True))
        arrays.update(Z=self.Z, adjoint=adjoint)
        return {name: tensor.detach().numpy() for name, tensor in arrays.items()}


def versions():
    from importlib.metadata import version

    return {"torch": torch.__version__, "torchdeq": version("torchdeq")}
