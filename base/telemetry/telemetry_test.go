package telemetry

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestScrapeShowsWhatWasCounted(t *testing.T) {
	tel, err := New(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	tel.Counter("leat_rows_total", "Rows.", "endpoint").With("fraud").Add(3)
	tel.Histogram("leat_latency_seconds", "Latency.", "endpoint").With("fraud").Observe(3 * time.Millisecond)
	tel.Gauge("leat_queue", "Queue.", func() float64 { return 7 })

	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`leat_rows_total{endpoint="fraud"} 3`,
		`leat_latency_seconds_bucket{endpoint="fraud",le="0.002"} 0`,
		`leat_latency_seconds_bucket{endpoint="fraud",le="0.005"} 1`,
		`leat_queue 7`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("scrape lacks %q", want)
		}
	}
}

func TestNilTelemetryDoesNothing(t *testing.T) {
	var tel *Telemetry
	tel.Counter("x_total", "").Add(1)
	tel.Histogram("x", "").With().Observe(time.Second)
	tel.GaugeVec("g", "").Set(1)
	_, end := tel.Span(context.Background(), "x")
	end(nil)
	tel.Log().Info("nothing")
	if err := tel.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
