package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/pattern/stream"
)

// streamed puts a file of real data into the project, applies a stream of it
// and waits for its end.
func (l *loop) streamed(data, file, resource, name string, decided int64) {
	l.Helper()
	content, err := os.ReadFile(realdata.Path(l.T, data))
	if err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, file), content, 0o600); err != nil {
		l.Fatal(err)
	}
	l.apply("\n---\nkind: Endpoint", resource+"---\nkind: Endpoint")
	l.eventually("the file has come to its end", func() bool {
		st, err := l.Client().Stream(l.Context(), name)
		return err == nil && st.State == stream.Finished
	})
	st, err := l.Client().Stream(l.Context(), name)
	if err != nil || st.Decided != decided || st.Late != 0 || st.DeadLetters != 0 {
		l.Fatalf("%+v, %v", st, err)
	}
}

// counts holds what queries count against what they should.
func (l *loop) counts(wanted map[string]int) {
	l.Helper()
	for sql, want := range wanted {
		if got := l.count(sql); got != want {
			l.Errorf("%s: %d, not %d", sql, got, want)
		}
	}
}

const requestStream = `
---
kind: Stream
name: requests
from: access.log.gz
format: text
schema: {line: string}
timestamp: at
steps:
  - map:
      at: strptime(regexp_extract(line, '\[([^\]]+)\]', 1), '%d/%b/%Y:%H:%M:%S %z')
      client: regexp_extract(line, '^([^ ]+)', 1)
      method: regexp_extract(line, '"([A-Z]+) ', 1)
      status: cast(regexp_extract(line, '" ([0-9]{3}) ', 1) as int)
      bytes: cast(regexp_extract(line, '" [0-9]{3} ([0-9]+)', 1) as int)
route:
  - {when: status >= 500, to: out/broken.jsonl}
keep: lake://requests
`

// The access log of a web server, lines of text, goes through a stream into
// the lake, and its errors into a file. The figures are those of a script that reads the file by itself.
func TestLinesOfALog(t *testing.T) {
	l := newLoop(t, 10, listening)
	l.streamed("stream-apache-access-log/access.log.gz", "access.log.gz", requestStream, "requests", 10_000)
	l.counts(map[string]int{
		"select count(*) from requests where status = 200":      9_126,
		"select count(*) from requests where status = 404":      213,
		"select count(*) from requests where bytes is null":     669,
		"select count(distinct client) from requests":           1_753,
		"select count(*) from requests where method = 'POST'":   5,
		"select (sum(bytes) // 1000)::bigint from requests":     2_747_282,
		"select count(*) from requests where at < '2015-05-18'": 1_632,
		"select epoch(max(at) - min(at))::bigint from requests": 298_859,
	})
	text, err := os.ReadFile(filepath.Join(l.dir, "out", "broken.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) != 3 {
		t.Errorf("%d requests broke the server, not 3: %s", len(lines), text)
	}
	for _, line := range lines {
		var row struct {
			Status int    `json:"status"`
			Client string `json:"client"`
		}
		if err := json.Unmarshal(line, &row); err != nil || row.Status != 500 || row.Client == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

const sensorStream = `
---
kind: Stream
name: sensors
from: air.csv.gz
schema: {Date: string, Time: string, CO(GT): double, NMHC(GT): double, C6H6(GT): double, T: double}
timestamp: at
steps:
  - map:
      at: strptime(Date || ' ' || Time, '%Y-%m-%d %H:%M:%S')
      co: nullif("CO(GT)", -200)
      nmhc: nullif("NMHC(GT)", -200)
      benzene: nullif("C6H6(GT)", -200)
      celsius: nullif(T, -200)
  - where: at is not null
keep: lake://air
route:
  - {when: benzene > 20, to: out/smog.jsonl}
`

// A year of air quality, in which -200 stands for what is missing.
func TestSentinelsOfSensors(t *testing.T) {
	l := newLoop(t, 10, listening)
	l.streamed("stream-air-quality/data.csv.gz", "air.csv.gz", sensorStream, "sensors", 9_357)
	l.counts(map[string]int{
		"select count(*) from air":                                  9_357,
		"select count(*) from air where co is null":                 1_683,
		"select count(*) from air where nmhc is null":               8_443,
		"select count(*) from air where celsius is null":            366,
		"select round(sum(benzene))::bigint from air":               90_657,
		"select count(*) from air where at = '2005-04-04 14:00:00'": 1,
	})
	text, err := os.ReadFile(filepath.Join(l.dir, "out", "smog.jsonl"))
	if n := bytes.Count(text, []byte("\n")); err != nil || n != 942 {
		t.Errorf("%d hours of smog, not 942: %v", n, err)
	}
}

const editStream = `
---
kind: Stream
name: edits
from: edits.jsonl.gz
schema: {time: timestamp, channel: string, page: string, isRobot: bool, isAnonymous: bool, added: int, deleted: int, delta: int}
timestamp: time
lateness: 1m
steps:
  - map: {net: added - deleted}
batch: 10000
keep: lake://edits
`

// A day of edits of Wikipedia goes through a stream into the lake: every event
// once, none late, and the counts are those that its source publishes.
func TestDayOfEdits(t *testing.T) {
	l := newLoop(t, 10, listening)
	l.streamed("stream-wikipedia-edits/events.jsonl.gz", "edits.jsonl.gz", editStream, "edits", 39_244)
	l.counts(map[string]int{
		"select count(*) from edits":                                    39_244,
		"select count(*) from edits where isRobot":                      15_420,
		"select count(*) from edits where isAnonymous":                  3_799,
		"select count(*) from edits where channel = '#en.wikipedia'":    11_549,
		"select count(*) from edits where channel = '#vi.wikipedia'":    9_747,
		"select count(*) from edits where channel = '#de.wikipedia'":    2_523,
		"select count(*) from edits where net is distinct from delta":   0,
		"select count(*) from edits where time < '2015-09-12 00:46:58'": 0,
	})
}
