package collective

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
)

// TestConnectTellsTheDriver: one line of a rank says which driver moves its frames, who has chosen
// it and, where the driver itself chooses, how many peers are reached how and why.
func TestConnectTellsTheDriver(t *testing.T) {
	if !hasDriver("shm") {
		t.Skip("no shared memory on this system")
	}
	const size = 3
	for _, test := range []struct {
		name, variable string
		opts           []Option
		says           string
	}{
		{"nothing asked", "", nil, `driver=auto "chosen by"=default ` +
			`"peers by shm (same host: shared memory)"=2`},
		{"a variable", "zmq:ipc", nil, `driver=zmq:ipc "chosen by"=TUTTI_DRIVER`},
		{
			"an option", "zmq:ipc",
			[]Option{WithDriverName("shm"), WithDriverName("")},
			`driver=shm "chosen by"="an option"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TUTTI_DRIVER", test.variable)
			store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "secret", nil)
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			comms, errs := make([]*Comm, size), make([]error, size)
			var ranks sync.WaitGroup
			for r := range size {
				ranks.Go(func() {
					opts := append([]Option{WithEnvironment(rendezvous.Environment{
						Rank: r, Size: size, Job: "log", Store: store.URL(), Secret: "secret",
					})}, test.opts...)
					if r == 0 {
						opts = append(opts, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
					}
					comms[r], errs[r] = Connect(testContext(t), opts...)
				})
			}
			ranks.Wait()
			for _, err := range errs {
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := closeAll(comms); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			want := fmt.Sprint(`level=INFO msg="collective: connected" rank=0 size=3 `, test.says)
			if n := strings.Count(log.String(), want); n != 1 {
				t.Errorf("%d lines say %s in\n%s", n, want, log.String())
			}
		})
	}
}
