import pytest
import torch

from stargan_deploy.errors import ModelError
from stargan_deploy.families.checkpoint import load_checkpoint
from stargan_deploy.families.stargan.networks_in import networks_in
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer
from tests.tiny_families import tiny_family_recipe, train_family, write_data


@pytest.fixture
def start(tiny_recipe, tmp_path, caplog):
    """Makes a trainer that starts from a checkpoint, and the lines it logs."""

    def make(path, **changes):
        caplog.set_level("INFO", "stargan_deploy")
        recipe = tiny_recipe(**changes)
        trainer = create_trainer(recipe, Run(tmp_path / "new"), init_from=path)
        return trainer.objective.networks, caplog.messages

    return make


def test_matching_labels_keep_their_channels(tiny_trainer, start):
    path = tiny_trainer(data={"attributes": ["Male", "Young", "Smiling"]}).train()
    old = load_checkpoint(path).tensors
    networks, told = start(path, data={"attributes": ["Blond_Hair", "Young", "Male"]})
    first, before = networks["generator"].main[0].weight, old["generator.main.0.weight"]
    head, head_before = networks["discriminator"].conv2.weight, old["discriminator.conv2.weight"]
    assert torch.equal(first[:, :3], before[:, :3])
    assert torch.equal(first[:, 3 + 1], before[:, 3 + 1])
    assert torch.equal(first[:, 3 + 2], before[:, 3 + 0])
    assert torch.equal(head[1], head_before[1])
    assert torch.equal(head[2], head_before[0])
    assert not torch.equal(first[:, 3], before[:, 3 + 2])
    assert told == [
        "label Blond_Hair is new: it starts from scratch",
        "label Smiling of the checkpoint is dropped",
    ]


def test_more_labels_than_before(tiny_trainer, start):
    path = tiny_trainer(data={"attributes": ["Male"]}).train()
    networks, told = start(path, data={"attributes": ["Male", "Young"]})
    assert networks["generator"].main[0].weight.shape[1] == 5
    assert told == ["label Young is new: it starts from scratch"]


OFFICIAL_SHAPE = {
    "generator_conv_dim": 8,
    "generator_blocks": 2,
    "discriminator_conv_dim": 8,
    "discriminator_layers": 3,
}
FIVE = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]


def test_an_official_checkpoint_and_the_discriminator_beside_it(official, start):
    networks, told = start(
        official / "tiny-G.ckpt", data={"attributes": FIVE}, model=OFFICIAL_SHAPE
    )
    for role, file in (("generator", "tiny-G.ckpt"), ("discriminator", "tiny-D.ckpt")):
        state = networks[role].state_dict()
        assert all(
            torch.equal(state[k], v) for k, v in networks_in(official / file)[0].weights.items()
        )
    assert told == []


def test_an_official_generator_alone(official, start):
    _, told = start(official / "tiny-2018-G.ckpt", data={"attributes": FIVE}, model=OFFICIAL_SHAPE)
    assert told == ["the checkpoint holds no discriminator: it starts from scratch"]


@pytest.mark.parametrize("names", [["Male"], ["Male", "Young", "Smiling", *FIVE[:3]]])
def test_an_official_checkpoint_with_another_number_of_labels(official, start, names):
    """It once was refused."""
    networks, told = start(
        official / "tiny-G.ckpt", data={"attributes": names}, model=OFFICIAL_SHAPE
    )
    first = networks_in(official / "tiny-G.ckpt")[0].weights["main.0.weight"]
    assert torch.equal(networks["generator"].main[0].weight[:, :3], first[:, :3])
    head = networks_in(official / "tiny-D.ckpt")[0].weights["main.0.weight"]
    assert torch.equal(networks["discriminator"].main[0].weight, head)
    assert told[-1].startswith(
        f"the checkpoint has 5 labels without names, and this training {len(names)}: all of these"
    )


