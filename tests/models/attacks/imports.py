"""Packages of the project and of its environment."""

import importlib
import sys

from attempts import attempt

NAMES = ("pipelines", "annotators", "numpy", "pydantic", "pytest", "packaging", "pip", "setuptools")
for name in NAMES:
    attempt(f"import {name}", importlib.import_module, name)
print(
    "done",
    [path for path in sys.path if "site-packages" in path and __import__("os").listdir(path)],
)
