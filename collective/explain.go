package collective

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// Explanation tells which algorithms there are for a call, what the model predicts for each, and
// which one the communicator takes.
type Explanation struct {
	Collective  schedule.Collective
	Type        tensor.Type
	Wire        tensor.Type // of the elements of messages, where it is another one; see WithWire
	Count, Size int
	Choices     []Choice // best first, those that can't be used last
	Chosen      string   // name of the algorithm taken
	Forced      bool     // the user has forced it
}

// Explain tells how c would make a call of count elements, or elements per rank's block, as
// schedule.Args counts them; a reduction is taken to be a sum. It sends nothing.
func (c *Comm) Explain(coll schedule.Collective, t tensor.Type, count int) (*Explanation, error) {
	r := request{coll: coll, typ: t, count: count}
	if count < 0 || !t.Valid() || len(schedule.Algorithms(coll)) == 0 {
		return nil, &ArgumentError{
			Collective: coll, Reason: fmt.Sprintf("nothing to explain about %d elements of type %s", count, t),
		}
	}
	c.e.enter()
	defer c.e.mu.Unlock()
	if coll.Reduces() {
		r.op = tensor.Sum
	}
	wire := c.planner.wireOf(&r)
	w := widthOf(t, wire)
	args := c.planner.args(&r)
	if err := args.Check(coll); err != nil {
		return nil, &ArgumentError{Collective: coll, Reason: err.Error(), Err: err}
	}
	chosen, err := c.planner.choose(coll, args, w, false)
	if err != nil {
		return nil, err
	}
	x := &Explanation{
		Collective: coll, Type: t, Wire: wire, Count: count, Size: c.size, Chosen: chosen.Algorithm.Name,
		Choices: c.planner.choices(coll, args, w, false), Forced: c.planner.force[coll] != "",
	}
	slices.SortStableFunc(x.Choices, func(a, b Choice) int {
		switch {
		case (a.Refused == nil) != (b.Refused == nil):
			if a.Refused == nil {
				return -1
			}
			return 1
		case a.Seconds < b.Seconds:
			return -1
		case a.Seconds > b.Seconds:
			return 1
		}
		return 0
	})
	return x, nil
}

// String is the explanation as a table.
func (x *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %d %s", x.Collective, x.Count, x.Type)
	if x.Wire != 0 {
		fmt.Fprintf(&b, " sent as %s", x.Wire)
	}
	fmt.Fprintf(&b, " on %d ranks: %s", x.Size, x.Chosen)
	if x.Forced {
		b.WriteString(" (forced)")
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "algorithm\tpredicted\tmessages\tbytes\treduced\tchunk")
	for _, c := range x.Choices {
		if c.Refused != nil {
			fmt.Fprintf(w, "%s\t-\t\t\t\t%v\n", c.Algorithm.Name, c.Refused)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f\t%d\n", c.Algorithm.Name,
			time.Duration(c.Seconds*1e9).Round(100*time.Nanosecond),
			c.Cost.Messages, c.Cost.Bytes, c.Cost.Reduced, c.ChunkBytes)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