def test_other_shapes_are_refused(official, start):
    with pytest.raises(ModelError, match="the checkpoint's generator does not fit"):
        start(official / "tiny-G.ckpt", data={"attributes": FIVE})


def test_matching_classes_of_the_conditional_gan_keep_their_channels(tmp_path, caplog):
    """They once were refused as a size mismatch of the first layer."""
    path = train_family("cgan", tmp_path, train={"ema_decay": 0.0})
    old = load_checkpoint(path).tensors
    caplog.set_level("INFO", "stargan_deploy")
    recipe = tiny_family_recipe("cgan", tmp_path / "data", data={"attributes": ["2", "0"]})
    trainer = create_trainer(recipe, Run(tmp_path / "new"), init_from=path)
    first, before = (
        trainer.objective.networks["generator"].generator.main[0].weight,
        old["generator.generator.main.0.weight"],
    )
    assert (first.shape[0], before.shape[0]) == (6 + 2, 6 + 3)
    assert torch.equal(first, before[[0, 1, 2, 3, 4, 5, 6 + 2, 6 + 0]])
    first, before = (
        trainer.objective.networks["discriminator"].discriminator.main[0].weight,
        old["discriminator.discriminator.main.0.weight"],
    )
    assert torch.equal(first, before[:, [0, 1 + 2, 1 + 0]])
    assert caplog.messages == ["label 1 of the checkpoint is dropped"]
    assert trainer.train().is_file()


def test_networks_of_another_shape_are_refused_with_other_classes_too(tmp_path):
    """A wider noise with fewer classes once would have fitted by chance."""
    path = train_family("cgan", tmp_path)
    for model in ({"latent_width": 7}, {"generator_conv_dim": 3}):
        changes = {"data": {"attributes": ["2", "0"]}, "model": model}
        recipe = tiny_family_recipe("cgan", tmp_path / "data", **changes)
        with pytest.raises(ModelError, match="the checkpoint's generator does not fit"):
            create_trainer(recipe, Run(tmp_path / "new"), init_from=path)


def test_a_checkpoint_of_another_family_is_refused_by_name(tmp_path, tiny_trainer, official):
    """The message once listed the missing keys of its networks."""
    data = write_data("dcgan", tmp_path / "digits")
    recipe = tiny_family_recipe("dcgan", data)
    words = "is of the family stargan, and this training is of the family dcgan"
    for start in (tiny_trainer().train(), official / "tiny-G.ckpt"):
        with pytest.raises(ModelError, match=words):
            create_trainer(recipe, Run(tmp_path / "new"), init_from=start)


@pytest.mark.parametrize("inside", [".", "checkpoints"])
def test_a_folder_stands_for_its_newest_whole_checkpoint(tiny_trainer, start, inside):
    path = tiny_trainer().train()
    old = load_checkpoint(path).tensors
    (path.parent / "step-0000009.safetensors").write_bytes(b"torn")
    networks, _ = start(path.parent.parent / inside)
    assert torch.equal(networks["generator"].main[0].weight, old["generator.main.0.weight"])


def test_a_folder_of_a_finished_model(tiny_trainer, start):
    run = tiny_trainer().train().parent.parent
    for path in run.glob("checkpoints/*"):
        path.unlink()
    start(run)
    (run / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no whole checkpoint"):
        start(run)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"generator_blocks": 2},
            r"the checkpoint's generator does not fit: generator_blocks 1 -> 2;",
        ),
        ({"discriminator_layers": 4}, "discriminator does not fit: discriminator_layers 3 -> 4;"),
        (
            {"generator_conv_dim": 8, "discriminator_conv_dim": 8},
            "generator_conv_dim 4 -> 8, discriminator_conv_dim 4 -> 8;",
        ),
    ],
)
def test_other_networks_are_refused_by_their_settings(tiny_trainer, start, model, said):
    """It once printed lists of tensors."""
    path = tiny_trainer().train()
    for labels in ([], ["Male"]):
        with pytest.raises(ModelError, match=said):
            start(path, model=model, data={"attributes": labels})
