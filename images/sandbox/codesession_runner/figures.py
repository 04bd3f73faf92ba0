"""Figures that a program shows, or leaves open when it ends, become PNG files in the workspace.

Where there is no window to show them in, `pyplot.show` does nothing, and the plot would be lost. A figure
that the program has saved itself is not saved a second time, unless it was changed since. A program that
does not import pyplot pays nothing for this.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PYPLOT = "matplotlib.pyplot"
_MOST = 100_000

_saved: weakref.WeakSet[Any] = weakref.WeakSet()
"""Figures that are as some file shows them."""
_watched: weakref.WeakSet[Any] = weakref.WeakSet()
_directory = "."
_owner = 0


def watch() -> None:
    """Have pyplot tell what is shown and saved, now or as soon as it is imported."""
    if _PYPLOT in sys.modules:
        _hook(sys.modules[_PYPLOT])
    else:
        sys.meta_path.insert(0, _Finder())


def belong_to(directory: str) -> None:
    """Save figures to that directory, and those that are left open for this process alone."""
    global _directory, _owner
    _directory, _owner = directory, os.getpid()


def save_open() -> None:
    """Save the figures that were left open and are in no file as they are."""
    if os.getpid() == _owner:
        _save_all()


class _Finder:
    """Finds pyplot as all others would, and hooks into it once it is executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PYPLOT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_hook(module: ModuleType) -> None:
                execute(module)
                _hook(module)

            spec.loader.exec_module = execute_and_hook  # type: ignore[method-assign]
        return spec


def _hook(pyplot: Any) -> None:
    def show(*args: object, **options: object) -> None:
        """Save all open figures and close them, as one does by hand where they are windows."""
        _save_all()
        pyplot.close("all")

    base = sys.modules["matplotlib.backend_bases"].FigureCanvasBase
    pyplot.show = functools.wraps(pyplot.show)(show)
    base.print_figure = _noting(base.print_figure)
    pyplot.Figure.draw = _unchanged_by(pyplot.Figure.draw)


def _noting(print_figure: Callable[..., Any]) -> Callable[..., Any]:
    """`print_figure`, which all ways of saving a figure lead to."""

    @functools.wraps(print_figure)
    def noting(canvas: Any, *args: Any, **options: Any) -> Any:
        result = print_figure(canvas, *args, **options)
        _note(canvas.figure)
        return result

    return noting


def _unchanged_by(draw: Callable[..., Any]) -> Callable[..., Any]:
    """`Figure.draw`, which moves things about, but changes nothing of what is to be seen."""

    @functools.wraps(draw)
    def drawing(figure: Any, *args: Any, **options: Any) -> Any:
        saved = figure in _saved
        result = draw(figure, *args, **options)
        if saved:
            _saved.add(figure)
        return result

    return drawing


def _note(figure: Any) -> None:
    """Take a figure as saved until something in it changes."""
    _saved.add(figure)
    if figure in _watched:
        return
    _watched.add(figure)
    before = figure.stale_callback

    def changed(artist: Any, stale: bool) -> None:
        _saved.discard(figure_of())
        if before is not None:
            before(artist, stale)

    figure_of = weakref.ref(figure)
    figure.stale_callback = changed


def _save_all() -> None:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    for manager in helpers.Gcf.get_all_fig_managers() if helpers else ():
        figure = manager.canvas.figure
        if figure not in _saved and len(figure.get_children()) > 1:  # more than its background
            _save(figure, manager.num)


def _save(figure: Any, number: int) -> None:
    """What is wrong with a figure is told as an error of its program's, which does not end with it."""
    image = io.BytesIO()
    try:
        figure.savefig(image, format="png", bbox_inches="tight")
        _write(image.getvalue())
    except Exception as error:
        _note(figure)
        print(f"figure {number} was not saved: {error!r}", file=sys.stderr)  # noqa: T201


def _write(data: bytes) -> None:
    """A file under the next free number, whole or not at all."""
    for number in range(1, _MOST):
        path = Path(_directory, f"figure-{number}.png")
        with contextlib.suppress(FileExistsError), path.open("xb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:
                path.unlink()
                raise
            return
    raise FileExistsError("too many figures")
