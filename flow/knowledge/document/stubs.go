package document

import "github.com/leat-ai/leat/base/fault"

func (j *job) later() (Document, error) {
	return Document{}, fault.New(fault.Unsupported, "this format is not read yet")
}
func (j *job) mail() (Document, error) { return j.later() }
