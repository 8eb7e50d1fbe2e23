"""Give an empty environment of ansible-test its pip, from what Python carries and the package index alone.

ansible-test downloads get-pip.py for this, from a host that not every machine may reach. It takes a file of that name
from its cache first: `tests/sanity/run` puts this one there.
"""

from __future__ import annotations

import runpy
import subprocess
import sys

if __name__ == "__main__":
    packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
    # In a process of its own: it makes the one that it runs in forget the settings of pip.
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    sys.argv = ["pip", "install", "--upgrade", *packages]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
