"""Models on the Hub: the card, the upload."""
