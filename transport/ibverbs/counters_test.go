//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// number reads a counter of the kernel's.
func number(t *testing.T, path ...string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tellTroubles logs what the devices have counted since the machine is up, for a test that has
// failed: whether packets were lost, sent again, or refused.
func tellTroubles(t testing.TB) {
	all, err := filepath.Glob("/sys/class/infiniband/*/ports/*/hw_counters/*")
	if err != nil {
		t.Error(err)
	}
	said := ""
	for _, path := range all {
		b, err := os.ReadFile(path)
		if n := strings.TrimSpace(string(b)); err == nil && n != "0" {
			device, counter, _ := strings.Cut(strings.TrimPrefix(path, "/sys/class/infiniband/"), "/")
			said += fmt.Sprintf(" %s %s %s", device, filepath.Base(counter), n)
		}
	}
	t.Logf("the devices have counted:%s", said)
}

// traffic is what the device of rank 0 and its wire have sent.
type traffic struct{ packets, bytes, again int }

func counters(t *testing.T) (c traffic) {
	t.Helper()
	const hw = "/sys/class/infiniband/rxe0/ports/1/hw_counters"
	c.packets = number(t, hw, "sent_pkts")
	for _, name := range []string{"completer_retry_err", "rcvd_seq_err", "out_of_seq_request"} {
		c.again += number(t, hw, name)
		c.again += number(t, strings.Replace(hw, "rxe0", "rxe1", 1), name)
	}
	c.bytes = number(t, "/sys/class/net/v0/statistics/tx_bytes")
	return c
}

// TestWhatIsOnTheWire: the device's own counters tell that the payloads and the headers are sent
// once, in full packets, and little else.
func TestWhatIsOnTheWire(t *testing.T) {
	onWire(t)
	const frames, size = 40, 100_000
	p := newCouple(t, nil)
	payload, err := p.eps[0].(transport.Allocator).Alloc(size)
	if err != nil {
		t.Fatal(err)
	}
	before := counters(t)
	p.stream(t, payload, frames)
	after := counters(t)
	sent := traffic{
		after.packets - before.packets, after.bytes - before.bytes, after.again - before.again,
	}
	messages := int(ibverbs.Messages(p.links[0]))
	mtu := ibverbs.PathMTU(p.eps[0])
	// What each packet has besides: Ethernet, IP, UDP, BTH, ICRC; what a write has besides: RETH and
	// the immediate. What the ends say about room and the acknowledgements of that are few.
	const perPacket, perWrite = 14 + 20 + 8 + 12 + 4, 16 + 4
	whole := frames * (size + transport.HeaderBytes)
	least := whole + messages*perWrite + whole/mtu*perPacket
	t.Logf("%d frames of %d bytes: %d messages, %d packets of up to %d bytes, %d bytes on the wire, "+
		"%d events of trouble", frames, size, messages, sent.packets, mtu, sent.bytes, sent.again)
	if sent.bytes < least || sent.packets < whole/mtu {
		t.Errorf("%d bytes in %d packets are fewer than there must be: %d, %d", sent.bytes, sent.packets,
			least, whole/mtu)
	}
	if sent.again == 0 && (sent.bytes > least+least/20 || sent.packets > whole/mtu+2*messages+frames) {
		t.Errorf("%d bytes in %d packets are more than %d needs", sent.bytes, sent.packets, least)
	}
	if n := ibverbs.Lent(p.links[0]); n != frames {
		t.Errorf("%d of %d frames were sent from where they lay", n, frames)
	}
}

// TestWaitingAllocatesNothing: to look for what has not come costs nothing, however often, looks at
// the other process and for silence among them.
func TestWaitingAllocatesNothing(t *testing.T) {
	p := newCouple(t, nil, ibverbs.Retry(time.Millisecond))
	allocated := testing.AllocsPerRun(5, func() {
		for range 10_000 {
			if h, err := p.links[0].Next(); h != nil || err != nil {
				t.Fatal(h, err)
			}
		}
	})
	if allocated > 0 {
		t.Errorf("10,000 looks for a frame cost %v allocations", allocated)
	}
}

// TestManyLinks: a rank of a job of 201 has a link with each other, which all come up and carry a
// frame each way.
func TestManyLinks(t *testing.T) {
	const links, size = 200, 201
	eps := [2]transport.Endpoint{}
	for i := range eps {
		eps[i] = start(t, transport.Config{
			Rank: i, Size: size, Job: t.Name(), Interface: deviceOf(i),
		})
	}
	begin := time.Now()
	var all []*couple
	for range links {
		p := &couple{eps: eps}
		p.connect(t)
		all = append(all, p)
	}
	t.Logf("%d links after %v", links, time.Since(begin))
	for i, p := range all {
		for from := range 2 {
			want := fmt.Sprint("frame ", i, " from ", from)
			p.put(t, from, []byte(want))
			if got := receiveFrame(t, eps[1-from], p.links[1-from]); string(got) != want {
				t.Fatalf("%q comes as %q", want, got)
			}
		}
	}
}
