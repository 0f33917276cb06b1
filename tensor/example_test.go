package tensor_test

import (
	"errors"
	"fmt"
	"math"

	"github.com/tutti-ml/tutti/tensor"
)

func Example() {
	// Three ranks' gradients, averaged as a reduction tree would.
	grads := [][]float32{{1, 2, 3}, {2, 4, 6}, {6, 6, 6}}
	acc := tensor.Bytes(grads[0])
	for _, g := range grads[1:] {
		tensor.Avg.Reduce(tensor.F32, acc, acc, tensor.Bytes(g))
	}
	tensor.Avg.Finish(tensor.F32, acc, len(grads))
	fmt.Println(grads[0])
	// Output: [3 4 5]
}

func ExampleType() {
	for _, t := range tensor.Types() {
		fmt.Print(t, ":", t.Size(), " ")
	}
	fmt.Println(tensor.Type(0).Valid())
	// Output: f64:8 f32:4 f16:2 bf16:2 i8:1 u8:1 i32:4 i64:8 u64:8 false
}

func ExampleType_Size() {
	fmt.Println(tensor.BF16.Size())
	// Output: 2
}

func ExampleType_String() {
	fmt.Println(tensor.BF16, tensor.Type(99))
	// Output: bf16 Type(99)
}

func ExampleType_Valid() {
	fmt.Println(tensor.U64.Valid(), tensor.Type(99).Valid())
	// Output: true false
}

func ExampleTypes() {
	fmt.Println(tensor.Types())
	// Output: [f64 f32 f16 bf16 i8 u8 i32 i64 u64]
}

func ExampleParseType() {
	t, err := tensor.ParseType("half")
	fmt.Println(t, err)
	_, err = tensor.ParseType("f8")
	fmt.Println(err)
	// Output:
	// f16 <nil>
	// tensor: unknown element type "f8", use one of f64, f32, f16, bf16, i8, u8, i32, i64, u64
}

func ExampleNameError() {
	_, err := tensor.ParseOp("median")
	var unknown *tensor.NameError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Kind, unknown.Name, unknown.Known)
	}
	// Output: operation median [sum prod min max avg]
}

func ExampleTypeOf() {
	fmt.Println(tensor.TypeOf[tensor.BFloat16](), tensor.TypeOf[int64]())
	// Output: bf16 i64
}

func ExampleFloat16() {
	h := tensor.ToFloat16(0.1)
	fmt.Printf("%#04x %v\n", uint16(h), h)
	// Output: 0x2e66 0.099975586
}

func ExampleFloat16_Float32() {
	fmt.Println(tensor.Float16(0x3C00).Float32(), tensor.Float16(0x0001).Float32())
	// Output: 1 5.9604645e-08
}

func ExampleFloat16_String() {
	fmt.Println(tensor.Float16(0x7BFF), tensor.Float16(0xFC00), tensor.Float16(0x7E00))
	// Output: 65504 -Inf NaN
}

func ExampleToFloat16() {
	// 2049 lies in the middle of 2048 and 2050: the tie goes to the even fraction.
	fmt.Println(tensor.ToFloat16(2049), tensor.ToFloat16(65519), tensor.ToFloat16(65520))
	// Output: 2048 65504 +Inf
}

func ExampleBFloat16() {
	h := tensor.ToBFloat16(3.14159)
	fmt.Printf("%#04x %v\n", uint16(h), h)
	// Output: 0x4049 3.140625
}

func ExampleBFloat16_Float32() {
	fmt.Println(tensor.BFloat16(0x3F80).Float32())
	// Output: 1
}

func ExampleBFloat16_String() {
	fmt.Println(tensor.BFloat16(0xC000), tensor.BFloat16(0x7FC0))
	// Output: -2 NaN
}

func ExampleToBFloat16() {
	fmt.Println(tensor.ToBFloat16(257), tensor.ToBFloat16(259), tensor.ToBFloat16(math.MaxFloat32))
	// Output: 256 260 +Inf
}

func ExampleBytes() {
	s := []uint8{1, 2}
	tensor.Bytes(s)[0] = 9
	fmt.Println(s, len(tensor.Bytes([]float64{1, 2, 3})))
	// Output: [9 2] 24
}

func ExampleView() {
	wire := tensor.AllocBytes(8)
	v := tensor.View[float32](wire)
	v[0] = 1.5
	fmt.Println(len(v), tensor.View[float32](wire))
	// Output: 2 [1.5 0]
}

func ExampleAlloc() {
	fmt.Println(tensor.Alloc[float32](4))
	// Output: [0 0 0 0]
}

func ExampleAllocBytes() {
	fmt.Println(len(tensor.AllocBytes(100)))
	// Output: 100
}

func ExampleFunc() {
	// The greatest common divisor is associative and commutative.
	gcd := tensor.Func("gcd", func(dst, a, b []int64) {
		for i := range dst {
			x, y := a[i], b[i]
			for y != 0 {
				x, y = y, x%y
			}
			dst[i] = x
		}
	})
	x := []int64{12, 35}
	gcd.Reduce(tensor.I64, tensor.Bytes(x), tensor.Bytes(x), tensor.Bytes([]int64{18, 49}))
	fmt.Println(gcd, x)
	// Output: gcd [6 7]
}

func ExampleOps() {
	fmt.Println(tensor.Ops())
	// Output: [sum prod min max avg]
}

