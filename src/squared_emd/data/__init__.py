"""Data sets as `datasets.Dataset` objects: one file for each data set, and drawn faces to try things on.

Import from the file that names the set, for instance `from squared_emd.data.adience import load_adience`:
a loader then costs nothing to those who do not use it.
"""
