package collective

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

func init() { programs["large"] = largeProgram }

// TestLarge reduces 5 GiB between two processes: more than 2^32 bytes in a vector, more than 2^31
// in each half of it.
func TestLarge(t *testing.T) {
	if os.Getenv("TUTTI_LARGE") == "" {
		t.Skip("SKIPPED: TUTTI_LARGE=1 reduces 5 GiB, in 10 GiB of memory")
	}
	for _, driver := range []string{"zmq:ipc", "zmq:tcp"} {
		t.Run(driver, func(t *testing.T) { runRanks(t, 2, driver, "large", "") })
	}
}

func largeProgram(ctx context.Context, _ string) error {
	const n = 5<<30 + 12_345
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	buf := make([]uint8, n)
	value := func(rank, i int) uint8 { return uint8(i>>24) + uint8(i>>12)*3 + uint8(i)*uint8(rank+1) }
	for i := range buf {
		buf[i] = value(c.Rank(), i)
	}
	if err := AllReduce(ctx, c, buf, tensor.Sum); err != nil {
		return err
	}
	for i, x := range buf {
		if want := value(0, i) + value(1, i); x != want {
			return fmt.Errorf("byte %d is %d, want %d", i, x, want)
		}
	}
	return c.Close()
}
