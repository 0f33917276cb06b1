package proxy_test

import (
	"errors"
	"fmt"

	"github.com/tutti-ml/tutti/proxy"
)

// What was sent as a struct or a map is CBOR when it is received.
func ExampleEncoded_Decode() {
	body := proxy.Encoded("\xa2\x65agent\x61a\x66reward\x02") // {"agent": "a", "reward": 2}
	var step struct {
		Agent  string  `cbor:"agent"`
		Reward float64 `cbor:"reward"`
	}
	err := body.Decode(&step)
	fmt.Println(step.Agent, step.Reward, err)

	var anything any
	err = body.Decode(&anything)
	fmt.Println(anything, err)
	// Output:
	// a 2 <nil>
	// map[agent:a reward:2] <nil>
}

func ExampleDecodeBody() {
	type Params []float32
	var body any = []float32{0.5, 0.25} // a Body as it is received
	params, err := proxy.DecodeBody[Params](body)
	fmt.Println(params, err)

	_, err = proxy.DecodeBody[[]float64](body)
	fmt.Println(errors.Unwrap(err))

	epoch, err := proxy.DecodeBody[int](proxy.Encoded{7})
	fmt.Println(epoch, err)
	// Output:
	// [0.5 0.25] <nil>
	// the body is a []float32
	// 7 <nil>
}

func ExampleBodyError() {
	_, err := proxy.DecodeBody[string](proxy.Encoded{7})
	var body *proxy.BodyError
	if errors.As(err, &body) {
		fmt.Println("cannot", body.Op, body.Kind, "into a", body.Type)
		fmt.Println(body.Remedy)
	}
	// Output:
	// cannot decode CBOR into a string
	// decode into the type that was sent, or into an any
}
