package attach

import "log/slog"

// Logger returns the logger of a transport.Config, one that discards where that has none.
func Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
