package process

import "context"

// PackMLflow makes the artifact of a folder that MLflow wrote, for who imports
// one: files are all of its files by their path. A worker is started to say
// the signature.
func (f Format) PackMLflow(ctx context.Context, files map[string][]byte) (map[string][]byte, error) {
	packed, _, err := Pack(ctx, f.Config, Manifest{Python: &Python{Kind: MLflow}}, files)
	return packed, err
}
