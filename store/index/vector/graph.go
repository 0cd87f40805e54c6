package vector

import (
	"cmp"
	"context"
	"slices"

	"github.com/leat-ai/leat/base/fault"
)

// graph is a hierarchical navigable small world: on its floor every vector has
// up to 2·links neighbours, and on each level above, which 1 in links vectors
// of the level below reach, links.
type graph struct {
	links  int
	exact  int // so many allowed vectors are scanned rather than looked for
	entry  int32
	top    int
	levels []byte  // n
	floor  []int32 // n × 2·links, -1 behind the last
	upper  []int32 // for each vector its levels × links
	at     []int32 // n: where a vector begins in upper, in lists
}

// place finds where each vector's upper lists begin.
func (g *graph) place() (lists int) {
	g.at = make([]int32, len(g.levels))
	for i, l := range g.levels {
		g.at[i] = int32(lists)
		lists += int(l)
	}
	return lists
}

// neighbours returns the whole list of a vector on a level.
func (g *graph) neighbours(i int32, level int) []int32 {
	if level == 0 {
		return g.floor[int(i)*2*g.links:][:2*g.links]
	}
	return g.upper[(int(g.at[i])+level-1)*g.links:][:g.links]
}

// check holds a graph that was read to what walking it relies on: every link
// leads to a vector that is there on the link's level.
func (g *graph) check() error {
	if int(g.levels[g.entry]) != g.top {
		return damaged("has a graph without an entry")
	}
	for _, l := range g.levels {
		if l > maxLevel {
			return damaged("has a graph with impossible levels")
		}
	}
	if lists := g.place(); lists*g.links != len(g.upper) {
		return damaged("has a graph that is not as large as its levels")
	}
	for i, l := range g.levels {
		for level := range int(l) + 1 {
			for _, n := range g.neighbours(int32(i), level) {
				if n < -1 || int(n) >= len(g.levels) || n >= 0 && int(g.levels[n]) < level {
					return damaged("has a graph with links that lead nowhere")
				}
			}
		}
	}
	return nil
}

// builder makes a graph, vector by vector in the order of their ordinals.
type builder struct {
	*graph
	codes  *codes
	effort int
	walk   walk
}

// build makes the graph of some codes. It takes a while: some 5,000 vectors a
// second.
func build(ctx context.Context, c *codes, o Options) (*graph, error) {
	n := c.len()
	g := &graph{links: o.Links, entry: -1, levels: make([]byte, n), floor: make([]int32, n*2*o.Links)}
	for i := range n {
		if c.scale[i] != 0 {
			g.levels[i] = byte(levelOf(i, o.Links))
		}
	}
	g.upper = make([]int32, g.place()*o.Links)
	fill(g.floor, -1)
	fill(g.upper, -1)
	b := &builder{graph: g, codes: c, effort: o.Effort, walk: walk{seen: make([]uint32, n)}}
	for i := range n {
		if i&0xff == 0 && ctx.Err() != nil {
			return nil, fault.Wrap(ctx.Err(), fault.Timeout, "the graph of vectors was not finished")
		}
		if c.scale[i] != 0 {
			b.insert(int32(i))
		}
	}
	return g, nil
}

func fill(list []int32, v int32) {
	for i := range list {
		list[i] = v
	}
}

// insert links a vector into the graph: algorithm 1 of the paper.
func (b *builder) insert(i int32) {
	level := int(b.levels[i])
	if b.entry < 0 {
		b.entry, b.top = i, level
		return
	}
	score := func(j int32) float32 { return b.codes.similarity(i, j) }
	at := found{score(b.entry), b.entry}
	for l := b.top; l > level; l-- {
		at = b.descend(at, l, score)
	}
	near := []found{at}
	for l := min(level, b.top); l >= 0; l-- {
		near = b.walk.level(b.graph, near, l, b.effort, score, nil)
		chosen := b.choose(near, b.links)
		list := b.neighbours(i, l)
		for n, f := range chosen {
			list[n] = f.id
			b.link(f.id, i, f.score, l)
		}
	}
	if level > b.top {
		b.entry, b.top = i, level
	}
}

// link adds the way back, from a neighbour to the new vector. A list that is
// full is chosen anew.
func (b *builder) link(from, to int32, score float32, level int) {
	list := b.neighbours(from, level)
	if n := slices.Index(list, -1); n >= 0 {
		list[n] = to
		return
	}
	all := make([]found, 0, len(list)+1)
	for _, j := range list {
		all = append(all, found{b.codes.similarity(from, j), j})
	}
	all = append(all, found{score, to})
	slices.SortFunc(all, compareFound)
	chosen := b.choose(all, len(list))
	fill(list, -1)
	for n, f := range chosen {
		list[n] = f.id
	}
}

// choose picks the neighbours of a vector among candidates that come by
// falling similarity: algorithm 4 of the paper. One that is nearer to a chosen
// neighbour than to the vector itself is reached through that neighbour; it
// takes a place only when some are left.
func (b *builder) choose(near []found, most int) []found {
	if len(near) <= most && most > b.links {
		return near
	}
	chosen, passed := make([]found, 0, most), make([]found, 0, most)
	for _, f := range near {
		if len(chosen) == most {
			break
		}
		if slices.ContainsFunc(chosen, func(c found) bool { return b.codes.similarity(f.id, c.id) > f.score }) {
			if len(passed) < most {
				passed = append(passed, f)
			}
			continue
		}
		chosen = append(chosen, f)
	}
	return append(chosen, passed[:min(len(passed), most-len(chosen))]...)
}

// descend goes to the nearest vector of a level, step by step.
func (g *graph) descend(at found, level int, score func(int32) float32) found {
	for moved := true; moved; {
		moved = false
		for _, j := range g.neighbours(at.id, level) {
			if j < 0 {
				break
			}
			if f := (found{score(j), j}); compareFound(f, at) < 0 {
				at, moved = f, true
			}
		}
	}
	return at
}

// found is a vector with what its codes say about it.
type found struct {
	score float32
	id    int32
}

// compareFound orders by falling score, then by ordinal, so that no answer
// hangs on the order of a walk.
func compareFound(a, b found) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}
