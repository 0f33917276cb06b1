package regtable

// DefaultLimit is the default of Options.Limit, in messages.
const DefaultLimit = 1 << 16

// Options of a table. The zero value is MARO's behaviour, less its defects; the documentation of
// the package tells the difference.
type Options[M any] struct {
	// Rounding says how many peers a percentage is.
	Rounding Rounding

	// Uncapped makes a count wait for the full number. Without it, a count that is greater than the
	// number of live peers of a type is that number: worker:update:10 needs 2 while there are two
	// workers. The count of a source that is the name of one peer is never capped, unless Distinct.
	Uncapped bool

	// Distinct makes amounts count senders instead of messages. A firing takes the oldest message
	// of each of the first senders; what else they sent waits for the next firing.
	Distinct bool

	// Drain makes every Get, Trigger and Dispatch repeat its round over the events until none
	// fires. Without it, each event fires at most once a call.
	Drain bool

	// Late, where not nil, tells messages that no handler shall see any more: those of a past round,
	// say. It is asked when a message is pushed and again when it would be handed over; a late
	// message is dropped and counted. Without it, messages wait until an event takes them. Late is
	// called with the table locked, and must not call the table.
	Late func(message M) bool

	// Limit bounds how many messages each unit event keeps; DefaultLimit where it is 0 or less. An
	// event that never fires, or the branches of an OR that are never taken, would grow without it.
	Limit int

	// Overflow says what happens to a message beyond the limit.
	Overflow Overflow

	// Sources, where not nil, lists the types and names of peers that exist or will: Register then
	// refuses an event that names another source, unless a peer of this name lives at that moment.
	Sources []string
}

// Rounding says how many of n live peers p percent are.
type Rounding uint8

// FloorAtLeastOne is the default.
const (
	FloorAtLeastOne Rounding = iota // p*n/100 rounded down, but at least 1
	Floor                           // rounded down; where that is 0, no message is needed
	Ceil                            // rounded up
)

// of returns p percent of n, which is positive.
func (r Rounding) of(p, n int) int {
	product := int64(p) * int64(n)
	switch r {
	case Floor:
		return int(product / 100)
	case Ceil:
		return int((product + 99) / 100)
	default:
		return int(max(product/100, 1))
	}
}

// Overflow says what happens to a message that a unit event has no room for.
type Overflow uint8

// Refuse is the default.
const (
	Refuse     Overflow = iota // Push returns a *FullError; the unit event does not get the message
	DropOldest                 // the unit event's oldest message makes room, and is counted
)

// Stats counts what a table did since it was made.
type Stats struct {
	Cached    int    // messages that are kept now; one kept by two unit events counts twice
	Fired     uint64 // firings
	Unmatched uint64 // messages pushed that no unit event matched
	Late      uint64 // messages dropped as late, once at Push or once for each unit event
	Dropped   uint64 // messages dropped by DropOldest, once for each unit event
	Refused   uint64 // messages refused because of the limit, once for each unit event
}
