"""The integration with `transformers.Trainer`.

`EMDTrainer`, `EMDTrainingArguments` and `GroundDistanceCallback` are imported from `squared_emd`. `DataOrderMixin`
(`data_order`) and `CheckpointingMixin` (`checkpointing`) also serve a plain `Trainer`. Each is imported from its own
module, because that of `Trainer` takes seconds.
"""
