package rendezvous

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// storeURL is a parsed store address.
type storeURL struct {
	scheme   string // redis, rediss, redis+unix, embedded or tutti
	network  string // tcp or unix
	host     string // tcp: name or address to look up
	port     string
	path     string // unix
	user     string
	password string
	db       int
}

// embedded says whether the server is one of ours, so that the password follows from the secret.
func (u storeURL) embedded() bool { return u.scheme == "embedded" || u.scheme == "tutti" }

// address is host:port or the socket's path.
func (u storeURL) address() string {
	if u.network == "unix" {
		return u.path
	}
	return net.JoinHostPort(u.host, u.port)
}

// tlsConfig is non-nil where the scheme asks for TLS.
func (u storeURL) tlsConfig() *tls.Config {
	if u.scheme != "rediss" {
		return nil
	}
	return &tls.Config{ServerName: u.host, MinVersion: tls.VersionTLS12}
}

// parseStoreURL reads the forms that storeForms lists.
func parseStoreURL(text string) (storeURL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		// url.Error repeats its input, which may hold a password.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return storeURL{}, fmt.Errorf("not a URL: %w", err)
	}
	u := storeURL{scheme: parsed.Scheme, network: "tcp"}
	if parsed.User != nil {
		u.user = parsed.User.Username()
		u.password, _ = parsed.User.Password()
	}
	switch u.scheme {
	case "redis+unix":
		u.network, u.path = "unix", parsed.Path
		if u.path == "" || parsed.Host != "" {
			return u, errors.New("redis+unix needs an absolute path: redis+unix:///run/redis.sock")
		}
		u.db, err = databaseNumber(parsed.Query().Get("db"))
		return u, err
	case "redis", "rediss", "embedded", "tutti":
	default:
		return u, fmt.Errorf("scheme %q is none of redis, rediss, redis+unix, embedded, tutti",
			clip(u.scheme, 20))
	}
	if u.host, u.port = parsed.Hostname(), parsed.Port(); u.host == "" {
		return u, errors.New("no host in it")
	}
	if u.port == "" {
		u.port = "6379"
		if u.embedded() {
			u.port = strconv.Itoa(DefaultStorePort)
		}
	}
	if n, err := strconv.Atoi(u.port); err != nil || n < 1 || n > 65535 {
		return u, fmt.Errorf("port %q is not within 1 to 65535", u.port)
	}
	if u.db, err = databaseNumber(strings.TrimPrefix(parsed.Path, "/")); err != nil {
		return u, err
	}
	return u, nil
}

// databaseNumber parses Redis's database number; "" is 0.
func databaseNumber(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("database %q is not a number", clip(text, 20))
	}
	return int(n), nil
}

// redactURL hides a password in a store address before it enters a message.
func redactURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		if strings.Contains(text, "@") {
			return "(malformed address with a password)"
		}
		return clip(text, 200)
	}
	return clip(parsed.Redacted(), 200)
}

// isLoopback says whether a host can only mean this machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
