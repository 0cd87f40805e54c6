package spec

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Format writes specs as the YAML documents of one file, as a person would:
// kind and name first, lists of words on one line, what is absent left out.
// Load reads the same specs back.
func Format(specs ...Spec) []byte {
	var out bytes.Buffer
	for i, s := range specs {
		if i > 0 {
			out.WriteString("---\n")
		}
		n := &yaml.Node{Kind: yaml.MappingNode}
		n.Content = append(n.Content, textNode("kind"), textNode(string(s.Kind())))
		body := nodeOf(canonical(s), 0)
		n.Content = append(n.Content, body.Content...)
		if s.Kind() != KindEnvironment { // whose values are taken as they are
			escape(n)
		}
		enc := yaml.NewEncoder(&out)
		enc.SetIndent(2)
		if err := enc.Encode(n); err != nil {
			// Specs hold only text, numbers, lists and mappings: they encode.
			continue
		}
	}
	return out.Bytes()
}

// nodeOf turns canonical JSON into nodes of YAML.
func nodeOf(data json.RawMessage, depth int) *yaml.Node {
	switch data[0] {
	case '{':
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(data) {
			n.Content = append(n.Content, textNode(m.name), nodeOf(m.value, depth+1))
		}
		if depth > 0 && flat(n) && len(data) < 80 {
			n.Style = yaml.FlowStyle
		}
		return n
	case '[':
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range items(data) {
			n.Content = append(n.Content, nodeOf(item, depth+1))
		}
		if flat(n) && len(data) < 100 {
			n.Style = yaml.FlowStyle
		}
		return n
	case '"':
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			text = string(data)
		}
		return textNode(text)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(data)}
}

// textNode leaves quotes to the encoder, which puts them where the text would
// read as something else, except that the values of our own types ("20%",
// "10m") read as text anyway.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.Contains(text, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

// flat tells whether no list or mapping is inside, so that a line holds it.
func flat(n *yaml.Node) bool {
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode || strings.Contains(c.Value, "\n") {
			return false
		}
	}
	return true
}

// escape keeps text that looks like a variable from being replaced. Names of
// fields are never substituted.
func escape(n *yaml.Node) {
	for i, c := range n.Content {
		if c.Kind == yaml.ScalarNode && !(n.Kind == yaml.MappingNode && i%2 == 0) {
			c.Value = strings.ReplaceAll(c.Value, "${", "$${")
			continue
		}
		escape(c)
	}
}
