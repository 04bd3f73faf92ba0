"""What tools are called in programs, as LibreChat's client tells its model."""

from __future__ import annotations

import pytest

from codesession_api.ports import Tool
from codesession_api.programmatic.identifiers import identifier, named


@pytest.mark.parametrize(
    ("name", "python", "bash"),
    [
        ("get_weather", "get_weather", "get_weather"),
        ("get-weather", "get_weather", "get_weather"),
        ("get weather\tnow", "get_weather_now", "get_weather_now"),
        ("mcp.list", "mcplist", "mcp_list"),
        ("search@v2!", "searchv2", "searchv2"),
        ("2fast", "_2fast", "_2fast"),
        ("class", "class_tool", "class"),
        ("None", "None_tool", "None"),
        ("match", "match", "match"),
        ("done", "done", "done_tool"),
        ("for", "for_tool", "for_tool"),
        ("日本", "tool", "tool"),
        ("", "tool", "tool"),
        ("x" * 300, "x" * 128, "x" * 128),
        ("$(rm -rf /)", "rm__rf_", "rm__rf_"),
    ],
)
def test_names_are_rewritten(name: str, python: str, bash: str) -> None:
    assert (identifier(name, "py"), identifier(name, "bash")) == (python, bash)


@pytest.mark.parametrize(
    ("names", "identifiers"),
    [
        (["a", "b"], ["a", "b"]),
        (["a-b", "a b", "a_b"], ["a_b_2", "a_b_3", "a_b"]),
        (["a-b", "a_b_2", "a_b"], ["a_b_3", "a_b_2", "a_b"]),
        (["日", "本"], ["tool", "tool_2"]),
        (["same", "same"], ["same"]),
    ],
)
def test_each_tool_has_an_identifier_of_its_own(names: list[str], identifiers: list[str]) -> None:
    tools = named(names, "py")
    assert tools == [Tool(*pair) for pair in zip(dict.fromkeys(names), identifiers, strict=True)]
