package rendezvous

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestServeNeedsSecret refuses every address that others could reach, unless there is a secret.
func TestServeNeedsSecret(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "10.0.0.1:0", "some-host:0"} {
		_, err := ServeEmbedded(address, "", nil)
		contains(t, err, "without a secret", "TUTTI_SECRET")
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		server, err := ServeEmbedded(address, "", nil)
		check(t, err)
		check(t, server.Close())
		check(t, server.Close())
	}
	server, err := ServeEmbedded(":0", "s3cret", nil)
	check(t, err)
	check(t, server.Close())
	_, err = ServeEmbedded("no port", "", nil)
	contains(t, err, "address failed")
}

// TestServeTakenPort names the address that is in use.
func TestServeTakenPort(t *testing.T) {
	address := serve(t, "").Addr().String()
	_, err := ServeEmbedded(address, "", nil)
	contains(t, err, address, "address already in use", "free the port")
}

// talk sends raw bytes to a server and returns all that it answers until it ends the connection.
func talk(t *testing.T, server *Server, sent string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	check(t, err)
	defer conn.Close()
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // a reset is as good an end as any
	return string(answer)
}

// TestScannersAreTurnedAway sends what port scanners, browsers and attackers send before they have
// shown the password. The server ends the connection, and goes on serving.
func TestScannersAreTurnedAway(t *testing.T) {
	tests := map[string]string{
		"http":                "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"tls":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"no command":          "*0\r\n",
		"less than none":      "*-1\r\n",
		"huge count":          "*2147483647\r\n",
		"overflowing count":   "*99999999999999999999\r\n",
		"huge value":          "*2\r\n$4\r\nAUTH\r\n$2147483647\r\n",
		"negative value":      "*1\r\n$-1\r\n",
		"endless line":        "*" + strings.Repeat("1", 10000),
		"wrong end":           "*1\r\n$4\r\nPINGxx",
		"inline command":      "PING\r\n",
		"command too early":   "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
		"script too early":    "*3\r\n$4\r\nEVAL\r\n$1\r\n1\r\n$1\r\n0\r\n",
		"too long for now":    "*2\r\n$4\r\nAUTH\r\n$5000\r\n" + strings.Repeat("x", 5000) + "\r\n",
		"too many words":      "*9\r\n" + strings.Repeat("$4\r\nAUTH\r\n", 9),
		"repeated guesses":    strings.Repeat("*2\r\n$4\r\nAUTH\r\n$5\r\nguess\r\n", 3),
		"another user":        strings.Repeat("*3\r\n$4\r\nAUTH\r\n$4\r\nroot\r\n$5\r\nguess\r\n", 3),
		"guesses by greeting": strings.Repeat("*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$1\r\nx\r\n", 3),
	}
	server := serve(t, "s3cret")
	for name, sent := range tests {
		answer := talk(t, server, sent)
		for line := range strings.Lines(answer) {
			if !strings.HasPrefix(line, "-WRONGPASS") {
				t.Errorf("%s: the server answered %q", name, answer)
			}
		}
	}
	ctx := testContext(t)
	store := dialPlace(t, place{url: server.URL(), secret: "s3cret"})
	check(t, store.Set(ctx, "key", nil, 0))
	if n := server.Connections(); n != 1 {
		t.Errorf("%d connections are counted as members, want 1", n)
	}
}

// TestOnlyStoreCommands refuses a member what Store does not need, scripts above all, and keeps the
// connection.
func TestOnlyStoreCommands(t *testing.T) {
	server := serve(t, "s3cret")
	ctx := testContext(t)
	client := redis.NewClient(clientOptions(storeURL{
		network: "tcp", host: "127.0.0.1", port: fmt.Sprint(server.Addr().(*net.TCPAddr).Port),
		password: storePassword("s3cret"),
	}, nil))
	defer client.Close()
	for _, command := range [][]any{
		{"EVAL", "return 1", 0},
		{"FLUSHALL"},
		{"KEYS", "*"},
		{"CONFIG", "GET", "*"},
		{"SHUTDOWN"},
		{"DEBUG", "SLEEP", "1"},
	} {
		err := client.Do(ctx, command...).Err()
		contains(t, err, "is not a command of this store")
	}
	check(t, client.Set(ctx, "key", "value", 0).Err())
}

// TestTooManyStrangers bounds the connections that have not shown the password.
func TestTooManyStrangers(t *testing.T) {
	server := serve(t, "s3cret")
	server.mu.Lock()
	server.strangers = maxStrangers
	server.mu.Unlock()
	if answer := talk(t, server, ""); answer != "" {
		t.Errorf("the server answered %q", answer)
	}
	server.mu.Lock()
	server.strangers = 0
	server.mu.Unlock()
	dialPlace(t, place{url: server.URL(), secret: "s3cret"})
}

// TestPipelinedPassword shows the password and a command in one packet, in pieces.
func TestPipelinedPassword(t *testing.T) {
	server := serve(t, "s3cret")
	conn, err := net.Dial("tcp", server.Addr().String())
	check(t, err)
	defer conn.Close()
	password := storePassword("s3cret")
	sent := fmt.Sprintf("*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6000\r\n%s\r\n",
		len(password), password, strings.Repeat("v", 6000))
	for piece := range strings.SplitAfterSeq(sent, "\n") {
		if _, err := io.WriteString(conn, piece); err != nil {
			t.Fatal(err)
		}
	}
	reader := bufio.NewReader(conn)
	for range 2 {
		line, err := reader.ReadString('\n')
		if check(t, err); line != "+OK\r\n" {
			t.Errorf("answer %q, want +OK", line)
		}
	}
}

// TestServerClosesUnderClients ends running calls with an error, not a hang.
func TestServerClosesUnderClients(t *testing.T) {
	server, err := ServeEmbedded("127.0.0.1:0", "", nil)
	check(t, err)
	store := dialPlace(t, place{url: server.URL()})
	ctx := testContext(t)
	ended := make(chan error, 1)
	go func() {
		_, err := store.Wait(ctx, "never")
		ended <- err
	}()
	check(t, server.Close())
	var failure *StoreError
	if err := <-ended; !errors.As(err, &failure) {
		t.Errorf("%v, want a *StoreError", err)
	}
}
