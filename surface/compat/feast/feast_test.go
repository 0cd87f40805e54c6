package feast_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat/feast"
	"github.com/leat-ai/leat/surface/server"
)

// small is a feature store of two views in memory: rows as they were written,
// the newest of a customer wins, stale after a day.
type small struct {
	mu     sync.Mutex
	rows   map[string]map[string]row // by view and customer
	orders []feast.Order
	busy   bool
	to     feast.Target // of the last write
	now    time.Time
}

type row struct {
	at     int64
	values map[string]arrow.Array // of one value each
}

var act = &feast.View{
	Name: "act", Keys: []frame.Column{{Name: "customer_id", Type: frame.String}},
	Features: []frame.Column{{Name: "spend", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "country", Type: frame.String}, {Name: "vip", Type: frame.Bool}},
	Rows: []frame.Column{{Name: "customer_id", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
		{Name: "spend", Type: frame.Double}, {Name: "n", Type: frame.Int}, {Name: "country", Type: frame.String}, {Name: "vip", Type: frame.Bool}},
	Timestamp: "at",
}

var other = &feast.View{
	Name: "other", Keys: act.Keys, Features: []frame.Column{{Name: "spend", Type: frame.Double}, {Name: "since", Type: frame.Timestamp}},
	Rows:      []frame.Column{{Name: "customer_id", Type: frame.String}, {Name: "at", Type: frame.Timestamp}, {Name: "spend", Type: frame.Double}, {Name: "since", Type: frame.Timestamp}},
	Timestamp: "at",
}

var computed = &feast.View{Name: "computed", Keys: act.Keys, Features: []frame.Column{{Name: "double_spend", Type: frame.Double}}}

func (s *small) View(_ context.Context, name string) (*feast.View, error) {
	for _, v := range []*feast.View{act, other, computed} {
		if v.Name == name {
			return v, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no feature view %q", name)
}

func (s *small) Service(_ context.Context, name string) ([]feast.Wanted, error) {
	if name != "service" {
		return nil, fault.New(fault.NotFound, "there is no endpoint %q", name)
	}
	return []feast.Wanted{{View: act, Features: []string{"spend", "n", "country", "vip"}}, {View: other, Features: []string{"since"}}}, nil
}

func (s *small) Source(_ context.Context, name string) ([]*feast.View, error) {
	if name != "activity" {
		return nil, fault.New(fault.NotFound, "there is no source %q", name)
	}
	return []*feast.View{act}, nil
}

func (s *small) Reader(_ context.Context, wanted []feast.Wanted) (feast.Reader, error) {
	return reader{s, wanted}, nil
}

type reader struct {
	*small
	wanted []feast.Wanted
}

// cells are those of some rows, row by row.
type cells struct {
	all   []online.Cell
	width int
}

func (c cells) Cell(row, feature int) *online.Cell { return &c.all[row*c.width+feature] }

func (r reader) Read(_ context.Context, keys frame.Batch, use func([]feast.Found) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	customers := keys.Column(0).(*array.String)
	var found []feast.Found
	for _, w := range r.wanted {
		f := feast.Found{Statuses: make([]online.Status, customers.Len()), Times: make([]int64, customers.Len())}
		all := cells{width: len(w.Features)}
		for i := range customers.Len() {
			row, ok := r.rows[w.View.Name][customers.Value(i)]
			ok = ok && customers.IsValid(i)
			if ok {
				f.Statuses[i], f.Times[i] = online.Present, row.at
			}
			if ok && row.at < r.now.Add(-24*time.Hour).UnixMicro() {
				f.Statuses[i] = online.Stale
			}
			for _, name := range w.Features {
				all.all = append(all.all, cellOf(row.values[name]))
			}
		}
		f.Cells = all
		found = append(found, f)
	}
	return use(found)
}

// cellOf is the one value of an array, NULL of none.
func cellOf(a arrow.Array) online.Cell {
	if a == nil || a.IsNull(0) {
		return online.Cell{}
	}
	c := online.Cell{OK: true}
	switch a := a.(type) {
	case *array.Float64:
		c.Bits = math.Float64bits(a.Value(0))
	case *array.Int64:
		c.Bits = uint64(a.Value(0))
	case *array.Timestamp:
		c.Bits = uint64(a.Value(0))
	case *array.Boolean:
		if a.Value(0) {
			c.Bits = 1
		}
	case *array.String:
		c.Text = []byte(a.Value(0))
	}
	return c
}

func (s *small) Write(_ context.Context, v *feast.View, rows frame.Batch, to feast.Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	if !to.Online {
		return nil
	}
	for i := range int(rows.NumRows()) {
		customer := rows.Column(0).(*array.String).Value(i)
		r := row{at: int64(rows.Column(1).(*array.Timestamp).Value(i)), values: map[string]arrow.Array{}}
		for c := 2; c < int(rows.NumCols()); c++ {
			r.values[rows.ColumnName(c)] = array.NewSlice(rows.Column(c), int64(i), int64(i+1))
		}
		if s.rows[v.Name] == nil {
			s.rows[v.Name] = map[string]row{}
		}
		if old, ok := s.rows[v.Name][customer]; !ok || old.at <= r.at {
			s.rows[v.Name][customer] = r
		}
	}
	return nil
}

func (s *small) Materialise(_ context.Context, o feast.Order) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy && !o.Force {
		return []string{"act"}, fault.New(fault.Conflict, "act is being materialised")
	}
	s.orders = append(s.orders, o)
	if len(o.Views) == 0 {
		return []string{"act", "other"}, nil
	}
	return o.Views, nil
}

// keys knows one key for each set of grants, which is the key's text.
type keys struct{}

func (keys) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	if token == "" || !strings.Contains(token, ":") {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not known")
	}
	return identity.Principal{Name: "tester", Grants: strings.Split(token, ",")}, nil
}

// start serves the protocol over a small store.
func start(t testing.TB, auth server.Auth) (*small, string) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	store := &small{rows: map[string]map[string]row{}, now: time.Now()}
	feast.Register(s, feast.Services{Names: store, Store: store, Ready: func(context.Context) bool { return true }})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return store, s.URL()
}

