package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func mustCompressor(t testing.TB) *compressor {
	t.Helper()
	c := newCompressor()
	if _, err := c.encoder(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.decoder(); err != nil {
		t.Fatal(err)
	}
	return c
}

// gradients are Gaussian float32, of which the given part is zero.
func gradients(n int, zeros float64) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, n/4)
	for i := range v {
		if r.Float64() >= zeros {
			v[i] = float32(r.NormFloat64())
		}
	}
	return numberBytes(v)
}

// experiences are what an actor tells a learner, written as text.
func experiences(tb testing.TB, n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var text []byte
	for len(text) < n {
		one, err := json.Marshal(map[string]any{
			"state": []float64{r.NormFloat64(), r.NormFloat64()}, "action": r.IntN(4),
			"reward": r.Float64(), "agent": fmt.Sprint("port_", r.IntN(20)),
		})
		if err != nil {
			tb.Fatal(err)
		}
		text = append(text, one...)
	}
	return text[:n]
}

func TestCompress(t *testing.T) {
	c := mustCompressor(t)
	zeros, dense, sparse := make([]byte, 1<<20), gradients(1<<20, 0), gradients(1<<20, .9)
	half, text := gradients(1<<20, .5), experiences(t, 1<<20)
	for _, x := range []struct {
		name   string
		mode   Compression
		remote bool
		data   []byte
		want   compressionKind
	}{
		{"off", CompressOff, true, zeros, compressedNot},
		{"this host", CompressAuto, false, zeros, compressedNot},
		{"zeros", CompressAuto, true, zeros, compressedS2},
		{"dense", CompressAuto, true, dense, compressedNot},
		{"sparse", CompressAuto, true, sparse, compressedS2},
		{"half", CompressAuto, true, half, compressedS2},
		{"text", CompressAuto, true, text, compressedZstd},
		{"text below the trial", CompressAuto, true, text[:minZstdTrial-1], compressedS2},
		{"below the least", CompressAuto, true, zeros[:minCompressed-1], compressedNot},
		{"the least", CompressAuto, true, zeros[:minCompressed], compressedS2},
		{"dense, its own sample", CompressAuto, true, dense[:minCompressed], compressedNot},
		{"empty", CompressZstd, true, nil, compressedNot},
		{"s2", CompressS2, false, sparse, compressedS2},
		{"s2, dense", CompressS2, true, dense, compressedNot},
		{"zstd", CompressZstd, false, sparse, compressedZstd},
		{"zstd, dense", CompressZstd, true, dense, compressedNot},
		{"zstd, beyond a window", CompressZstd, true, experiences(t, 5<<20), compressedZstd},
		{"unknown", Compression(9), true, zeros, compressedNot},
	} {
		before := bytes.Clone(x.data)
		kind, out := c.compress(x.mode, x.remote, x.data)
		if kind != x.want {
			t.Errorf("%s: %v, want %v", x.name, kind, x.want)
			continue
		}
		if kind == compressedNot {
			if len(out) != len(x.data) || len(out) > 0 && &out[0] != &x.data[0] {
				t.Errorf("%s: copied", x.name)
			}
			continue
		}
		if len(out) > len(x.data)*7/8 {
			t.Errorf("%s: %d bytes from %d are no gain", x.name, len(out), len(x.data))
		}
		if cap(out) > len(out)*5/4+64 {
			t.Errorf("%s: %d bytes hold %d", x.name, len(out), cap(out))
		}
		back, err := c.decompress(kind, out, len(x.data), len(x.data))
		if err != nil || !bytes.Equal(back, before) {
			t.Errorf("%s: came back as %d bytes, %v", x.name, len(back), err)
		}
	}
}

// Samples can be wrong: the result decides.
func TestCompressLooksAtTheResult(t *testing.T) {
	c := mustCompressor(t)
	const n = 1 << 20
	data := gradients(n, 0)
	for i := range samples {
		start := (n - sampleBytes) / (samples - 1) * i &^ 7
		clear(data[start : start+sampleBytes])
	}
	if kind := c.choose(CompressS2, true, data); kind != compressedS2 {
		t.Fatalf("the samples say %v", kind)
	}
	if kind, out := c.compress(CompressS2, true, data); kind != compressedNot || len(out) != n {
		t.Errorf("%v, %d bytes", kind, len(out))
	}
}

