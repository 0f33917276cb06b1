package proxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression says whether the bodies of messages are compressed. Whatever it is, a body below
// 4 KiB and one that would save less than an eighth travels as it is; a few samples tell most of
// the latter, such as dense gradients, which do not compress, at next to no cost. The receiver
// needs no setting.
type Compression uint8

const (
	// CompressAuto compresses what goes to other hosts: with S2, or with zstd where it is large and
	// the samples say that zstd saves much more. It pays on links below about 1 Gbit/s for each
	// stream; for faster ones choose CompressOff.
	CompressAuto Compression = iota
	// CompressOff sends every body as it is.
	CompressOff
	// CompressS2 uses S2, a faster Snappy, to every peer.
	CompressS2
	// CompressZstd uses Zstandard at its fastest, RFC 8878, to every peer.
	CompressZstd
)

var compressionNames = []string{
	CompressAuto: "auto", CompressOff: "off", CompressS2: "s2", CompressZstd: "zstd",
}

// String returns auto, off, s2 or zstd.
func (c Compression) String() string {
	if int(c) < len(compressionNames) {
		return compressionNames[c]
	}
	return fmt.Sprintf("Compression(%d)", uint8(c))
}

// ParseCompression is the inverse of [Compression.String]. The error is a [*BodyError].
func ParseCompression(s string) (Compression, error) {
	if i := slices.Index(compressionNames, s); i >= 0 {
		return Compression(i), nil
	}
	return 0, unknownCompression(s)
}

func unknownCompression(s string) error {
	return &BodyError{
		Op: "compress", Err: fmt.Errorf("unknown compression %q", s),
		Remedy: fmt.Sprintf("use one of %q", compressionNames),
	}
}

// MarshalText returns what String does; the error is a [*BodyError].
func (c Compression) MarshalText() ([]byte, error) {
	if int(c) >= len(compressionNames) {
		return nil, unknownCompression(c.String())
	}
	return []byte(compressionNames[c]), nil
}

// UnmarshalText is [ParseCompression], so that a Compression can be a flag.
func (c *Compression) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCompression(string(text))
	return err
}

// compressionKind says on the wire how a body is compressed. The numbers never change.
type compressionKind uint8

const (
	compressedNot  compressionKind = 0
	compressedS2   compressionKind = 1 // one S2 block, which begins with its decoded length
	compressedZstd compressionKind = 2 // one zstd frame that tells its content size
)

func (k compressionKind) String() string {
	switch k {
	case compressedNot:
		return "uncompressed"
	case compressedS2:
		return "s2"
	case compressedZstd:
		return "zstd"
	}
	return fmt.Sprintf("compression(%d)", uint8(k))
}

// What is worth compressing. Times are of one core of an AMD EPYC of 2024, on 1 MiB.
const (
	// minCompressed is three segments of TCP: below it there is hardly a packet to save.
	minCompressed = 4 << 10
	// samples of sampleBytes are tried first, spread evenly over a body of more than twice their
	// sum. Gaussian float32 are given up after 0.6 µs, where copying them takes 29.
	samples     = 4
	sampleBytes = 1 << 10
	// Encoding and decoding cost S2 1 to 3 ns a byte, zstd 4 to 7 (but both less than 1 where
	// nearly all repeats). On a Gbit/s shared by two streams a byte takes 16 ns. So automatically S2
	// is for bodies that it shortens by at least a quarter, and zstd for those that it shortens by a
	// further quarter of the whole.
	autoSaving = 4
	// minZstdTrial is from where the trial of zstd, 20 µs, is small beside what follows.
	minZstdTrial = 256 << 10
	zstdTrial    = 4 << 10
	// minSaving is the least saving, one part in so many, for which a receiver is made to decode.
	minSaving = 8
)

// zstdWindow is how far back a frame refers, and bounds what a decoder holds on to.
const zstdWindow = 1 << 20

// compressor compresses and decompresses bodies. It has no goroutine and needs no closing. Its
// methods may be called concurrently; zstd then takes turns. Zstd is made ready when it is first
// used: its tables would take a tenth of the time of a Join, and many programs never need them.
type compressor struct {
	encoder func() (*zstd.Encoder, error)
	decoder func() (*zstd.Decoder, error)
	scratch sync.Pool // *[]byte: room for the worst case, of which little is kept
}

func newCompressor() *compressor {
	return &compressor{
		encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
				zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
				zstd.WithEncoderCRC(false)) // the frames of the transport have their own
		}),
		decoder: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecodeAllCapLimit(true))
		}),
	}
}

