package cloudevents_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/surface/compat/cloudevents"
	"github.com/leat-ai/leat/surface/compat/compattest"
	"github.com/leat-ai/leat/surface/server"
)

// inbox keeps what is sent, unless it is told to refuse.
type inbox struct {
	mu     sync.Mutex
	events map[string][]bus.Event
	refuse error
	held   chan struct{} // when there, sends wait for it
}

func (i *inbox) Send(ctx context.Context, name string, events []bus.Event) error {
	if i.held != nil {
		select {
		case <-i.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse != nil {
		return i.refuse
	}
	i.events[name] = append(i.events[name], events...)
	return nil
}

func (i *inbox) take() []bus.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.events["orders"]
	i.events = map[string][]bus.Event{}
	return all
}

func world(t testing.TB) (*server.Server, *inbox) {
	t.Helper()
	s, _ := compattest.Serve(t, server.Config{Listen: "127.0.0.1:0"})
	box := &inbox{events: map[string][]bus.Event{}}
	if err := cloudevents.Register(s, box); err != nil {
		t.Fatal(err)
	}
	return s, box
}

func ask(s *server.Server, method, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/v1/streams/orders/events", strings.NewReader(body))
	r.Host = "localhost"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

const (
	oneEvent  = `{"specversion":"1.0","id":"7","source":"/shop","type":"order","time":"2026-03-29T01:59:59.5Z","partitionkey":"ann","count":3,"fresh":true,"nothing":null,"data":{"amount":12.50}}`
	gridEvent = `{"id":"9","topic":"/subscriptions/x","subject":"orders/9","eventType":"shop.order","eventTime":"2026-03-29T02:00:00Z","data":{"amount":1},"dataVersion":"2","metadataVersion":"1"}`
)

// brief shows the parts of events that tests look at.
func brief(events []bus.Event) string {
	var all []string
	for _, e := range events {
		at := ""
		if !e.Time.IsZero() {
			at = e.Time.UTC().Format(time.RFC3339Nano)
		}
		all = append(all, fmt.Sprintf("%s|%s|%s|%s|%s", e.ID, e.Key, at, e.Header("content-type"), e.Body))
	}
	return strings.Join(all, "\n")
}

func TestForms(t *testing.T) {
	s, box := world(t)
	for name, c := range map[string]struct {
		body    string
		headers []string
		want    string
		status  int
	}{
		"structured": {oneEvent, []string{"Content-Type", "application/cloudevents+json; charset=utf-8"},
			`/shop 7|ann|2026-03-29T01:59:59.5Z|application/json|{"amount":12.50}`, 202},
		"batch": {`[` + oneEvent + `, {"specversion":"1.0","id":"8","source":"/shop","type":"order","datacontenttype":"text/plain","data":"Grüße"},
			{"specversion":"1.0","id":"9","source":"/shop","type":"order","datacontenttype":"image/png","data_base64":"AP8="},
			{"specversion":"1.0","id":"10","source":"/shop","type":"order","data":"text"}]`,
			[]string{"Content-Type", "application/cloudevents-batch+json"},
			"/shop 7|ann|2026-03-29T01:59:59.5Z|application/json|{\"amount\":12.50}\n/shop 8|||text/plain|Grüße\n/shop 9|||image/png|\x00\xff\n/shop 10|||application/json|\"text\"", 202},
		"empty batch": {`[]`, []string{"Content-Type", "application/cloudevents-batch+json"}, "", 202},
		"binary": {"\x00\x01", []string{"Content-Type", "application/x-thing", "Ce-Specversion", "1.0", "ce-id", "a b%22%20%C3%BC", "ce-source", "/shop", "ce-type", "order", "ce-partitionkey", "k"},
			"/shop a b\" ü|k||application/x-thing|\x00\x01", 202},
		"event grid": {`[` + gridEvent + `]`, []string{"Content-Type", "application/json", "Aeg-Event-Type", "Notification"},
			`/subscriptions/x 9||2026-03-29T02:00:00Z|application/json|{"amount":1}`, 200},
		"event grid, published": {strings.ReplaceAll(`[`+gridEvent+`]`, `"topic":"/subscriptions/x",`, ""), []string{"Content-Type", "application/json"},
			`eventgrid orders/9 9||2026-03-29T02:00:00Z|application/json|{"amount":1}`, 200},
		"plain":       {` {"a": 1} `, []string{"Content-Type", "application/json", "Idempotency-Key", "k"}, `k|||application/json|{"a": 1}`, 202},
		"plain array": {`[{"a":1},2]`, []string{"Idempotency-Key", "k"}, "k/0|||application/json|{\"a\":1}\nk/1|||application/json|2", 202},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(s, "POST", c.body, c.headers...)
			if got := brief(box.take()); w.Code != c.status || got != c.want {
				t.Errorf("%d %s\n%s\nnot\n%s", w.Code, w.Body, got, c.want)
			}
		})
	}
}

