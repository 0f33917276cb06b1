package proxy

import (
	"encoding/binary"
	"math/rand/v2"
)

// newID returns a random UUID. The generator is the runtime's ChaCha8, seeded by the system:
// identifiers have to be different, not secret.
func newID() ID {
	var id ID
	binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}

// newIncarnation returns a number for this start of a component, by which its peers tell it from
// another start under the same name.
func newIncarnation() int { return 1 + rand.IntN(incarnations-2) }

// incarnations is the size that endpoints are opened with: any incarnation is below it.
const incarnations = 1<<31 - 1
