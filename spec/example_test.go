package spec_test

import (
	"fmt"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
)

// Reading a project reports every mistake at once, each with its place.
func ExampleLoadFiles() {
	_, err := spec.LoadFiles(map[string]string{"serve.yaml": `
kind: Model
name: fraud
---
kind: Endpoint
name: fraud
model: frod@champion
limits: {rate: 500 per second, max_row: 100}
`}, spec.Options{})
	fault.Each(err, func(err error) {
		fmt.Println(err)
		fmt.Println("    " + fault.HintOf(err))
	})
	// Output:
	// serve.yaml:7:8: there is no Model "frod"
	//     a pipeline's train step or a Model resource names it; known here: fraud
	// serve.yaml:8:16: "limits.rate": "500 per second" is not a rate
	//     write it like 500/s, 10/m or 3/h
	// serve.yaml:8:32: "limits" has no field "max_row"
	//     did you mean "max_rows"?
}

// A spec made in code gets the same defaults and checks, and compares by what
// it says.
func ExampleDiff() {
	before, err := spec.Of(&spec.Endpoint{Name: "fraud", Model: "fraud"})
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := spec.Of(&spec.Endpoint{Name: "fraud", Model: "fraud", Record: "required", Limits: spec.Limits{Rate: 500}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(spec.Diff([]spec.Resource{before}, []spec.Resource{after}))
	// Output:
	// ~ Endpoint fraud
	//     limits.rate: + "500/s"
	//     record: "on" → "required"
	// 0 to create, 1 to change, 0 to delete
}

// Format writes what Load reads.
func ExampleFormat() {
	fmt.Print(string(spec.Format(
		&spec.FeatureView{Name: "customer", Entity: spec.Names{"id"}, Source: "customers",
			Features: spec.Features{{Name: "spend", Expr: "paid / months"}}},
	)))
	// Output:
	// kind: FeatureView
	// name: customer
	// entity: [id]
	// source: customers
	// features: {spend: paid / months}
}