func TestCompressRoundTrip(t *testing.T) {
	c := mustCompressor(t)
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "pattern")
		n := rapid.IntRange(1, 1<<18).Draw(t, "bytes")
		data := bytes.Repeat(pattern, n/len(pattern)+1)[:n]
		mode := rapid.SampledFrom([]Compression{CompressAuto, CompressS2, CompressZstd}).Draw(t, "mode")
		kind, out := c.compress(mode, true, data)
		back, err := c.decompress(kind, out, n, n)
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%v: %v", kind, err)
		}
		if kind != compressedNot {
			if _, err := decodeBody(kindF64, back[:n&^7]); err != nil {
				t.Fatal(err)
			}
			if _, err := c.decompress(kind, out[:len(out)-1], n, n); err == nil {
				t.Fatal("a byte is missing, and nobody minds")
			}
		}
	})
}

func TestDecompressedNumbersAreViews(t *testing.T) {
	c := mustCompressor(t)
	for _, mode := range []Compression{CompressS2, CompressZstd} {
		for _, n := range []int{minCompressed, minCompressed + 8, 1 << 20, 3 << 20} {
			kind, out := c.compress(mode, true, make([]byte, n))
			data, err := c.decompress(kind, out, n, n)
			if err != nil || kind == compressedNot {
				t.Fatal(kind, err)
			}
			v, err := decodeBody(kindU64, data)
			if err != nil || &numberBytes(v.([]uint64))[0] != &data[0] && !hostBigEndian {
				t.Errorf("%v of %d: a copy, %v", mode, n, err)
			}
		}
	}
}

// zeroFrame is a zstd frame of zeros: the header says told bytes (none if negative), and the
// blocks, of 4 bytes each, have blocks times 128 KiB.
func zeroFrame(told int64, blocks int) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd}
	if told >= 0 {
		frame = append(frame, 0xc0, 0x50) // content size of 8 bytes, window 1 MiB
		frame = binary.LittleEndian.AppendUint64(frame, uint64(told))
	} else {
		frame = append(frame, 0, 0x50)
	}
	for i := range blocks {
		block := uint32(zstdBlock<<3 | 1<<1) // RLE
		if i == blocks-1 {
			block |= 1
		}
		frame = append(frame, byte(block), byte(block>>8), byte(block>>16), 0)
	}
	return frame
}

