//go:build linux

package alloc

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// driver has a number for each region, and keeps count.
type driver struct {
	Memory[*owned]
	mu     sync.Mutex
	left   []int // numbers of regions that have gone
	refuse error
	last   int
}

type owned struct {
	*Region
	number int
}

func newDriver(t *testing.T) *driver {
	t.Helper()
	d := &driver{}
	d.Name, d.What = "tutti-test", "memory of a test"
	d.Enter = func(r *Region, b []byte) (*owned, error) {
		if d.refuse != nil {
			return nil, d.refuse
		}
		if len(b) != r.Bytes() {
			t.Errorf("a region of %d bytes is %d long", r.Bytes(), len(b))
		}
		d.last++
		return &owned{r, d.last}, nil
	}
	d.Leave = func(o *owned) {
		o.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.left = append(d.left, o.number)
	}
	t.Cleanup(d.Close)
	return d
}

func (d *driver) gone() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.left)
}

func (d *driver) alloc(t *testing.T, n int) []byte {
	t.Helper()
	b, err := d.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != n || cap(b) != n || address(b)%lineBytes != 0 {
		t.Fatalf("%d bytes of %d at %#x, want %d", len(b), cap(b), address(b), n)
	}
	if i := slices.IndexFunc(b, func(x byte) bool { return x != 0 }); i >= 0 {
		t.Fatalf("byte %d is %d", i, b[i])
	}
	return b
}

// other maps the file of b's region as another process would.
func other(t *testing.T, r *Region) (mem []byte) {
	t.Helper()
	if err := r.Pass(func(fd int) (err error) {
		mem, err = unix.Mmap(fd, 0, r.Bytes(), unix.PROT_READ, unix.MAP_SHARED)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	return mem
}

func files(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(to, "/memfd:tutti-test ") {
			n++
		}
	}
	return n
}

// isFile tells whether a file of a test is mapped over b.
func isFile(t *testing.T, b []byte) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var lo, hi uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &lo, &hi); err != nil {
			t.Fatal(err)
		}
		if lo <= address(b) && address(b) < hi {
			return strings.Contains(line, "/memfd:tutti-test ")
		}
	}
	t.Fatalf("nothing is at %#x", address(b))
	return false
}

// TestAlloc: memory that is large is a region, which others can map; the rest is as good.
func TestAlloc(t *testing.T) {
	d := newDriver(t)
	for _, n := range []int{0, 1, 63, Min - 1} {
		b := d.alloc(t, n)
		if own, _ := d.Find(b); own != nil {
			t.Errorf("%d bytes are region %d", n, own.number)
		}
	}
	for i, n := range []int{Min, Min + 1, 1 << 20, hugeBytes, 3*hugeBytes - 5} {
		b := d.alloc(t, n)
		own, at := d.Find(b)
		if own == nil || own.number != i+1 || at != 0 || own.Bytes() < n {
			t.Fatalf("%d bytes are %+v from %d on", n, own, at)
		}
		mem := other(t, own.Region)
		b[0], b[n/2], b[n-1] = 1, 2, 3
		if mem[0] != 1 || mem[n/2] != 2 || mem[n-1] != 3 {
			t.Errorf("%d bytes look different to others", n)
		}
		if own, at := d.Find(b[7 : n-7]); own == nil || own.number != i+1 || at != 7 {
			t.Errorf("a part of %d bytes is %+v from %d on", n, own, at)
		}
		runtime.KeepAlive(b)
	}
	if own, _ := d.Find(make([]byte, Min)); own != nil {
		t.Error("memory of the heap is a region")
	}
}

// TestFree: memory that is freed is memory all the same, and its file is gone.
func TestFree(t *testing.T) {
	d := newDriver(t)
	b, kept := d.alloc(t, 1<<20), d.alloc(t, Min)
	for i := range b {
		b[i] = byte(i)
	}
	d.Free(b[64:])
	d.Free(make([]byte, 10))
	d.Free(nil)
	if got := d.gone(); len(got) > 0 {
		t.Fatalf("regions %d are gone", got)
	}
	for range 2 {
		d.Free(b)
	}
	if b[1] != 0 || b[len(b)-1] != 0 {
		t.Error("memory that was freed holds what it held")
	}
	b[1] = 1
	if !isFile(t, kept) || isFile(t, b) {
		t.Error("a file stays over what was freed")
	}
	if own, _ := d.Find(b); own != nil || !slices.Equal(d.gone(), []int{1}) || files(t) != 1 {
		t.Errorf("it is %+v, regions %d are gone, %d files are left", own, d.gone(), files(t))
	}
	if own, _ := d.Find(kept); own == nil {
		t.Error("another region is gone")
	}
	runtime.KeepAlive(kept)
}

