"""How far two sets of images are apart, and how varied one is, by their features.

The Fréchet distance is that of the Gaussians with the sets' moments (Heusel et al., NeurIPS 2017,
eq. 6; FID where the features are those of its Inception network):

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))

The kernel distance (KID) is the unbiased estimate of the squared maximum mean discrepancy with the
kernel (x'y / D + 1)^3, over random subsets (Binkowski et al., ICLR 2018, section 4). Precision is
the share of made images within the manifold of the real ones, recall that of real images within
the manifold of the made ones; a manifold is balls that reach from each image to its k-th neighbour
(Kynkäänniemi et al., NeurIPS 2019, section 3).

Shape legend: N rows, D features, G photos, R images made of each.
"""

import numpy as np

from stargan_deploy.errors import UsageError
from stargan_deploy.evaluation.feature_set import Doubles, FeatureSet, Floats, Moments
from stargan_deploy.evaluation.results import Figure

NUM_GROUPS = 10
"""Groups of rows that the jackknife leaves out in turn."""

GROUPS_QUANTILE = 2.262
"""97.5 % quantile of Student's t with `NUM_GROUPS` - 1 degrees of freedom."""

NORMAL_QUANTILE = 1.96
"""97.5 % quantile of the normal distribution."""

LEAST_SUBSET = 10
"""Rows of the smallest subset that a kernel distance is estimated on."""

BLOCK = 1024
"""Rows whose distances to all others are in memory at once."""


def frechet(mean_a: Doubles, cov_a: Doubles, mean_b: Doubles, cov_b: Doubles) -> float:
    """The Fréchet distance of two Gaussians, given means (D,) and covariances (D, D)."""
    return _frechet_to(mean_a, cov_a, mean_b, cov_b, _root(cov_b))


def frechet_distance(a: FeatureSet, b: FeatureSet) -> Figure:
    """The Fréchet distance of two sets, which grows as they differ.

    The interval is a jackknife over groups of both sets' rows. It covers the spread from image to
    image, and not the bias of few images, by which the distance is too large: only distances of
    equally many images can be compared.

    Raises:
        UsageError: a set has not more images than features, so that its covariance is singular; or
            the sets have different features.
    """
    _check_widths(a, b)
    for each in (a, b):
        if each.count <= each.width:
            raise UsageError(
                f"a Fréchet distance on {each.width} features needs at least {each.width + 1} "
                f"images in each set, not {each.count}",
                hint="give more, or take the kernel distance, which is unbiased for few",
            )
    root_a, root_b = _root(a.covariance), _root(b.covariance)
    value = _frechet_to(a.mean, a.covariance, b.mean, b.covariance, root_b)
    variance = _jackknife_variance(a, b, root_b) + _jackknife_variance(b, a, root_a)
    reach = GROUPS_QUANTILE * variance**0.5
    return Figure(
        value=value, low=max(0.0, value - reach), high=value + reach, num=min(a.count, b.count)
    )


