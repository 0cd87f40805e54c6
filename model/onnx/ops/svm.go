package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// svm is what classifier and regressor share: support vectors and a kernel.
type svm struct {
	kind                string
	gamma, coef, degree float32
	vectors             []float32
	count, columns      int
	coefficients, rho   []float32
}

func (n *node) svm(count int) (*svm, error) {
	s := &svm{
		kind: n.text("kernel_type", "LINEAR"), vectors: n.floats("support_vectors"), count: count,
		coefficients: n.floats("coefficients"), rho: n.floats("rho"),
	}
	switch s.kind {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return nil, invalid("%q is no kernel", s.kind)
	}
	if p := n.floats("kernel_params"); len(p) == 3 {
		s.gamma, s.coef, s.degree = p[0], p[1], p[2]
	} else if s.kind != "LINEAR" {
		return nil, invalid("%d parameters of a kernel", len(p))
	}
	if len(s.rho) == 0 {
		return nil, invalid("rho is wanted")
	}
	if count > 0 {
		if len(s.vectors) == 0 || len(s.vectors)%count != 0 {
			return nil, invalid("%d numbers are not %d vectors", len(s.vectors), count)
		}
		s.columns = len(s.vectors) / count
	}
	return s, nil
}

// kernel compares a row with one vector.
func (s *svm) kernel(x, v []float32) float32 {
	var sum float32
	if s.kind == "RBF" {
		for i, a := range x {
			d := a - v[i]
			sum += d * d
		}
		return float32(math.Exp(float64(-s.gamma * sum)))
	}
	for i, a := range x {
		sum += a * v[i]
	}
	switch s.kind {
	case "POLY":
		return float32(math.Pow(float64(s.gamma*sum+s.coef), float64(s.degree)))
	case "SIGMOID":
		return float32(math.Tanh(float64(s.gamma*sum + s.coef)))
	}
	return sum
}

// compare fills out with the kernels of a row and all vectors.
func (s *svm) compare(x, out []float32) {
	for i := range out {
		out[i] = s.kernel(x, s.vectors[i*s.columns:(i+1)*s.columns])
	}
}

func buildSVMRegressor(n *node) (kernel, error) {
	post, err := n.transform()
	if err != nil {
		return nil, err
	}
	supports, oneClass := int(n.int("n_supports", 0)), n.int("one_class", 0) != 0
	s, err := n.svm(max(supports, 0))
	if err != nil {
		return nil, err
	}
	if s.count == 0 { // a linear one: the coefficients are of the columns
		s.columns, s.kind = len(s.coefficients), "LINEAR"
	} else if len(s.coefficients) != s.count {
		return nil, invalid("%d coefficients for %d vectors", len(s.coefficients), s.count)
	}
	return func(r *run, in, out []*Tensor) error {
		x, rows, err := r.rows(in[0], s.columns)
		if err != nil {
			return err
		}
		if err := r.make(out[0], proto.Float, []int{rows, 1}); err != nil {
			return err
		}
		if err := r.spend(rows, s.columns, max(s.count, 1)); err != nil {
			return err
		}
		near := grown(&r.near, s.count)
		for row := range rows {
			line := x[row*s.columns : (row+1)*s.columns]
			if s.count > 0 {
				s.compare(line, near)
				line = near
			}
			sum := dot(line, s.coefficients) + s.rho[0]
			if oneClass && sum > 0 {
				sum = 1
			} else if oneClass {
				sum = -1
			}
			out[0].F[row] = sum
			post.apply(out[0].F[row : row+1])
		}
		return nil
	}, nil
}

