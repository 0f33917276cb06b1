package rendezvous

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Limits on what a rank may publish about itself.
const (
	MaxAddressesBytes = 64 << 10
	MaxConfigBytes    = 64 << 10
	maxNameBytes      = 1 << 10
)

// Member is what one rank publishes about itself.
type Member struct {
	Rank int
	// Host is the host's name, for people.
	Host string
	// HostID tells whether two ranks share a host; see the function of that name.
	HostID string
	PID    int
	// Cores is how many cores the rank may run on, 0 when it does not tell.
	Cores int
	// Addresses is opaque here: what the transport's endpoint published, at most
	// MaxAddressesBytes.
	Addresses []byte
	// Version must be the same on all ranks.
	Version string
	// Config must be the same on all ranks: a hash, or the settings themselves as lines of text,
	// of which an error then shows those that differ. At most MaxConfigBytes.
	Config string
}

// check refuses what would not fit.
func (m Member) check(size int) error {
	switch {
	case size < 1 || size > MaxSize:
		return fmt.Errorf("size %d is not within 1 to %d", size, MaxSize)
	case m.Rank < 0 || m.Rank >= size:
		return fmt.Errorf("rank %d is not within 0 to %d", m.Rank, size-1)
	case m.Cores < 0:
		return fmt.Errorf("%d cores", m.Cores)
	case len(m.Addresses) > MaxAddressesBytes:
		return fmt.Errorf("addresses of %d bytes, the limit is %d", len(m.Addresses), MaxAddressesBytes)
	case len(m.Config) > MaxConfigBytes:
		return fmt.Errorf("config of %d bytes, the limit is %d", len(m.Config), MaxConfigBytes)
	case len(m.Host) > maxNameBytes || len(m.HostID) > maxNameBytes || len(m.Version) > maxNameBytes:
		return fmt.Errorf("host, host id or version longer than %d bytes", maxNameBytes)
	}
	return nil
}

// entry is a member's record within one roll.
type entry struct {
	Member
	Size  int
	Nonce string // tells this process from any other that claims the rank
	Gone  string `json:",omitempty"` // why it has given up, if it has
}

// roll is rank 0's announcement; a roll is known by its ID, the generation is for people and for
// epochs.
type roll struct {
	ID         string
	Generation int64
	Size       int
	Nonce      string // rank 0's
	Host       string
	PID        int
	// EndsIn is how many milliseconds rank 0 had left when it opened the roll.
	EndsIn int64
}

// verdict ends a roll for all who joined it.
type verdict struct {
	Members  []json.RawMessage `json:",omitempty"` // one entry a rank: the roll is complete
	Mismatch *VersionError     `json:",omitempty"`
	Failed   *tally            `json:",omitempty"`
}

// tally is who is there and who is not.
type tally struct {
	Joined  []int
	Missing []int
	Notes   []string
}

// The labels keep a signed record from being taken for one of another kind.
const (
	labelRoll    = "roll"
	labelMember  = "member"
	labelVerdict = "verdict"
	labelStatus  = "status"
)

// encode makes a signed record.
func encode(s signer, label, rollID string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return s.seal(label, rollID, body), nil
}

// decode checks a record's signature and reads it.
func decode(s signer, label, rollID string, record []byte, value any) error {
	body, err := s.unseal(label, rollID, record)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, value)
}

// decodeEntry reads the record in the slot of a rank.
func decodeEntry(s signer, rollID string, rank int, record []byte) (entry, error) {
	var e entry
	if err := decode(s, labelMember, rollID, record, &e); err != nil {
		return e, err
	}
	if e.Rank != rank || e.Nonce == "" {
		return e, errors.New("the record is of another rank")
	}
	return e, nil
}

// claimedHost reads, without believing it, who a refused record says it is from.
func claimedHost(record []byte) string {
	for i, c := range record {
		if c == '\n' {
			var e entry
			if json.Unmarshal(record[i+1:], &e) == nil && e.Host != "" {
				return fmt.Sprintf("host %q, pid %d", clip(e.Host, 60), e.PID)
			}
			break
		}
	}
	return "no host"
}
