package network

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

// asError gives an error the form in which it leaves the package; nil stays nil.
func asError(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	reason := runtime.Failed
	var known *fault
	switch {
	case errors.As(err, &known):
		reason = known.reason
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		reason = runtime.NoDisk
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT):
		reason = runtime.NoKernel
		err = fmt.Errorf("%w: the kernel needs bridge and veth (modprobe bridge veth)", err)
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: this needs root", err)
	}
	return &runtime.Error{Op: op, Subject: subject, Reason: reason, Err: err}
}
