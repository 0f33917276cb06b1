//go:build ibverbs && cgo && linux

package ibverbs

// #cgo pkg-config: libibverbs
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"
)

// Go's names for what the shim deals in.
type (
	work       = C.struct_tutti_send
	completion = C.struct_tutti_done
)

// What a work request does, and how.
const (
	opSend       = C.IBV_WR_SEND_WITH_IMM
	opWrite      = C.IBV_WR_RDMA_WRITE_WITH_IMM
	opQuietWrite = C.IBV_WR_RDMA_WRITE // the other end hears nothing of it

	signalled = C.IBV_SEND_SIGNALED
	inlined   = C.IBV_SEND_INLINE

	batch = C.TUTTI_BATCH
)

// The rights of memory.
const (
	ownMemory   = C.IBV_ACCESS_LOCAL_WRITE
	theirMemory = C.IBV_ACCESS_LOCAL_WRITE | C.IBV_ACCESS_REMOTE_WRITE
)

// failed makes an error of what the shim returns.
func failed(rc C.int) error {
	if rc < 0 {
		return syscall.Errno(-rc)
	}
	return nil
}

// port is a port of a device of this host.
type port struct {
	device string
	number int
	state  uint32
	layer  uint8
	mtu    uint8
	lid    uint32
	maxMsg uint32
	maxCQE int
	reads  uint32
	gids   []gid
}

// stateActive is IBV_PORT_ACTIVE.
const stateActive = C.IBV_PORT_ACTIVE

var stateNames = map[uint32]string{
	C.IBV_PORT_DOWN: "down", C.IBV_PORT_INIT: "initializing", C.IBV_PORT_ARMED: "armed",
	C.IBV_PORT_ACTIVE: "active", C.IBV_PORT_ACTIVE_DEFER: "active, deferred",
}

func stateName(s uint32) string {
	if n := stateNames[s]; n != "" {
		return n
	}
	return fmt.Sprint("state ", s)
}

// eachDevice opens the devices of this host one by one, until look keeps one.
func eachDevice(look func(name string, c *C.struct_ibv_context) (keep bool, err error)) error {
	var n C.int
	list, err := C.ibv_get_device_list(&n)
	if list == nil {
		return &DeviceError{Op: "ibv_get_device_list", Err: err}
	}
	defer C.ibv_free_device_list(list)
	for _, d := range unsafe.Slice(list, int(n)) {
		name := C.GoString(C.ibv_get_device_name(d))
		c := C.ibv_open_device(d)
		if c == nil {
			if _, err := look(name, nil); err != nil {
				return err
			}
			continue
		}
		keep, err := look(name, c)
		if !keep {
			C.ibv_close_device(c)
		}
		if keep || err != nil {
			return err
		}
	}
	return nil
}

// portsOf describes the ports of a device.
func portsOf(name string, c *C.struct_ibv_context) (ports []port, err error) {
	n := C.tutti_ports(c)
	if err := failed(n); err != nil {
		return nil, &DeviceError{Device: name, Op: "ibv_query_device", Err: err}
	}
	table := make([]C.struct_tutti_gid, C.TUTTI_GIDS)
	entries := C.tutti_gids(c, &table[0])
	if err := failed(entries); err != nil {
		return nil, &DeviceError{Device: name, Op: "ibv_query_gid_table", Err: err}
	}
	for i := 1; i <= int(n); i++ {
		p, err := queryPort(name, c, i)
		if err != nil {
			return nil, err
		}
		for _, g := range table[:entries] {
			if int(g.port) == i {
				p.gids = append(p.gids, newGID(&g))
			}
		}
		ports = append(ports, p)
	}
	return ports, nil
}

func newGID(g *C.struct_tutti_gid) gid {
	r := gid{index: uint32(g.index), roceV2: g._type == C.IBV_GID_TYPE_ROCE_V2}
	for i, b := range g.raw {
		r.raw[i] = byte(b)
	}
	if i, err := net.InterfaceByIndex(int(g._interface)); err == nil {
		r.of = i.Name
	}
	return r
}

