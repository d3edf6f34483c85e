"""Ground distances between classes: learned from centroids, given, saved with a model."""
