"""Go templates: what ours print is what Go's text/template prints (tests/unit/data/go_templates.go asks it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sampan.cli.formats.listing import Row
from sampan.cli.formats.template import Template, TemplateError, unescaped

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "go_templates.json").read_text())
# Documents come from the daemon as Go's structs wrote them: their order is kept, and what is null is a nil pointer or
# the zero value of a map of texts, where the oracle, which knows no types, sorts and says "no value".
WANTED: dict[str, str] = {
    "{{.Null}}": "<nil>",
    '{{index .Labels "a.b"}} {{index .Labels "nope"}}': "x ",
    "{{json .Null}} {{json .List}} {{json .Nested}}": 'null [] {"b":1,"a":[1,2,"x"],"e":{}}',
    "{{json .}}": json.dumps(GOLDEN["document"], separators=(",", ":"), ensure_ascii=False),
}


@pytest.mark.parametrize("case", GOLDEN["templates"], ids=lambda case: case["template"][:50])
def test_a_template_prints_what_go_prints(case: dict[str, Any]) -> None:
    expected = WANTED.get(case["template"], case["printed"])
    if expected is None:
        with pytest.raises(TemplateError):
            Template(case["template"]).render(GOLDEN["document"])
    else:
        assert Template(case["template"]).render(GOLDEN["document"]) == expected


def test_what_docker_leaves_out_has_the_value_that_its_type_has() -> None:
    document = {"Config": {"Labels": {}}, "HostConfig": {"Binds": None}}

    printed = Template("{{.HostConfig.Binds}} {{.Config.Healthcheck}} {{.Config.StopSignal}}|{{json .HostConfig.Init}}")

    assert printed.render(document) == "[] <nil> |null"


def test_a_map_that_is_null_is_empty() -> None:
    document = {"Config": {"Labels": None}}
    text = '{{index .Config.Labels "a"}}{{len .Config.Labels}}{{range $key, $value := .Config.Labels}}{{$key}}{{end}}'
    assert Template(text).render(document) == "0"


def test_a_row_gives_its_columns_and_as_json_all_of_them() -> None:
    columns: dict[str, Any] = {
        "Name": ("NAME", lambda row: row["n"]),
        "Label": ("", lambda row: lambda key: row["labels"].get(key, "")),
        "Digest": ("DIGEST", lambda _: "<none>"),
    }
    row = Row(columns, {"n": "c1", "labels": {"a": "b"}})

    assert Template('{{.Name}} {{.Label "a"}}').render(row) == "c1 b"
    assert Template("{{json .}}").render(row) == '{"Digest":"\\u003cnone\\u003e","Name":"c1"}'
    with pytest.raises(TemplateError, match="Nope"):
        Template("{{.Nope}}").render(row)


def test_two_letter_tabs_and_newlines_are_made_real() -> None:
    assert unescaped(r"a\tb\nc") == "a\tb\nc"


@pytest.mark.parametrize(
    "source", ['{{"x}}', "{{`x}}", "{{'}}", "{{(.Name}}", "{{.Name)}}", "{{:}}", "{{range $i, := .List}}"]
)
def test_a_broken_template_is_refused_and_not_an_accident(source: str) -> None:
    with pytest.raises(TemplateError):
        Template(source).render(GOLDEN["document"])
