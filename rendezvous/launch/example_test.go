package launch_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tutti-ml/tutti/rendezvous/launch"
)

func ExampleRun() {
	err := launch.Run(context.Background(), launch.Options{
		Ranks:   1,
		Command: []string{"/bin/sh", "-c", "echo rank $TUTTI_RANK of $TUTTI_SIZE; exit 3"},
		Stdout:  os.Stdout,
	})
	var failed *launch.ExitError
	fmt.Println(errors.As(err, &failed), failed.Rank, failed.ExitCode())
	// Output:
	// [0] rank 0 of 1
	// true 0 3
}
