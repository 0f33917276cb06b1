package proxy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full is a record with every field set.
func full() record {
	r := freshRecord("actor/a-1.x_Y", "learner", "actor")
	r.Generation, r.PIDSpace, r.Host = 3, "pid:[4026531836]", `<"host"> & ü`
	r.Addresses = []byte{0, 255, '"'}
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	for _, secret := range []string{"", "s3cret"} {
		s, want := newSeal([]byte(secret), "group"), full()
		value, err := s.encode(want)
		mustDo(t, err)
		got, err := s.decode(want.Type, want.Name, value)
		mustDo(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("secret %q (-want +got):\n%s", secret, diff)
		}
		var plain struct {
			Record struct {
				Name      string
				Addresses []byte
			}
		}
		if err := json.Unmarshal(value, &plain); err != nil || plain.Record.Name != want.Name ||
			!bytes.Equal(plain.Record.Addresses, want.Addresses) {
			t.Errorf("not plain JSON: %s", value)
		}
	}
}

// TestRecordMoved moves a genuine record: nothing of it counts elsewhere.
func TestRecordMoved(t *testing.T) {
	s, r := newSeal([]byte("s3cret"), "group"), full()
	value, err := s.encode(r)
	mustDo(t, err)
	unsigned, err := newSeal(nil, "group").encode(r)
	mustDo(t, err)
	changed := bytes.Replace(value, []byte(`"pid":`), []byte(`"pid":1`), 1)
	tests := map[string]struct {
		seal             seal
		kind, name, fail string
		value            []byte
	}{
		"another group":  {newSeal([]byte("s3cret"), "other"), r.Type, r.Name, "signature", value},
		"another secret": {newSeal([]byte("S3cret"), "group"), r.Type, r.Name, "signature", value},
		"no secret":      {newSeal(nil, "group"), r.Type, r.Name, "signature", value},
		"another type":   {s, "learner", r.Name, "signature", value},
		"another name":   {s, r.Type, "other", "signature", value},
		"unsigned":       {s, r.Type, r.Name, "signature", unsigned},
		"changed":        {s, r.Type, r.Name, "signature", changed},
		"moved unsigned": {newSeal(nil, "group"), "learner", r.Name, "another component", unsigned},
	}
	for name, test := range tests {
		if _, err := test.seal.decode(test.kind, test.name, test.value); err == nil ||
			!strings.Contains(err.Error(), test.fail) {
			t.Errorf("%s: %v, want an error about %q", name, err, test.fail)
		}
	}
}

// hostileRecords are values that a stranger might write.
func hostileRecords() map[string]string {
	edit := func(change func(r *record)) string {
		r := full()
		change(&r)
		value, err := newSeal(nil, "group").encode(r)
		if err != nil {
			panic(err)
		}
		return string(value)
	}
	good := edit(func(*record) {})
	return map[string]string{
		"empty":              "",
		"MARO's":             `{"7": "tcp://10.0.0.1:1234", "2": "tcp://10.0.0.1:1235"}`,
		"no JSON":            "\x80\x04cposix\nsystem\n",
		"null":               "null",
		"no record":          `{"signature":"-","record":null}`,
		"unknown field":      strings.Replace(good, `"pid"`, `"pit"`, 1),
		"two values":         good + good,
		"deep":               strings.Repeat("[", maxRecordBytes),
		"huge":               strings.Repeat(" ", maxRecordBytes) + good,
		"incarnation 0":      edit(func(r *record) { r.Incarnation = 0 }),
		"incarnation 2^31-1": edit(func(r *record) { r.Incarnation = maxIncarnation + 1 }),
		"negative":           edit(func(r *record) { r.Incarnation = -1 }),
		"no instance":        edit(func(r *record) { r.Instance = "" }),
		"odd instance":       edit(func(r *record) { r.Instance = "a b" }),
		"long driver":        edit(func(r *record) { r.Driver = strings.Repeat("d", 129) }),
		"long addresses":     edit(func(r *record) { r.Addresses = make([]byte, 64<<10+1) }),
		"long host":          edit(func(r *record) { r.Host = strings.Repeat("h", 1025) }),
		"negative pid":       edit(func(r *record) { r.PID = -5 }),
		"odd expectation":    edit(func(r *record) { r.Expects = []string{"a:b"} }),
		"many expectations":  edit(func(r *record) { r.Expects = make257() }),
		"another name":       edit(func(r *record) { r.Name = "b" }),
		"another type":       edit(func(r *record) { r.Type = "learner" }),
	}
}

func make257() []string { return strings.Fields(strings.Repeat("type ", maxExpects+1)) }

func TestRecordHostile(t *testing.T) {
	s := newSeal(nil, "group")
	for name, value := range hostileRecords() {
		if r, err := s.decode("actor", full().Name, []byte(value)); err == nil {
			t.Errorf("%s: accepted as %+v", name, r)
		}
	}
}

// FuzzRecord decodes arbitrary bytes, as an unsigned record and as the content of a lease. What is
// accepted is within the limits, and comes out of the store as it went in.
func FuzzRecord(f *testing.F) {
	for _, value := range hostileRecords() {
		if len(value) < 4<<10 {
			f.Add([]byte(value))
		}
	}
	s := newSeal(nil, "group")
	good, err := s.encode(full())
	mustDo(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, value []byte) {
		if who := decodeHolder(value); len(who.kind)+len(who.instance) > len(value) {
			t.Errorf("%+v from %d bytes", who, len(value))
		}
		kind, name := "actor", full().Name
		r, err := s.decode(kind, name, value)
		if err != nil {
			return
		}
		if err := r.check(); err != nil || r.Type != kind || r.Name != name {
			t.Errorf("accepted %+v: %v", r, err)
		}
		again, err := s.encode(r)
		mustDo(t, err)
		if back, err := s.decode(kind, name, again); err != nil || !cmp.Equal(r, back) {
			t.Errorf("%+v became %+v, %v", r, back, err)
		}
	})
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, want := range map[string]bool{
		"a": true, "worker_proxy_0": true, "A-1.b": true, long[:128]: true,
		"": false, "a b": false, "a:b": false, "ä": false, "a\n": false, long: false, "a/b": false,
	} {
		if err := checkName("type", name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		} else if err != nil && len(err.Error()) > 300 {
			t.Errorf("a long error: %v", err)
		}
	}
}
