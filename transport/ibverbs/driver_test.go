//go:build !ibverbs || !cgo || !linux

package ibverbs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// A program that was built without the tag ibverbs says how to build it.
func ExampleNew() {
	driver := ibverbs.New(ibverbs.Retry(ibverbs.DefaultRetry))
	_, err := driver.Open(context.Background(), transport.Config{Rank: 0, Size: 2})
	fmt.Println(driver.Name(), errors.Is(err, errors.ErrUnsupported))
	// Output: ibverbs true
}
