"""Bars over long work, on a terminal and away from one."""

import subprocess
import sys

from tests.terminal import Terminal

# As wide as training's, with a line that is printed meanwhile.
WORK = """
from training.progress_bar import bar_of, progress_bar
with bar_of("training", "epochs", "loss {task.fields[loss]}, validation 0.1234 (best 0.1234)") as bar:
    task = bar.add_task("", total=200, completed=100, loss="0.1234")
    for _ in range(20):
        bar.advance(task, 1)
    bar.refresh()
    print("a line", flush=True)
with progress_bar("rows", None, "rows") as advance:
    advance(7)
"""


def test_how_much_how_fast_and_how_long():
    """In eighty columns: done of all, the rate and the time left; lines of the work stay whole."""
    with Terminal([sys.executable, "-c", WORK], columns=80) as terminal:
        assert terminal.end() == 0
        shown = terminal.shown
    assert "training " in shown
    assert "120/200" in shown
    assert "epochs/s" in shown
    assert " left " in shown
    assert "a line\n" in shown
    # Nobody knew how many there would be: at the end they are all there were.
    assert "7/7" in shown


def test_silence_away_from_a_terminal():
    """Standard error stays empty, standard output has what the work printed."""
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")
