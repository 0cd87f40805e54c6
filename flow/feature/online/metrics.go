package online

import "github.com/leat-ai/leat/base/telemetry"

// metrics are what the features count, by view.
type metrics struct {
	reads, missing, stale, pushed, materialised telemetry.Counter
	age                                         telemetry.GaugeVec
}

func newMetrics(t *telemetry.Telemetry) *metrics {
	return &metrics{
		reads:        t.Counter("leat_feature_reads_total", "Entities whose features were read online.", "view"),
		missing:      t.Counter("leat_feature_missing_total", "Entities that the online store did not know.", "view"),
		stale:        t.Counter("leat_feature_stale_total", "Entities whose features were older than the ttl of their view.", "view"),
		pushed:       t.Counter("leat_feature_pushed_rows_total", "Rows that were pushed to the online store.", "view"),
		materialised: t.Counter("leat_feature_materialised_entities_total", "Entities that were written from the lake.", "view"),
		age:          t.GaugeVec("leat_feature_age_seconds", "Age of the newest event that the online store has of a view.", "view"),
	}
}

func (m *metrics) read(view string, entities, missing, stale int) {
	m.reads.Add(float64(entities), view)
	if missing > 0 {
		m.missing.Add(float64(missing), view)
	}
	if stale > 0 {
		m.stale.Add(float64(stale), view)
	}
}
