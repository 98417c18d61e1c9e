package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// fault is an error whose reason is known where it arises.
type fault struct {
	reason runtime.Reason
	err    error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// corrupt says that an archive or what is stored cannot be trusted.
func corrupt(format string, args ...any) error {
	return &fault{runtime.ImageCorrupt, fmt.Errorf(format, args...)}
}

// unfit says that what was asked for cannot be.
func unfit(format string, args ...any) error {
	return &fault{runtime.BadSpec, fmt.Errorf(format, args...)}
}

// asError gives an error the form in which it leaves the package; nil stays nil.
func asError(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	reason := runtime.Failed
	var known *fault
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		reason = runtime.NoDisk
	case errors.As(err, &known):
		reason = known.reason
	}
	return &runtime.Error{Op: op, Subject: subject, Reason: reason, Err: err}
}
