package proxy_test

import (
	"fmt"

	"github.com/tutti-ml/tutti/proxy"
)

func ExampleParseCompression() {
	c, err := proxy.ParseCompression("zstd")
	fmt.Println(c, err)
	_, err = proxy.ParseCompression("gzip")
	fmt.Println(err)
	// Output:
	// zstd <nil>
	// proxy: compress body: unknown compression "gzip"; use one of ["auto" "off" "s2" "zstd"]
}

func ExampleCompression_String() {
	fmt.Println(proxy.CompressAuto)
	// Output: auto
}

func ExampleCompression_MarshalText() {
	text, err := proxy.CompressS2.MarshalText()
	fmt.Println(string(text), err)
	// Output: s2 <nil>
}

// A Compression can be a flag, here of the standard library: flag.TextVar(&c, "compression", ...).
func ExampleCompression_UnmarshalText() {
	var c proxy.Compression
	err := c.UnmarshalText([]byte("off"))
	fmt.Println(c, err)
	// Output: off <nil>
}