func TestAttributesAreHeaders(t *testing.T) {
	s, box := world(t)
	ask(s, "POST", oneEvent, "Content-Type", "application/cloudevents+json")
	e := box.take()[0]
	for name, want := range map[string]string{"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "order", "ce-count": "3", "ce-fresh": "true", "ce-nothing": ""} {
		if e.Header(name) != want {
			t.Errorf("%s is %q", name, e.Header(name))
		}
	}
}

func TestHandshake(t *testing.T) {
	s, box := world(t)
	body := `[{"id":"2d","topic":"/t","subject":"","data":{"validationCode":"512d38b6","validationUrl":"https://rp.example/validate"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2026-01-25T22:12:19.45Z","metadataVersion":"1","dataVersion":"1"}]`
	w := ask(s, "POST", body, "Content-Type", "application/json", "Aeg-Event-Type", "SubscriptionValidation")
	if w.Code != http.StatusOK || w.Body.String() != `{"validationResponse":"512d38b6"}` || len(box.take()) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = ask(s, "POST", strings.ReplaceAll(body, "SubscriptionValidationEvent", "SubscriptionDeletedEvent"), "Aeg-Event-Type", "SubscriptionDeletion")
	if w.Code != http.StatusOK || len(box.take()) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = ask(s, "OPTIONS", "", "WebHook-Request-Origin", "eventemitter.example.com", "WebHook-Request-Rate", "120", "WebHook-Request-Callback", "http://169.254.169.254/")
	if w.Code != http.StatusOK || w.Header().Get("WebHook-Allowed-Origin") != "eventemitter.example.com" || w.Header().Get("WebHook-Allowed-Rate") != "120" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w = ask(s, "OPTIONS", "", "WebHook-Request-Origin", "<script>"); w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
}

