package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// Limits of what a component publishes about itself.
const (
	maxNameBytes   = 128
	maxHostBytes   = 1 << 10
	maxExpects     = 256
	maxRecordBytes = 192 << 10
	// maxIncarnation leaves room for an Endpoint's Size, one more than the highest rank.
	maxIncarnation = 1<<31 - 2
)

// record is what one component publishes about itself: the value of its name in its type's hash.
// Its slices are shared by all who hold it, and read only.
type record struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Incarnation int       `json:"incarnation"` // rank of its Endpoint; another at each start
	Instance    string    `json:"instance"`    // UUID, another at each start
	Generation  uint64    `json:"generation"`  // counts the starts under this name
	Driver      string    `json:"driver"`
	Addresses   []byte    `json:"addresses"` // what its Endpoint published
	HostID      string    `json:"hostId"`
	Host        string    `json:"host"` // for people
	PID         int       `json:"pid"`
	PIDSpace    string    `json:"pidSpace"` // where PID means something; "" when unknown
	Expects     []string  `json:"expects"`  // types of peers it wants to meet
	Started     time.Time `json:"started"`
}

// validName says whether text can be a name; a colon cannot be in one, for it parts keys.
func validName(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(text) >= 1 && len(text) <= maxNameBytes
}

// checkName makes the error for what is not a name.
func checkName(what, name string) error {
	if validName(name) {
		return nil
	}
	return &NameError{What: what, Name: name}
}

// check refuses what no component may publish.
func (r record) check() error {
	if err := errors.Join(checkName("component", r.Name), checkName("type", r.Type)); err != nil {
		return err
	}
	for _, expected := range r.Expects {
		if err := checkName("expected type", expected); err != nil {
			return err
		}
	}
	switch {
	case r.Incarnation < 1 || r.Incarnation > maxIncarnation:
		return fmt.Errorf("incarnation %d is not within 1 to %d", r.Incarnation, maxIncarnation)
	case !validName(r.Instance):
		return errors.New("the instance is not a UUID")
	case len(r.Driver) > maxNameBytes:
		return fmt.Errorf("driver's name of %d bytes, the limit is %d", len(r.Driver), maxNameBytes)
	case len(r.Addresses) > rendezvous.MaxAddressesBytes:
		return fmt.Errorf("addresses of %d bytes, the limit is %d", len(r.Addresses),
			rendezvous.MaxAddressesBytes)
	case len(r.Host) > maxHostBytes || len(r.HostID) > maxHostBytes || len(r.PIDSpace) > maxHostBytes:
		return fmt.Errorf("host, host id or pid space longer than %d bytes", maxHostBytes)
	case r.PID < 0:
		return fmt.Errorf("pid %d", r.PID)
	case len(r.Expects) > maxExpects:
		return fmt.Errorf("%d expected types, the limit is %d", len(r.Expects), maxExpects)
	}
	return nil
}

// same says whether both are of one start of one component.
func (r record) same(other record) bool {
	return r.Instance == other.Instance && r.Incarnation == other.Incarnation
}

// claimant is the record as errors show it.
func (r record) claimant() Claimant {
	return Claimant{
		Type: r.Type, Host: r.Host, PID: r.PID, Instance: r.Instance, Since: r.Started,
	}
}

// seal is how records stand in the store: JSON, with a signature where the group has a secret. The
// signature covers what this is, the group, the type, the name and the content.
type seal struct {
	signer rendezvous.Signer
	group  string
}

func newSeal(secret []byte, group string) seal {
	return seal{rendezvous.NewSigner(secret, "tutti proxy membership 1"), group}
}

// envelope keeps the record's bytes as they were signed.
type envelope struct {
	Signature string          `json:"signature"`
	Record    json.RawMessage `json:"record"`
}

func (s seal) parts(kind, name string, content []byte) [][]byte {
	return [][]byte{[]byte("component"), []byte(s.group), []byte(kind), []byte(name), content}
}

// encode makes the value that stands in the store.
func (s seal) encode(r record) ([]byte, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{s.signer.Sign(s.parts(r.Type, r.Name, content)...), content})
}

// errSignature means that a record was not made with this group's secret, or not for this place.
var errSignature = errors.New("the signature does not match: another secret, or a forgery")

// decode reads the value that was found in the hash of a type under a name. What is too large, not
// signed, not of this place or not what a component publishes is an error.
func (s seal) decode(kind, name string, value []byte) (record, error) {
	if len(value) > maxRecordBytes {
		return record{}, fmt.Errorf("%d bytes, the limit is %d", len(value), maxRecordBytes)
	}
	var e envelope
	if err := strict(value, &e); err != nil {
		return record{}, fmt.Errorf("not a record: %w", err)
	}
	if !s.signer.Verify(e.Signature, s.parts(kind, name, e.Record)...) {
		return record{}, errSignature
	}
	var r record
	if err := strict(e.Record, &r); err != nil {
		return record{}, fmt.Errorf("not a record: %w", err)
	}
	if r.Type != kind || r.Name != name {
		return record{}, errors.New("the record is of another component")
	}
	if err := r.check(); err != nil {
		return record{}, err
	}
	return r, nil
}

// strict decodes exactly one JSON value with known fields only.
func strict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// holder is the value of a lease: which start of which type has the name.
type holder struct {
	kind, instance string
}

func (r record) holder() holder { return holder{r.Type, r.Instance} }

func (h holder) encode() []byte { return []byte(h.kind + " " + h.instance) }

// decodeHolder reads a lease; what is none is a holder that nobody can be.
func decodeHolder(value []byte) holder {
	kind, instance, _ := bytes.Cut(value[:min(len(value), 2*maxNameBytes+1)], []byte(" "))
	return holder{string(kind), string(instance)}
}
