"""The presets are the settings of the original implementations, as looked up there."""

from stargan_deploy.card.labels import NO_LABELS
from stargan_deploy.families.objectives.base import ObjectiveRequest
from stargan_deploy.families.registry import load_family
from stargan_deploy.training.recipe import resolve_recipe


def preset(name):
    return resolve_recipe({"preset": name, "data": {"root": "x"}})


def phases(recipe):
    request = ObjectiveRequest(
        model=recipe.model,
        loss=recipe.loss,
        labels=NO_LABELS,
        image_size=recipe.data.image_size,
        batch_size=recipe.train.batch_size,
        num_steps=recipe.train.steps,
    )
    return load_family(recipe.family).create_objective(request).phases


def test_gan_has_the_batch_of_goodfellows():
    """goodfeli/adversarial, mnist.yaml: batch_size 100; sgd.py moves both players at each batch."""
    train = preset("gan").train
    assert (train.batch_size, train.critic_steps) == (100, 1)
    assert preset("gan").loss.adversarial == "nonsaturating"


def test_pix2pix_is_the_authors():
    """phillipi/pix2pix, train.lua: loadSize 286, fineSize 256, batchSize 1, niter 200, flip 1, lr
    0.0002, beta1 0.5, lambda 100, ngf and ndf 64."""
    recipe = preset("pix2pix")
    train, data = recipe.train, recipe.data
    assert (data.image_size + data.jitter, data.image_size, data.flip) == (286, 256, True)
    assert (train.batch_size, train.epochs, train.beta1, train.beta2) == (1, 200, 0.5, 0.999)
    assert (train.generator_lr, train.discriminator_lr, train.critic_steps) == (2e-4, 2e-4, 1)
    assert (recipe.loss.adversarial, recipe.loss.lambda_l1) == ("nonsaturating", 100)
    assert (recipe.model.generator_conv_dim, recipe.model.discriminator_conv_dim) == (64, 64)


def test_cyclegan_is_the_authors():
    """junyanz/CycleGAN, options.lua: loadSize 143, fineSize 128, batchSize 1, flip 1, lr 0.0002,
    beta1 0.5, resnet_6blocks, n_layers_D 3, lambda 10, lambda_identity 0.5, ngf and ndf 64, and as
    many epochs at the first rate as falling (niter and niter_decay 100)."""
    recipe = preset("cyclegan")
    train, data, model = recipe.train, recipe.data, recipe.model
    assert (data.image_size + data.jitter, data.image_size, data.flip) == (143, 128, True)
    assert (train.batch_size, train.beta1, train.beta2, train.schedule) == (1, 0.5, 0.999, "paper")
    assert (train.generator_lr, train.discriminator_lr, train.critic_steps) == (2e-4, 2e-4, 1)
    assert (recipe.loss.lambda_cycle, recipe.loss.lambda_identity) == (10, 0.5)
    assert (model.generator_blocks, model.discriminator_halvings) == (6, 3)
    assert (model.generator_conv_dim, model.discriminator_conv_dim) == (64, 64)


def test_progan_is_the_papers():
    """Karras 2018, appendix A.1, and tkarras/progressive_growing_of_gans, config.py of the branch
    original-theano-version: Adam (0, 0.99) at 0.001, n_critic 1, 16 images up to 128x128,
    G_smoothing 0.999, fmap_base 8192, fmap_max 512, latent_size 512; drift 0.001."""
    recipe = preset("progan")
    train, model = recipe.train, recipe.model
    assert (train.beta1, train.beta2, train.critic_steps) == (0, 0.99, 1)
    assert (train.generator_lr, train.discriminator_lr) == (1e-3, 1e-3)
    assert (train.batch_size, train.schedule, train.ema_decay) == (16, "constant", 0.999)
    assert (model.base_features, model.max_features, model.latent_width) == (8192, 512, 512)
    assert (recipe.loss.lambda_gp, recipe.loss.drift) == (10, 0.001)


def test_progan_shows_800_000_images_a_half_stage():
    """Appendix A.1: 800k images at 4x4, then 800k to fade each block in and 800k to settle."""
    shown = [phase.num_steps * phase.batch_size for phase in phases(preset("progan"))]
    assert shown == [800_000, *[1_600_000] * 5]