// ask posts a body and returns the status and the answer.
func ask(t testing.TB, url, body, key string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestAnswers(t *testing.T) {
	store, url := start(t, server.AuthLocal)
	store.now = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ path, body, want string }{
		{"/push", `{"push_source_name":"activity","df":{"customer_id":["a","b"],"at":["2026-03-01 12:00:00.5","2026-01-01T00:00:00"],"spend":[1,null],"n":[1.0,2],"country":["de",null],"vip":[true,false]},"to":"online"}`, ``},
		{"/write-to-online-store", `{"feature_view_name":"other","df":{"customer_id":["a"],"event_timestamp":["2026-03-01T12:00:00.123456+01:00"],"created":[null],"spend":["NaN"],"since":[1700000000.25]},"allow_registry_cache":false}`, `null`},
		{"/get-online-features", `{"entities":{"customer_id":["a","b","z",null]},"features":["act:spend","act:n"]}`,
			`{"results":[{"values":["a","b","z",null],"statuses":["PRESENT","PRESENT","PRESENT","PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},` +
				`{"values":[1.0,null,null,null],"statuses":["PRESENT","OUTSIDE_MAX_AGE","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-03-01T12:00:00.500Z","2026-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},` +
				`{"values":[1,2,null,null],"statuses":["PRESENT","OUTSIDE_MAX_AGE","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-03-01T12:00:00.500Z","2026-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}],` +
				`"metadata":{"feature_names":["customer_id","spend","n"]}}`},
		{"/get-online-features", `{"entities":{"customer_id":["a"],"more":[1]},"features":["act:spend","other:spend","act:country","other:since"],"full_feature_names":true,"include_feature_view_version_metadata":true}`,
			`{"results":[{"values":["a"],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},` +
				`{"values":[1.0],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},{"values":["de"],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},` +
				`{"values":["NaN"],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T11:00:00.123456Z"]},{"values":[1700000000],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T11:00:00.123456Z"]}],` +
				`"metadata":{"feature_names":["customer_id","act__spend","act__country","other__spend","other__since"],"feature_view_metadata":[{"name":"act"},{"name":"other"}]}}`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"feature_service":"service"}`,
			`{"results":[{"values":["a"],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},` +
				`{"values":[1.0],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},{"values":[1],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},` +
				`{"values":["de"],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},{"values":[true],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T12:00:00.500Z"]},` +
				`{"values":[1700000000],"statuses":["PRESENT"],"event_timestamps":["2026-03-01T11:00:00.123456Z"]}],"metadata":{"feature_names":["customer_id","spend","n","country","vip","since"]}}`},
		{"/materialize", `{"start_ts":"2026-01-01","end_ts":"2026-02-01T00:00:00Z","feature_views":["act"]}`, `null`},
		{"/materialize-incremental?async=true", `{"end_ts":"2026-02-01T00:00:00"}`, `{"status":"accepted","feature_views":["act","other"]}`},
	} {
		status, answer := ask(t, url+c.path, c.body, "")
		want := http.StatusOK
		if strings.Contains(c.path, "async") {
			want = http.StatusAccepted
		}
		if status != want || answer != c.want {
			t.Errorf("%s %s\n%d %s\nwant %s", c.path, c.body, status, answer, c.want)
		}
	}
	january, february := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	if len(store.orders) != 2 || !store.orders[0].From.Equal(january) || !store.orders[0].To.Equal(february) || !store.orders[0].Wait ||
		!store.orders[1].From.IsZero() || !store.orders[1].To.Equal(february) || store.orders[1].Wait {
		t.Errorf("ordered %+v", store.orders)
	}
}

// TestRefusals: an error is a JSON string, and one with a name in Feast a JSON
// object in it, which its client takes apart.
func TestRefusals(t *testing.T) {
	store, url := start(t, server.AuthLocal)
	store.busy = true
	for _, c := range []struct {
		path, body string
		status     int
		has        string
	}{
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"features":["nosuch:x"]}`, 404, `\"class\":\"FeatureViewNotFoundException\"`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"feature_service":"nosuch"}`, 404, `\"class\":\"FeatureServiceNotFoundException\"`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"features":["act:spend","other:spend"]}`, 400, `\"class\":\"FeatureNameCollisionError\"`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"features":["act:spent"]}`, 400, `did you mean spend?`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"features":["spend"]}`, 400, `write view:feature`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]},"features":["act@v2:spend"]}`, 501, `version`},
		{"/get-online-features", `{"entities":{"customer_id":["a"]}}`, 400, `no features`},
		{"/get-online-features", `{"entities":{"customer":["a"]},"features":["act:n"]}`, 400, `customer_id`},
		{"/get-online-features", `{"entities":{"customer_id":[1]},"features":["act:n"]}`, 400, `in quotes`},
		{"/get-online-features", `{"entities":{"customer_id":[]},"features":["act:n"]}`, 400, `no entities`},
		{"/get-online-features", `{"entities":{"customer_id":["a"],"x":[1,2]},"features":["act:n"]}`, 400, `same number`},
		{"/get-online-features", `{"entities":{"customer_id":["` + strings.Repeat(`a","`, 10_001) + `"]},"features":["act:n"]}`, 413, `more than 10000 rows`},
		{"/get-online-features", `{"entities":{"customer_id":"a"},"features":["act:n"]}`, 422, `"detail"`},
		{"/get-online-features", `{bad`, 422, `"detail"`},
		{"/push", `{"push_source_name":"nosuch","df":{}}`, 422, `\"class\":\"PushSourceNotFoundException\"`},
		{"/push", `{"push_source_name":"activity","df":{},"to":"nowhere"}`, 400, `online_and_offline`},
		{"/push", `{"push_source_name":"activity","df":{"customer_id":["a"],"at":["2026-01-01"]}}`, 400, `spend`},
		{"/push", `{"push_source_name":"activity","df":{"customer_id":["a"],"at":["soon"],"spend":[1],"n":[1],"country":[null],"vip":[null]}}`, 400, `times are written`},
		{"/push", `{"push_source_name":"activity","df":{"customer_id":["a"],"at":["2026-01-01"],"spend":[1],"n":[1.5],"country":[null],"vip":[null]}}`, 400, `whole number`},
		{"/write-to-online-store", `{"feature_view_name":"nosuch","df":{}}`, 404, `\"class\":\"FeatureViewNotFoundException\"`},
		{"/write-to-online-store", `{"feature_view_name":"computed","df":{"customer_id":["a"]}}`, 501, `computed`},
		{"/materialize", `{"end_ts":"2026-01-01"}`, 400, `start_ts`},
		{"/materialize", `{"start_ts":"2026-01-02","end_ts":"2026-01-01"}`, 400, `not before`},
		{"/materialize", `{"start_ts":"2026-01-01","end_ts":"2026-01-02","feature_views":["no"]}`, 404, `FeatureViewNotFoundException`},
		{"/materialize-incremental?async=true", `{"end_ts":"2026-01-01"}`, 409, `"feature_views":["act"]`},
	} {
		status, answer := ask(t, url+c.path, c.body, "")
		if status != c.status || !strings.Contains(answer, c.has) {
			t.Errorf("%s %.200s\n%d %s\nwant %d with %s", c.path, c.body, status, answer, c.status, c.has)
		}
	}
}

func TestGrants(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	read := `{"entities":{"customer_id":["a"]},"features":["act:n"]}`
	push := `{"push_source_name":"activity","df":{"customer_id":["a"],"at":["2026-01-01"],"spend":[1],"n":[1],"country":[null],"vip":[null]}}`
	all := `{"end_ts":"2026-01-01"}`
	for _, c := range []struct {
		key, path, body string
		status          int
	}{
		{"", "/get-online-features", read, 401}, {"read:other", "/get-online-features", read, 403}, {"read:act", "/get-online-features", read, 200},
		{"read:act", "/push", push, 403}, {"read:act", "/get-online-features", strings.Replace(read, "act", "nosuch", 1), 403}, {"run:act", "/push", push, 200},
		{"run:act", "/materialize-incremental", all, 403}, {"run:*", "/materialize-incremental", all, 200},
	} {
		if status, answer := ask(t, url+c.path, c.body, c.key); status != c.status {
			t.Errorf("%s with %q: %d %s, want %d", c.path, c.key, status, answer, c.status)
		} else if status == 403 && !strings.Contains(answer, "FeastPermissionError") {
			t.Errorf("%s with %q: %s", c.path, c.key, answer)
		}
	}
}
