package bubble

import (
	"context"
	"io"

	"shoal/runtime"
)

// imagined is an image store that holds what every imagined machine holds.
type imagined struct{}

func (imagined) Resolve(_ context.Context, reference string) (runtime.Image, error) {
	return runtime.Image{Reference: reference}, nil
}

func (imagined) Import(context.Context, io.Reader, string) (runtime.Image, error) {
	return runtime.Image{}, &runtime.Error{Op: "import", Subject: "archive", Reason: runtime.Failed, Err: io.ErrUnexpectedEOF}
}

func (imagined) List(context.Context) ([]runtime.Image, error) {
	return []runtime.Image{{Reference: webImage}}, nil
}
