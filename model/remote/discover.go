package remote

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
)

// Complete fills in the defaults and, where the protocol has a way to ask,
// what the server says of the model: inputs and outputs of the Open Inference
// Protocol. What the manifest declares stands; a server that says otherwise is
// an Invalid fault. Other protocols say nothing: there the manifest must.
func Complete(ctx context.Context, c Config, m Manifest) (Manifest, error) {
	m = m.WithDefaults()
	if m.Protocol != OIP {
		return m, m.Check()
	}
	s, err := newServer(c, m)
	if err != nil {
		return m, err
	}
	defer s.client.CloseIdleConnections()
	address := *s.address
	base, err := address.Parse(m.URL)
	if err != nil {
		return m, fault.New(fault.Invalid, "the address of the model server is not one")
	}
	text, err := s.exchange(ctx, http.MethodGet, base.JoinPath(m.modelPath()), nil)
	if err != nil { // guessing instead would make another version of it once it is there
		return m, fault.Wrap(err, fault.KindOf(err), "the model server was asked for its inputs and outputs")
	}
	var said metadata
	if err := json.Unmarshal(text, &said); err != nil {
		return m, fault.New(fault.Invalid, "what %s says of the model is not the metadata of the Open Inference Protocol", s.host())
	}
	inputs, in := m.Signature.Inputs, m.Inputs
	if len(in) == 0 {
		if inputs, in, err = side(inputs, said.Inputs, "input"); err != nil {
			return m, err
		}
	}
	outputs, out, err := side(m.Signature.Outputs, said.Outputs, "output")
	if err != nil {
		return m, err
	}
	m.Signature.Inputs, m.Inputs = inputs, in
	m.Signature.Outputs, m.Outputs = outputs, out
	return m, m.Check()
}
