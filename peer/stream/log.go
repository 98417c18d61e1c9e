package stream

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// libp2p takes one log handler per program, before its first line. Without one it writes to standard error, also that a
// listener was closed on purpose.
func init() { gologshim.SetDefaultHandler(quiet{}) }

// quiet passes libp2p's lines to the program's own log at level debug: what matters of them reaches the caller as an
// error, and the rest is for people who look for a fault.
type quiet struct{ attrs []slog.Attr }

func (quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return slog.Default().Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, slog.LevelDebug, "libp2p: "+r.Message, 0)
	line.AddAttrs(q.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(a)
		return true
	})
	return slog.Default().Handler().Handle(ctx, line)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{attrs: append(q.attrs[:len(q.attrs):len(q.attrs)], attrs...)}
}

func (q quiet) WithGroup(string) slog.Handler { return q }
