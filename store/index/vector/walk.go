package vector

import "slices"

// walk is the memory of one search of the graph, used again for the next.
type walk struct {
	seen  []uint32 // the round in which a vector was seen last
	round uint32
	ahead mostFirst
	kept  leastFirst
}

// walk returns the nearest allowed vectors that the graph leads to, about
// effort of them: each with the highest score that its codes admit.
func (s *Set) walk(p *probe, effort int, allowed Bits) []found {
	w := s.walks.Get().(*walk)
	defer s.walks.Put(w)
	score := func(i int32) float32 { return p.score(&s.codes, i) }
	at := found{score(s.graph.entry), s.graph.entry}
	for l := s.graph.top; l > 0; l-- {
		at = s.graph.descend(at, l, score)
	}
	near := w.level(s.graph, []found{at}, 0, effort, score, allowed)
	for i := range near {
		near[i].score += p.error(&s.codes, near[i].id)
	}
	return near
}

// level searches one level from some vectors on: algorithm 2 of the paper. All
// vectors lead on; only those that are allowed are kept and count towards
// effort. It returns them by falling score.
func (w *walk) level(g *graph, from []found, level, effort int, score func(int32) float32, allowed Bits) []found {
	if w.round++; w.round == 0 { // after 2³² searches
		clear(w.seen)
		w.round = 1
	}
	w.ahead, w.kept = w.ahead[:0], w.kept[:0]
	for _, f := range from {
		w.seen[f.id] = w.round
		w.ahead.push(f)
		if allowed.Has(int(f.id)) {
			w.kept.keep(f, effort)
		}
	}
	for len(w.ahead) > 0 {
		f := w.ahead.pop()
		if len(w.kept) == effort && f.score < w.kept[0].score {
			break
		}
		for _, j := range g.neighbours(f.id, level) {
			if j < 0 {
				break
			}
			if w.seen[j] == w.round {
				continue
			}
			w.seen[j] = w.round
			next := found{score(j), j}
			if len(w.kept) == effort && compareFound(next, w.kept[0]) > 0 {
				continue
			}
			w.ahead.push(next)
			if allowed.Has(int(j)) {
				w.kept.keep(next, effort)
			}
		}
	}
	near := slices.Clone(w.kept)
	slices.SortFunc(near, compareFound)
	return near
}

// leastFirst is a heap whose root is the worst.
type leastFirst []found

// keep adds f, and drops the worst beyond most.
func (h *leastFirst) keep(f found, most int) {
	if len(*h) < most {
		*h = append(*h, f)
		for i := len(*h) - 1; i > 0; {
			up := (i - 1) / 2
			if compareFound((*h)[i], (*h)[up]) <= 0 {
				break
			}
			(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
			i = up
		}
		return
	}
	if most > 0 && compareFound(f, (*h)[0]) < 0 {
		(*h)[0] = f
		h.sink()
	}
}

func (h *leastFirst) sink() {
	list := *h
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(list) {
			return
		}
		if r := down + 1; r < len(list) && compareFound(list[r], list[down]) > 0 {
			down = r
		}
		if compareFound(list[down], list[i]) <= 0 {
			return
		}
		list[i], list[down] = list[down], list[i]
		i = down
	}
}

// mostFirst is a heap whose root is the best.
type mostFirst []found

func (h *mostFirst) push(f found) {
	*h = append(*h, f)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if compareFound((*h)[i], (*h)[up]) >= 0 {
			return
		}
		(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
		i = up
	}
}

func (h *mostFirst) pop() found {
	list := *h
	root, last := list[0], list[len(list)-1]
	list = list[:len(list)-1]
	*h = list
	if len(list) == 0 {
		return root
	}
	list[0] = last
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(list) {
			return root
		}
		if r := down + 1; r < len(list) && compareFound(list[r], list[down]) < 0 {
			down = r
		}
		if compareFound(list[down], list[i]) >= 0 {
			return root
		}
		list[i], list[down] = list[down], list[i]
		i = down
	}
}
