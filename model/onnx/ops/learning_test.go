package ops_test

import (
	"fmt"
	"math"

	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

func preparationTable() *table {
	b := newTable()
	words := onnxtest.Values{Dims: []int64{4, 1}, Texts: []string{"b", "a", "other", ""}}
	b.ml("Scaler", attributes{onnx.Floats("offset", []float32{1, 2, 3}), onnx.Floats("scale", []float32{0.5, 2, 0.1})}, b.floats(4, 3))
	b.ml("Scaler", attributes{onnx.Floats("offset", []float32{1}), onnx.Floats("scale", []float32{0.5})}, b.ints(9, 4, 3))
	b.ml("Scaler", attributes{onnx.Floats("offset", []float32{1}), onnx.Floats("scale", []float32{0.5})}, b.doubles(4, 3))
	nan := float32(math.NaN())
	b.ml("Imputer", attributes{onnx.Floats("imputed_value_floats", []float32{1, 2}), onnx.Float("replaced_value_float", nan)}, odd(b.floats(4, 2)))
	b.ml("Imputer", attributes{onnx.Floats("imputed_value_floats", []float32{9}), onnx.Float("replaced_value_float", 0)}, odd(b.floats(4, 2)))
	b.ml("Imputer", attributes{onnx.Ints("imputed_value_int64s", []int64{5, 6}), onnx.Int("replaced_value_int64", 1)}, b.ints(3, 4, 2))
	for _, norm := range []string{"MAX", "L1", "L2"} {
		b.ml("Normalizer", attributes{onnx.Text("norm", norm)}, b.floats(5, 3))
		b.ml("Normalizer", attributes{onnx.Text("norm", norm)}, onnxtest.Values{Dims: []int64{2, 2}, Floats: []float32{0, 0, -1, -2}})
		b.ml("Normalizer", attributes{onnx.Text("norm", norm)}, b.ints(5, 3, 2))
	}
	b.ml("OneHotEncoder", attributes{onnx.Strings("cats_strings", []string{"a", "b", "c"})}, words)
	b.ml("OneHotEncoder", attributes{onnx.Strings("cats_strings", []string{"a", "b", "c"})}, onnxtest.Values{Dims: []int64{2}, Texts: []string{"c", "a"}})
	b.ml("OneHotEncoder", attributes{onnx.Ints("cats_int64s", []int64{0, 2, 5})}, b.ints(6, 3, 2))
	b.ml("OneHotEncoder", attributes{onnx.Ints("cats_int64s", []int64{0, 2, 5})}, onnxtest.Values{Dims: []int64{3, 1}, Floats: []float32{2, 5.5, 1}})
	b.ml("Binarizer", attributes{onnx.Float("threshold", 0.3)}, b.floats(5, 3))
	b.ml("FeatureVectorizer", attributes{onnx.Ints("inputdimensions", []int64{2, 1})}, b.floats(3, 2), b.floats(3, 1))
	b.ml("ArrayFeatureExtractor", nil, b.floats(3, 4), integers(2, 0))
	b.ml("ArrayFeatureExtractor", nil, b.texts(5), integers(2, 0, 4))
	b.ml("ArrayFeatureExtractor", nil, b.ints(9, 1, 5), b.ints(5, 3, 1))
	b.ml("CategoryMapper", attributes{onnx.Strings("cats_strings", []string{"a", "b"}), onnx.Ints("cats_int64s", []int64{7, 9}), onnx.Int("default_int64", -5), onnx.Text("default_string", "?")}, words)
	b.ml("CategoryMapper", attributes{onnx.Strings("cats_strings", []string{"a", "b"}), onnx.Ints("cats_int64s", []int64{7, 9}), onnx.Int("default_int64", -5), onnx.Text("default_string", "?")}, integers(7, 8, 9))
	b.addAs("ZipMap", "ai.onnx.ml", 0, 0, 1, attributes{onnx.Ints("classlabels_int64s", []int64{4, 5})}, b.floats(3, 2))
	b.add("StringNormalizer", attributes{onnx.Text("case_change_action", "LOWER"), onnx.Int("is_case_sensitive", 0), onnx.Strings("stopwords", []string{"the"}), onnx.Text("locale", "C")}, onnxtest.Values{Dims: []int64{3}, Texts: []string{"The", "Big", "cat"}})
	b.add("StringNormalizer", attributes{onnx.Text("case_change_action", "UPPER"), onnx.Int("is_case_sensitive", 1), onnx.Strings("stopwords", []string{"the"}), onnx.Text("locale", "C")}, onnxtest.Values{Dims: []int64{3}, Texts: []string{"The", "the", "cat"}})
	for _, mode := range []string{"TF", "IDF", "TFIDF"} {
		for _, skips := range []int64{0, 2} {
			b.add("TfIdfVectorizer", attributes{
				onnx.Text("mode", mode), onnx.Int("min_gram_length", 1), onnx.Int("max_gram_length", 2), onnx.Int("max_skip_count", skips),
				onnx.Ints("ngram_counts", []int64{0, 3}), onnx.Ints("ngram_indexes", []int64{0, 1, 2, 4, 3}),
				onnx.Strings("pool_strings", []string{"a", "b", "c", "a", "b", "b", "a"}), onnx.Floats("weights", []float32{1, 2, 3, 4, 5}),
			}, onnxtest.Values{Dims: []int64{2, 5}, Texts: []string{"a", "b", "a", "x", "b", "c", "c", "a", "a", "b"}})
		}
	}
	return b
}

func labelEncodersTable() *table {
	b := newTable()
	nan := float32(math.NaN())
	words, whole, single := []string{"a", "b", ""}, []int64{3, 5, -1}, []float32{1.5, nan, 2}
	in := map[string]onnxtest.Values{
		"strings": {Dims: []int64{4, 1}, Texts: []string{"b", "a", "?", ""}},
		"int64s":  {Dims: []int64{4}, Ints: []int64{5, 3, 9, -1}},
		"floats":  {Dims: []int64{2, 2}, Floats: []float32{nan, 2, 7, 1.5}},
	}
	of := func(prefix, kind string) onnx.Attribute {
		switch kind {
		case "strings":
			return onnx.Strings(prefix+"strings", words)
		case "int64s":
			return onnx.Ints(prefix+"int64s", whole)
		}
		return onnx.Floats(prefix+"floats", single)
	}
	for _, keys := range []string{"strings", "int64s", "floats"} {
		for _, to := range []string{"strings", "int64s", "floats"} {
			b.ml("LabelEncoder", attributes{of("keys_", keys), of("values_", to)}, in[keys])
			b.addAs("LabelEncoder", "ai.onnx.ml", 19, 4, 1, attributes{of("keys_", keys), of("values_", to)}, in[keys])
			b.ml("LabelEncoder", attributes{of("keys_", keys), of("values_", to), onnx.Text("default_string", "none"), onnx.Int("default_int64", 77), onnx.Float("default_float", nan)}, in[keys])
		}
	}
	b.addAs("LabelEncoder", "ai.onnx.ml", 19, 4, 1, attributes{
		onnxtest.TensorAttribute("keys_tensor", onnxtest.Values{Dims: []int64{2}, Texts: []string{"a", "b"}}),
		onnxtest.TensorAttribute("values_tensor", onnxtest.Values{Dims: []int64{2}, Doubles: []float64{0.1, 0.2}}),
		onnxtest.TensorAttribute("default_tensor", onnxtest.Values{Dims: []int64{1}, Doubles: []float64{-3}}),
	}, in["strings"])
	b.addAs("LabelEncoder", "ai.onnx.ml", 0, 1, 1, attributes{onnx.Strings("classes_strings", words), onnx.Text("default_string", "none")}, in["strings"])
	b.addAs("LabelEncoder", "ai.onnx.ml", 0, 1, 1, attributes{onnx.Strings("classes_strings", words), onnx.Text("default_string", "none")}, integers(0, 2, 5))
	return b
}

func transforms() []string { return []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"} }

func linearModelsTable() *table {
	b := newTable()
	coefficients := func(n int64) onnx.Attribute { return onnx.Floats("coefficients", b.floats(n).Floats) }
	for _, post := range append(transforms(), "PROBIT") {
		for _, targets := range []int64{1, 3} {
			b.ml("LinearRegressor", attributes{coefficients(4 * targets), onnx.Floats("intercepts", b.floats(targets).Floats), onnx.Int("targets", targets), onnx.Text("post_transform", post)}, b.floats(6, 4))
		}
		if post == "PROBIT" {
			continue
		}
		labels := map[int64][]int64{1: {4, 9}, 2: {4, 9}, 3: {1, 2, 7}}
		for scores, classes := range labels {
			b.ml("LinearClassifier", attributes{coefficients(4 * scores), onnx.Floats("intercepts", b.floats(scores).Floats), onnx.Ints("classlabels_ints", classes), onnx.Text("post_transform", post)}, b.floats(6, 4))
		}
		b.ml("LinearClassifier", attributes{coefficients(4), onnx.Floats("intercepts", []float32{0.1}), onnx.Strings("classlabels_strings", []string{"no", "yes"}), onnx.Text("post_transform", post)}, b.ints(9, 6, 4))
		b.ml("LinearClassifier", attributes{coefficients(12), onnx.Floats("intercepts", b.floats(3).Floats), onnx.Strings("classlabels_strings", []string{"a", "b", "c"}), onnx.Int("multi_class", 1), onnx.Text("post_transform", post)}, b.doubles(6, 4))
	}
	b.ml("LinearRegressor", attributes{coefficients(4)}, b.floats(6, 4))
	return b
}

func supportVectorMachinesTable() *table {
	b := newTable()
	for _, kernel := range []string{"LINEAR", "POLY", "RBF", "SIGMOID"} {
		params := onnx.Floats("kernel_params", []float32{0.3, 0.2, 3})
		for _, post := range []string{"NONE", "LOGISTIC"} {
			for _, one := range []int64{0, 1} {
				b.ml("SVMRegressor", attributes{
					onnx.Text("kernel_type", kernel), params, onnx.Int("n_supports", 5), onnx.Int("one_class", one), onnx.Text("post_transform", post),
					onnx.Floats("support_vectors", b.floats(15).Floats), onnx.Floats("coefficients", b.floats(5).Floats), onnx.Floats("rho", []float32{0.2}),
				}, b.floats(6, 3))
			}
		}
		for _, classes := range []int64{2, 3, 4} {
			b.svc(kernel, classes, "NONE", false, false)
			b.svc(kernel, classes, "NONE", true, false)
		}
	}
	for _, post := range transforms() {
		for _, positive := range []bool{false, true} {
			for _, classes := range []int64{2, 3} {
				b.svc("RBF", classes, post, false, positive)
				b.svc("RBF", classes, post, true, positive)
			}
		}
	}
	b.ml("SVMRegressor", attributes{onnx.Floats("coefficients", []float32{1, -2, 0.5}), onnx.Floats("rho", []float32{0.2}), onnx.Floats("kernel_params", []float32{0, 0, 0})}, b.floats(6, 3))
	return b
}

// svc adds a machine of a few vectors of each class.
func (t *table) svc(kernel string, classes int64, post string, chances, positive bool) {
	perClass, count := []int64{}, int64(0)
	for i := range classes {
		perClass = append(perClass, 2+i%2)
		count += 2 + i%2
	}
	coefficients := t.floats((classes - 1) * count).Floats
	for i, v := range coefficients {
		if positive {
			coefficients[i] = float32(math.Abs(float64(v)))
		}
	}
	pairs := classes * (classes - 1) / 2
	a := attributes{
		onnx.Text("kernel_type", kernel), onnx.Floats("kernel_params", []float32{0.3, 0.2, 2}), onnx.Text("post_transform", post),
		onnx.Ints("vectors_per_class", perClass), onnx.Floats("support_vectors", t.floats(count*3).Floats),
		onnx.Floats("coefficients", coefficients), onnx.Floats("rho", t.floats(pairs).Floats),
		onnx.Ints("classlabels_ints", []int64{3, 5, 7, 8}[:classes]),
	}
	if chances {
		a = append(a, onnx.Floats("prob_a", t.floats(pairs).Floats), onnx.Floats("prob_b", t.floats(pairs).Floats))
	}
	t.ml("SVMClassifier", a, t.floats(12, 3))
	t.names[len(t.names)-1] += fmt.Sprint(" ", kernel, " ", classes, " ", post, " ", chances, " ", positive)
}
