//go:build ibverbs && cgo

package main

/*
#cgo pkg-config: libibverbs
#include <stdlib.h>
#include <infiniband/verbs.h>

// ibv_query_port is a macro of verbs.h, which cgo does not see.
static int query_port(struct ibv_context *c, uint8_t port, struct ibv_port_attr *a)
{
	return ibv_query_port(c, port, a);
}

static int mtu_bytes(enum ibv_mtu mtu) { return 128 << mtu; }
*/
import "C"

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

type device struct {
	name  string
	ports []port
}

type port struct {
	number     int
	active     bool
	state      string
	linkLayer  string
	mtu        int
	lid        int
	maxMessage uint32
	gids       []gid
}

type gid struct {
	index int
	raw   [16]byte
	kind  string
}

var gidKinds = map[C.uint32_t]string{
	C.IBV_GID_TYPE_IB:      "InfiniBand",
	C.IBV_GID_TYPE_ROCE_V1: "RoCE v1",
	C.IBV_GID_TYPE_ROCE_V2: "RoCE v2",
}

func openDevices() (devices []device, err error) {
	var count C.int
	all, err := C.ibv_get_device_list(&count)
	if all == nil && errors.Is(err, syscall.ENOSYS) { // a kernel without RDMA
		return nil, nil
	}
	if all == nil {
		return nil, fmt.Errorf("the devices cannot be listed: %w", err)
	}
	defer C.ibv_free_device_list(all)
	for _, d := range unsafe.Slice(all, int(count)) {
		found, err := query(d)
		if err != nil {
			return nil, err
		}
		devices = append(devices, found)
	}
	return devices, nil
}

func query(d *C.struct_ibv_device) (device, error) {
	found := device{name: C.GoString(C.ibv_get_device_name(d))}
	context, err := C.ibv_open_device(d)
	if context == nil {
		return found, fmt.Errorf("%s cannot be opened: %w", found.name, err)
	}
	defer C.ibv_close_device(context)
	var attr C.struct_ibv_device_attr
	if code := C.ibv_query_device(context, &attr); code != 0 {
		return found, fmt.Errorf("%s does not tell what it is: %w", found.name, syscall.Errno(code))
	}
	for number := 1; number <= int(attr.phys_port_cnt); number++ {
		p, err := queryPort(context, number)
		if err != nil {
			return found, fmt.Errorf("%s port %d: %w", found.name, number, err)
		}
		found.ports = append(found.ports, p)
	}
	return found, nil
}

func queryPort(context *C.struct_ibv_context, number int) (port, error) {
	var attr C.struct_ibv_port_attr
	if code := C.query_port(context, C.uint8_t(number), &attr); code != 0 {
		return port{}, syscall.Errno(code)
	}
	p := port{
		number:     number,
		active:     attr.state == C.IBV_PORT_ACTIVE,
		state:      C.GoString(C.ibv_port_state_str(attr.state)),
		linkLayer:  "InfiniBand",
		mtu:        int(C.mtu_bytes(attr.active_mtu)),
		lid:        int(attr.lid),
		maxMessage: uint32(attr.max_msg_sz),
	}
	if attr.link_layer == C.IBV_LINK_LAYER_ETHERNET {
		p.linkLayer = "Ethernet"
	}
	// The table has holes, and up to a thousand places: those that are empty report an error.
	for i := range int(attr.gid_tbl_len) {
		var entry C.struct_ibv_gid_entry
		if C._ibv_query_gid_ex(context, C.uint32_t(number), C.uint32_t(i), &entry, 0,
			C.sizeof_struct_ibv_gid_entry) != 0 {
			continue
		}
		g := gid{index: i, kind: gidKinds[entry.gid_type]}
		copy(g.raw[:], unsafe.Slice((*byte)(unsafe.Pointer(&entry.gid)), len(g.raw)))
		p.gids = append(p.gids, g)
	}
	return p, nil
}
