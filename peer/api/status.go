package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/runtime"
)

// Status is Kubernetes' answer to a request that failed, or that has nothing else to say. It is an error.
type Status struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Status     string   `json:"status"` // "Success" or "Failure"
	Message    string   `json:"message,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Details    *Details `json:"details,omitempty"`
	Code       int      `json:"code"`
}

// Details say what a Status is about.
type Details struct {
	Name   string  `json:"name,omitempty"`
	Group  string  `json:"group,omitempty"`
	Kind   string  `json:"kind,omitempty"`
	UID    string  `json:"uid,omitempty"`
	Causes []Cause `json:"causes,omitempty"`
}

// Cause is one of several things wrong.
type Cause struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Field   string `json:"field,omitempty"`
}

func (s *Status) Error() string { return s.Message }

func failure(code int, reason, message string) *Status {
	return &Status{Kind: "Status", APIVersion: "v1", Status: "Failure", Message: message, Reason: reason, Code: code}
}

func success(code int, details *Details) *Status {
	return &Status{Kind: "Status", APIVersion: "v1", Status: "Success", Details: details, Code: code}
}

func notFound(message string) *Status { return failure(http.StatusNotFound, "NotFound", message) }

func badRequest(format string, args ...any) *Status {
	return failure(http.StatusBadRequest, "BadRequest", fmt.Sprintf(format, args...))
}

func conflict(message string) *Status { return failure(http.StatusConflict, "Conflict", message) }

func internal(err error) *Status {
	return failure(http.StatusInternalServerError, "InternalError", err.Error())
}

func notAllowed(format string, args ...any) *Status {
	return failure(http.StatusMethodNotAllowed, "MethodNotAllowed", fmt.Sprintf(format, args...))
}

// gone tells a client to list again.
func gone(format string, args ...any) *Status {
	return failure(http.StatusGone, "Expired", fmt.Sprintf(format, args...)+": list again")
}

func unavailable(err error) *Status {
	if errors.Is(err, peer.ErrFull) {
		return failure(http.StatusInsufficientStorage, "InsufficientStorage", err.Error())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return failure(http.StatusGatewayTimeout, "Timeout", "the peer did not answer in time")
	}
	return failure(http.StatusServiceUnavailable, "ServiceUnavailable", err.Error())
}

// missing is the answer for an object that does not exist.
func (r *resource) missing(name string) *Status {
	s := notFound(fmt.Sprintf("%s %q not found", r.qualified(), name))
	s.Details = &Details{Name: name, Group: r.group, Kind: r.plural}
	return s
}

// invalid is the answer for an object with faults.
func (r *resource) invalid(name string, faults manifest.Faults) *Status {
	s := failure(http.StatusUnprocessableEntity, "Invalid", "")
	s.Details = &Details{Name: name, Group: r.group, Kind: r.kind}
	var lines []string
	for _, f := range faults {
		f.File, f.Line = "", 0
		lines = append(lines, f.String())
		s.Details.Causes = append(s.Details.Causes, Cause{Reason: "FieldValueInvalid", Field: f.Path, Message: strings.TrimPrefix(f.String(), f.Path+": ")})
	}
	s.Message = fmt.Sprintf("%s %q is invalid: %s", r.kind, name, strings.Join(lines, "; "))
	return s
}

// writeStatus turns the failure of a write into its answer.
func (r *resource) writeStatus(name string, err error) error {
	var invalid *control.InvalidError
	switch {
	case errors.As(err, &invalid):
		faults := make(manifest.Faults, len(invalid.Faults))
		for i, text := range invalid.Faults {
			faults[i].Text = text
		}
		return r.invalid(name, faults)
	case errors.Is(err, control.ErrStale):
		return conflict(fmt.Sprintf("%s %q keeps changing: try again", r.qualified(), name))
	}
	return unavailable(err)
}

// runtimeStatus turns the failure of the runtime into its answer.
func runtimeStatus(err error) error {
	var failed *runtime.Error
	if !errors.As(err, &failed) {
		return unavailable(err)
	}
	switch failed.Reason {
	case runtime.NotFound, runtime.ImageMissing:
		return notFound(err.Error())
	case runtime.BadSpec, runtime.ImageCorrupt:
		return failure(http.StatusUnprocessableEntity, "Invalid", err.Error())
	}
	return internal(err)
}
