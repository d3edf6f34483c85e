"""The integration with `transformers.Trainer`."""
