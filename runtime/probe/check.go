package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

const (
	maxBodyBytes   = 4 << 10
	maxDetailBytes = 160
	maxRedirects   = 10
)

// check asks once, for as long as ctx lasts.
func (w *watch) check(ctx context.Context) verdict {
	switch {
	case w.probe.HTTP != nil:
		return w.failed(checkHTTP(ctx, w.target.Address, *w.probe.HTTP))
	case w.probe.TCP != nil:
		return w.failed(checkTCP(ctx, netip.AddrPortFrom(w.target.Address, w.probe.TCP.Port)))
	}
	code, output, err := w.prober.exec(ctx, w.target.Instance, w.target.Container, w.probe.Exec)
	if err != nil {
		v := w.failed(err)
		v.here = ctx.Err() == nil
		return v
	}
	if code != 0 {
		return verdict{detail: clean(fmt.Sprintf("exit %d: %s", code, output[:min(len(output), maxBodyBytes)]))}
	}
	return verdict{ok: true}
}

// failed names the cause of a failure in words that stay the same from probe to probe.
func (w *watch) failed(err error) verdict {
	var status statusError
	var timeout net.Error
	switch {
	case err == nil:
		return verdict{ok: true}
	case errors.As(err, &status):
		return verdict{detail: status.Error()}
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return verdict{detail: "no answer within " + w.probe.Timeout.String()}
	case errors.Is(err, unix.ECONNREFUSED):
		return verdict{detail: "connection refused"}
	case errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH):
		return verdict{detail: "no route to the container"}
	case errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return verdict{detail: "connection closed without an answer"}
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return verdict{detail: clean(err.Error()), here: isLocal(err)}
}

// isLocal says whether a probe failed because this machine, or this program, had run out of something.
func isLocal(err error) bool {
	for _, cause := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EADDRNOTAVAIL, unix.EAGAIN} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// clean makes one bounded line of what a container said.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	text = strings.TrimSuffix(text, ":")
	if len(text) <= maxDetailBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetailBytes], "") + "…"
}

// statusError is an answer with a status that is no success.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP %d", int(e)) }

// client asks without a proxy and without trust in certificates, which speak of names that a probe does not use. A redirect
// to another host is not followed, and counts as the answer.
var client = &http.Client{
	Transport: &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
		DialContext:            (&net.Dialer{KeepAlive: -1}).DialContext,
	},
	CheckRedirect: func(next *http.Request, before []*http.Request) error {
		if next.URL.Host != before[0].URL.Host {
			return http.ErrUseLastResponse
		}
		if len(before) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	},
}

func checkHTTP(ctx context.Context, address netip.Addr, probe runtime.HTTPProbe) error {
	request, err := newRequest(ctx, address, probe)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// Read a little, so that the server can end in order.
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxBodyBytes))
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return statusError(answer.StatusCode)
	}
	return nil
}

func newRequest(ctx context.Context, address netip.Addr, probe runtime.HTTPProbe) (*http.Request, error) {
	scheme := strings.ToLower(probe.Scheme)
	if scheme == "" {
		scheme = "http"
	}
	path := "/" + strings.TrimPrefix(probe.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+netip.AddrPortFrom(address, probe.Port).String()+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "shoal-probe/1")
	request.Header.Set("Accept", "*/*")
	for _, header := range probe.Header {
		if strings.EqualFold(header.Name, "Host") {
			request.Host = header.Value
			continue
		}
		request.Header.Set(header.Name, header.Value)
	}
	return request, nil
}

func checkTCP(ctx context.Context, at netip.AddrPort) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	return conn.Close()
}
