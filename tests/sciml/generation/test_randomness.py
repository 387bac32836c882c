import torch

from sciml.generation.randomness import draw, trajectory_generator


def normals(seed, trajectory):
    return torch.randn(64, generator=trajectory_generator(seed, trajectory))


def test_a_trajectory_is_a_function_of_seed_and_index():
    assert torch.equal(normals(3, 7), normals(3, 7))
    different = [normals(3, 7), normals(3, 8), normals(4, 7), normals(7, 3)]
    assert all(not torch.equal(a, b) for i, a in enumerate(different) for b in different[:i])


def test_neighbouring_trajectories_are_uncorrelated():
    rows = torch.stack([torch.randn(4096, generator=trajectory_generator(0, k)) for k in range(16)])
    correlation = torch.corrcoef(rows) - torch.eye(16)
    assert correlation.abs().max() < 5 / 4096**0.5


def test_draws_are_uniform_between_their_bounds():
    values = torch.tensor([draw(0, k, "viscosity", (2.0, 6.0), log=False) for k in range(2000)])
    assert values.min() >= 2 and values.max() <= 6
    assert abs(values.mean() - 4) < 5 * 4 / 12**0.5 / 2000**0.5
    assert abs(values.std() - 4 / 12**0.5) < 0.05


def test_log_draws_are_uniform_in_the_logarithm():
    values = torch.tensor([draw(0, k, "viscosity", (1e-4, 1e-2), log=True) for k in range(2000)]).log10()
    assert values.min() >= -4 - 1e-6 and values.max() <= -2 + 1e-6
    assert abs(values.mean() + 3) < 0.07


def test_parameters_are_drawn_apart_from_each_other():
    pairs = [[draw(0, k, name, (0.0, 1.0), log=False) for name in ("density", "pressure")] for k in range(2000)]
    assert abs(float(torch.corrcoef(torch.tensor(pairs).T)[0, 1])) < 5 / 2000**0.5
