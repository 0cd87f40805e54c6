package azuresearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
)

// version of the interface.
const version = "2024-07-01"

// Bounds of requests and answers. The service takes 1,000 documents and 16 MB
// at a time.
const (
	maxBatch      = 1000
	maxBatchBytes = 12 << 20
	maxAnswer     = 64 << 20
	maxPage       = 1000
)

// service makes requests. All that are made can be made twice.
type service struct {
	config Config
	base   string
	caller *resilience.Caller
}

// call makes a request, and tries again where the service asks for patience.
// missing tells that the answer was 404.
func (s *service) call(ctx context.Context, method, path string, in, out any) (missing bool, err error) {
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return false, fault.Wrap(err, fault.Internal, "a request to Azure AI Search cannot be written")
		}
	}
	answer, err := resilience.Get(ctx, s.caller, func(ctx context.Context) ([]byte, error) { return s.once(ctx, method, path, body) })
	if errors.Is(err, errMissing) {
		return true, nil
	}
	if err != nil || out == nil {
		return false, err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return false, fault.New(fault.Unavailable, "Azure AI Search answered what is not JSON").Because(err)
	}
	return false, nil
}

var errMissing = errors.New("it is not there")

func (s *service) once(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.base+path+"?api-version="+version, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a request to Azure AI Search cannot be made")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json;odata.metadata=none")
	if err := s.authorize(ctx, r); err != nil {
		return nil, err
	}
	answer, err := s.config.Client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "Azure AI Search was not waited for")
		}
		return nil, fault.New(fault.Unavailable, "Azure AI Search does not answer").Because(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Unavailable, "the answer of Azure AI Search broke off").Because(err)
	case len(text) > maxAnswer:
		return nil, fault.New(fault.TooLarge, "Azure AI Search answered more than %d bytes", maxAnswer)
	case answer.StatusCode < 300:
		return text, nil
	}
	return nil, refusal(answer, text)
}

