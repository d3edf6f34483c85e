"""Networks of the paper, image transforms and flip averaging."""
