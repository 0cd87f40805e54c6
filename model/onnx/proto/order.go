package proto

import "slices"

// order checks the names of a graph and puts its nodes behind those that
// compute their inputs. A name defined twice, an input that nothing computes
// and a cycle are Invalid faults.
func (r *reader) order(g *Graph) error {
	names := len(g.Inputs) + len(g.Initializers)
	for i := range g.Nodes {
		names += len(g.Nodes[i].Outputs)
	}
	if err := r.take(64*names + 32*len(g.Nodes)); err != nil {
		return err
	}
	made, err := g.define(names)
	if err != nil {
		return err
	}
	if err := g.check(made); err != nil {
		return err
	}
	if g.sorted(made) {
		return nil
	}
	return r.sort(g, made)
}

// Makers of names that no node computes.
const (
	aConstant = -1 // an initializer
	anInput   = -2
)

// define returns the node that makes each name, and leaves in g.Inputs those
// that have no initializer.
func (g *Graph) define(names int) (map[string]int, error) {
	made := make(map[string]int, names)
	for i := range g.Initializers {
		t := &g.Initializers[i]
		if _, twice := made[t.Name]; twice || t.Name == "" {
			return nil, invalid("the initializer %q is defined twice, or has no name", t.Name)
		}
		made[t.Name] = aConstant
	}
	inputs := g.Inputs[:0]
	for _, v := range g.Inputs {
		by, known := made[v.Name]
		switch {
		case v.Name == "":
			return nil, invalid("an input has no name")
		case known && by == anInput:
			return nil, invalid("the input %q is defined twice", v.Name)
		case known:
			continue // an initializer: the caller need not give it
		}
		made[v.Name] = anInput
		inputs = append(inputs, v)
	}
	g.Inputs = inputs
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Outputs {
			if name == "" {
				continue
			}
			if _, twice := made[name]; twice {
				return nil, invalid("node %d (%s) computes %q, which is defined already", i, g.Nodes[i].label(), name)
			}
			made[name] = i
		}
	}
	return made, nil
}

// check looks for names that nothing defines.
func (g *Graph) check(made map[string]int) error {
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Inputs {
			if _, ok := made[name]; !ok && name != "" {
				return invalid("node %d (%s) reads %q, which nothing computes", i, g.Nodes[i].label(), name)
			}
		}
	}
	if len(g.Outputs) == 0 {
		return invalid("the graph has no outputs")
	}
	for _, v := range g.Outputs {
		if _, ok := made[v.Name]; !ok {
			return invalid("nothing computes the output %q", v.Name)
		}
	}
	return nil
}

func (g *Graph) sorted(made map[string]int) bool {
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Inputs {
			if name != "" && made[name] >= i {
				return false
			}
		}
	}
	return true
}

// sort orders the nodes, those that were ready first staying first.
func (r *reader) sort(g *Graph, made map[string]int) error {
	edges := 0
	waits := make([]int, len(g.Nodes)) // for how many inputs a node waits
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Inputs {
			if name != "" && made[name] >= 0 {
				waits[i]++
				edges++
			}
		}
	}
	if err := r.take(48*edges + (nodeSize+40)*len(g.Nodes)); err != nil {
		return err
	}
	readers := make([][]int, len(g.Nodes))
	var ready []int
	for i := range g.Nodes {
		for _, name := range g.Nodes[i].Inputs {
			if by := made[name]; name != "" && by >= 0 {
				readers[by] = append(readers[by], i)
			}
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	nodes := make([]Node, 0, len(g.Nodes))
	for ; len(ready) > 0; ready = ready[1:] {
		nodes = append(nodes, g.Nodes[ready[0]])
		for _, reader := range readers[ready[0]] {
			if waits[reader]--; waits[reader] == 0 {
				ready = append(ready, reader)
			}
		}
	}
	if len(nodes) < len(g.Nodes) {
		stuck := slices.IndexFunc(waits, func(n int) bool { return n > 0 })
		return invalid("the graph has a cycle: node %d (%s) waits for itself", stuck, g.Nodes[stuck].label())
	}
	g.Nodes = nodes
	return nil
}
