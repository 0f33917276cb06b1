package collective

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/topology"
)

func someFabric() topology.Fabric {
	f := topology.Assumed(
		topology.Model{Alpha: 1e-6, Beta: 1e-10}, topology.Model{Alpha: 2e-5, Beta: 1e-8})
	f.Inner.Busy = topology.Curve{{Bytes: 0, Seconds: 1e-6}, {Bytes: 1 << 20, Seconds: 1e-4}}
	f.Call = 3e-6
	return f
}

// cacheIn is the cache of two ranks in a directory, and what it says.
func cacheIn(directory string, hosts ...string) (*speedCache, *bytes.Buffer) {
	said := &bytes.Buffer{}
	members := make([]rendezvous.Member, len(hosts))
	for i, h := range hosts {
		members[i].HostID = h
	}
	log := slog.New(slog.NewTextHandler(said, nil))
	return openCache(&config{tuningCache: directory}, "zmq", members, log), said
}

// TestCache: what was kept is found again, for the same ranks alone; the file is the owner's, and
// nothing else is left beside it.
func TestCache(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a", "b")
	c, said := cacheIn(directory, "x", "y")
	if got := c.load(); got != nil {
		t.Fatalf("an empty cache has %s", got)
	}
	want := someFabric()
	for range 2 {
		c.store(&want)
		got, err := decodeFabric(append(c.load(), 0, 0))
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("found %+v, %v; kept %+v", got, err, want)
		}
	}
	for _, others := range [][]string{{"y", "x"}, {"x"}, {"x", "y", "y"}, {"x", "z"}} {
		if other, _ := cacheIn(directory, others...); other.load() != nil {
			t.Errorf("ranks on %v have what was measured on x and y", others)
		}
	}
	if fresh, _ := cacheIn(directory, "x", "y"); fresh.path != "" {
		if fresh.fresh = true; fresh.load() != nil {
			t.Error("what is to be measured anew was read")
		}
	}
	files, err := os.ReadDir(directory)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	info, err := os.Stat(c.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if said.Len() > 0 {
		t.Error(said)
	}
}

// TestCacheRefuses files that can't be trusted, and says why.
func TestCacheRefuses(t *testing.T) {
	for name, spoil := range map[string]struct {
		f     func(c *speedCache, saved *savedSpeeds) error
		words string // "" is silence
	}{
		"writable by others": {func(c *speedCache, _ *savedSpeeds) error {
			return os.Chmod(c.path, 0o666)
		}, "others may write it"},
		"of other ranks": {func(_ *speedCache, s *savedSpeeds) error {
			s.Key += "!"
			return nil
		}, "of these ranks"},
		"of tomorrow": {func(_ *speedCache, s *savedSpeeds) error {
			s.Measured = time.Now().Add(speedsAge)
			return nil
		}, ""},
		"old": {func(_ *speedCache, s *savedSpeeds) error {
			s.Measured = time.Now().Add(-2 * speedsAge)
			return nil
		}, ""},
		"negative": {func(_ *speedCache, s *savedSpeeds) error {
			s.Fabric.Gamma = -1
			return nil
		}, "not the speed"},
		"torn": {func(c *speedCache, _ *savedSpeeds) error {
			return os.Truncate(c.path, 100)
		}, "not a file of speeds"},
		"long": {func(c *speedCache, _ *savedSpeeds) error {
			return os.WriteFile(c.path, make([]byte, 1<<20), 0o600)
		}, "not a file of speeds"},
	} {
		t.Run(name, func(t *testing.T) {
			c, said := cacheIn(t.TempDir(), "x", "y")
			f := someFabric()
			c.store(&f)
			saved, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			before := *saved
			if err := spoil.f(c, saved); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*saved, before) {
				b, err := json.Marshal(saved)
				if err == nil {
					err = os.WriteFile(c.path, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := c.load(); got != nil {
				t.Errorf("found %s", got)
			}
			if !strings.Contains(said.String(), spoil.words) || (spoil.words == "") != (said.Len() == 0) {
				t.Errorf("said %q, want words on %q", said, spoil.words)
			}
		})
	}
}

// TestCacheWithoutAPlace: a directory that can't be made is said, and no more.
func TestCacheWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, said := cacheIn(filepath.Join(file, "below"), "x", "y")
	f := someFabric()
	c.store(&f)
	if !strings.Contains(said.String(), "can't be kept") {
		t.Errorf("said %q", said)
	}
}

func FuzzDecodeFabric(f *testing.F) {
	fabric := someFabric()
	b, err := json.Marshal(fabric)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(b, 0, 0))
	f.Add([]byte{0})
	f.Add([]byte(`{"inner":{"alone":[{"bytes":1,"seconds":2},{"bytes":1,"seconds":3}]}}`))
	f.Add([]byte(`{"gamma":1e999}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decodeFabric(b); err == nil && got != nil && got.Check() != nil {
			t.Errorf("%q gave %+v: %v", b, got, got.Check())
		}
	})
}
