"""Players, updates and phases of families with a generator side and a discriminator side."""

from stargan_deploy.families.objectives.base import (
    ObjectiveRequest,
    OptimizerSettings,
    Phase,
    Player,
    Update,
)


def alternating(
    settings: OptimizerSettings,
    *,
    discriminators: tuple[str, ...] = ("discriminator",),
    generators: tuple[str, ...] = ("generator",),
    generator_first: bool = False,
) -> tuple[tuple[Player, ...], tuple[Update, ...]]:
    """A "discriminator" updated at every step, and a "generator" every `critic_steps` steps.

    Args:
        settings: learning rates and betas.
        discriminators: roles of the discriminator's networks.
        generators: roles of the generator's networks.
        generator_first: whether the generator's update comes first within a step.
    """
    betas = (settings.beta1, settings.beta2)
    discriminator = Player(
        name="discriminator",
        networks=discriminators,
        learning_rate=settings.discriminator_lr,
        betas=betas,
    )
    generator = Player(
        name="generator", networks=generators, learning_rate=settings.generator_lr, betas=betas
    )
    pairs = [
        (discriminator, own_update(discriminator)),
        (generator, own_update(generator, every=settings.critic_steps)),
    ]
    players, updates = zip(*(pairs[::-1] if generator_first else pairs), strict=True)
    return players, updates


def own_update(player: Player, *, every: int = 1) -> Update:
    """The update, of the player's name, that moves all networks of one player."""
    return Update(name=player.name, players=(player.name,), networks=player.networks, every=every)


def single_phase(request: ObjectiveRequest) -> tuple[Phase, ...]:
    """The whole training at one image size and batch size."""
    phase = Phase(
        num_steps=request.num_steps,
        image_size=request.image_size,
        batch_size=request.batch_size,
    )
    return (phase,)