func (s *service) authorize(ctx context.Context, r *http.Request) error {
	if s.config.Token != nil {
		token, err := s.config.Token(ctx)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	key, err := s.config.Key(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Api-Key", key)
	return nil
}

// refusal makes a fault of an answer. What the service says may quote a query;
// only its code is shown.
func refusal(answer *http.Response, text []byte) error {
	var said struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &said) // a proxy on the way answers otherwise
	kind := fault.Unavailable
	switch status := answer.StatusCode; {
	case status == http.StatusNotFound:
		return errMissing
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.New(fault.Forbidden, "Azure AI Search does not let the key or identity in").Hint("it takes an admin key, or the role Search Index Data Contributor")
	case status == http.StatusConflict || status == http.StatusPreconditionFailed:
		kind = fault.Conflict
	case status == http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case status == http.StatusTooManyRequests:
		kind = fault.Limited
	case status < 500:
		kind = fault.Invalid
	}
	err := error(fault.New(kind, "Azure AI Search refused a request (%d %.60q)", answer.StatusCode, said.Error.Code).Because(errors.New(said.Error.Message)))
	if wait, ok := patience(answer.Header); ok {
		err = resilience.After(err, wait)
	}
	return err
}

// patience is what Retry-After asks for, in seconds or until a date.
func patience(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

func indexPath(name string) string { return "/indexes/" + url.PathEscape(name) }

func (s *service) exists(ctx context.Context, name string) (bool, error) {
	missing, err := s.call(ctx, http.MethodGet, indexPath(name), nil, nil)
	return err == nil && !missing, err
}

// define makes an index, or adds fields to one that is there.
func (s *service) define(ctx context.Context, d definition) error {
	_, err := s.call(ctx, http.MethodPut, indexPath(d.Name), d, nil)
	return err
}

// send writes documents, in parts that the service takes. Each has its action.
func send[T any](ctx context.Context, s *service, name string, documents []T) error {
	size := 2
	from := 0
	for i := range documents {
		one, err := json.Marshal(documents[i])
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a passage cannot be written as JSON")
		}
		if i > from && (size+len(one) > maxBatchBytes || i-from == maxBatch) {
			if err := sendPart(ctx, s, name, documents[from:i]); err != nil {
				return err
			}
			from, size = i, 2
		}
		size += len(one) + 1
	}
	if from == len(documents) {
		return nil
	}
	return sendPart(ctx, s, name, documents[from:])
}

// sendPart writes a part, and again those of its documents for which the
// service had no time: it answers for each.
func sendPart[T any](ctx context.Context, s *service, name string, documents []T) error {
	for attempt := 0; len(documents) > 0; attempt++ {
		var answer struct {
			Value []struct {
				Status bool `json:"status"`
				Code   int  `json:"statusCode"`
			} `json:"value"`
		}
		missing, err := s.call(ctx, http.MethodPost, indexPath(name)+"/docs/index", map[string][]T{"value": documents}, &answer)
		switch {
		case err != nil:
			return err
		case missing:
			return fault.New(fault.NotFound, "Azure AI Search has no index %q", name)
		case len(answer.Value) != len(documents):
			return fault.New(fault.Unavailable, "Azure AI Search answered for %d of %d documents", len(answer.Value), len(documents))
		}
		var again []T
		for i, v := range answer.Value {
			switch {
			case v.Status || v.Code == http.StatusNotFound: // merged into what a build took away meanwhile
			case v.Code == http.StatusTooManyRequests || v.Code == http.StatusServiceUnavailable || v.Code == http.StatusConflict || v.Code == 422:
				again = append(again, documents[i])
			default:
				return fault.New(fault.Invalid, "Azure AI Search refused a document (%d)", v.Code)
			}
		}
		if documents = again; len(again) == 0 {
			return nil
		}
		if attempt == 5 {
			return fault.New(fault.Limited, "Azure AI Search has no time for %d documents", len(again)).Hint("add a partition, or build at another time")
		}
		if err := sleep(ctx, time.Duration(100<<attempt)*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "Azure AI Search was not waited for")
	}
}

// question is a query of the service.
type question struct {
	Search        string        `json:"search,omitempty"`
	QueryType     string        `json:"queryType,omitempty"`
	SearchMode    string        `json:"searchMode,omitempty"`
	SearchFields  string        `json:"searchFields,omitempty"`
	Profile       string        `json:"scoringProfile,omitempty"`
	Filter        string        `json:"filter,omitempty"`
	OrderBy       string        `json:"orderby,omitempty"`
	Select        string        `json:"select,omitempty"`
	Top           int           `json:"top"`
	Skip          int           `json:"skip,omitempty"`
	Count         bool          `json:"count,omitempty"`
	VectorQueries []vectorQuery `json:"vectorQueries,omitempty"`
	VectorFilter  string        `json:"vectorFilterMode,omitempty"`
}

type vectorQuery struct {
	Kind   string    `json:"kind"`
	Vector []float32 `json:"vector"`
	Fields string    `json:"fields"`
	K      int       `json:"k"`
}

type page[T any] struct {
	Count int       `json:"@odata.count"`
	Value []T       `json:"value"`
	Next  *question `json:"@search.nextPageParameters"`
}

// ask makes a query and follows its pages until there are most answers, or no
// more. An index that is not there has none.
func ask[T any](ctx context.Context, s *service, name string, q question, most int) (all []T, count int, err error) {
	for {
		q.Top = min(most-len(all), maxPage)
		var p page[T]
		missing, err := s.call(ctx, http.MethodPost, indexPath(name)+"/docs/search", q, &p)
		if err != nil || missing {
			return nil, 0, err
		}
		if count == 0 {
			count = p.Count
		}
		all = append(all, p.Value...)
		asked := q.Top
		if p.Next == nil && len(p.Value) < asked || len(p.Value) == 0 || len(all) >= most {
			return all[:min(len(all), most)], count, nil
		}
		if p.Next != nil {
			q.Skip = p.Next.Skip
		} else {
			q.Skip += len(p.Value)
		}
	}
}

// every calls f for all documents that a filter lets through, page by page, by
// their keys: skipping ends at 100,000. Keys of T come by key.
func every[T any](ctx context.Context, s *service, name, filter, columns string, key func(T) string, f func([]T) error) error {
	last := ""
	for {
		q := question{Search: "*", Filter: filter + " and key gt " + quote(last), OrderBy: "key asc", Select: columns}
		found, _, err := ask[T](ctx, s, name, q, maxPage)
		if err != nil || len(found) == 0 {
			return err
		}
		if err := f(found); err != nil {
			return err
		}
		if last = key(found[len(found)-1]); len(found) < maxPage {
			return nil
		}
	}
}

// await waits until a filter lets exactly so many documents through.
func (x *Index) await(ctx context.Context, name, filter string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, x.visible)
	defer cancel()
	for wait := x.poll; ; wait = min(2*wait, 2*time.Second) {
		_, count, err := ask[struct{}](ctx, x.service, name, question{Search: "*", Filter: filter, Count: true, Select: "key"}, 0)
		if err != nil || count == want {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return fault.New(fault.Unavailable, "Azure AI Search does not show yet what was changed").Because(err).Hint("try again; nothing is lost")
		}
	}
}
