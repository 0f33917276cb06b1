package ibverbs

import (
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// Option changes how a driver works.
type Option func(*driver)

// DefaultRetry is how long a device tries to get a message through before the link counts as
// broken, unless a Retry says otherwise. That a process has ended is noticed at once, by the end of
// the connection that the link began with: this is for hosts and networks that fall silent.
const DefaultRetry = 6 * time.Second

// Retry sets how long a device tries to get a message through. Devices know seven tries of
// 4.096 µs times a power of two: the time is rounded up to that. Soft RoCE takes seven tries for
// no limit; there it is four times as long, and some seconds.
func Retry(d time.Duration) Option { return func(v *driver) { v.retry = d } }

// tries is how often a device sends a message again: as often as it can. Soft RoCE takes seven for
// no limit, and needs that: on a busy host its packets overtake each other, and six of its tries
// may come to nothing though the other end answers. That nothing gets through the driver finds out
// (silence.go).
const tries = 7

// timeoutExponent is the least t such that so many tries of 4.096 µs · 2^t take as long as d.
func timeoutExponent(d time.Duration) int {
	const unit = 4096 * time.Nanosecond
	for t := 1; t < 31; t++ {
		if tries*(unit<<t) >= d {
			return t
		}
	}
	return 31
}

// forEver is how often a device tries again when the other end has no receive posted. By the count
// of messages there always is one, but the count and the device may be a moment apart.
const forEver = 7

type driver struct {
	retry    time.Duration
	patience int
}

// New returns the driver. It holds no state: endpoints do. Where the package was built without
// libibverbs, Open says so.
func New(options ...Option) transport.Driver {
	d := driver{retry: DefaultRetry, patience: forEver}
	for _, o := range options {
		o(&d)
	}
	return d
}

// Name returns "ibverbs".
func (driver) Name() string { return "ibverbs" }
