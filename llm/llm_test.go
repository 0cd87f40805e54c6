package llm_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]llm.Address{
		"openai://api.openai.com/gpt-5-mini":       {Provider: "openai", Host: "api.openai.com", Model: "gpt-5-mini"},
		"openai+http://127.0.0.1:11434/llama3:8b":  {Provider: "openai", Plain: true, Host: "127.0.0.1:11434", Model: "llama3:8b"},
		"openai+http://[::1]:8000/org/name":        {Provider: "openai", Plain: true, Host: "[::1]:8000", Model: "org/name"},
		"azure-openai://RES/dep?api-version=x":     {Provider: "azure-openai", Host: "RES", Model: "dep", Options: map[string][]string{"api-version": {"x"}}},
		"openai://text-embedding-3-small":          {Provider: "openai", Model: "text-embedding-3-small"},
		"anthropic://claude-sonnet-5?base=%2Fx%2F": {Provider: "anthropic", Model: "claude-sonnet-5", Options: map[string][]string{"base": {"/x/"}}},
	} {
		got, err := llm.ParseAddress(text)
		if len(got.Options) == 0 {
			got.Options = nil
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		again, err := llm.ParseAddress(got.String())
		if len(again.Options) == 0 {
			again.Options = nil
		}
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s is written as %s", text, got)
		}
	}
	for _, text := range []string{"", "gpt-5", "://h/m", "openai://", "openai://h/", "OPENAI://h/m", "openai+http://m", "openai://user:sk-1@h/m", "openai://h#x/m", "openai://h\\x/m", "openai://h/m?%zz"} {
		if a, err := llm.ParseAddress(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	}
}

// list is a stream of pieces, and then an error.
type list struct {
	pieces []llm.Delta
	end    error
	closed int
}

func (l *list) Next() (llm.Delta, error) {
	if len(l.pieces) == 0 {
		return llm.Delta{}, l.end
	}
	d := l.pieces[0]
	l.pieces = l.pieces[1:]
	return d, nil
}

func (l *list) Close() error { l.closed++; return nil }

func TestCollect(t *testing.T) {
	s := &list{end: io.EOF, pieces: []llm.Delta{
		{ID: "a", Model: "m", Text: "h", Usage: &llm.Usage{Input: 1}, Extra: llm.Extra{"x": []byte("1")}},
		{Choice: 1, Calls: []llm.CallPart{{Index: 1, ID: "2", Name: "g", Arguments: "{"}, {Index: 0, ID: "1", Name: "f", Custom: true}}},
		{Text: "i", Reasoning: "hm", Finish: llm.FinishStop, MessageExtra: llm.Extra{"y": []byte("2")}},
		{Choice: 1, Calls: []llm.CallPart{{Index: 1, Arguments: "}"}}, Finish: llm.FinishCalls, Usage: &llm.Usage{Input: 3, Output: 2}},
	}}
	got, err := llm.Collect(s)
	want := llm.Answer{ID: "a", Model: "m", Usage: &llm.Usage{Input: 3, Output: 2}, Extra: llm.Extra{"x": []byte("1")}, Choices: []llm.Choice{
		{Message: llm.Message{Role: llm.Assistant, Parts: []llm.Part{{Kind: llm.TextPart, Text: "hi"}}, Reasoning: "hm", Extra: llm.Extra{"y": []byte("2")}}, Finish: llm.FinishStop},
		{Message: llm.Message{Role: llm.Assistant, Calls: []llm.Call{{ID: "1", Name: "f", Custom: true}, {ID: "2", Name: "g", Arguments: "{}"}}}, Finish: llm.FinishCalls},
	}}
	if err != nil || !reflect.DeepEqual(got, want) || s.closed != 1 || got.Text() != "hi" {
		t.Errorf("%+v, %v, closed %d times", got, err, s.closed)
	}
}

func TestCollectIsBounded(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		s    *list
		want error
	}{
		"broken":          {&list{end: broken, pieces: []llm.Delta{{Text: "h"}}}, broken},
		"choices":         {&list{end: io.EOF, pieces: []llm.Delta{{Text: "h"}, {Choice: 1 << 40}}}, nil},
		"choices below 0": {&list{end: io.EOF, pieces: []llm.Delta{{Text: "h"}, {Choice: -1}}}, nil},
		"calls":           {&list{end: io.EOF, pieces: []llm.Delta{{Text: "h"}, {Calls: []llm.CallPart{{Index: 1 << 40}}}}}, nil},
	} {
		a, err := llm.Collect(c.s)
		if err == nil || c.want != nil && err != c.want || a.Text() != "h" || c.s.closed != 1 {
			t.Errorf("%s: %q, %v", name, a.Text(), err)
		}
	}
	big := &list{end: io.EOF}
	for range 5 {
		big.pieces = append(big.pieces, llm.Delta{Text: strings.Repeat("x", llm.MaxAnswer/4)})
	}
	if _, err := llm.Collect(big); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	r := &llm.Refusal{Status: 429, Message: "slow", RetryAfter: time.Second}
	err := fault.New(fault.Limited, "no").Because(r)
	if got, ok := llm.RefusalOf(err); !ok || got != r || llm.RetryAfter(err) != time.Second {
		t.Errorf("%+v", got)
	}
	if _, ok := llm.RefusalOf(io.EOF); ok || llm.RetryAfter(io.EOF) != 0 {
		t.Error("an error of nobody became a refusal")
	}
}
