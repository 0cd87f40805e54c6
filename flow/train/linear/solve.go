package linear

import (
	"context"
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"github.com/leat-ai/leat/base/fault"
)

const (
	maxNewton     = 1024 // weights above which the Hessian is not made
	newtonRounds  = 50
	lbfgsRounds   = 400
	decrementStop = 1e-10 // of the objective, relative: Newton has converged
)

// second holds the objective of one part of the rows with its derivatives.
type second struct {
	loss     float64
	gradient []float64
	hessian  []float64 // upper triangle of width×width
}

// newton minimises the objective of one score. Each step is halved until the
// objective does not rise, which the loss of logistic regression can ask for.
func (p *problem) newton(ctx context.Context) ([]float64, error) {
	weights := make([]float64, p.width)
	sums := make([]second, parts)
	for i := range sums {
		sums[i] = second{gradient: make([]float64, p.width), hessian: make([]float64, p.width*p.width)}
	}
	for round := range newtonRounds {
		loss, err := p.derive(ctx, weights, sums)
		if err != nil {
			return nil, err
		}
		step, err := solve(&sums[0], p.width)
		if err != nil {
			return nil, err
		}
		decrement := 0.0
		for j, s := range step {
			decrement += s * sums[0].gradient[j]
		}
		if p.progress != nil {
			p.progress(round+1, newtonRounds, math.NaN())
		}
		if decrement <= decrementStop*(1+math.Abs(loss)) {
			break
		}
		moved, err := p.descend(ctx, weights, step, loss)
		if err != nil || !moved {
			return weights, err
		}
	}
	return weights, nil
}

// derive fills sums[0] with the derivatives of the whole objective.
func (p *problem) derive(ctx context.Context, weights []float64, sums []second) (loss float64, err error) {
	err = p.inParts(ctx, func(part, from, to int) { p.derivePart(&sums[part], weights, from, to) })
	if err != nil {
		return 0, err
	}
	all := &sums[0]
	for _, s := range sums[1:] {
		all.loss += s.loss
		add(all.gradient, s.gradient)
		add(all.hessian, s.hessian)
	}
	for j := range p.width - 1 {
		all.gradient[j] += p.l2 * weights[j]
		all.hessian[j*p.width+j] += p.l2
	}
	return all.loss + p.penalty(weights), nil
}

func add(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}

func (p *problem) derivePart(s *second, weights []float64, from, to int) {
	s.loss = 0
	clear(s.gradient)
	clear(s.hessian)
	bias := p.width - 1
	p.eachRow(from, to, func(row int, at []int32, z []float64) {
		w := p.weightOf(row)
		loss, g, h := p.single(dot(weights, at, z), p.label[row])
		s.loss += w * loss
		g, h = w*g, w*h
		for i, j := range at {
			s.gradient[j] += g * z[i]
			line := s.hessian[int(j)*p.width : (int(j)+1)*p.width]
			hz := h * z[i]
			for i2 := i; i2 < len(at); i2++ {
				line[at[i2]] += hz * z[i2]
			}
			line[bias] += hz
		}
		s.gradient[bias] += g
		s.hessian[bias*p.width+bias] += h
	})
}

func solve(s *second, width int) ([]float64, error) {
	var chol mat.Cholesky
	if !chol.Factorize(mat.NewSymDense(width, s.hessian)) {
		return nil, fault.New(fault.Invalid, "the linear fit has no single answer").
			Hint("raise the parameter %s", L2)
	}
	var step mat.VecDense
	if err := chol.SolveVecTo(&step, mat.NewVecDense(width, s.gradient)); err != nil {
		if _, ill := errors.AsType[mat.Condition](err); !ill { // an ill condition only costs digits
			return nil, fault.Wrap(err, fault.Internal, "the linear fit cannot be solved")
		}
	}
	return step.RawVector().Data, nil
}

// descend moves weights against the step as far as it helps.
func (p *problem) descend(ctx context.Context, weights, step []float64, before float64) (moved bool, err error) {
	tried := make([]float64, len(weights))
	for length := 1.0; length > 1e-6; length /= 2 {
		for j := range tried {
			tried[j] = weights[j] - length*step[j]
		}
		after, err := p.objective(ctx, tried)
		if err != nil {
			return false, err
		}
		if after <= before {
			copy(weights, tried)
			return true, nil
		}
	}
	return false, nil
}

