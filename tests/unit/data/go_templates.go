// Makes go_templates.json: what Go's own text/template prints for the templates in go_templates.txt, with the functions
// that docker's --format has. `go run go_templates.go` writes it; the Python tests read it.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

const document = `{"Name": "/c1", "Id": "0123456789abcdef", "State": {"Running": true, "Pid": 12, "Status": "running"},
 "Mounts": [{"Type": "bind", "Source": "/a"}, {"Type": "volume", "Source": "/b"}],
 "Labels": {"b": "2", "a.b": "x", "c": ""}, "Nested": {"b": 1, "a": [1, 2, "x"], "e": {}}, "Float": 1.5, "Big": 123456789012,
 "Empty": "", "Zero": 0, "No": false, "Null": null, "List": [], "Text": "a <b> & \"c\" ü", "Words": ["x", "y", "z"]}`

type row struct {
	Template string  `json:"template"`
	Printed  *string `json:"printed"`
}

func marshal(value any) string {
	buffer := &bytes.Buffer{}
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return strings.TrimSpace(buffer.String())
}

var functions = template.FuncMap{
	"json": marshal, "split": strings.Split, "join": func(parts []any, separator string) string {
		texts := []string{}
		for _, part := range parts {
			texts = append(texts, part.(string))
		}
		return strings.Join(texts, separator)
	},
	"title": strings.Title, "lower": strings.ToLower, "upper": strings.ToUpper,
	"pad": func(text string, before, after int) string {
		if text == "" {
			return text
		}
		return strings.Repeat(" ", before) + text + strings.Repeat(" ", after)
	},
	"truncate": func(text string, length int) string {
		if runes := []rune(text); len(runes) > length {
			return string(runes[:length])
		}
		return text
	},
}

func plain(value any) any {
	switch typed := value.(type) {
	case json.Number:
		if number, err := typed.Int64(); err == nil {
			return int(number)
		}
		number, _ := typed.Float64()
		return number
	case map[string]any:
		for key, item := range typed {
			typed[key] = plain(item)
		}
	case []any:
		for at, item := range typed {
			typed[at] = plain(item)
		}
	}
	return value
}

func main() {
	var data any
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil {
		panic(err)
	}
	data = plain(data)
	source, err := os.ReadFile("go_templates.txt")
	if err != nil {
		panic(err)
	}
	lines := []string{}
	for _, line := range strings.Split(strings.TrimRight(string(source), "\n"), "\n") {
		text := strings.ReplaceAll(line, `\n`, "\n")
		found := row{Template: text}
		parsed, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(text)
		if err == nil {
			out := &bytes.Buffer{}
			if err = parsed.Execute(out, data); err == nil {
				printed := out.String()
				found.Printed = &printed
			}
		}
		lines = append(lines, marshal(found))
	}
	text := "{\"document\": " + document + ",\n\"templates\": [\n" + strings.Join(lines, ",\n") + "\n]}\n"
	if err := os.WriteFile("go_templates.json", []byte(text), 0o644); err != nil {
		panic(err)
	}
}
