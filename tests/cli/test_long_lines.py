"""Long lines: broken on a terminal, whole in a pipe."""

from __future__ import annotations

import pytest
from harness import LAB, Project
from terminal import Terminal

LONG = "A description of many words, as people write them who want to be understood by everybody else"


@pytest.fixture
def wordy(project: Project) -> Project:
    """A stack whose plan has a long line."""
    project.write("lab.toml", f'description = "{LONG}"\n{LAB}')
    return project


def test_a_terminal_gets_lines_that_fit(wordy: Project) -> None:
    """Broken between words and indented, results and errors; the lines that tools parse stay whole."""
    with Terminal("plan", cwd=wordy.path, columns=50) as terminal:
        assert terminal.ended() == 0
        assert (
            '    + description = "A description of many words,\n'
            "      as people write them who want to be\n"
            '      understood by everybody else"\n'
        ) in terminal.text
        assert "\nPlan: 1 to add, 0 to change, 0 to destroy.\n" in terminal.text
    with Terminal("show", "nothing", cwd=wordy.path, columns=50) as terminal:
        assert terminal.ended() == 64
        assert max(map(len, terminal.text.splitlines())) <= 50


def test_a_pipe_gets_whole_lines(wordy: Project) -> None:
    """Whatever COLUMNS says: who reads them wants one line for one thing."""
    wordy.environment["COLUMNS"] = "50"
    assert f'    + description = "{LONG}"\n' in wordy.run("plan").succeeded().out
    assert max(map(len, wordy.run("show", "nothing").err.splitlines())) > 50
