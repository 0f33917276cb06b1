//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// queuePair is one end of a connection of two devices.
type queuePair struct {
	of     *device
	pair   *C.struct_ibv_qp
	number uint32 // by which the device knows it, also when it is destroyed
	inline int    // up to how many bytes go with the work request
	psn    uint32 // of the first packet of this end
	link   uint32 // what completions are marked with
}

// newQueuePair makes a queue pair that is ready to be connected, with all its receives posted: none
// of them has memory. link marks its completions.
func newQueuePair(d *device, sends, receives int, psn, link uint32) (*queuePair, error) {
	wanted := C.uint32_t(inlineBytes)
	pair, err := C.tutti_create(d.domain, d.queue, C.int(sends), C.int(receives), &wanted)
	if pair == nil {
		return nil, &DeviceError{
			Device: d.device, Port: d.number, Err: err,
			Op: fmt.Sprintf("ibv_create_qp for %d sends and %d receives", sends, receives),
		}
	}
	q := &queuePair{
		of: d, pair: pair, number: uint32(pair.qp_num), inline: int(wanted), psn: psn, link: link,
	}
	if err := q.failed("ibv_modify_qp to INIT", C.tutti_init(pair, C.int(d.number))); err != nil {
		return nil, joinErrors([]error{err, q.destroy()})
	}
	if err := q.receive(receives); err != nil {
		return nil, joinErrors([]error{err, q.destroy()})
	}
	return q, nil
}

// inlineBytes is how long a message may be that goes with its work request, where the device can:
// the device need not fetch it from memory.
const inlineBytes = 256

func (q *queuePair) failed(op string, rc C.int) error {
	if rc >= 0 {
		return nil
	}
	return &DeviceError{
		Device: q.of.device, Port: q.of.number, Op: op, Err: syscall.Errno(-rc),
	}
}

// connect connects the queue pair with the one that the other end has described.
func (q *queuePair) connect(r *record, timeout, patience int) error {
	d := q.of
	p := C.struct_tutti_path{
		qp: C.uint32_t(r.qp), psn: C.uint32_t(r.psn), mtu: C.uint32_t(min(r.mtu, d.mtu)),
		lid: C.uint32_t(r.lid), gid_index: C.uint32_t(d.gid.index), port: C.uint32_t(d.number),
		own_psn: C.uint32_t(q.psn), timeout: C.uint32_t(timeout), retries: tries,
		patience: C.uint32_t(patience),
		reads:    C.uint32_t(min(r.reads, d.reads)),
	}
	if d.layer == ethernet || subnet(r.gid) != subnet(d.gid.raw) {
		p.global = 1
	}
	for i, b := range r.gid {
		p.gid[i] = C.uint8_t(b)
	}
	op := fmt.Sprintf("ibv_modify_qp towards %v by %v", gid{raw: r.gid}.address(), d.gid)
	return q.failed(op, C.tutti_connect(q.pair, &p))
}

// receive posts n receives.
func (q *queuePair) receive(n int) error {
	id := C.uint64_t(workID(q.link, forReceives))
	return q.failed("ibv_post_recv", C.tutti_post_receive(q.pair, id, C.int(n)))
}

// send posts work requests, at most batch.
func (q *queuePair) send(w []work) error {
	return q.failed("ibv_post_send", C.tutti_post_send(q.pair, &w[0], C.int(len(w))))
}

// destroy ends all that is under way.
func (q *queuePair) destroy() error {
	if q.pair == nil {
		return nil
	}
	rc := C.ibv_destroy_qp(q.pair)
	q.pair = nil
	return q.failed("ibv_destroy_qp", -rc)
}

// subnet is the part of an InfiniBand GID that hosts of one network share.
func subnet(raw [16]byte) uint64 { return binary.BigEndian.Uint64(raw[:]) }
