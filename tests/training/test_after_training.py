"""What a training leaves behind: nothing of ours on the model or among the callbacks, and D in the model's config."""

import copy
import io
import pickletools
import zipfile
from types import SimpleNamespace

import pytest
import torch
from tests.training.tiny import K, Network, arguments, images, samples, tiny_vit, train
from torch import nn
from transformers import PretrainedConfig, TrainerCallback

from squared_emd import EMDTrainer, load_ground_distance
from squared_emd.experiments.training import RunRecorder
from squared_emd.ground_distance import saved
from squared_emd.training import callbacks


def hooks_of(model):
    return [name for name, module in model.named_modules() if module._forward_hooks or module._forward_pre_hooks]


def ours_among(callbacks):
    return [callback for callback in callbacks if type(callback).__module__.startswith("squared_emd")]


class Watched(Network):
    """Notes the hooks on it at each forward pass."""

    def __init__(self):
        super().__init__(num_classes=6)  # as many as features: two layers might be the head
        self.hooks = []

    def forward(self, inputs):
        self.hooks.append((self.training, hooks_of(self)))
        return super().forward(inputs)


class Interrupt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        raise KeyboardInterrupt


def test_one_hook_while_training_and_none_after(tmp_path):
    model, data = Watched(), samples(num_classes=6)
    fields = {"num_train_epochs": 3, "jump_start_epochs": 2, "eval_strategy": "epoch"}
    trainers = [EMDTrainer(model, arguments(tmp_path, **fields), None, data, data) for _ in range(3)]
    between = []

    class Between(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            between.append(hooks_of(model))

    trainers[0].add_callback(Between())
    trainers[2].add_callback(Interrupt())
    for trainer in trainers[:2]:
        model.hooks.clear()
        trainer.train()
        (_, first), *others = [(training, hooks) for training, hooks in model.hooks if training]
        assert first == ["body", "head"] and all(hooks == ["head"] for _, hooks in others)
        assert not any(hooks for training, hooks in model.hooks if not training)
        assert hooks_of(model) == []
    assert between == [[]] * 9
    with pytest.raises(KeyboardInterrupt):
        trainers[2].train()
    assert hooks_of(model) == []
    assert not any(ours_among(trainer.callback_handler.callbacks) for trainer in trainers)


def names_in(model):
    """The modules that are imported where a model is loaded that `torch.save` has saved."""
    torch.save(model, stored := io.BytesIO())
    with zipfile.ZipFile(stored) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        arguments = [argument for _, argument, _ in pickletools.genops(archive.read(name))]
    return {argument.split(".")[0] for argument in arguments if isinstance(argument, str)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
def test_a_trained_model_is_quantized_exported_and_saved_as_any_other(tmp_path):
    model = train(tmp_path, tiny_vit(), images(), num_train_epochs=3).model.cpu().eval()
    assert "squared_emd" not in names_in(model) and "transformers" in names_in(model)
    inputs = torch.stack([sample["pixel_values"] for sample in images()[:2]])
    quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear})
    torch.testing.assert_close(quantized(inputs).logits, model(inputs).logits, atol=0.1, rtol=0.1)
    exported = torch.export.export(model, (inputs,)).module()
    torch.testing.assert_close(exported(inputs).logits, model(inputs).logits)


def test_callbacks_of_a_trainer_that_is_gone(tmp_path):
    def trained(callbacks):
        torch.manual_seed(0)
        args = arguments(tmp_path, jump_start_epochs=2)
        trainer = EMDTrainer(Network(), args, train_dataset=samples(), callbacks=callbacks)
        trainer.train()
        return trainer

    callbacks = trained([]).callback_handler.callbacks
    weights = trained(callbacks).model.state_dict()
    for name, weight in trained([]).model.state_dict().items():
        assert torch.equal(weights[name], weight), name