func TestRefusals(t *testing.T) {
	s, box := world(t)
	cloud, many := "application/cloudevents+json", "application/cloudevents-batch+json"
	for name, c := range map[string]struct {
		status  int
		media   string
		body    string
		headers []string
	}{
		"no id":                          {400, cloud, `{"specversion":"1.0","source":"s","type":"t"}`, nil},
		"another version":                {400, cloud, `{"specversion":"0.3","id":"1","source":"s","type":"t"}`, nil},
		"a name twice":                   {400, cloud, `{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}`, nil},
		"twice in the data":              {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":1,"a":2}}`, nil},
		"both sorts of data":             {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"AA=="}`, nil},
		"no base64":                      {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}`, nil},
		"a header injected":              {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x\r\nSet-Cookie: a"}`, nil},
		"an odd attribute":               {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","A b":"x"}`, nil},
		"an attribute that is an object": {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","x":{}}`, nil},
		"no time":                        {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","time":"today"}`, nil},
		"a long attribute":               {413, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","x":"` + strings.Repeat("x", 5000) + `"}`, nil},
		"deep":                           {400, cloud, `{"specversion":"1.0","id":"1","source":"s","type":"t","data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, nil},
		"not JSON":                       {400, cloud, `{"specversion"`, nil},
		"something behind":               {400, "application/json", `{} {}`, nil},
		"invalid UTF-8":                  {400, "application/json", "{\"a\":\"\xff\"}", nil},
		"one bad of two":                 {400, many, `[` + oneEvent + `,{}]`, nil},
		"too many":                       {413, "application/json", "[" + strings.Repeat("1,", 5000) + "1]", nil},
		"too large":                      {413, "application/json", `"` + strings.Repeat("x", 9<<20) + `"`, nil},
		"another format":                 {415, "application/cloudevents+avro", `x`, nil},
		"another type":                   {415, "text/csv", `x`, nil},
		"packed":                         {415, "application/json", `x`, []string{"Content-Encoding", "gzip"}},
		"a header twice":                 {400, "application/json", `1`, []string{"Ce-Id", "1", "Ce-Id", "2", "Ce-Specversion", "1.0", "Ce-Source", "s", "Ce-Type", "t"}},
		"a bad escape":                   {400, "application/json", `1`, []string{"Ce-Id", "%zz", "Ce-Specversion", "1.0", "Ce-Source", "s", "Ce-Type", "t"}},
		"an escaped line":                {400, "application/json", `1`, []string{"Ce-Id", "a%0d%0ab", "Ce-Specversion", "1.0", "Ce-Source", "s", "Ce-Type", "t"}},
		"a handshake without a code":     {400, "application/json", `[{"id":"1","subject":"","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2026-01-25T22:12:19Z","data":{}}]`, nil},
	} {
		w := ask(s, "POST", c.body, append([]string{"Content-Type", c.media}, c.headers...)...)
		if w.Code != c.status || len(box.take()) != 0 {
			t.Errorf("%s: %d %.300s", name, w.Code, w.Body)
		}
	}
}

// TestFull: who is to wait is told for how long, in the shape of the protocol.
func TestFull(t *testing.T) {
	s, box := world(t)
	for kind, status := range map[fault.Kind]int{fault.Overloaded: 503, fault.Limited: 429, fault.Unavailable: 503, fault.NotFound: 404} {
		box.refuse = fault.New(kind, "no")
		w := ask(s, "POST", oneEvent, "Content-Type", "application/cloudevents+json")
		if w.Code != status || kind.Retryable() != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %d %v", kind, w.Code, w.Header())
		}
		w = ask(s, "POST", "["+gridEvent+"]", "Aeg-Event-Type", "Notification")
		var reply struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != status || reply.Error.Code == "" {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}
}

// TestBounded: what is not durable is not answered, and of those that wait
// some are told to come later.
func TestBounded(t *testing.T) {
	s, box := world(t)
	box.held = make(chan struct{})
	var mu sync.Mutex
	counts := map[int]int{}
	var group sync.WaitGroup
	for range 300 {
		group.Go(func() {
			w := ask(s, "POST", `{}`, "Content-Type", "application/json")
			mu.Lock()
			defer mu.Unlock()
			counts[w.Code]++
			if w.Code == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("nobody says for how long to wait")
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	mu.Lock()
	early := counts[202]
	mu.Unlock()
	if early != 0 {
		t.Errorf("%d were answered before they were kept", early)
	}
	time.AfterFunc(2200*time.Millisecond, func() { close(box.held) })
	group.Wait()
	if counts[202] < 16 || counts[503] == 0 || counts[202]+counts[503] != 300 {
		t.Errorf("%v", counts)
	}
}

func FuzzDecode(f *testing.F) {
	for _, media := range []string{"application/cloudevents+json", "application/cloudevents-batch+json", "application/json", "text/plain", "a/b; charset=latin1"} {
		f.Add(media, "Notification", "%C3%BC", []byte(oneEvent))
		f.Add(media, "", "", []byte("["+gridEvent+"]"))
		f.Add(media, "SubscriptionValidation", "1", []byte(`[{"data":{"validationCode":"x"}}]`))
	}
	f.Fuzz(func(t *testing.T, media, kind, id string, body []byte) {
		h := http.Header{"Content-Type": {media}}
		if kind != "" {
			h.Set("Aeg-Event-Type", kind)
		}
		if id != "" {
			for name, value := range map[string]string{"Ce-Id": id, "Ce-Specversion": "1.0", "Ce-Source": "/s", "Ce-Type": "t"} {
				h.Set(name, value)
			}
		}
		d, err := cloudevents.Decode(h, slices.Clone(body))
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge && k != fault.Unsupported {
				t.Fatalf("%s: %v", k, err)
			}
			return
		}
		size := 0
		for _, e := range d.Events {
			size += len(e.Body)
			if err := bus.CheckHeaders(e.Headers); err != nil {
				t.Fatal(err)
			}
		}
		if size > 2*len(body) {
			t.Fatalf("%d bytes became %d", len(body), size)
		}
	})
}
