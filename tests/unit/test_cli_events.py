"""Attributes of events in templates: a map, in which what is not there is no mistake."""

from __future__ import annotations

from sampan.cli.commands.events import Attributes
from sampan.cli.formats.template import Template


def test_an_attribute_that_an_event_has_not_is_no_value() -> None:
    event = {"Action": "start", "Actor": {"Attributes": Attributes(name="web")}}
    template = Template("{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}} {{json .Actor}}")
    assert template.render(event) == 'start web <no value> {"Attributes":{"name":"web"}}'
