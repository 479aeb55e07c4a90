"""Learning-rate schedules as factors of the starting rate."""

from stargan_deploy.training.recipe import ScheduleName

OFFICIAL_UPDATE_EVERY = 1000
OFFICIAL_DECAY_STEPS = 100_000


def learning_rate_factor(name: ScheduleName, step: int, num_steps: int) -> float:
    """The factor in [0, 1] at a step counted from 0.

    "paper" is constant for the first half and falls linearly to zero over the second (StarGAN,
    appendix: the last 100,000 of 200,000 iterations). "official" is what the official code's last
    version does: in the last 100,000 iterations it lowers the rate by 1/100,000, but only once
    every 1,000 iterations, so that at the end 99.9% of the rate is left.
    """
    if name == "constant":
        return 1.0
    if name == "official":
        start = max(0, num_steps - OFFICIAL_DECAY_STEPS)
        done = step // OFFICIAL_UPDATE_EVERY - start // OFFICIAL_UPDATE_EVERY
        return 1.0 - max(0, done) / OFFICIAL_DECAY_STEPS
    half = num_steps / 2
    return min(1.0, (num_steps - step) / (num_steps - half))