func TestBombs(t *testing.T) {
	c := mustCompressor(t)
	const gib, blocks = 1 << 30, 1 << 30 / zstdBlock
	largeWindow := zeroFrame(8*zstdBlock, 8)
	largeWindow[5] = 0x58 // 2 MiB
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, zeroFrame(zstdBlock, 1)...)
	s2Zeros := s2.Encode(nil, make([]byte, 1<<26))
	for _, x := range []struct {
		name           string
		kind           compressionKind
		data           []byte
		claimed, limit int
	}{
		{"zstd above the limit", compressedZstd, zeroFrame(gib, blocks), gib, 1 << 20},
		{"zstd that says less than its header", compressedZstd, zeroFrame(gib, blocks), 4096, 1 << 20},
		{"zstd whose header lies", compressedZstd, zeroFrame(4096, blocks), 4096, 1 << 20},
		{"large zstd whose header lies", compressedZstd, zeroFrame(8<<20, blocks), 8 << 20, 8 << 20},
		{"zstd whose header is silent", compressedZstd, zeroFrame(-1, blocks), 4096, 1 << 20},
		{"zstd with fewer blocks", compressedZstd, zeroFrame(zstdBlock, 0), zstdBlock, 1 << 20},
		{"two frames", compressedZstd, slices.Concat(
			zeroFrame(zstdBlock, 1), zeroFrame(gib, blocks),
		), zstdBlock, 1 << 20},
		{"two frames in the room of one block", compressedZstd, slices.Concat(
			zeroFrame(16*zstdBlock, 16), zeroFrame(zstdBlock, 1),
		), 16 * zstdBlock, 8 << 20},
		{"a window too large", compressedZstd, largeWindow, 8 * zstdBlock, 1 << 30},
		{"a skippable frame first", compressedZstd, skippable, zstdBlock, 1 << 20},
		{"no frame", compressedZstd, []byte("gibberish, not zstd"), 100, 1 << 20},
		{"no bytes, zstd", compressedZstd, nil, 0, 1 << 20},
		{"s2 above the limit", compressedS2, s2Zeros, 1 << 26, 1 << 20},
		{"s2 that says less", compressedS2, s2Zeros, 4096, 1 << 20},
		{"s2 that says more", compressedS2, s2.Encode(nil, make([]byte, 4096)), 4097, 1 << 20},
		{"s2 of 4 GiB", compressedS2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 4096, 1 << 20},
		{"s2 of 2^63", compressedS2, binary.AppendUvarint(nil, 1<<63), 4096, 1 << 20},
		{"no bytes, s2", compressedS2, nil, 0, 1 << 20},
		{"nothing", compressedS2, []byte{0x80, 0x20}, 4096, 1 << 20},
		{"a negative size", compressedS2, s2Zeros, -1, 1 << 20},
		{"uncompressed, too short", compressedNot, []byte{1, 2}, 3, 1 << 20},
		{"uncompressed, above the limit", compressedNot, make([]byte, 9), 9, 8},
		{"unknown", compressionKind(7), []byte{1}, 1, 1 << 20},
	} {
		var out []byte
		var err error
		n := allocated(func() { out, err = c.decompress(x.kind, x.data, x.claimed, x.limit) })
		var e *BodyError
		if !errors.As(err, &e) || e.Op != "decompress" || e.Kind != x.kind.String() || out != nil {
			t.Errorf("%s: %d bytes, %v", x.name, len(out), err)
		}
		if most := uint64(max(0, min(x.claimed, x.limit))) + 2<<20; n > most {
			t.Errorf("%s: %d bytes allocated", x.name, n)
		}
	}
	// The helper makes frames that are sound, where it is not told otherwise.
	out, err := c.decompress(compressedZstd, zeroFrame(16*zstdBlock, 16), 16*zstdBlock, 1<<30)
	if err != nil || len(out) != 16*zstdBlock || cap(out) != len(out) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// A claim that the first bytes belie costs nothing, however large it is.
func TestBeliedClaimsCostNothing(t *testing.T) {
	c := mustCompressor(t)
	for kind, data := range map[compressionKind][]byte{
		compressedNot:  make([]byte, 4096),
		compressedS2:   s2.Encode(nil, make([]byte, 4096)),
		compressedZstd: zeroFrame(zstdBlock, 1),
	} {
		var err error
		n := allocated(func() { _, err = c.decompress(kind, data, 1<<28, 1<<30) })
		if err == nil || n > 1<<20 {
			t.Errorf("%v: %d bytes, %v", kind, n, err)
		}
	}
}

func TestCompressorIsConcurrent(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := mustCompressor(t)
	text := experiences(t, 1<<18)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			mode := []Compression{CompressS2, CompressZstd}[i%2]
			for range 4 {
				kind, out := c.compress(mode, true, text[i:])
				back, err := c.decompress(kind, out, len(text)-i, len(text))
				if err != nil || !bytes.Equal(back, text[i:]) {
					t.Error(kind, err)
				}
			}
		})
	}
	running.Wait()
}

func TestCompressionNames(t *testing.T) {
	for i, name := range []string{"auto", "off", "s2", "zstd"} {
		c, err := ParseCompression(name)
		if err != nil || int(c) != i || c.String() != name {
			t.Errorf("%s is %v, %v", name, c, err)
		}
		text, err := c.MarshalText()
		if err != nil || string(text) != name {
			t.Errorf("%s is written %s, %v", name, text, err)
		}
		var back Compression
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("%s came back as %v, %v", name, back, err)
		}
	}
	var e *BodyError
	if _, err := ParseCompression("gzip"); !errors.As(err, &e) || e.Remedy == "" {
		t.Error(err)
	}
	if _, err := Compression(4).MarshalText(); !errors.As(err, &e) {
		t.Error(err)
	}
	if s := Compression(4).String(); s != "Compression(4)" {
		t.Error(s)
	}
	for k, want := range map[compressionKind]string{
		0: "uncompressed", 1: "s2", 2: "zstd", 3: "compression(3)",
	} {
		if k.String() != want {
			t.Errorf("%q, want %q", k, want)
		}
	}
}

