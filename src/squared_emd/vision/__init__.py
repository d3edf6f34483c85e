"""Networks of the paper, image transforms and flip averaging.

Importing this package registers the networks `alxs`, `alx` and `res` with timm.
"""

from . import paper_networks as paper_networks
