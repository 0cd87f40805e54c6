package spec_test

import (
	"strings"
	"testing"

	"github.com/leat-ai/leat/spec"
)

const triggered = `
kind: Source
name: orders
from: data/*.csv
---
kind: Source
name: others
from: other/*.csv
---
kind: FeatureView
name: v
source: orders
columns: [a]
---
kind: Pipeline
name: p
steps:
  - ingest: {sources: [orders]}
  - train: {model: m, features: [v], label: y}
  - register: {}
---
kind: Pipeline
name: q
steps:
  - ingest: {sources: [others]}
---
`

func TestTriggers(t *testing.T) {
	for name, one := range map[string]struct{ text, wrong string }{
		"another source":   {`{on: source.ingested, where: "source = 'others'", start: {pipeline: p}}`, ""},
		"webhook":          {`{on: [run.failed, stream.dead], where: "seconds > 1 or events > 5", start: {webhook: "https://example.com/x", secret: "env:S"}}`, ""},
		"by name":          {`{on: run.finished, where: "kind = 'pipeline' and name <> 'p'", start: {pipeline: p}}`, ""},
		"itself":           {`{on: run.finished, start: {pipeline: p}}`, `Trigger "t" would start "p" again and again: t → t`},
		"its source":       {`{on: source.ingested, where: "rows > 5", start: {pipeline: p}}`, "again and again"},
		"its model":        {`{on: version.registered, where: "model = 'm'", start: {pipeline: p}}`, "again and again"},
		"its alias":        {`{on: alias.moved, where: "alias = 'champion'", start: {pipeline: p}}`, ""},
		"two":              {"{on: run.finished, where: \"name = 'q'\", start: {pipeline: p}}\n---\n{kind: Trigger, name: u, on: version.registered, start: {source: others}}\n---\n{kind: Trigger, name: w, on: source.ingested, where: \"source = 'others'\", start: {pipeline: q}}", `again and again: w → w`},
		"no such event":    {`{on: run.finish, start: {pipeline: p}}`, `no event is called "run.finish"`},
		"no such field":    {`{on: run.finished, where: "endpoint = 'x'", start: {webhook: "https://example.com/x"}}`, "endpoint"},
		"no condition":     {`{on: run.finished, where: "seconds + 1", start: {webhook: "https://example.com/x"}}`, "not a condition"},
		"nothing to do":    {`{on: run.finished}`, "start"},
		"no such pipeline": {`{on: run.finished, start: {pipeline: none}}`, "no Pipeline"},
		"secret":           {`{on: file.landed, start: {source: orders, secret: "env:S"}}`, "is for a webhook"},
	} {
		text := triggered + strings.Replace(one.text, "{on", "{kind: Trigger, name: t, on", 1)
		_, err := spec.LoadFiles(map[string]string{"a.yaml": text}, spec.Options{})
		switch {
		case one.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case one.wrong != "" && (err == nil || !strings.Contains(err.Error(), one.wrong)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
