package llmtest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"github.com/leat-ai/leat/llm"
)

// object is JSON in the making.
type object map[string]any

func (o object) json() []byte {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // the values are ours
	}
	return text
}

func (o object) data() []byte { return fmt.Appendf(nil, "data: %s\n\n", o.json()) }

func (o object) event(name string) []byte {
	o["type"] = name
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, o.json())
}

// frames are the pieces of an answer in its protocol, or one that is all of
// it; and how the protocol tells of an error in its place.
func (o *output) frames() (frames [][]byte, failure []byte) {
	if o.reply.Model == "" {
		o.reply.Model = o.asked.Model
	}
	if o.reply.Finish == "" {
		o.reply.Finish = llm.FinishStop
		if len(o.reply.Calls) > 0 {
			o.reply.Finish = llm.FinishCalls
		}
	}
	if o.reply.Usage == nil {
		o.reply.Usage = &llm.Usage{Input: words(o.asked.Prompt()), Output: words(o.reply.Text)}
	}
	failed := object{"error": object{"message": "it broke", "type": "server_error", "code": nil, "param": nil}}
	switch {
	case o.asked.Protocol == Embeddings:
		return [][]byte{o.vectors()}, failed.json()
	case o.asked.Protocol == Rerank:
		return [][]byte{o.ranking()}, object{"message": "it broke"}.json()
	case o.asked.Protocol == Anthropic && o.asked.Stream:
		return o.anthropicEvents(), object{"error": object{"type": "overloaded_error", "message": "Overloaded"}}.event("error")
	case o.asked.Protocol == Anthropic:
		return [][]byte{o.anthropicMessage()}, object{"type": "error", "error": object{"type": "api_error", "message": "it broke"}}.json()
	case o.asked.Stream:
		return o.chunks(), failed.data()
	}
	return [][]byte{o.completion()}, failed.json()
}

func words(text string) int { return len(strings.Fields(text)) }

// pieces cuts a text before each word.
func pieces(text string) (all []string) {
	for text != "" {
		end := strings.IndexByte(text[1:], ' ') + 1
		if end == 0 {
			end = len(text)
		}
		all = append(all, text[:end])
		text = text[end:]
	}
	return all
}

// halves cuts the arguments of a call.
func halves(text string) []string { return []string{text[:len(text)/2], text[len(text)/2:]} }

const answerID = "chatcmpl-1"

func (o *output) chunk(choices []object) object {
	c := object{"id": answerID, "object": "chat.completion.chunk", "created": 1, "model": o.reply.Model, "choices": choices, "system_fingerprint": "fp_1"}
	if o.asked.Usage && !o.reply.NoUsage {
		c["usage"] = nil
	}
	return c
}

func (o *output) chunks() (frames [][]byte) {
	add := func(delta object, finish any) {
		frames = append(frames, o.chunk([]object{{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish}}).data())
	}
	add(object{"role": "assistant", "content": ""}, nil)
	for _, p := range pieces(o.reply.Reasoning) {
		add(object{"reasoning_content": p}, nil)
	}
	for _, p := range pieces(o.reply.Text) {
		add(object{"content": p}, nil)
	}
	for i, c := range o.reply.Calls {
		add(object{"tool_calls": []object{{"index": i, "id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": ""}}}}, nil)
		for _, p := range halves(c.Arguments) {
			add(object{"tool_calls": []object{{"index": i, "function": object{"arguments": p}}}}, nil)
		}
	}
	add(object{}, o.reply.Finish)
	if o.asked.Usage && !o.reply.NoUsage {
		c := o.chunk([]object{})
		c["usage"] = o.openaiUsage()
		frames = append(frames, c.data())
	}
	return append(frames, []byte("data: [DONE]\n\n"))
}

func (o *output) openaiUsage() object {
	u := o.reply.Usage
	return object{
		"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Input + u.Output,
		"prompt_tokens_details":     object{"cached_tokens": u.CachedInput},
		"completion_tokens_details": object{"reasoning_tokens": u.Reasoning},
	}
}

func (o *output) completion() []byte {
	message := object{"role": "assistant", "content": o.reply.Text, "refusal": nil}
	if o.reply.Reasoning != "" {
		message["reasoning_content"] = o.reply.Reasoning
	}
	if len(o.reply.Calls) > 0 {
		var calls []object
		for _, c := range o.reply.Calls {
			calls = append(calls, object{"id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": c.Arguments}})
		}
		message["tool_calls"] = calls
		if o.reply.Text == "" {
			message["content"] = nil
		}
	}
	a := object{"id": answerID, "object": "chat.completion", "created": 1, "model": o.reply.Model, "system_fingerprint": "fp_1",
		"choices": []object{{"index": 0, "message": message, "logprobs": nil, "finish_reason": o.reply.Finish}}}
	if !o.reply.NoUsage {
		a["usage"] = o.openaiUsage()
	}
	return a.json()
}

// anthropicStop is a reason in Anthropic's words.
func anthropicStop(f llm.Finish) string {
	switch f {
	case llm.FinishLength:
		return "max_tokens"
	case llm.FinishCalls:
		return "tool_use"
	case llm.FinishFilter:
		return "refusal"
	}
	return "end_turn"
}