func ExampleParseOp() {
	op, err := tensor.ParseOp("max")
	fmt.Println(op == tensor.Max, err)
	// Output: true <nil>
}

func ExampleOp_String() {
	fmt.Println(tensor.Avg, tensor.Op{})
	// Output: avg invalid
}

func ExampleOp_Code() {
	f := tensor.Func("f", func(_, _, _ []int8) {})
	fmt.Println(tensor.Sum.Code(), f.Code(), tensor.Op{}.Code())
	// Output: 1 255 0
}

func ExampleOp_ID() {
	f := func(_, _, _ []int8) {}
	a, b := tensor.Func("f", f), tensor.Func("f", f)
	fmt.Println(tensor.Sum.ID(), a.ID() == b.ID(), a == b)
	// Output: 0 true false
}

func ExampleOp_Supports() {
	fmt.Println(tensor.Avg.Supports(tensor.F32))
	fmt.Println(tensor.Op{}.Supports(tensor.I32))
	// Output:
	// <nil>
	// tensor: no operation invalid for type i32: it is the zero value; use one of Ops or Func
}

func ExampleUnsupportedError() {
	var u *tensor.UnsupportedError
	if errors.As(tensor.Avg.Supports(tensor.U8), &u) {
		fmt.Println(u.Op, u.Type, "->", u.Remedy)
	}
	// Output: avg u8 -> reduce with sum and divide
}

func ExampleOp_Reduce() {
	a, b := []float64{1, math.Copysign(0, -1), 3}, []float64{2, 0, math.NaN()}
	dst := make([]float64, 3)
	tensor.Min.Reduce(tensor.F64, tensor.Bytes(dst), tensor.Bytes(a), tensor.Bytes(b))
	fmt.Println(dst)
	// Output: [1 -0 NaN]
}

func ExampleOp_Finish() {
	sum := []tensor.BFloat16{tensor.ToBFloat16(6), tensor.ToBFloat16(9)}
	tensor.Avg.Finish(tensor.BF16, tensor.Bytes(sum), 4)
	fmt.Println(sum)
	// Output: [1.5 2.25]
}

func ExamplePartition() {
	fmt.Println(tensor.Partition(10, 4))
	// Output: [0 3 6 8 10]
}

func ExampleOffsets() {
	offsets, err := tensor.Offsets([]int{3, 0, 2})
	fmt.Println(offsets, err)
	// Output: [0 3 3 5] <nil>
}

func ExampleCountError() {
	_, err := tensor.Offsets([]int{3, -2})
	var bad *tensor.CountError
	if errors.As(err, &bad) {
		fmt.Println(bad.Index, bad.Count)
	}
	fmt.Println(err)
	// Output:
	// 1 -2
	// tensor: counts[1] is -2: a count cannot be negative
}

func ExampleNarrow() {
	numbers := []float32{1, 1.0078125 + 1.0/512, 1e6, float32(math.Inf(-1))}
	for _, t := range []tensor.Type{tensor.BF16, tensor.F16} {
		message := tensor.AllocBytes(len(numbers) * t.Size())
		tensor.Narrow(t, message, tensor.Bytes(numbers))
		back := make([]float32, len(numbers))
		tensor.Widen(t, tensor.Bytes(back), message)
		fmt.Println(t, back)
	}
	// Output:
	// bf16 [1 1.0078125 999424 -Inf]
	// f16 [1 1.0097656 +Inf -Inf]
}

func ExampleWiden() {
	message := []tensor.BFloat16{0x3F80, 0xC000}
	numbers := make([]float32, 2)
	tensor.Widen(tensor.BF16, tensor.Bytes(numbers), tensor.Bytes(message))
	fmt.Println(numbers)
	// Output: [1 -2]
}

func ExampleRound() {
	numbers := []float32{3.14159, 1.0 / 3}
	tensor.Round(tensor.BF16, tensor.Bytes(numbers), tensor.Bytes(numbers))
	fmt.Println(numbers)
	// Output: [3.140625 0.33398438]
}

func ExampleOp_ReduceWide() {
	sum := []float32{1.0 / 1024, 2}
	message := []tensor.BFloat16{tensor.ToBFloat16(1), tensor.ToBFloat16(-0.5)}
	tensor.Sum.ReduceWide(tensor.BF16, tensor.Bytes(sum), tensor.Bytes(sum), tensor.Bytes(message))
	fmt.Println(sum) // in float32: BFloat16 has no 1 + 1/1024
	// Output: [1.0009766 1.5]
}

func ExampleOp_Widens() {
	for _, op := range tensor.Ops() {
		fmt.Print(op, " ", op.Widens(), "; ")
	}
	// Output: sum true; prod false; min true; max true; avg true;
}

func ExampleCopyCold() {
	gathered, part := make([]byte, 4), []byte{1, 2}
	tensor.CopyCold(gathered[2:], part)
	fmt.Println(gathered)
	// Output: [0 0 1 2]
}

func ExampleOp_ReduceCold() {
	sum := make([]float32, 3)
	x, y := []float32{1, 2, 3}, []float32{10, 20, 30}
	tensor.Sum.ReduceCold(tensor.F32, tensor.Bytes(sum), tensor.Bytes(x), tensor.Bytes(y))
	fmt.Println(sum)
	// Output: [11 22 33]
}
