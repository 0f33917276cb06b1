package regtable

// A Firing is an event that holds, with the messages that made it so. The table has let go of
// them: they are in this firing only, or in those of other events that wait for them too.
type Firing[M any] struct {
	Event    Event
	Handler  Handler[M]
	Messages []M // as the handler gets them

	spans        []span // none: all messages are of one unit event, Event
	registration *Registration[M]
}

type span struct {
	unit Event
	n    int
}

// A Group is the part of a firing's messages that answers one unit event.
type Group[M any] struct {
	Unit     Event
	Messages []M // a part of Firing.Messages, in the same memory
}

// Groups returns which messages answer which unit event, in the order of Messages. A unit event
// that stands twice under an AND has two groups.
func (f Firing[M]) Groups() []Group[M] {
	if f.spans == nil {
		return []Group[M]{{f.Event, f.Messages}}
	}
	groups := make([]Group[M], len(f.spans))
	start := 0
	for i, s := range f.spans {
		end := start + s.n
		groups[i] = Group[M]{s.unit, f.Messages[start:end:end]}
		start = end
	}
	return groups
}
