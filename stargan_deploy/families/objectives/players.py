"""Players and phases as the recipe's `train` table has them, for families with the usual two."""

from stargan_deploy.families.objectives.base import Phase, Player
from stargan_deploy.training.recipe import Recipe, TrainConfig


def discriminator_player(train: TrainConfig, *networks: str) -> Player:
    """Moves at every step; its network is "discriminator" where none is named."""
    return Player(
        name="discriminator",
        networks=networks or ("discriminator",),
        learning_rate=train.discriminator_lr,
        betas=(train.beta1, train.beta2),
    )


def generator_player(train: TrainConfig, *networks: str) -> Player:
    """Moves after every `critic_steps` steps; its network is "generator" where none is named."""
    return Player(
        name="generator",
        networks=networks or ("generator",),
        learning_rate=train.generator_lr,
        betas=(train.beta1, train.beta2),
        every=train.critic_steps,
    )


def single_phase(recipe: Recipe, num_steps: int) -> tuple[Phase, ...]:
    """The whole training at one image size and batch size."""
    size, batch_size = recipe.data.image_size, recipe.train.batch_size
    return (Phase(num_steps=num_steps, image_size=size, batch_size=batch_size),)
