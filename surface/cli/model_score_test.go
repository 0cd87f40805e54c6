package cli_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/model/xgboost"
	"github.com/leat-ai/leat/surface/cli"
)

func formats() []model.Format {
	return []model.Format{tree.Format{}, linear.Format{}, lightgbm.Format{}, xgboost.Format{}, graph.Format{}}
}

// leat runs a command and returns what it printed.
func leat(args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	code = cli.Main(context.Background(), cli.Program{Args: args, Out: &stdout, Err: &stderr, Formats: formats})
	return stdout.String(), stderr.String(), code
}

// table reads CSV, or what another separator divides.
func table(t *testing.T, r io.Reader, separator rune) [][]string {
	t.Helper()
	c := csv.NewReader(r)
	c.Comma = separator
	rows, err := c.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// scored is a model of the data sets with what its library answers.
type scored struct {
	model, rows string
	flags       []string
	expected    string
	separator   rune     // of expected; comma when 0
	headless    bool     // expected has no header
	prefixes    []string // of the columns of expected that are meant; all when empty
	tolerance   float64  // relative; 0 asks for the same bits
	absolute    float64  // what numbers may differ by beside it
	header      bool     // the header is that of expected
}

func cases() []scored {
	// A float32 exponential is not the same in every library; its last digit
	// is what predictions of XGBoost may differ by.
	const single = 5e-7
	const double = 1e-13
	var all []scored
	for _, name := range []string{"adult-categorical-binary", "adult-onehot-binary", "bike-poisson", "bike-regression", "telco-dart", "wine-multiclass"} {
		dir := "model-xgboost-trained/" + name + "/"
		for _, file := range []string{"model.json", "model.ubj"} {
			c := scored{model: dir + file, rows: dir + "features.csv.gz", expected: dir + "expected.csv"}
			raw := c
			c.prefixes, c.tolerance = []string{"prediction"}, single
			raw.prefixes, raw.flags = []string{"margin"}, []string{"--raw"}
			all = append(all, c, raw)
		}
	}
	served := "model-server-examples/"
	for file, tolerance := range map[string]float64{
		"kserve-iris-lightgbm.txt": double, "mlserver-iris-lightgbm.txt": double, "kserve-iris-xgboost.json": single,
		"kserve-iris-xgboost.ubj": single, "mlserver-mushroom-xgboost.json": single,
	} {
		c := scored{model: served + file, rows: served + "iris.csv", expected: served + file + ".expected.csv"}
		if strings.Contains(file, "mushroom") {
			c.rows = "model-leaves/agaricus_test.libsvm.gz"
		}
		raw := c
		c.prefixes, c.tolerance = []string{"prediction", "probability"}, tolerance
		raw.prefixes, raw.flags = []string{"margin", "raw"}, []string{"--raw"}
		all = append(all, c, raw)
	}
	// ONNX computes in float32, where sums of hundreds of leaves depend on their
	// order in the last digits.
	for _, name := range []string{"adult-pipeline-logistic", "adult-random-forest", "bike-gradient-boosting", "iris-forest-skl2onnx", "wine-forest-multiclass"} {
		dir := "model-onnx/" + name + "/"
		all = append(all, scored{
			model: dir + "model.onnx", rows: dir + "inputs.csv.gz", expected: dir + "expected.csv", prefixes: []string{""},
			tolerance: single, absolute: 1e-4, header: true,
		})
	}
	leaves := scored{headless: true, separator: '\t', tolerance: double}
	add := func(model, rows, expected string, flags ...string) {
		c := leaves
		c.model, c.rows, c.expected, c.flags = "model-leaves/"+model, "model-leaves/"+rows, "model-leaves/"+expected, flags
		all = append(all, c)
	}
	add("lgmulticlass.model", "multiclass_test.tsv.gz", "lgmulticlass_true_predictions.txt", "--drop", "0")
	add("lgmulticlass.model", "multiclass_test.tsv.gz", "lgmulticlass_true_raw_predictions.txt", "--drop", "0", "--raw")
	add("lg_dart_breast_cancer.model", "breast_cancer_test.tsv", "lg_dart_breast_cancer_true_predictions.txt", "--no-header")
	add("lg_rf_iris.model", "iris_test.libsvm", "lg_rf_iris_true_predictions.txt")
	return all
}

func TestScoresAreThoseOfTheLibrary(t *testing.T) {
	for _, c := range cases() {
		t.Run(strings.Join(append([]string{c.model}, c.flags...), " "), func(t *testing.T) {
			out, errs, code := leat(append([]string{"model", "score", realdata.Path(t, c.model), "--in", realdata.Path(t, c.rows)}, c.flags...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			got := table(t, strings.NewReader(out), ',')
			want := c.want(t)
			if len(got)-1 != len(want) {
				t.Fatalf("%d rows, not %d", len(got)-1, len(want))
			}
			if c.header && !slices.Equal(got[0], c.head(t)) {
				t.Errorf("the header is %v, not %v", got[0], c.head(t))
			}
			for row := range want {
				c.compare(t, row, got[row+1], want[row])
			}
		})
	}
}

// want are the rows expected.
func (c scored) want(t *testing.T) [][]string {
	f, err := os.Open(realdata.Path(t, c.expected))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	separator := c.separator
	if separator == 0 {
		separator = ','
	}
	rows := table(t, f, separator)
	if c.headless {
		return rows
	}
	var columns []int
	for i, name := range rows[0] {
		if slices.ContainsFunc(c.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			columns = append(columns, i)
		}
	}
	var picked [][]string
	for _, row := range rows[1:] {
		var cells []string
		for _, at := range columns {
			cells = append(cells, row[at])
		}
		picked = append(picked, cells)
	}
	return picked
}

// head is the header expected.
func (c scored) head(t *testing.T) []string {
	text, err := os.ReadFile(realdata.Path(t, c.expected))
	if err != nil {
		t.Fatal(err)
	}
	return table(t, bytes.NewReader(text), ',')[0]
}

func (c scored) compare(t *testing.T, row int, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("row %d has %d columns, not %d", row, len(got), len(want))
	}
	for i := range want {
		g, gerr := strconv.ParseFloat(got[i], 64)
		w, werr := strconv.ParseFloat(want[i], 64)
		if gerr != nil || werr != nil {
			if got[i] != want[i] {
				t.Fatalf("row %d column %d is %q, not %q", row, i, got[i], want[i])
			}
			continue
		}
		if math.Abs(g-w) > c.absolute+c.tolerance*math.Abs(w) {
			t.Fatalf("row %d column %d is %v, not %v", row, i, g, w)
		}
	}
}

func TestEveryModelCanBeInspected(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases() {
		if seen[c.model] {
			continue
		}
		seen[c.model] = true
		out, errs, code := leat("model", "inspect", realdata.Path(t, c.model), "--json")
		if code != 0 {
			t.Fatalf("%s: %s", c.model, errs)
		}
		var about struct {
			Kind        string
			Description model.Description
			Signature   model.Signature
			Files       []struct{ SHA256 string }
		}
		if err := json.Unmarshal([]byte(out), &about); err != nil {
			t.Fatal(err)
		}
		d := about.Description
		if about.Kind == "" || d.Library == "" ||
			!strings.HasSuffix(c.model, ".onnx") && (d.LibraryVersion == "" || d.Objective == "" || d.Trees == 0 || d.Leaves == 0) ||
			len(about.Signature.Inputs) == 0 || len(about.Files[0].SHA256) != 64 {
			t.Errorf("%s says little of itself: %+v", c.model, about)
		}
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const bikes = "season,yr,mnth,hr,holiday,weekday,workingday,weathersit,temp,atemp,hum,windspeed"

func TestWhatIsWrongWithRowsIsSaid(t *testing.T) {
	bike := realdata.Path(t, "model-xgboost-trained/bike-poisson/model.ubj")
	good := "1,0,1,0,0,6,0,1,0.24,0.2879,0.81,0"
	for name, c := range map[string]struct {
		rows string
		code int
		says []string
	}{
		"a column is missing":   {strings.Replace(bikes, "atemp", "tempa", 1) + "\n" + good, 2, []string{`column "atemp" is missing`}},
		"a column is misspelt":  {strings.Replace(bikes, "windspeed", "wind_speed", 1) + "\n" + good, 2, []string{`"windspeed" is missing`, `did you mean "wind_speed"?`}},
		"text in a number":      {bikes + "\n" + good + "\n" + strings.Replace(good, "0.81", "wet", 1), 2, []string{"rows.csv:3", `column "hum" has "wet"`}},
		"a row is short":        {bikes + "\n" + good + "\n1,2", 2, []string{"rows.csv:3", "2 cells instead of 12"}},
		"a quote is open":       {bikes + "\n\"1,0", 2, []string{"rows.csv:2", "quote"}},
		"too few columns":       {"a,b\n1,2\n", 2, []string{`column "season" is missing`}},
		"no rows":               {bikes + "\n", 0, nil},
		"missing values":        {bikes + "\n,,,,,,,,,,,\n", 0, nil},
		"more columns":          {bikes + ",cnt\n" + good + ",17\n", 0, nil},
		"other order":           {"cnt," + bikes + "\n17," + good + "\n", 0, nil},
		"nothing":               {"", 2, []string{"empty"}},
		"numbers without names": {good + "\n", 0, []string{"by position"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, code := leat("model", "score", bike, "--in", write(t, "rows.csv", c.rows))
			if code != c.code {
				t.Errorf("exit code %d, not %d", code, c.code)
			}
			for _, text := range c.says {
				if !strings.Contains(errs, text) {
					t.Errorf("it does not say %q: %s", text, errs)
				}
			}
		})
	}
}

func TestScoresGoToAFileAndFiguresToTheOutput(t *testing.T) {
	dir := "model-xgboost-trained/bike-regression/"
	to := filepath.Join(t.TempDir(), "scores.csv")
	out, errs, code := leat("model", "score", realdata.Path(t, dir+"model.json"), "--in", realdata.Path(t, dir+"features.csv.gz"), "--out", to, "--json")
	var figures struct {
		Rows    int
		Seconds float64
		Rate    float64 `json:"rows_per_s"`
	}
	if code != 0 || json.Unmarshal([]byte(out), &figures) != nil || figures.Rows != 500 || figures.Seconds <= 0 || figures.Rate <= 0 {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	lines, err := os.ReadFile(to)
	if err != nil || bytes.Count(lines, []byte("\n")) != 501 {
		t.Errorf("%v, %d lines", err, bytes.Count(lines, []byte("\n")))
	}
	if _, _, code := leat("model", "score", realdata.Path(t, dir+"model.json"), "--in", write(t, "rows.csv", bikes+"\nx"), "--out", to); code == 0 {
		t.Error("a broken row went through")
	}
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Errorf("half a file was left: %v", err)
	}
}

func TestACategoryThatIsTextAndOneThatIsUnknown(t *testing.T) {
	dir := "model-xgboost-trained/adult-categorical-binary/"
	rows := "age,workclass,education,education-num,marital-status,occupation,relationship,race,sex,capital-gain,capital-loss,hours-per-week,native-country\n" +
		"39,State-gov,Bachelors,13,Never-married,Adm-clerical,Not-in-family,White,Male,2174,0,40,United-States\n" +
		"39,Unheard-of,Bachelors,13,Never-married,Adm-clerical,Not-in-family,White,Male,2174,0,40,United-States\n" +
		"39,,Bachelors,13,Never-married,Adm-clerical,Not-in-family,White,Male,2174,0,40,\n"
	out, errs, code := leat("model", "score", realdata.Path(t, dir+"model.ubj"), "--in", write(t, "rows.csv", rows), "--raw")
	if code != 0 {
		t.Fatal(errs)
	}
	got := table(t, strings.NewReader(out), ',')
	if len(got) != 4 || got[1][0] != "-3.2955775260925293" {
		t.Errorf("%v", got)
	}
}