class Paired(TrainerCallback):
    """Sets up at the beginning what it uses at the end, as one may: of the run, and of each epoch."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.ended = []

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.began = True

    def on_epoch_end(self, args, state, control, **kwargs):
        assert self.began
        self.ended.append(state.global_step)
        self.began = False


def test_callbacks_of_a_run_that_is_resumed_where_an_epoch_ends(tmp_path):
    for resume, ended in ((None, [3, 6, 9]), ("checkpoint-6", [6, 9]), ("checkpoint-9", [9])):
        fields = {"num_train_epochs": 3, "jump_start_epochs": 2, "save_strategy": "steps", "save_steps": 3}
        trainer = EMDTrainer(Network(), arguments(tmp_path, **fields), train_dataset=samples())
        trainer.add_callback(paired := Paired())
        trainer.add_callback(recorder := RunRecorder(trainer.criterion, tmp_path))
        trainer.train(resume_from_checkpoint=resume and str(tmp_path / resume))
        assert paired.ended == ended
        assert trainer.criterion.epoch == 3
        assert recorder.epochs == [1, 2, 3]


def test_a_copy_of_a_trainer_trains(tmp_path):
    torch.manual_seed(0)
    trainer = EMDTrainer(Network(), arguments(tmp_path, jump_start_epochs=2), train_dataset=samples())
    twin = copy.deepcopy(trainer)
    twin.train()
    assert trainer.criterion.ground_distance is None and hooks_of(trainer.model) == []
    trainer.train()
    third = copy.deepcopy(trainer)
    third.train()
    assert torch.equal(twin.criterion.ground_distance, trainer.criterion.ground_distance)
    assert third.criterion.ground_distance is not trainer.criterion.ground_distance


@pytest.mark.parametrize("config", [None, SimpleNamespace(width=6), PretrainedConfig(num_labels=K)])
def test_a_module_with_any_config(tmp_path, config):
    model = Network()
    model.config = config
    trainer = train(tmp_path, model, num_train_epochs=3)
    trainer.save_model()
    torch.testing.assert_close(load_ground_distance(tmp_path), trainer.criterion.ground_distance, atol=1e-6, rtol=0)


def test_a_large_d_is_digested_once(tmp_path, monkeypatch):
    digests = []
    monkeypatch.setattr(callbacks, "MAX_CLASSES_IN_CONFIG", K - 1)
    monkeypatch.setattr(saved, "MAX_CLASSES_IN_CONFIG", K - 1)
    monkeypatch.setattr(saved, "_digest", lambda stored: digests.append(stored) or "digest")
    model = train(tmp_path, tiny_vit(), images(), num_train_epochs=3).model
    assert model.config.emd["ground_distance_sha256"] == "digest" and len(digests) == 1


class Saves(TrainerCallback):
    """Saves the model by itself, as one may where an epoch ends and after training."""

    def __init__(self, folder):
        self.folder = folder

    def on_epoch_end(self, args, state, control, model, **kwargs):
        model.save_pretrained(self.folder / str(round(state.epoch)))

    def on_train_end(self, args, state, control, model, **kwargs):
        model.save_pretrained(self.folder / "end")


def test_a_model_that_is_saved_without_the_trainer_has_its_d(tmp_path):
    fields = {"eval_strategy": "epoch", "save_strategy": "epoch", "metric_for_best_model": "aem"}
    fields |= {"jump_start_epochs": 2, "learning_rate": 0.5, "load_best_model_at_end": True}
    scores = iter([0.1, 0.2, 0.9, 0.3])
    trainer = EMDTrainer(
        tiny_vit(),
        arguments(tmp_path, **fields),
        train_dataset=images(),
        eval_dataset=images(),
        compute_metrics=lambda _: {"aem": next(scores)},
        callbacks=[Saves(tmp_path)],
    )
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "after")
    found = {name: load_ground_distance(tmp_path / name) for name in ("3", "4", "end", "after")}
    torch.testing.assert_close(found["after"], trainer.criterion.ground_distance, atol=1e-6, rtol=0)
    assert torch.equal(found["end"], found["after"]) and torch.equal(found["3"], found["after"])
    assert not torch.equal(found["4"], found["after"])