def kernel_distance(
    a: FeatureSet,
    b: FeatureSet,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> Figure:
    """The kernel distance of two sets: the mean over subsets; unbiased, and so at times below zero.

    The interval follows from the spread over subsets of m of n images, which is that of the whole
    estimate times sqrt((n - m) / m) (Politis, Romano, Wolf 1999, with a finite population).

    Args:
        a: a set.
        b: another one.
        subsets: how many subsets are drawn of both.
        subset_size: images in each, at most half of those that are kept.
        seed: decides the subsets.

    Raises:
        UsageError: a set is too small, or the sets have different features.
    """
    _check_widths(a, b)
    rows_a, rows_b = a.rows.astype(np.float64), b.rows.astype(np.float64)
    least = min(len(rows_a), len(rows_b))
    size = min(subset_size, least // 2)
    if size < LEAST_SUBSET:
        raise UsageError(
            f"a kernel distance needs at least {2 * LEAST_SUBSET} images in each set, not {least}"
        )
    random = np.random.default_rng(seed)
    found = [
        _unbiased_discrepancy(*(_some(rows, size, random) for rows in (rows_a, rows_b)))
        for _ in range(subsets)
    ]
    value, spread = float(np.mean(found)), float(np.std(found, ddof=1))
    reach = NORMAL_QUANTILE * spread * (size / (least - size)) ** 0.5
    return Figure(value=value, low=value - reach, high=value + reach, num=least)


def precision_recall(
    real: FeatureSet, made: FeatureSet, *, neighbours: int = 3
) -> tuple[Figure, Figure]:
    """How many made images look real, and how much of the real images' variety is made.

    Wilson's intervals for shares, given the two manifolds.

    Raises:
        UsageError: a set has too few images, or the sets have different features.
    """
    _check_widths(real, made)
    centre = real.mean
    rows = [(each.rows - centre).astype(np.float32) for each in (real, made)]
    for each in rows:
        if len(each) <= neighbours:
            raise UsageError(
                f"precision and recall need at least {neighbours + 1} images in each set, "
                f"not {len(each)}"
            )
    reals, mades = rows
    precision = _share_within(mades, reals, _reaches(reals, neighbours))
    recall = _share_within(reals, mades, _reaches(mades, neighbours))
    return _share(precision, len(mades)), _share(recall, len(reals))


def diversity(features_GRD: Floats) -> Doubles:
    """How different the images made of each photo are: the mean distance of pairs of them (G,).

    Features are brought to unit length before, as LPIPS does (Zhang et al., CVPR 2018), so that
    distances are from 0 to 2.

    Raises:
        UsageError: there is one image per photo only.
    """
    num_images = features_GRD.shape[1]
    if num_images < 2:
        raise UsageError(f"diversity needs two images of each photo at least, not {num_images}")
    unit = _unit(features_GRD)
    similarity = np.einsum("grd,gsd->grs", unit, unit)
    first, second = np.triu_indices(num_images, k=1)
    squares = np.clip(2 - 2 * similarity[:, first, second], 0, None)
    distances: Doubles = np.sqrt(squares).mean(axis=1)
    return distances


def cosine(a_ND: Floats, b_ND: Floats, centre_D: Floats | float = 0.0) -> Doubles:
    """The cosine of the angle between two features of each image, (N,) in [-1, 1].

    Args:
        a_ND: features of some images.
        b_ND: features of other versions of them.
        centre_D: where angles are seen from. Features share a direction, in which even different
            images agree; seen from the mean of many images, different ones score 0 on average.
    """
    cosines: Doubles = (_unit(a_ND - centre_D) * _unit(b_ND - centre_D)).sum(axis=-1)
    return cosines


def _unit(features: Floats) -> Doubles:
    doubles = features.astype(np.float64)
    lengths = np.linalg.norm(doubles, axis=-1, keepdims=True)
    unit: Doubles = doubles / np.maximum(lengths, np.finfo(np.float64).tiny)
    return unit


def _check_widths(a: FeatureSet, b: FeatureSet) -> None:
    if a.width != b.width:
        raise UsageError(f"{a.width} features cannot be compared with {b.width} others")


def _root(cov: Doubles) -> Doubles:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(cov)
    root: Doubles = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def _frechet_to(
    mean_a: Doubles, cov_a: Doubles, mean_b: Doubles, cov_b: Doubles, root_b: Doubles
) -> float:
    """The distance, given the root of the second covariance.

    C_a C_b and C_b^(1/2) C_a C_b^(1/2) have the same eigenvalues, and the latter is symmetric.
    """
    values = np.linalg.eigvalsh(root_b @ cov_a @ root_b)
    between = np.sqrt(np.clip(values, 0, None)).sum()
    offset = mean_a - mean_b
    return float(offset @ offset + np.trace(cov_a) + np.trace(cov_b) - 2 * between)


def _jackknife_variance(varied: FeatureSet, fixed: FeatureSet, root: Doubles) -> float:
    """Variance of the distance due to one set; `root` is that of the other's covariance."""
    rows = varied.rows
    whole = Moments.around(varied.mean)
    groups = []
    for number in range(NUM_GROUPS):
        group = Moments.around(varied.mean)
        group.add(rows[number::NUM_GROUPS])
        whole.add(rows[number::NUM_GROUPS])
        groups.append(group)
    mean, cov = fixed.mean, fixed.covariance
    left = (whole.without(group) for group in groups)
    found = [_frechet_to(each.mean, each.covariance, mean, cov, root) for each in left]
    share_kept = len(rows) / varied.count
    return float((NUM_GROUPS - 1) * np.var(found)) * share_kept


def _some(rows: Doubles, size: int, random: np.random.Generator) -> Doubles:
    chosen: Doubles = rows[random.choice(len(rows), size, replace=False)]
    return chosen


def _unbiased_discrepancy(x: Doubles, y: Doubles) -> float:
    """The squared maximum mean discrepancy of equally many rows (Gretton et al., 2012, eq. 4)."""
    num, width = x.shape

    def kernel(a: Doubles, b: Doubles) -> Doubles:
        cubes: Doubles = (a @ b.T / width + 1) ** 3
        return cubes

    within = [(k.sum() - np.trace(k)) / (num * (num - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(sum(within) - 2 * kernel(x, y).mean())


def _squares(some: Floats, others: Floats) -> Floats:
    """Squared distances, (rows of the one, rows of the other)."""
    products = some @ others.T
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * products
    clipped: Floats = np.clip(squares, 0, None)
    return clipped


def _reaches(rows: Floats, neighbours: int) -> Floats:
    """Squared distances to each row's k-th neighbour, itself apart."""
    blocks = (
        np.partition(_squares(rows[start : start + BLOCK], rows), neighbours, axis=1)[:, neighbours]
        for start in range(0, len(rows), BLOCK)
    )
    return np.concatenate(list(blocks))


def _share_within(rows: Floats, centres: Floats, reaches: Floats) -> float:
    """The share of rows that lie in a ball around one of the centres."""
    num_inside = sum(
        int((_squares(rows[start : start + BLOCK], centres) <= reaches).any(axis=1).sum())
        for start in range(0, len(rows), BLOCK)
    )
    return num_inside / len(rows)


def _share(value: float, num: int) -> Figure:
    """A share of a number of images with Wilson's interval."""
    z2 = NORMAL_QUANTILE**2
    middle = (value + z2 / (2 * num)) / (1 + z2 / num)
    reach = NORMAL_QUANTILE * (value * (1 - value) / num + z2 / (4 * num**2)) ** 0.5
    reach /= 1 + z2 / num
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return Figure(value=value, low=low, high=high, num=num)