func queryPort(name string, c *C.struct_ibv_context, i int) (port, error) {
	var a C.struct_tutti_port
	if err := failed(C.tutti_query_port(c, C.int(i), &a)); err != nil {
		return port{}, &DeviceError{Device: name, Port: i, Op: "ibv_query_port", Err: err}
	}
	p := port{
		device: name, number: i, state: uint32(a.state), layer: infiniBand, mtu: uint8(a.active_mtu),
		lid: uint32(a.lid), maxMsg: uint32(a.max_msg_sz), maxCQE: int(a.max_cqe),
		reads: uint32(min(a.max_qp_rd_atom, maxReads)),
	}
	if a.link_layer == C.IBV_LINK_LAYER_ETHERNET {
		p.layer = ethernet
	}
	return p, nil
}

// maxReads is how many reads one end lets the other have under way.
const maxReads = 16

// device is a port of a device that an endpoint has opened, and its completion queue.
type device struct {
	port
	gid     gid
	context *C.struct_ibv_context
	domain  *C.struct_ibv_pd
	channel *C.struct_ibv_comp_channel
	queue   *C.struct_ibv_cq
	entries int // of the queue
	done    *[batch]completion
}

// open makes what an endpoint of a job of so many ranks needs. It owns the context, whatever it
// returns.
func (d *device) open(ranks int) error {
	var err error
	fail := func(op string) error {
		return &DeviceError{Device: d.device, Port: d.number, Op: op, Err: err}
	}
	if d.domain, err = C.ibv_alloc_pd(d.context); d.domain == nil {
		return fail("ibv_alloc_pd")
	}
	if d.channel, err = C.ibv_create_comp_channel(d.context); d.channel == nil {
		return fail("ibv_create_comp_channel")
	}
	for _, fd := range []C.int{d.channel.fd, d.context.async_fd} {
		if err = failed(C.tutti_nonblocking(fd)); err != nil {
			return fail("fcntl O_NONBLOCK")
		}
	}
	d.entries = min(max(leastEntries, (ranks-1)*linkEntries(depth(ranks))), firstEntries, d.maxCQE)
	d.queue, err = C.ibv_create_cq(d.context, C.int(d.entries), nil, d.channel, 0)
	if d.queue == nil {
		return fail(fmt.Sprintf("ibv_create_cq of %d entries", d.entries))
	}
	d.done = new([batch]completion)
	return nil
}

// The queue of a fresh endpoint holds the completions of a link with each other rank, between these
// bounds: not all devices can make it longer later.
const (
	leastEntries = 1024
	firstEntries = 16 << 10
)

// linkEntries is how many completions of a link may wait to be looked at.
func linkEntries(messages int) int { return sendDepth(messages) + receiveDepth(messages) }

// grow makes the completion queue hold so many entries.
func (d *device) grow(entries int) error {
	if entries <= d.entries {
		return nil
	}
	want := min(max(entries, 2*d.entries), d.maxCQE)
	if want < entries {
		return &DeviceError{
			Device: d.device, Port: d.number,
			Op:  fmt.Sprintf("room for the completions of one link more (%d entries)", entries),
			Err: fmt.Errorf("the device has %d entries a queue: %w", d.maxCQE, syscall.ENOSPC),
		}
	}
	if rc := C.ibv_resize_cq(d.queue, C.int(want)); rc != 0 {
		return &DeviceError{
			Device: d.device, Port: d.number, Op: fmt.Sprintf("ibv_resize_cq to %d entries", want),
			Err: syscall.Errno(rc),
		}
	}
	d.entries = want
	return nil
}

