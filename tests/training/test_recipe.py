import pytest

from stargan_deploy.config import to_mapping
from stargan_deploy.errors import ConfigError, UsageError
from stargan_deploy.families.registry import FAMILIES, presets
from stargan_deploy.training.averaging import MovingAverage
from stargan_deploy.training.recipe import course_changes, differences, read_recipe, resolve_recipe
from stargan_deploy.training.schedule import learning_rate_factor
from stargan_deploy.training.session import plan_training


@pytest.mark.parametrize("name", presets())
def test_presets_resolve_and_survive_being_saved(name):
    changes = {"data": {"root": "somewhere"}} if name != "demo" else {}
    recipe = resolve_recipe({"preset": name, **changes} | changes)
    assert resolve_recipe(to_mapping(recipe)) == recipe


def test_the_paper_preset_is_the_paper_s_run():
    recipe = resolve_recipe({"preset": "celeba128", "data": {"root": "x"}})
    train, loss, model = recipe.train, recipe.loss, recipe.model
    assert (train.steps, train.batch_size, train.critic_steps) == (200_000, 16, 5)
    assert (train.generator_lr, train.discriminator_lr) == (1e-4, 1e-4)
    assert (train.beta1, train.beta2, train.schedule) == (0.5, 0.999, "paper")
    assert (loss.lambda_cls, loss.lambda_rec, loss.penalty_weight) == (1, 10, 10)
    assert (model.generator_conv_dim, model.generator_blocks) == (64, 6)
    assert (model.discriminator_conv_dim, model.discriminator_layers) == (64, 6)
    assert (recipe.data.image_size, recipe.data.crop_size) == (128, 178)


@pytest.mark.parametrize("family", sorted(presets().keys() & FAMILIES.keys()))
def test_a_family_alone_starts_from_its_own_preset(family):
    """DCGAN's once had StarGAN's batches of 16, 5 critic steps, crop of 178 and 200,000 steps."""
    data = {"data": {"root": "x"}}
    recipe = resolve_recipe({"family": family, **data})
    assert recipe == resolve_recipe({"preset": family, **data})
    changed = resolve_recipe({"family": family, **data, "train": {"steps": 7}})
    assert (changed.train.steps, changed.train.epochs) == (7, None)


def test_only_stargan_has_no_preset_of_its_name():
    assert FAMILIES.keys() - presets().keys() == {"stargan"}
    assert resolve_recipe({"family": "stargan"}) == resolve_recipe({})


def test_a_preset_that_is_named_goes_before_the_family_s():
    recipe = resolve_recipe({"preset": "dcgan", "family": "cgan", "data": {"root": "x"}})
    assert (recipe.name, recipe.family) == ("dcgan", "cgan")


@pytest.mark.parametrize(("size", "blocks"), [(128, 6), (200, 6), (256, 9), (512, 9)])
def test_cyclegan_s_blocks_follow_the_size_of_the_images(size, blocks):
    """The paper's appendix 7.2; there once were 6 at every size."""
    tables = {"preset": "cyclegan", "data": {"root": "x", "image_size": size}}
    recipe = resolve_recipe(tables)
    assert recipe.model.generator_blocks == blocks
    assert to_mapping(recipe)["model"]["generator_blocks"] == blocks
    told = resolve_recipe(tables | {"model": {"generator_blocks": 2}})
    assert told.model.generator_blocks == 2
    with pytest.raises(ConfigError, match=r"model.generator_blocks must be at least 1"):
        resolve_recipe(tables | {"model": {"generator_blocks": 0}})


def test_flags_and_words_change_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "demo"\n[train]\nsteps = 5\n')
    recipe = read_recipe(path, {"data": {"attributes": ["Male"]}}, ["loss.lambda_rec=5", "seed=4"])
    assert (recipe.name, recipe.seed, recipe.train.steps) == ("mine", 4, 5)
    assert recipe.data.attributes == ("Male",)
    assert recipe.loss.lambda_rec == 5.0


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"preset": "deom"}, "unknown preset 'deom'; did you mean 'demo'"),
        ({"preset": ["demo"]}, "unknown preset"),
        ({"family": ["gan"]}, "family must be a string"),
        ({"family": "gan3"}, "unknown model family 'gan3'"),
        ({"model": {"generator_conv": 3}}, "did you mean 'model.generator_conv_dim'"),
        ({"loss": {"adversarial": "wgan"}}, "did you mean 'wgan-gp'"),
        ({"train": {"steps": 0}}, "train.steps must be at least 1"),
        ({"train": {"beta1": 1.0}}, "train.beta1 must lie in"),
        ({"data": {"kind": "celeba"}}, "data.root is needed"),
        ({"model": {"generator_blocks": 0}}, "model.generator_blocks must be at least 1"),
        ({"seed": -1}, "seed cannot be negative"),
    ],
)
def test_what_does_not_fit_is_refused(tables, complaint):
    with pytest.raises(ConfigError, match=complaint):
        resolve_recipe(tables)


