"""QuaDMix: merged scores and draws by percentile (Liu et al., arXiv:2504.16511, section 3).

A document of group d with the scores q_1 ... q_N gets the merged score

    q = sum_n alpha[n, d] * sigma(q_n)

and r, the part of its group's tokens that is better. It is drawn in proportion to

    S(r) = (2 / (1 + exp(-lambda * (omega - r)))) ** eta + epsilon   where r <= omega, else epsilon

Readings and choices of ours:

- In the paper smaller is better. Our labels mostly say the reverse, so the file says of each score
  which end is better, and sigma turns it round. Inside, a small merged score is a good one.
- sigma brings the scores to one scale. It must be a function of one document, for each part is
  worked on alone; so the file gives `center` and `scale` (mean and standard deviation over a
  sample, say), and sigma(x) = (x - center) / scale.
- The group of a mixture is the domain of the paper; where a stage has length buckets, the domain
  is the (group, bucket) cell, so that a bucket whose documents are all worse than those of another
  can still give its share.
- Percentiles are weighted by tokens and exact over the whole corpus, not from a sample.
- S is used up to a factor: budget and shares say how many tokens the group gives, and the cap on
  epochs bounds it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures.errors import MixtureError, listed
from mixtures.weighting import Parameters, Sampling

Floats = npt.NDArray[np.float64]

_FLAT_FROM: Final = 20.0
"""From this many units of 1/lambda below omega, S is its limit 2**eta to 8 digits."""

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)


def merged_score(
    parameters: Parameters,
    scores: list[Floats],
    group: pa.DictionaryArray,
    asked: npt.NDArray[np.bool_],
    place: str,
) -> Floats:
    """Merges the scores of each document by the alpha of its group.

    Args:
        parameters: Of the stage.
        scores: One float64[n] for each score, in the order of `parameters.scores`.
        group: dictionary<int32, string>[n].
        asked: bool[n], documents that need a score.
        place: Of the stage, for error texts.

    Returns:
        float64[n], smaller is better; 0 where not asked.

    Raises:
        MixtureError: A group of a document that is asked for has no parameters, or a merged score
            is not finite.
    """
    names: list[str] = group.dictionary.to_pylist()
    samplings = [parameters.of(name) for name in names]
    codes = group.indices.to_numpy()
    known = np.array([sampling is not None for sampling in samplings], np.bool_)
    unknown = asked & ~known[codes] if len(names) else asked
    if unknown.any():
        lacking = sorted({names[code] for code in np.unique(codes[unknown])})
        raise MixtureError(
            f"{place}.weight.quadmix.groups: found no parameters for {listed(lacking)}; allowed: "
            "parameters for every group; add them, or add '*' for all that are not named"
        )
    merged = np.zeros(len(codes))
    for (name, one), score in zip(parameters.scores.items(), scores, strict=True):
        alphas = np.array([sampling.alpha[name] if sampling else 0.0 for sampling in samplings])
        sign = -1.0 if one.better == "larger" else 1.0
        if len(alphas):
            merged += alphas[codes] * sign * (score - one.center) / one.scale
    merged[~asked] = 0.0
    if not np.isfinite(merged).all():
        raise MixtureError(
            f"{place}.weight.quadmix: found a merged score of {merged[~np.isfinite(merged)][0]}; "
            "allowed: finite numbers; give a larger scale or a smaller alpha"
        )
    return merged


def mean_repeats(sampling: Sampling, start: Floats, width: Floats) -> Floats:
    """Means of S over intervals of percentiles.

    Documents of one bin share their interval, which may be wide (all scores equal: from 0 to 1), so
    the value in its middle would not do.

    Args:
        sampling: lambda, omega, eta and epsilon.
        start: float64[n], from 0, the better end of each interval.
        width: float64[n], above 0.

    Returns:
        float64[n]: of `(integral of S over the interval) / width`, by Gauss and Legendre over the
        bend and exactly beside it.
    """
    bend = 0.0
    if sampling.lambda_ * sampling.omega > _FLAT_FROM:
        bend = sampling.omega - _FLAT_FROM / sampling.lambda_
    # As parts of the interval, so that one of 1e-15 of all tokens loses no digits.
    flat = np.clip((bend - start) / width, 0, 1)
    curved = np.clip((sampling.omega - start) / width, 0, 1) - flat
    at = start[:, None] + width[:, None] * (flat[:, None] + curved[:, None] * (1 + _NODES) / 2)
    heights = (2.0 / (1.0 + np.exp(-sampling.lambda_ * (sampling.omega - at)))) ** sampling.eta
    mean_height = heights @ _NODE_WEIGHTS / 2
    means: Floats = flat * 2.0**sampling.eta + curved * mean_height + sampling.epsilon
    return means