// close gives all back. What uses it has been closed.
func (d *device) close() error {
	var errs []error
	check := func(op string, rc C.int) {
		if rc != 0 {
			err := syscall.Errno(rc)
			errs = append(errs, &DeviceError{Device: d.device, Port: d.number, Op: op, Err: err})
		}
	}
	if d.queue != nil {
		check("ibv_destroy_cq", C.ibv_destroy_cq(d.queue))
	}
	if d.channel != nil {
		check("ibv_destroy_comp_channel", C.ibv_destroy_comp_channel(d.channel))
	}
	if d.domain != nil {
		check("ibv_dealloc_pd", C.ibv_dealloc_pd(d.domain))
	}
	check("ibv_close_device", C.ibv_close_device(d.context))
	return joinErrors(errs)
}

// poll takes completions: up to batch of them, valid until the next poll.
func (d *device) poll() ([]completion, error) {
	n := C.tutti_poll(d.queue, &d.done[0])
	if n < 0 {
		return nil, &DeviceError{
			Device: d.device, Port: d.number, Op: "ibv_poll_cq", Err: syscall.EIO,
		}
	}
	return d.done[:n], nil
}

// arm has the channel become readable at the next completion.
func (d *device) arm() error {
	if err := failed(C.tutti_arm(d.queue)); err != nil {
		return &DeviceError{Device: d.device, Port: d.number, Op: "ibv_req_notify_cq", Err: err}
	}
	return nil
}

// events takes what the channel has to say.
func (d *device) events() int { return int(C.tutti_events(d.channel)) }

func (d *device) channelFD() int32 { return int32(d.channel.fd) }
func (d *device) asyncFD() int32   { return int32(d.context.async_fd) }

// event is what a device says about itself, or about a port or a queue pair.
type event struct {
	kind     uint32
	text     string
	port, qp uint32
}

// The events that matter.
const (
	eventPortActive = C.IBV_EVENT_PORT_ACTIVE
	eventPortDown   = C.IBV_EVENT_PORT_ERR
	eventDevice     = C.IBV_EVENT_DEVICE_FATAL
	eventQueue      = C.IBV_EVENT_CQ_ERR
)

// event takes an event of the device, false when there is none.
func (d *device) event() (event, bool) {
	var qp, port C.uint32_t
	kind := C.tutti_async(d.context, &qp, &port)
	if kind < 0 {
		return event{}, false
	}
	return event{
		kind: uint32(kind), port: uint32(port), qp: uint32(qp),
		text: C.GoString(C.ibv_event_type_str(C.enum_ibv_event_type(kind))),
	}, true
}

// portState asks for the state of the port now.
func (d *device) portState() string {
	p, err := queryPort(d.device, d.context, d.number)
	if err != nil {
		return "gone"
	}
	return stateName(p.state)
}

// memory is memory that the device knows.
type memory struct {
	bytes  []byte
	region *C.struct_ibv_mr
}

// register makes b known to the device. Go's heap does not move, and its pages stay the same while
// anything points to them; whoever registers memory sees to it that something does.
func (d *device) register(b []byte, access C.int) (*memory, error) {
	m := &memory{bytes: b}
	first := unsafe.SliceData(b)
	var err error
	m.region, err = C.tutti_register(d.domain, C.uint64_t(uintptr(unsafe.Pointer(first))),
		C.uint64_t(len(b)), access)
	if m.region == nil {
		return nil, &DeviceError{
			Device: d.device, Port: d.number, Op: fmt.Sprintf("ibv_reg_mr of %d bytes", len(b)), Err: err,
		}
	}
	return m, nil
}

func (m *memory) address() uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.bytes))))
}

func (m *memory) key() uint32     { return uint32(m.region.rkey) }
func (m *memory) own() C.uint32_t { return m.region.lkey }

// release makes the device forget the memory. Nothing may be under way there.
func (m *memory) release() error {
	if m == nil || m.region == nil {
		return nil
	}
	rc := C.ibv_dereg_mr(m.region)
	m.region = nil
	if rc != 0 {
		return &DeviceError{Op: "ibv_dereg_mr", Err: syscall.Errno(rc)}
	}
	return nil
}
