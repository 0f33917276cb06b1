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

// Explanation tells which algorithms there are for a call, what is predicted of each, which one the
// communicator takes, and why.
type Explanation struct {
	Collective  schedule.Collective
	Type        tensor.Type
	Wire        tensor.Type // of the elements of messages, where it is another one; see WithWire
	Count, Size int
	Choices     []Choice // fastest first, those that can't be used last
	Chosen      string   // name of the algorithm taken
	Forced      bool     // the user has forced it
	Reason      string   // why it is taken
	// Speeds tells where the speeds of links come from: "assumed" of the driver, "measured", from the
	// "cache" of what was measured before, or "given" by WithFabric.
	Speeds string
}

// Explain tells how c would make a call of count elements, or elements per rank's block, as
// schedule.Args counts them; a reduction is taken to be a sum, and an all-reduce to be in place, as it is when
// an algorithm is chosen for it. It sends nothing.
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
	args := c.planner.args(&r)
	if err := args.Check(coll); err != nil {
		return nil, &ArgumentError{Collective: coll, Reason: err.Error(), Err: err}
	}
	all := c.planner.choices(&r, args)
	chosen, err := c.planner.choose(coll, all)
	if err != nil {
		return nil, err
	}
	x := &Explanation{
		Collective: coll, Type: t, Wire: wire, Count: count, Size: c.size, Chosen: chosen.Algorithm.Name,
		Choices: all, Forced: c.planner.force[coll] != "",
		Speeds: c.planner.speeds.source,
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
	x.Reason = x.reason()
	return x, nil
}

// reason compares the algorithm taken with the best of the others.
func (x *Explanation) reason() string {
	var best, other *Choice
	for i := range x.Choices {
		switch c := &x.Choices[i]; {
		case c.Algorithm.Name == x.Chosen:
			best = c
		case c.Refused == nil && other == nil:
			other = c
		}
	}
	switch {
	case x.Forced && other != nil && other.Seconds < best.Seconds:
		return fmt.Sprintf("it is forced; %s should take %s", other.Algorithm.Name,
			lasting(other.Seconds))
	case x.Forced:
		return "it is forced"
	case other == nil:
		return "no other can be used"
	case best.Seconds > other.Seconds*(1+tie) && best.Path >= lessWork*other.Path: // see easiest
		return fmt.Sprintf("%s should take about as long, but waits for messages for %s, not %s",
			other.Algorithm.Name, lasting(other.Latency), lasting(best.Latency))
	case best.Seconds > other.Seconds*(1+tie):
		return fmt.Sprintf("%s should take about as long, but keeps the busiest rank for %s, not %s",
			other.Algorithm.Name, lasting(other.Path), lasting(best.Path))
	case other.Seconds <= best.Seconds*(1+2*tie):
		return other.Algorithm.Name + " should take as long, and comes later in the registry"
	}
	why, most := "", 0.0
	for _, part := range []struct {
		what       string
		best, most float64
	}{
		{"waiting for messages takes %s, not %s", best.Latency, other.Latency},
		{"the busiest rank moves and reduces for %s, not %s", best.Path, other.Path},
		{"all ranks of a host together keep it busy for %s, not %s", best.Host, other.Host},
	} {
		if d := part.most - part.best; d > most {
			why, most = fmt.Sprintf(": "+part.what, lasting(part.best), lasting(part.most)), d
		}
	}
	return fmt.Sprintf("%s should take %.3g times as long%s", other.Algorithm.Name,
		other.Seconds/best.Seconds, why)
}

// lasting is a time for people.
func lasting(seconds float64) time.Duration {
	return time.Duration(seconds * 1e9).Round(100 * time.Nanosecond)
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
	fmt.Fprintf(&b, "\n%s; speeds are %s\n", x.Reason, x.Speeds)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "algorithm\tpredicted\tlatency\tpath\thost\tmessages\tbytes\treduced\tchunk")
	for _, c := range x.Choices {
		if c.Refused != nil && c.Seconds == 0 {
			fmt.Fprintf(w, "%s\t-\t\t\t\t\t\t\t%v\n", c.Algorithm.Name, c.Refused)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%d", c.Algorithm.Name,
			lasting(c.Seconds), lasting(c.Latency), lasting(c.Path), lasting(c.Host),
			c.Cost.Messages, c.Cost.Bytes, c.Cost.Reduced, c.ChunkBytes)
		if c.Refused != nil {
			fmt.Fprintf(w, "\t%v", c.Refused)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
