package rendezvous

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// HostID returns the identity of the host: the same in all its containers, another on every other
// host, and a new one after a reboot. It is the kernel's boot id (Linux) or boot session (macOS).
// TUTTI_HOST_ID overrides it, for virtual machines cloned from one memory snapshot, which share a
// boot id. Where the kernel tells none, the host's name and its network cards' addresses serve,
// which differ between containers: shared memory is then not tried between them.
func HostID() (string, error) {
	if id := strings.TrimSpace(os.Getenv("TUTTI_HOST_ID")); id != "" {
		if len(id) > maxNameBytes {
			return "", &EnvironmentError{
				Variable: "TUTTI_HOST_ID", Value: id,
				Expected: fmt.Sprintf("at most %d bytes", maxNameBytes),
			}
		}
		return id, nil
	}
	id, err := bootID()
	if err == nil && id != "" {
		return "boot-" + id, nil
	}
	name, nameErr := os.Hostname()
	cards, cardsErr := net.Interfaces()
	if nameErr != nil && cardsErr != nil {
		return "", fmt.Errorf("rendezvous: nothing identifies this host, set TUTTI_HOST_ID: %w",
			errors.Join(err, nameErr, cardsErr))
	}
	return hostDigest(name, cards), nil
}

// hostDigest identifies a host by its name and its cards' addresses, in any order.
func hostDigest(name string, cards []net.Interface) string {
	var addresses []string
	for _, card := range cards {
		if len(card.HardwareAddr) > 0 && card.Flags&net.FlagLoopback == 0 {
			addresses = append(addresses, card.HardwareAddr.String())
		}
	}
	slices.Sort(addresses)
	sum := sha256.Sum256([]byte(name + "\n" + strings.Join(addresses, "\n")))
	return "host-" + hex.EncodeToString(sum[:16])
}