// compress returns data in the shape in which it travels best, to a peer of another host or of
// this one: either compressed, in memory of its own, or data itself. It takes milliseconds a
// mebibyte and is no call for under a lock.
func (c *compressor) compress(
	mode Compression, remote bool, data []byte,
) (compressionKind, []byte) {
	kind := c.choose(mode, remote, data)
	if kind == compressedNot {
		return kind, data
	}
	scratch, ok := c.scratch.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	defer c.scratch.Put(scratch)
	if worst := s2.MaxEncodedLen(len(data)); cap(*scratch) < worst {
		*scratch = make([]byte, 0, worst) // which is more than zstd's
	}
	var out []byte
	if kind == compressedS2 {
		out = s2.Encode((*scratch)[:cap(*scratch)], data)
	} else {
		encoder, err := c.encoder()
		if err != nil { // only its options, which are constants, can be wrong
			return compressedNot, data
		}
		out = encoder.EncodeAll(data, (*scratch)[:0])
	}
	if !saves(minSaving, len(out), len(data)) {
		return compressedNot, data
	}
	return kind, slices.Clone(out)
}

// choose looks at samples of data.
func (c *compressor) choose(mode Compression, remote bool, data []byte) compressionKind {
	if len(data) < minCompressed || s2.MaxEncodedLen(len(data)) < 0 {
		return compressedNot // the latter is more than 4 GiB
	}
	switch mode {
	case CompressAuto:
		if !remote || !sampled(autoSaving, data) {
			return compressedNot
		}
		if len(data) >= minZstdTrial && c.muchBetter(data) {
			return compressedZstd
		}
		return compressedS2
	case CompressS2:
		if sampled(minSaving, data) {
			return compressedS2
		}
	case CompressZstd:
		if sampled(minSaving, data) {
			return compressedZstd
		}
	}
	return compressedNot
}

// sampled reports whether samples of data can be shortened by one part in saving. A small body is
// its own sample.
func sampled(saving int, data []byte) bool {
	if len(data) <= 2*samples*sampleBytes {
		return true
	}
	total := 0
	for i := range samples {
		start := (len(data) - sampleBytes) / (samples - 1) * i &^ 7
		n := s2.EstimateBlockSize(data[start : start+sampleBytes])
		if n < 0 {
			n = sampleBytes
		}
		total += n
	}
	return saves(saving, total, samples*sampleBytes)
}

// muchBetter tries both on one sample from the middle, and compares.
func (c *compressor) muchBetter(data []byte) bool {
	middle := data[len(data)/2&^7:][:zstdTrial]
	fast := s2.EstimateBlockSize(middle)
	if fast < 0 {
		fast = zstdTrial
	}
	encoder, err := c.encoder()
	if err != nil {
		return false
	}
	var room [zstdTrial + 64]byte
	thorough := len(encoder.EncodeAll(middle, room[:0]))
	return fast-thorough > zstdTrial/autoSaving
}

func saves(saving, n, of int) bool { return n <= of-of/saving }

// decompress returns the claimed bytes that data stands for, in memory of their own that is
// aligned for every number (and data itself for compressedNot). It trusts neither data nor
// claimed, which may be at most limit: no more than claimed is allocated, but for a block of zstd,
// and what decodes to another size is refused. The error is a [*BodyError].
func (c *compressor) decompress(
	kind compressionKind, data []byte, claimed, limit int,
) (out []byte, err error) {
	switch {
	case claimed < 0 || claimed > limit:
		err = fmt.Errorf("%d bytes, more than the limit of %d", claimed, limit)
	case kind == compressedNot && len(data) == claimed:
		return data, nil
	case kind == compressedNot:
		err = fmt.Errorf("%d bytes, said to be %d", len(data), claimed)
	case kind == compressedS2:
		out, err = decodeS2(data, claimed)
	case kind == compressedZstd:
		out, err = c.decodeZstd(data, claimed)
	default:
		err = errors.New("unknown compression")
	}
	if err != nil {
		return nil, &BodyError{Op: "decompress", Kind: kind.String(), Err: err}
	}
	return out, nil
}

func decodeS2(data []byte, claimed int) ([]byte, error) {
	n, err := s2.DecodedLen(data)
	if err != nil {
		return nil, err
	}
	if n != claimed {
		return nil, fmt.Errorf("a block of %d bytes, said to be %d", n, claimed)
	}
	return s2.Decode(make([]byte, claimed), data)
}

// zstdBlock is the most that a block decodes to.
const zstdBlock = 128 << 10

func (c *compressor) decodeZstd(data []byte, claimed int) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(data); err != nil {
		return nil, err
	}
	if !header.HasFCS || header.FrameContentSize != uint64(claimed) {
		return nil, fmt.Errorf("a frame of %d bytes, said to be %d", header.FrameContentSize, claimed)
	}
	room := claimed
	if claimed > 8*zstdBlock {
		room += zstdBlock // a block too many is found after it is written: do not grow for it
	}
	decoder, err := c.decoder()
	if err != nil {
		return nil, err
	}
	out, err := decoder.DecodeAll(data, make([]byte, 0, room))
	if err != nil {
		return nil, err
	}
	if len(out) != claimed {
		return nil, fmt.Errorf("%d bytes, said to be %d", len(out), claimed)
	}
	return out[:claimed:claimed], nil
}
