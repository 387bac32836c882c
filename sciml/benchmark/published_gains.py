"""The gains over FNO that Poseidon's paper prints, to stand beside our own.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024 (arXiv 2405.19101), tables 1 and 8; the
paper sums them up in table 9.
"""

from __future__ import annotations

from sciml.benchmark.gains import EfficiencyGain, Gains

MODELS = ("Poseidon-L", "Poseidon-B", "Poseidon-T", "CNO-FM", "MPP-B", "CNO", "scOT")

# EG, AG of each model.
PUBLISHED = {
    "NS-PwC": ((890.6, 24.7), (1024.0, 19.7), (1024.0, 19.8), (16.6, 3.3), (7.4, 2.3), (3.7, 1.5), (5.4, 2.0)),
    "NS-SVS": ((502.9, 7.3), (518.9, 7.9), (212.0, 6.1), (59.6, 3.1), (34.8, 2.2), (73.2, 3.4), (10.2, 1.2)),
    "NS-BB": ((552.5, 29.3), (816.0, 14.7), (365.0, 19.4), (10.6, 3.9), (4.6, 2.6), (2.7, 1.7), (3.4, 2.1)),
    "NS-SL": ((21.9, 5.5), (19.1, 4.7), (9.7, 3.7), (0.4, 0.8), (0.3, 0.8), (0.8, 1.2), (0.3, 0.8)),
    "NS-Tracer-PwC": ((49.8, 8.7), (20.4, 5.4), (35.1, 6.2), (17.8, 3.6), (8.5, 2.7), (4.6, 1.9), (4.6, 1.9)),
    "FNS-KF": ((62.5, 7.4), (16.1, 4.7), (77.9, 5.9), (13.2, 2.7), (2.0, 1.6), (3.1, 1.5), (3.3, 0.9)),
    "CE-RPUI": ((352.2, 6.5), (370.8, 6.2), (909.7, 5.8), (33.2, 2.3), (0.0, 1.2), (12.5, 1.8), (15.6, 2.1)),
    "CE-RM": ((4.6, 1.2), (3.1, 1.1), (2.8, 1.1), (0.6, 1.0), (0.0, 0.2), (1.7, 1.1), (0.4, 1.0)),
    "SE-AF": ((3.4, 1.2), (2.9, 1.2), (2.4, 1.1), (4.8, 1.3), (2.2, 1.1), (5.5, 1.5), (1.2, 1.0)),
    "GCE-RT": ((5.3, 2.0), (3.2, 1.5), (1.7, 1.2), (1.2, 1.0), (0.0, 0.3), (1.2, 1.4), (1.1, 1.1)),
    "Wave-Layer": ((46.5, 6.1), (24.9, 4.7), (14.5, 3.4), (5.6, 2.2), (0.0, 0.9), (11.4, 3.0), (13.0, 2.9)),
    "Wave-Gauss": ((62.1, 5.6), (29.3, 4.3), (19.5, 3.1), (6.0, 1.8), (0.0, 0.8), (14.0, 2.6), (9.2, 2.1)),
    "ACE": ((17.0, 11.6), (8.7, 6.5), (9.8, 7.2), (1.7, 2.0), (0.0, 0.3), (4.5, 4.6), (6.5, 5.2)),
    "Poisson-Gauss": ((42.5, 20.5), (24.4, 13.0), (18.2, 8.4), (25.0, 9.2), (17.0, 7.3), (21.1, 7.0), (9.8, 5.3)),
    "Helmholtz": ((78.3, 6.1), (64.7, 5.0), (64.7, 4.9), (54.0, 5.1), (22.4, 3.0), (68.9, 7.3), (60.4, 9.0)),
}

# Median EG, mean AG, tasks with EG > 10, tasks with AG > 2.
PUBLISHED_SUMMARY = {
    "Poseidon-L": (49.8, 9.58, 12, 13),
    "Poseidon-B": (24.4, 6.71, 11, 12),
    "Poseidon-T": (19.5, 6.49, 10, 12),
    "CNO-FM": (10.6, 2.91, 8, 10),
    "MPP-B": (2.0, 1.82, 3, 6),
    "CNO": (4.6, 2.61, 5, 6),
    "scOT": (5.4, 2.57, 4, 8),
}


def published_gains(*models: str) -> list[Gains]:
    """The published gains of some models, or of all.

    Raises:
        ValueError: a model that the table does not have.
    """
    for model in models:
        if model not in MODELS:
            raise ValueError(f"Expected models of {', '.join(MODELS)}, got {model!r}.")
    return [
        Gains(task, model, "FNO", EfficiencyGain(efficiency), accuracy, published=True)
        for task, values in PUBLISHED.items()
        for model, (efficiency, accuracy) in zip(MODELS, values)
        if not models or model in models
    ]