func TestTellingDenseCostsNoMemory(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); !ok || slices.Contains(info.Settings,
		debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under -race a sync.Pool, here of S2, drops at random")
	}
	c, dense := mustCompressor(t), gradients(1<<20, 0)
	if n := testing.AllocsPerRun(100, func() {
		if kind, _ := c.compress(CompressAuto, true, dense); kind != compressedNot {
			t.Fatal(kind)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecompress decompresses anything: never more than was claimed, nor memory for it.
func FuzzDecompress(f *testing.F) {
	c := mustCompressor(f)
	encoder, err := c.encoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(compressedS2), s2.Encode(nil, make([]byte, 5000)), 5000, 1<<20)
	f.Add(uint8(compressedZstd), encoder.EncodeAll(experiences(f, 600), nil), 600, 1<<20)
	f.Add(uint8(compressedZstd), zeroFrame(16*zstdBlock, 16), 16*zstdBlock, 4<<20)
	f.Add(uint8(compressedZstd), zeroFrame(4096, 20), 4096, 4<<20)
	f.Add(uint8(compressedNot), []byte("abc"), 3, 3)
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, claimed, limit int) {
		limit = min(limit, 1<<22)
		before := bytes.Clone(data)
		var out []byte
		var err error
		n := allocated(func() { out, err = c.decompress(compressionKind(kind), data, claimed, limit) })
		if most := uint64(max(0, min(claimed, limit))) + 4<<20; n > most {
			t.Fatalf("%d bytes allocated", n)
		}
		var e *BodyError
		switch {
		case err != nil && (!errors.As(err, &e) || out != nil):
			t.Fatalf("%d bytes, %T %v", len(out), err, err)
		case err == nil && (len(out) != claimed || claimed > limit):
			t.Fatalf("%d bytes, claimed %d, limit %d", len(out), claimed, limit)
		case !bytes.Equal(data, before):
			t.Fatal("decompressing wrote")
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	c := mustCompressor(b)
	for _, x := range []struct {
		name string
		data []byte
	}{
		{"dense", gradients(1<<20, 0)},
		{"dense16MiB", gradients(16<<20, 0)},
		{"zeros90", gradients(1<<20, .9)},
		{"zeros99", gradients(1<<20, .99)},
		{"text", experiences(b, 1<<20)},
		{"text4KiB", experiences(b, 4<<10)},
	} {
		for _, mode := range []Compression{CompressAuto, CompressS2, CompressZstd} {
			b.Run(x.name+"/"+mode.String(), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(x.data)))
				var out []byte
				for b.Loop() {
					_, out = c.compress(mode, true, x.data)
				}
				b.ReportMetric(float64(len(x.data))/float64(len(out)), "ratio")
			})
		}
		b.Run(x.name+"/memcpy", func(b *testing.B) {
			b.SetBytes(int64(len(x.data)))
			to := make([]byte, len(x.data))
			for b.Loop() {
				copy(to, x.data)
			}
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	c := mustCompressor(b)
	for name, data := range map[string][]byte{
		"zeros90": gradients(1<<20, .9), "text": experiences(b, 1<<20),
	} {
		for _, mode := range []Compression{CompressS2, CompressZstd} {
			kind, out := c.compress(mode, true, data)
			b.Run(name+"/"+mode.String(), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if _, err := c.decompress(kind, out, len(data), len(data)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// The window of the encoder is one that the decoder takes.
func TestWindow(t *testing.T) {
	var header zstd.Header
	kind, out := mustCompressor(t).compress(CompressZstd, true, make([]byte, 64<<20))
	if err := header.Decode(out); err != nil || kind != compressedZstd ||
		header.WindowSize > zstdWindow {
		t.Errorf("%v, window %d, %v", kind, header.WindowSize, err)
	}
}
