"""Hands matplotlib its font list: it looks for one in a directory that it can write to, which nothing in this
image is. Without it the first plot of every sandbox searches all fonts, seconds under gVisor."""

# Every interpreter runs this: importing pathlib would cost more than all of it.
# ruff: noqa: PTH103, PTH112, PTH118, PTH208, PTH211

import os

_BUILT = "/opt/codesession/matplotlib"
_HOME = os.environ.get("MPLCONFIGDIR")

if _HOME and not os.path.isdir(_HOME):
    try:
        os.makedirs(_HOME)
        for _name in os.listdir(_BUILT):
            os.symlink(os.path.join(_BUILT, _name), os.path.join(_HOME, _name))
    except OSError:
        pass  # matplotlib then makes a list of its own