func dot(a, b []float32) float32 {
	var sum float32
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// svc is a classifier of pairs of classes.
type svc struct {
	*svm
	classes
	post         transform
	perClass     []int
	starts       []int // of the vectors of a class
	probA, probB []float32
	positive     bool // all weights
}

func buildSVMClassifier(n *node) (kernel, error) {
	c := &svc{classes: classes{classLabels(n, "classlabels_ints", "classlabels_strings")}}
	var err error
	if c.post, err = n.transform(); err != nil {
		return nil, err
	}
	if c.labels == nil {
		return nil, invalid("labels are wanted")
	}
	count := 0
	for _, v := range n.ints("vectors_per_class") {
		if v < 0 || v > math.MaxInt32 {
			return nil, invalid("%d vectors of a class", v)
		}
		c.starts = append(c.starts, count)
		c.perClass = append(c.perClass, int(v))
		count += int(v)
	}
	if c.svm, err = n.svm(count); err != nil {
		return nil, err
	}
	if count == 0 || c.post == probitTransform { // nothing that a converter writes
		return nil, unsupported("a support vector classifier without vectors, or with PROBIT")
	}
	c.probA, c.probB = n.floats("prob_a"), n.floats("prob_b")
	k := len(c.perClass)
	pairs := k * (k - 1) / 2
	switch {
	case k != c.labels.Len() || k < 2:
		return nil, invalid("vectors of %d classes for %d labels", k, c.labels.Len())
	case len(c.coefficients) != (k-1)*count:
		return nil, invalid("%d coefficients for %d vectors of %d classes", len(c.coefficients), count, k)
	case len(c.rho) != pairs || len(c.probA) != len(c.probB) || len(c.probA) != 0 && len(c.probA) != pairs:
		return nil, invalid("%d, %d and %d constants for %d pairs of classes", len(c.rho), len(c.probA), len(c.probB), pairs)
	}
	c.positive = true
	for _, v := range c.coefficients {
		c.positive = c.positive && v >= 0
	}
	return c.run, nil
}

func (c *svc) run(r *run, in, out []*Tensor) error {
	x, rows, err := r.rows(in[0], c.columns)
	if err != nil {
		return err
	}
	k := c.labels.Len()
	pairs := len(c.rho)
	wide := pairs
	if len(c.probA) > 0 || pairs == 1 {
		wide = k
	}
	if err := c.make(r, out, rows, wide); err != nil {
		return err
	}
	if err := r.spend(rows, c.count, c.columns+k); err != nil {
		return err
	}
	near, votes := grown(&r.near, c.count), make([]int, k)
	sums := make([]float32, pairs)
	all := c.classes.scores(r, out).F
	chances := newChances(k)
	for row := range rows {
		c.compare(x[row*c.columns:(row+1)*c.columns], near)
		c.decide(near, sums, votes)
		scores := all[row*wide : (row+1)*wide]
		class := mostVotes(votes)
		switch {
		case len(c.probA) > 0:
			chances.of(sums, c.probA, c.probB, scores)
			c.post.apply(scores)
		case pairs == 1:
			class = c.two(scores, sums[0], class)
		default:
			copy(scores, sums)
			c.post.apply(scores)
		}
		c.label(out[0], row, class)
	}
	return nil
}

// decide computes the sum of each pair of classes and lets it vote.
func (c *svc) decide(near, sums []float32, votes []int) {
	clear(votes)
	pair := 0
	for i := range c.perClass {
		for j := i + 1; j < len(c.perClass); j++ {
			var sum float64
			for m := range c.perClass[i] {
				at := c.starts[i] + m
				sum += float64(c.coefficients[(j-1)*c.count+at] * near[at])
			}
			for m := range c.perClass[j] {
				at := c.starts[j] + m
				sum += float64(c.coefficients[i*c.count+at] * near[at])
			}
			sums[pair] = float32(sum + float64(c.rho[pair]))
			if sums[pair] > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
			pair++
		}
	}
}

func mostVotes(votes []int) int {
	best := 0
	for i, v := range votes {
		if v > votes[best] {
			best = i
		}
	}
	return best
}

// two makes the scores of two classes of the sum of their pair, and returns
// the class.
func (c *svc) two(scores []float32, sum float32, class int) int {
	switch c.post {
	case noTransform:
		scores[0], scores[1] = -sum, sum
	case logisticTransform:
		scores[0], scores[1] = logistic(-sum), logistic(sum)
	default:
		scores[0], scores[1] = 1-sum, sum
	}
	return class
}

// chances turns the sums of pairs of classes into probabilities of classes,
// by the method of Wu, Lin and Weng that libsvm uses.
type chances struct {
	k     int
	pairs []float32 // k×k: of i against j
	q     []float32 // k×k
	qp, p []float32
}

func newChances(k int) *chances {
	return &chances{k: k, pairs: make([]float32, k*k), q: make([]float32, k*k), qp: make([]float32, k), p: make([]float32, k)}
}

func (c *chances) of(sums, a, b, out []float32) {
	const least = 1e-7
	pair := 0
	for i := range c.k {
		for j := i + 1; j < c.k; j++ {
			chance := min(max(1-logistic(sums[pair]*a[pair]+b[pair]), least), 1-least)
			c.pairs[i*c.k+j], c.pairs[j*c.k+i] = chance, 1-chance
			pair++
		}
	}
	c.couple()
	copy(out, c.p)
}

func (c *chances) couple() {
	k := c.k
	for t := range k {
		c.p[t] = 1 / float32(k)
		c.q[t*k+t] = 0
		for j := range k {
			if j == t {
				continue
			}
			back := c.pairs[j*k+t]
			c.q[t*k+t] += back * back
			c.q[t*k+j] = -back * c.pairs[t*k+j]
		}
	}
	epsilon := 0.005 / float32(k)
	for range max(100, k) {
		whole := float32(0)
		for t := range k {
			c.qp[t] = 0
			for j := range k {
				c.qp[t] += c.q[t*k+j] * c.p[j]
			}
			whole += c.p[t] * c.qp[t]
		}
		worst := float32(0)
		for t := range k {
			worst = max(worst, float32(math.Abs(float64(c.qp[t]-whole))))
		}
		if worst < epsilon {
			return
		}
		for t := range k {
			step := (whole - c.qp[t]) / c.q[t*k+t]
			c.p[t] += step
			whole = (whole + step*(step*c.q[t*k+t]+2*c.qp[t])) / (1 + step) / (1 + step)
			for j := range k {
				c.qp[j] = (c.qp[j] + step*c.q[t*k+j]) / (1 + step)
				c.p[j] /= 1 + step
			}
		}
	}
}
