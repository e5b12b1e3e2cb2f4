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
    written = Template("{{json .HostConfig.Binds}} {{json .Config.Entrypoint}} {{json .Config.ExposedPorts}}")
    assert written.render(document) == "null null null", "as Go writes a list or a map that there is not"
    assert Template("{{len .HostConfig.Binds}}{{range .HostConfig.Binds}}x{{end}}").render(document) == "0"
    assert Template("{{.Warnings}} {{json .State.MemoryKills}}").render({"State": {}}) == "[] []"


def test_a_map_that_is_null_is_empty() -> None:
    document = {"Config": {"Labels": None}}
    text = '{{index .Config.Labels "a"}}{{len .Config.Labels}}{{range $key, $value := .Config.Labels}}{{$key}}{{end}}'
    assert Template(text).render(document) == "0"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("{{.Labels.nope}} {{.Labels.nope.more}}", "<no value> <no value>"),
        ('{{if .Labels.nope}}a{{else}}b{{end}} {{or .Labels.nope "c"}} {{not .Labels.nope}}', "b c true"),
        ('{{json .Labels.nope}} {{eq .Labels.nope "x"}} {{ne .Labels.nope "x"}}', "null false true"),
        ('{{printf "%s %v" .Labels.nope .Labels.nope}} {{print .Labels.nope}}', "%!s(<nil>) <nil> <nil>"),
        ("{{html .Labels.nope}} {{$x := .Labels.nope}}{{$x}}", "&lt;no value&gt; <no value>"),
        (
            "{{.Networks.nope}} {{.Networks.nope.IPAddress}} {{.Networks.app.IPAddress}}",
            "<no value> <no value> 10.0.0.2",
        ),
        ("{{.LogConfig.Config.nope}}", "<no value>"),
        ("{{.Options.nope}} {{json .Options}} {{len .Options}} {{.Options}}", "<no value> null 0 map[]"),
        ("{{json .Labels}} {{json .Sysctls}}", '{"a":"1"} null'),
    ],
)
def test_a_key_that_a_map_of_users_words_lacks_has_no_value(source: str, wanted: str) -> None:
    """As docker's own command answered for an engine's documents (26.1.5)."""
    networks = {"app": {"IPAddress": "10.0.0.2"}}
    document = {"Labels": {"a": "1"}, "Networks": networks, "Options": None, "LogConfig": {"Type": "x", "Config": {}}}
    assert Template(source).render(document) == wanted


@pytest.mark.parametrize("source", ["{{.LogConfig.nope}}", "{{.Networks.app.nope}}", "{{.nope}}", "{{.Labels.a.b}}"])
def test_a_field_that_a_document_of_the_engine_lacks_is_a_mistake(source: str) -> None:
    networks = {"app": {"IPAddress": "10.0.0.2"}}
    with pytest.raises(TemplateError, match="there is no field"):
        Template(source).render({"Labels": {"a": "1"}, "Networks": networks, "LogConfig": {"Type": "x", "Config": {}}})


def test_a_field_that_is_not_there_is_answered_with_those_that_are() -> None:
    row = Row({"ID": ("ID", lambda _: "1"), "Names": ("NAMES", lambda _: "c1")}, {})
    for document in ({"ID": "1", "Names": "c1"}, row):
        with pytest.raises(TemplateError, match="there is no field 'Name' here") as caught:
            Template("{{.Name}}").render(document)
        assert caught.value.remedy == "the fields here are ID, Names"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{{lower .Name 1}}", "lower takes 1 value, not 2"),
        ("{{json}}", "json takes 1 value, not 0"),
        ("{{pad .Name}}", "pad takes 3 values, not 1"),
        ("{{printf}}", "printf takes at least 1 value, not 0"),
        ("{{or}}", "or takes at least 1 value, not 0"),
        ('{{truncate .Name "x"}}', "truncate cannot take '/c1', 'x'"),
        ("{{upper .State}}", "upper cannot take 'map[Pid:12 Running:true Status:running]'"),
        ("{{printf 1}}", "printf cannot take '1'"),
        ("{{len .State.Running}}", "'true' has no length"),
        ("{{break}}", "{{break}} stands outside of range"),
    ],
)
def test_a_function_that_is_called_wrongly_is_named_with_what_it_got(source: str, sentence: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source).render(GOLDEN["document"])

    assert str(caught.value) == sentence


def test_a_function_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(TemplateError, match="there is no function 'uper'") as caught:
        Template("{{uper .Name}}")

    assert "upper" in caught.value.remedy


def test_a_column_takes_no_values_but_for_a_label() -> None:
    columns: dict[str, Any] = {"Name": ("NAME", lambda _: "c1"), "Label": ("", lambda _: lambda name: f"<{name}>")}

    assert Template('{{.Label "a"}}').render(Row(columns, {})) == "<a>"
    for source, sentence in (('{{.Name "a"}}', ".Name takes no values"), ("{{.Label}}", ".Label takes one value")):
        with pytest.raises(TemplateError, match=sentence):
            Template(source).render(Row(columns, {}))


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