func (p *problem) objective(ctx context.Context, weights []float64) (float64, error) {
	var losses [parts]float64
	err := p.inParts(ctx, func(part, from, to int) {
		p.eachRow(from, to, func(row int, at []int32, z []float64) {
			loss, _, _ := p.single(dot(weights, at, z), p.label[row])
			losses[part] += p.weightOf(row) * loss
		})
	})
	sum := p.penalty(weights)
	for _, loss := range losses {
		sum += loss
	}
	return sum, err
}

// lbfgs minimises the objective of several scores, or of one with many
// weights, from first derivatives alone.
func (p *problem) lbfgs(ctx context.Context) ([]float64, error) {
	last := &evaluation{p: p, ctx: ctx}
	rounds := 0
	result, err := optimize.Minimize(optimize.Problem{
		Func: func(x []float64) float64 { return last.at(x).value },
		Grad: func(grad, x []float64) { copy(grad, last.at(x).gradient) },
		Status: func() (optimize.Status, error) {
			rounds++
			if p.progress != nil {
				p.progress(min(rounds, lbfgsRounds), lbfgsRounds, math.NaN())
			}
			if ctx.Err() != nil {
				return optimize.RuntimeLimit, ctx.Err()
			}
			return optimize.NotTerminated, nil
		},
	}, make([]float64, p.scores*p.width), &optimize.Settings{
		MajorIterations:   lbfgsRounds,
		GradientThreshold: 1e-7,
		Converger:         &optimize.FunctionConverge{Absolute: 1e-10, Relative: 1e-10, Iterations: 10},
	}, &optimize.LBFGS{})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if result == nil || (err != nil && result.X == nil) {
		return nil, fault.Wrap(err, fault.Internal, "the linear fit failed")
	}
	if err != nil { // the line search found no better point: as good as it gets in float64
		p.notes = append(p.notes, "the linear fit stopped early: "+err.Error())
	}
	return result.X, nil
}

// evaluation is the objective, divided by the rows, at the last point asked
// for: the optimiser asks for value and gradient of the same point in turn.
type evaluation struct {
	p        *problem
	ctx      context.Context
	x        []float64
	value    float64
	gradient []float64
}

func (e *evaluation) at(x []float64) *evaluation {
	if e.x != nil && equal(e.x, x) {
		return e
	}
	e.x = append(e.x[:0], x...)
	p, size := e.p, len(x)
	var losses [parts]float64
	gradients := make([][]float64, parts)
	// After the context ended the value does not matter: Status stops the search.
	_ = p.inParts(e.ctx, func(part, from, to int) {
		gradients[part] = make([]float64, size)
		losses[part] = p.gradientPart(gradients[part], x, from, to)
	})
	e.value, e.gradient = p.penalty(x), make([]float64, size)
	for part, g := range gradients {
		e.value += losses[part]
		add(e.gradient, g)
	}
	e.value /= float64(p.rows)
	for j := range e.gradient {
		if j%p.width != p.width-1 {
			e.gradient[j] += p.l2 * x[j]
		}
		e.gradient[j] /= float64(p.rows)
	}
	return e
}

func equal(a, b []float64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// gradientPart adds the gradient of some rows to g and returns their loss.
func (p *problem) gradientPart(g, weights []float64, from, to int) (sum float64) {
	slope := make([]float64, p.scores)
	p.eachRow(from, to, func(row int, at []int32, z []float64) {
		w := p.weightOf(row)
		for k := range slope {
			slope[k] = dot(weights[k*p.width:(k+1)*p.width], at, z)
		}
		sum += w * p.slopes(slope, p.label[row])
		for k := range slope {
			line := g[k*p.width : (k+1)*p.width]
			s := w * slope[k]
			for i, j := range at {
				line[j] += s * z[i]
			}
			line[p.width-1] += s
		}
	})
	return sum
}

// slopes turns the scores of a row into the derivatives of its loss by them,
// and returns the loss.
func (p *problem) slopes(scores []float64, y float64) (loss float64) {
	if p.scores == 1 {
		loss, scores[0], _ = p.single(scores[0], y)
		return loss
	}
	top, sum := math.Inf(-1), 0.0
	for _, s := range scores {
		top = max(top, s)
	}
	own := scores[int(y)] - top
	for k := range scores {
		scores[k] = math.Exp(scores[k] - top)
		sum += scores[k]
	}
	for k := range scores {
		scores[k] /= sum
	}
	scores[int(y)]--
	return math.Log(sum) - own
}