func (o *output) anthropicUsage(output int) object {
	u := o.reply.Usage
	return object{
		"input_tokens": u.Input - u.CachedInput - u.CacheWrite, "cache_read_input_tokens": u.CachedInput,
		"cache_creation_input_tokens": u.CacheWrite, "output_tokens": output,
	}
}

const messageID = "msg_1"

func (o *output) anthropicMessage() []byte {
	content := []object{}
	if o.reply.Reasoning != "" {
		content = append(content, object{"type": "thinking", "thinking": o.reply.Reasoning, "signature": "c2ln"})
	}
	if o.reply.Text != "" {
		content = append(content, object{"type": "text", "text": o.reply.Text})
	}
	for _, c := range o.reply.Calls {
		content = append(content, object{"type": "tool_use", "id": c.ID, "name": c.Name, "input": validJSON(c.Arguments)})
	}
	return object{
		"id": messageID, "type": "message", "role": "assistant", "model": o.reply.Model, "content": content,
		"stop_reason": anthropicStop(o.reply.Finish), "stop_sequence": nil, "usage": o.anthropicUsage(o.reply.Usage.Output),
	}.json()
}

func validJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return json.RawMessage("{}")
	}
	return json.RawMessage(text)
}

func (o *output) anthropicEvents() (frames [][]byte) {
	add := func(name string, e object) { frames = append(frames, e.event(name)) }
	block := func(i int, start object, deltas []object) {
		add("content_block_start", object{"index": i, "content_block": start})
		for _, d := range deltas {
			add("content_block_delta", object{"index": i, "delta": d})
		}
		add("content_block_stop", object{"index": i})
	}
	add("message_start", object{"message": object{
		"id": messageID, "type": "message", "role": "assistant", "model": o.reply.Model, "content": []object{},
		"stop_reason": nil, "stop_sequence": nil, "usage": o.anthropicUsage(1),
	}})
	add("ping", object{})
	i := 0
	if o.reply.Reasoning != "" {
		var deltas []object
		for _, p := range pieces(o.reply.Reasoning) {
			deltas = append(deltas, object{"type": "thinking_delta", "thinking": p})
		}
		block(i, object{"type": "thinking", "thinking": "", "signature": ""}, append(deltas, object{"type": "signature_delta", "signature": "c2ln"}))
		i++
	}
	if o.reply.Text != "" {
		var deltas []object
		for _, p := range pieces(o.reply.Text) {
			deltas = append(deltas, object{"type": "text_delta", "text": p})
		}
		block(i, object{"type": "text", "text": ""}, deltas)
		i++
	}
	for _, c := range o.reply.Calls {
		var deltas []object
		for _, p := range halves(c.Arguments) {
			deltas = append(deltas, object{"type": "input_json_delta", "partial_json": p})
		}
		block(i, object{"type": "tool_use", "id": c.ID, "name": c.Name, "input": object{}}, deltas)
		i++
	}
	add("message_delta", object{"delta": object{"stop_reason": anthropicStop(o.reply.Finish), "stop_sequence": nil}, "usage": object{"output_tokens": o.reply.Usage.Output}})
	add("message_stop", object{})
	return frames
}

// Dimensions is the length of an upstream's vectors.
const Dimensions = 8

// Vector is what an upstream embeds a text as: numbers that its words have in
// common with other texts of the same words, of length 1.
func Vector(text string) []float32 {
	v := make([]float32, Dimensions)
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(word)) // it never fails
		v[h.Sum32()%Dimensions]++
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		v[0], sum = 1, 1
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

func (o *output) vectors() []byte {
	data := []object{}
	for i, text := range o.asked.Inputs {
		v := Vector(text)
		item := object{"object": "embedding", "index": i, "embedding": v}
		if o.asked.Base64 {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			item["embedding"] = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, item)
	}
	n := words(strings.Join(o.asked.Inputs, " "))
	a := object{"object": "list", "data": data, "model": o.reply.Model}
	if !o.reply.NoUsage {
		a["usage"] = object{"prompt_tokens": n, "total_tokens": n}
	}
	return a.json()
}

// Overlap is how an upstream scores a document: the share of the query's words
// that it has.
func Overlap(query, document string) float64 {
	have := strings.Fields(strings.ToLower(document))
	all := strings.Fields(strings.ToLower(query))
	n := 0
	for _, word := range all {
		if slices.Contains(have, word) {
			n++
		}
	}
	return float64(n) / float64(max(len(all), 1))
}

func (o *output) ranking() []byte {
	type ranked struct {
		Index int     `json:"index"`
		Score float64 `json:"relevance_score"`
	}
	results := []ranked{}
	for i, d := range o.asked.Inputs {
		results = append(results, ranked{i, Overlap(o.asked.Query, d)})
	}
	slices.SortStableFunc(results, func(a, b ranked) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	if o.asked.Top > 0 {
		results = results[:min(o.asked.Top, len(results))]
	}
	return object{
		"id": "rank-1", "results": results,
		"meta": object{"api_version": object{"version": "2"}, "billed_units": object{"search_units": 1}},
	}.json()
}
