package main

import (
	"errors"
	"fmt"
)

// The exit codes of shoal. Scripts depend on them: they are never renumbered.
const (
	exitOK          = 0
	exitFailed      = 1 // anything without a code of its own
	exitUsage       = 2 // wrong flags or arguments
	exitUnreachable = 3 // no peer answers
	exitInvalid     = 4 // invalid manifest or refused input
	exitNotReady    = 5 // not all placed or ready in time
	exitNotFound    = 6
	exitNoAcks      = 7 // acknowledgements not reached
	exitDamaged     = 8 // the state is damaged or in use
)

// codedError is an error with the exit code that it means. Without err, what failed has been said already.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

// fail makes an error that ends shoal with code.
func fail(code int, format string, args ...any) error {
	return &codedError{code: code, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code that err means.
func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailed
}
