package ibverbs

import (
	"errors"
	"fmt"
)

// WorkError is a message that a device could not move: it has given up the queue pair, and with it
// the link.
type WorkError struct {
	Device string
	Port   int
	QP     uint32 // the number of the queue pair of this end, 0 when it is about the whole device
	Status Status
	Vendor uint32 // what the maker of the device calls it
	// PortState is the state of the port afterwards: "active", "down".
	PortState string
}

func (e *WorkError) Error() string {
	pair := ""
	if e.QP != 0 {
		pair = fmt.Sprintf(", queue pair %d", e.QP)
	}
	return fmt.Sprintf("device %s, port %d (%s)%s: %v (status %d, vendor error %#x)",
		e.Device, e.Port, e.PortState, pair, e.Status, int(e.Status), e.Vendor)
}

// Status is how a device says that a work request has ended: enum ibv_wc_status.
type Status uint32

// The statuses, as libibverbs numbers them.
const (
	Success Status = iota
	LocalLength
	LocalQP
	LocalEEC
	LocalProtection
	Flushed
	MemoryWindow
	BadResponse
	LocalAccess
	RemoteInvalidRequest
	RemoteAccess
	RemoteOperation
	RetryExceeded
	NotReadyExceeded
	LocalRDD
	RemoteInvalidRD
	RemoteAborted
	InvalidEEC
	InvalidEECState
	Fatal
	ResponseTimeout
	General
	TagMatching
	TagRendezvous
	statuses
)

var statusTexts = [statuses]struct{ text, remedy string }{
	Success:              {"success", ""},
	LocalLength:          {"the message is longer than the memory for it", ourFault},
	LocalQP:              {"the device refuses the work request", ourFault},
	LocalEEC:             {"end-to-end context error", ourFault},
	LocalProtection:      {"the memory of the message is not registered", ourFault},
	Flushed:              {"given up as an earlier message failed", "look at the log of the other rank"},
	MemoryWindow:         {"memory window error", ourFault},
	BadResponse:          {"the other end answers with what makes no sense", sameVersion},
	LocalAccess:          {"the other end writes where it may not", sameVersion},
	RemoteInvalidRequest: {"the other end's device refuses the request", sameVersion},
	RemoteAccess:         {"the other end's device refuses access to its memory", sameVersion},
	RemoteOperation:      {"the other end's device could not do it", "look at the other host's dmesg"},
	RetryExceeded:        {"the other end does not answer", noAnswer},
	NotReadyExceeded:     {"the other end has no room for messages", ourFault},
	LocalRDD:             {"local RDD violation", ourFault},
	RemoteInvalidRD:      {"the other end's device refuses an RD request", ourFault},
	RemoteAborted:        {"the other end has aborted", "look at the log of the other rank"},
	InvalidEEC:           {"invalid end-to-end context number", ourFault},
	InvalidEECState:      {"invalid end-to-end context state", ourFault},
	Fatal:                {"the device has failed", deviceFailed},
	ResponseTimeout:      {"the response came too late", noAnswer},
	General:              {"transport error", deviceFailed},
	TagMatching:          {"tag matching error", ourFault},
	TagRendezvous:        {"tag matching rendezvous is not complete", ourFault},
}

// What a person can do.
const (
	ourFault    = "this should not happen: report it, with the device and its firmware"
	sameVersion = "run the same version of Tutti in all processes"
	noAnswer    = "look whether the other host and its port are up (rdma link), whether the GID fits the " +
		"network (same subnet, RoCE v2, VLAN), and whether a firewall drops UDP port 4791"
	portDown     = "the port is down: look at the cable, the switch, and ip link"
	deviceFailed = "look at the system log (dmesg) and the firmware of the device"
)

func (s Status) String() string {
	if s < statuses {
		return statusTexts[s].text
	}
	return fmt.Sprintf("an unknown failure of the device, status %d", uint32(s))
}

// Remedy says what a person can do.
func (e *WorkError) Remedy() string {
	switch {
	case e.PortState != "active" && e.PortState != "":
		return portDown
	case e.Status < statuses:
		return statusTexts[e.Status].remedy
	}
	return deviceFailed
}

// DeviceError is a device that can't be used, or something that it refused.
type DeviceError struct {
	Device string // "" when there is none
	Port   int    // 0 when it is about all ports
	Op     string // what was tried: "ibv_reg_mr of 1048576 bytes"
	Err    error
}

func (e *DeviceError) Error() string {
	s := e.Op + ": " + e.Err.Error()
	switch {
	case e.Port > 0:
		return fmt.Sprintf("device %s, port %d: %s", e.Device, e.Port, s)
	case e.Device != "":
		return fmt.Sprintf("device %s: %s", e.Device, s)
	}
	return s
}

// Unwrap returns the cause.
func (e *DeviceError) Unwrap() error { return e.Err }

// What is wrong with the devices of a host.
var (
	// ErrNoDevice is a host without an RDMA device.
	ErrNoDevice = errors.New("this host has no RDMA device")
	// ErrNoPort is a host all of whose ports are down, or left out.
	ErrNoPort = errors.New("no port of an RDMA device can be used")
	// ErrGID is a port without an address that other hosts could reach.
	ErrGID = errors.New("the port has no GID that fits")
	// ErrElsewhere is a peer whose device is on no network of this host's port.
	ErrElsewhere = errors.New("no RDMA network connects the hosts")
	// ErrLinkLayer is two ends of which one is on InfiniBand and the other on Ethernet.
	ErrLinkLayer = errors.New("one end is on InfiniBand, the other on Ethernet")
)

// errEnded is the cause when the process at the other end went without closing the link.
var errEnded = errors.New("connection lost: the process at the other end has ended or given up")

// errRecord is what is said when a queue pair is agreed on and is not that.
var errRecord = errors.New("not the description of a queue pair")

// PeerError is what the other end says it could not do when a link was made.
type PeerError struct{ Text string }

func (e *PeerError) Error() string { return "the other end says: " + e.Text }
