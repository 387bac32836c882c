"""Published baselines of public datasets, quoted beside our own rows.

The Well: R. Ohana et al., "The Well: a large-scale collection of diverse physics simulations for machine learning",
2024, table of test VRMSE of the project's benchmark page. PDEBench: M. Takamoto et al., "PDEBench: an extensive
benchmark for scientific machine learning", 2022, supplement; those numbers were averaged over batches with the divisor
one too small (nb - 1), and are quoted as recalled, not checked against the document.
"""

from __future__ import annotations

from sciml.benchmark.row import Row

_WELL = "The Well, benchmark page (2024)"
_PDEBENCH = "PDEBench, supplement (2022), as recalled"

# Test VRMSE after one step: FNO, TFNO, U-Net, CNextU-Net.
_WELL_OPERATORS = ("FNO", "TFNO", "U-Net", "CNextU-Net")
_WELL_VRMSE: dict[str, tuple[float, ...]] = {
    "acoustic_scattering_maze": (0.5062, 0.5057, 0.0351, 0.0153),
    "active_matter": (0.3691, 0.3598, 0.2489, 0.1034),
    "convective_envelope_rsg": (0.0269, 0.0283, 0.0555, 0.0799),
    "euler_multi_quadrants_periodicBC": (0.4081, 0.4163, 0.1834, 0.1531),
    "gray_scott": (0.1365, 0.3633, 0.2252, 0.1761),
    "helmholtz_staircase": (0.00046, 0.00346, 0.01931, 0.02758),
    "MHD_64": (0.3605, 0.3561, 0.1798, 0.1633),
    "planetswe": (0.1727, 0.0853, 0.3620, 0.3724),
    "post_neutron_star_merger": (0.3866, 0.3793),
    "rayleigh_benard": (0.8395, 0.6566, 1.4860, 0.6699),
    "shear_flow": (1.189, 1.472, 3.447, 0.8080),
    "supernova_explosion_64": (0.3783, 0.3785, 0.3063, 0.3181),
    "turbulence_gravity_cooling": (0.2429, 0.2673, 0.6753, 0.2096),
    "turbulent_radiative_layer_2D": (0.5001, 0.5016, 0.2418, 0.1956),
    "turbulent_radiative_layer_3D": (0.5278, 0.5187, 0.3728, 0.3667),
    "viscoelastic_instability": (0.7212, 0.7102, 0.4185, 0.2499),
}

# nRMSE: U-Net, FNO.
_PDEBENCH_NRMSE: dict[str, tuple[float, float]] = {
    "2D_DarcyFlow_beta0.01_Train": (1.1, 2.5),
    "2D_DarcyFlow_beta0.1_Train": (1.8e-1, 2.2e-1),
    "2D_DarcyFlow_beta1.0_Train": (3.3e-2, 6.4e-2),
    "2D_DarcyFlow_beta10.0_Train": (8.2e-3, 1.2e-2),
    "2D_DarcyFlow_beta100.0_Train": (4.4e-3, 6.4e-3),
    "1D_diff-sorp_NA_NA": (1.5e-1, 1.7e-3),
    "2D_diff-react_NA_NA": (8.4e-1, 1.2e-1),
    "2D_rdb_NA_NA": (8.3e-2, 4.4e-3),
    "1D_Advection_Sols_beta0.1": (6e-2, 9e-3),
    "1D_Burgers_Sols_Nu0.001": (3.4e-1, 2.9e-2),
}


def published_rows(dataset: str) -> list[Row]:
    """The rows published for a dataset of this name, with ``published`` set; none for a dataset we do not know."""
    if dataset in _PDEBENCH_NRMSE:
        pairs = zip(("U-Net", "FNO"), _PDEBENCH_NRMSE[dataset])
        return [_row(dataset, operator, "pdebench/nRMSE", value, _PDEBENCH) for operator, value in pairs]
    name = next((known for known in _WELL_VRMSE if dataset.startswith(known)), None)
    if name is None:
        return []
    values = zip(_WELL_OPERATORS, _WELL_VRMSE[name])
    return [_row(dataset, operator, "the_well/VRMSE", value, _WELL) for operator, value in values]


def _row(dataset: str, operator: str, label: str, value: float, source: str) -> Row:
    return Row(dataset=dataset, operator=operator, metrics={label: value}, published=source)