// TestTheGarbageCollectorTakesMemoryBack: nobody has to call Free.
func TestTheGarbageCollectorTakesMemoryBack(t *testing.T) {
	d := newDriver(t)
	b := d.alloc(t, 1<<20)
	b[5000] = 7
	part := b[5000:6000]
	b = nil
	for range 5 {
		runtime.GC()
	}
	if part[0] != 7 || len(d.gone()) > 0 {
		t.Fatal("memory that is in use was taken back")
	}
	runtime.KeepAlive(part)
	for len(d.gone()) == 0 { // finalizers run at their own pace
		runtime.GC()
		runtime.Gosched()
	}
	if n := files(t); n > 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestDetach compares Find and what others see with what a list of pages says.
func TestDetach(t *testing.T) {
	d := newDriver(t)
	g := rand.New(rand.NewPCG(3, 4))
	page := os.Getpagesize()
	const pages = 20
	for range 8 {
		b := d.alloc(t, pages*page)
		own, _ := d.Find(b)
		mem := other(t, own.Region)
		seen := make([]byte, len(b)) // by others
		shared := slices.Repeat([]bool{true}, pages)
		for range 30 {
			lo := g.IntN(len(b))
			part := b[lo:min(len(b), lo+1+g.IntN(4*page))]
			whole := !slices.Contains(shared[lo/page:(lo+len(part)-1)/page+1], false)
			if got, at := d.Find(part); (got == own) != whole || whole && at != uint64(lo) {
				t.Fatalf("Find of %d bytes from %d on: %+v, %d", len(part), lo, got, at)
			}
			x := byte(g.Uint32())
			for i := range part {
				part[i] = x
				if shared[(lo+i)/page] {
					seen[lo+i] = x
				}
			}
			if g.IntN(4) == 0 {
				before := bytes.Clone(b)
				if err := d.Detach(part); err != nil {
					t.Fatal(err)
				}
				for p := lo / page; p <= (lo+len(part)-1)/page; p++ {
					shared[p] = false
				}
				if !bytes.Equal(b, before) {
					t.Fatal("Detach changes memory")
				}
			}
			if !bytes.Equal(mem, seen) {
				t.Fatal("others see something else than they should")
			}
		}
		d.Free(b)
	}
}

// TestCloseEndsAllRegions, those too that Detach has left nothing of, and each once. The memory
// stays.
func TestCloseEndsAllRegions(t *testing.T) {
	d := newDriver(t)
	a, b, c := d.alloc(t, Min), d.alloc(t, Min), d.alloc(t, Min)
	a[1], b[1] = 1, 2
	if err := d.Detach(b); err != nil {
		t.Fatal(err)
	}
	d.Free(c)
	d.Close()
	got := d.gone()
	if slices.Sort(got); !slices.Equal(got, []int{1, 2, 3}) || files(t) > 0 {
		t.Errorf("regions %d are gone, %d files are left", got, files(t))
	}
	d.Free(a)
	d.Close()
	if a[1] != 1 || b[1] != 2 || len(d.gone()) != 3 {
		t.Errorf("it holds %d and %d, regions %d are gone", a[1], b[1], d.gone())
	}
	if own, _ := d.Find(a); own != nil {
		t.Error("a region is left")
	}
	late := d.alloc(t, Min)
	if own, _ := d.Find(late); own != nil || files(t) > 0 || isFile(t, late) {
		t.Errorf("after Close there is %+v, and %d files", own, files(t))
	}
}

// TestRefusedRegions: the driver's error comes with memory that can be used.
func TestRefusedRegions(t *testing.T) {
	d := newDriver(t)
	d.refuse = errors.New("why")
	b, err := d.Alloc(Min)
	if !errors.Is(err, d.refuse) || len(b) != Min {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	b[0], b[Min-1] = 1, 1
	if own, _ := d.Find(b); own != nil || files(t) > 0 || isFile(t, b) {
		t.Errorf("it is %+v, %d files are left", own, files(t))
	}
}

// TestNoMemory: the error names what there is none for.
func TestNoMemory(t *testing.T) {
	d := newDriver(t)
	d.Name = strings.Repeat("n", 300) // which the system takes for no name
	if b, err := d.Alloc(Min); b != nil || err == nil || !strings.HasPrefix(err.Error(),
		"memory of a test: memfd_create: ") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestMemoryThatStaysAFile is kept for ever: it can't be the heap's again.
func TestMemoryThatStaysAFile(t *testing.T) {
	b := Aligned(3 * os.Getpagesize())
	before := len(stuck.all)
	restore(unsafe.Pointer(unsafe.SliceData(b)), b[1:]) // which the system refuses: it is no page
	if len(stuck.all) != before+1 || stuck.all[before] != &b[0] {
		t.Errorf("%d objects are kept", len(stuck.all)-before)
	}
	stuck.all = stuck.all[:before]
}

func TestPassAfterClose(t *testing.T) {
	d := newDriver(t)
	b := d.alloc(t, Min)
	own, _ := d.Find(b)
	d.Free(b)
	if err := own.Pass(func(int) error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Pass: %v", err)
	}
	own.Close()
}

// TestFilesAreSealed: nobody can change the size, and nobody else open it.
func TestFilesAreSealed(t *testing.T) {
	fd, err := CreateFile("tutti-test", Min)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, n := range []int64{0, Min / 2, 2 * Min} {
		if err := unix.Ftruncate(fd, n); !errors.Is(err, unix.EPERM) {
			t.Errorf("ftruncate to %d bytes: %v", n, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o777 != 0o600 || st.Nlink != 0 || st.Blocks*512 < Min {
		t.Errorf("mode %#o, %d names, %d blocks", st.Mode, st.Nlink, st.Blocks)
	}
}

// TestFindAllocatesNothing: it is called for every payload.
func TestFindAllocatesNothing(t *testing.T) {
	d := newDriver(t)
	var all [9][]byte
	for i := range all {
		all[i] = d.alloc(t, Min)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range all {
			if own, _ := d.Find(b[8:100]); own == nil {
				t.Error("a region is not found")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
