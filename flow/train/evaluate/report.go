// Package evaluate measures predictions against what was true.
//
// The train stage calls it with the test rows of a candidate and stores the
// Report, as JSON, with the version; the model card draws it. Everything here
// is arithmetic over slices: nothing reads files or calls models. Measures
// agree with those of scikit-learn of the same name, which the tests hold
// them to.
package evaluate

import (
	"github.com/leat-ai/leat/model"
)

// Names of measures, as gates and reports use them. A measure that has no
// value for some rows, such as the AUC of rows of one class, is absent.
//
//	binary      auc pr_auc f1 accuracy precision recall logloss brier positives
//	multiclass  auc (one against the rest, mean over classes) f1 (mean over
//	            classes) accuracy logloss
//	regression  rmse mae r2
//	all         p50_ms p95_ms: one row through the model, measured by the stage
const (
	AUC       = "auc"       // how often a positive row scores above a negative one; of several classes each against the rest, averaged
	PRAUC     = "pr_auc"    // average precision, the area under precision over recall
	F1        = "f1"        // harmonic mean of precision and recall at the threshold; of several classes averaged
	Accuracy  = "accuracy"  // share of rows whose class is right
	Precision = "precision" // share of the rows called positive that are, at the threshold
	Recall    = "recall"    // share of the positive rows that are called so, at the threshold
	LogLoss   = "logloss"   // mean of minus the logarithm of the probability given to the true class
	Brier     = "brier"     // mean squared difference of probability and truth
	Positives = "positives" // share of rows that are truly positive
	RMSE      = "rmse"      // root of the mean squared error
	MAE       = "mae"       // mean absolute error
	R2        = "r2"        // share of the variance that is explained
	P50       = "p50_ms"    // median time of one row through the model, in milliseconds
	P95       = "p95_ms"    // 95th percentile of the same
)

// Names lists the measures, as they stand above.
func Names() []string {
	return []string{AUC, PRAUC, F1, Accuracy, Precision, Recall, LogLoss, Brier, Positives, RMSE, MAE, R2, P50, P95}
}

// Report is everything that was measured of a candidate. It is stored as JSON
// with the version; later fields may be added, none changes its meaning.
type Report struct {
	Task      model.Task `json:"task"`
	Label     string     `json:"label"`
	Classes   []string   `json:"classes,omitempty"`   // Classes[1] is the positive one of two
	Threshold *float64   `json:"threshold,omitempty"` // of the score, for f1, accuracy, precision, recall
	Rows      Rows       `json:"rows"`
	// Metrics are the measures on the test rows by name, see above.
	Metrics map[string]float64 `json:"metrics"`
	// Confusion counts test rows by true class (first index) and predicted
	// class, both in the order of Classes.
	Confusion   [][]int  `json:"confusion,omitempty"`
	ROC         []Point  `json:"roc,omitempty"`         // x: false positive rate, y: true positive rate
	PR          []Point  `json:"pr,omitempty"`          // x: recall, y: precision
	Calibration []Bin    `json:"calibration,omitempty"` // of the score, ten bins of equal width
	Residuals   []Bin    `json:"residuals,omitempty"`   // regression: actual minus predicted
	Scatter     []Point  `json:"scatter,omitempty"`     // regression: x actual, y predicted, a sample
	Slices      []Slice  `json:"slices,omitempty"`
	Importance  []Weight `json:"importance,omitempty"` // largest first
	Columns     []Unused `json:"unused_columns,omitempty"`
	Notes       []string `json:"notes,omitempty"` // what was tried, and why it won
	// Champion is the model that the candidate was measured beside, if there
	// was one.
	Champion *Champion `json:"champion,omitempty"`
}

// Champion is what was found out about the model that a candidate would
// replace.
type Champion struct {
	Version string `json:"version"` // its id
	Number  int    `json:"number"`
	// Metrics are those on the candidate's own test rows.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Why     string             `json:"why,omitempty"` // there are no Metrics
}

// Rows counts what the rows were used for.
type Rows struct {
	Train   int `json:"train"`             // fitted, the validation rows not counted
	Valid   int `json:"valid"`             // for choosing and stopping
	Test    int `json:"test"`              // for this report
	Dropped int `json:"dropped,omitempty"` // without a label
	Sampled int `json:"sampled,omitempty"` // left out because of a limit on rows
}

// Point is a point of a curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Bin is the rows whose value lies in [From, To).
type Bin struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Rows int     `json:"rows"`
	// Of the calibration curve: the mean score and the share of positives.
	Score float64 `json:"score,omitempty"`
	Share float64 `json:"share,omitempty"`
}

// Slice is the measures of the test rows with one value, or a range of
// values, of a column.
type Slice struct {
	Column  string             `json:"column"`
	Value   string             `json:"value"` // as text, "from … to", "(missing)" or "(other)"
	Rows    int                `json:"rows"`
	Metrics map[string]float64 `json:"metrics"`
}

// Weight is the importance of an input, a share of 1.
type Weight struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// Unused is a column that the model was not given.
type Unused struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}