@pytest.mark.parametrize("family", ["gan", "dcgan", "cgan", "pix2pix"])
def test_wgan_gp_is_refused_where_there_is_no_penalty(family):
    """It once trained a critic that nothing bounded."""
    tables = {"preset": family, "data": {"root": "x"}}
    words = "loss.adversarial cannot be 'wgan-gp': it needs a gradient penalty"
    with pytest.raises(ConfigError, match=words):
        resolve_recipe(tables | {"loss": {"adversarial": "wgan-gp"}})
    for name in ("minimax", "nonsaturating", "lsgan", "hinge"):
        recipe = resolve_recipe(tables | {"loss": {"adversarial": name}})
        assert recipe.loss.adversarial == name


def test_sizes_that_the_networks_cannot_take_are_refused_before_anything_runs():
    recipe = resolve_recipe({"preset": "demo", "data": {"image_size": 50, "num_synthetic": 2}})
    with pytest.raises(UsageError, match="the nearest are 48 and 64"):
        plan_training(recipe)


def test_differences_ignore_length_and_output():
    base = resolve_recipe({"preset": "demo"})
    longer = resolve_recipe({"preset": "demo", "train": {"steps": 9}, "output": {"log_every": 9}})
    other = resolve_recipe({"preset": "demo", "loss": {"lambda_gp": 1, "adversarial": "hinge"}})
    assert differences(base, longer) == course_changes(base, longer) == []
    assert differences(base, other) == ["loss.adversarial: wgan-gp -> hinge"]
    assert course_changes(base, other) == ["loss.lambda_gp: None -> 1.0"]


@pytest.mark.parametrize(
    ("written", "typed", "expected"),
    [
        ("", "train.steps=30", (30, None)),
        ("[train]\nepochs = 50", "train.steps=30", (30, None)),
        ("[train]\nsteps = 30", "train.beta1=0.4", (30, None)),
        ("[train]\nsteps = 30", "train.epochs=2", (30, 2.0)),
    ],
)
def test_the_length_that_was_asked_for_last_holds(tmp_path, written, typed, expected):
    """The preset has a length in epochs, which once went before whatever was said in steps."""
    path = tmp_path / "recipe.toml"
    path.write_text(f'preset = "pix2pix"\n{written}\n')
    train = read_recipe(path, {}, [typed], roots=["somewhere"]).train
    assert (train.steps, train.epochs) == expected


def test_schedules():
    factors = [learning_rate_factor("paper", step, 200) for step in (0, 100, 150, 199)]
    assert factors == [1.0, 1.0, 0.5, pytest.approx(0.01)]
    assert learning_rate_factor("constant", 199, 200) == 1.0
    official = [learning_rate_factor("official", s, 200_000) for s in (0, 99_999, 101_000, 199_999)]
    assert official == [1.0, 1.0, 1 - 1e-5, 1 - 99e-5]


def test_the_average_follows_slowly_after_a_quick_start():
    import torch

    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = MovingAverage(network, 0.99)
    torch.nn.init.ones_(network.weight)
    average.update(network)
    assert average.weights["weight"].item() == pytest.approx(0.9)
    average.num_updates = 10_000
    torch.nn.init.constant_(network.weight, 2.0)
    average.update(network)
    assert average.weights["weight"].item() == pytest.approx(0.9 + 0.01 * 1.1)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("train.lr=1", "did you mean 'train.generator_lr' or 'train.discriminator_lr'?"),
        ("lr=1", "did you mean 'train.generator_lr' or 'train.discriminator_lr'?"),
        ("steps=200", "unknown setting 'steps'; did you mean 'train.steps'?"),
        ("data.steps=3", "did you mean 'train.steps'?"),
        ("batch-size=3", "did you mean 'train.batch_size'?"),
        ("lambda_rec=3", "did you mean 'loss.lambda_rec'?"),
        ("model.blocks=3", "did you mean 'model.generator_blocks'?"),
        ("train.seed=3", "did you mean 'seed'?"),
        ("train.zzz=3", "unknown setting 'train.zzz'; known: train.generator_lr"),
        ("family=cyclegann", "did you mean 'cyclegan'?"),
        ("family=cyclegan", "'demo' is of the family stargan, not cyclegan; set preset=cyclegan"),
    ],
)
def test_a_wrong_setting_leads_to_the_right_one(assignment, said):
    with pytest.raises(ConfigError) as caught:
        read_recipe(None, {}, [assignment])
    assert said in str(caught.value)


def test_another_family_by_its_preset():
    assert read_recipe(None, {}, ["preset=cyclegan", "data.root=x"]).family == "cyclegan"
