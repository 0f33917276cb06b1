package proxy

import (
	"maps"
	"slices"
)

// changeKind is what happened to a member.
type changeKind int

const (
	joined   changeKind = iota // it was not there, or had left in order
	replaced                   // the name has a new incarnation: the process was started again
	left                       // it withdrew in order
	lapsed                     // its lease ended: it crashed, stopped, or cannot reach the store
	returned                   // the same incarnation is back after it had lapsed
	// superseded tells that this component's own name was taken over, by the record in the change
	// (of which only Type and Instance are set when it cannot be read). It is the last change.
	superseded
)

func (k changeKind) String() string {
	names := [...]string{"joined", "replaced", "left", "lapsed", "returned", "superseded"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// change is one thing that happened to the membership.
type change struct {
	kind     changeKind
	record   record // of the member as it is now; as it was, where it left or lapsed
	previous record // of the incarnation that was replaced
}

// verdict is what a missing lease means.
type verdict int

const (
	plain    verdict = iota // with the record it lapsed; without, the member withdrew
	doubtful                // the store was away or emptied: a missing record tells nothing
	withheld                // nothing yet: the member may be about to renew its lease
)

// view is what is known of the members. It is pure: time and the store are its caller's.
type view struct {
	self    record
	live    map[string]record // by name
	lapsed  map[string]record // those who may return or be replaced
	order   []string          // names in lapsed, the oldest first
	clashes map[string]string // name and instance of those refused for their incarnation
}

// maxLapsed bounds how many lapsed members are remembered.
const maxLapsed = 4096

func newView(self record) view {
	return view{self: self, live: map[string]record{}, lapsed: map[string]record{}}
}

// update takes what was seen in the store: the records found, and who holds each name (found or
// live) that has a holder. Members whose lease is missing are judged as verdict says. It returns
// the changes in a fixed order, departures first, and the members who newly cannot count because
// their incarnation is taken.
func (v *view) update(found []record, holders map[string]holder, how verdict) (
	changes []change, clashes []record,
) {
	present := make(map[string]bool, len(found))
	rightful := make(map[string]record, len(found))
	for _, r := range found {
		present[r.Name] = true
		if r.Name != v.self.Name && holders[r.Name] == r.holder() {
			rightful[r.Name] = r
		}
	}
	// Who holds the name of a member without having published itself is not known yet: wait.
	for _, name := range slices.Sorted(maps.Keys(v.live)) {
		if _, held := holders[name]; held || how == withheld {
			continue
		}
		was := v.live[name]
		delete(v.live, name)
		kind := left
		if present[name] || how == doubtful {
			kind = lapsed
			v.remember(was)
		}
		changes = append(changes, change{kind: kind, record: was})
	}
	taken := map[int]string{v.self.Incarnation: v.self.Name}
	for name, r := range v.live {
		taken[r.Incarnation] = name
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(rightful)) {
		r := rightful[name]
		if other, clash := taken[r.Incarnation]; clash && other != name {
			if seen[name] = r.Instance; v.clashes[name] != r.Instance {
				clashes = append(clashes, r)
			}
			continue
		}
		if was, lived := v.live[name]; lived {
			delete(taken, was.Incarnation)
		}
		taken[r.Incarnation] = name
		if c, news := v.admit(r); news {
			changes = append(changes, c)
		}
	}
	v.clashes = seen
	return changes, clashes
}

// admit enters a member that holds its name, and says what changed by it.
func (v *view) admit(r record) (change, bool) {
	was, lived := v.live[r.Name]
	v.live[r.Name] = r
	if lived {
		return change{kind: replaced, record: r, previous: was}, !was.same(r)
	}
	was, known := v.lapsed[r.Name]
	v.forget(r.Name)
	switch {
	case !known:
		return change{kind: joined, record: r}, true
	case was.same(r):
		return change{kind: returned, record: r}, true
	default:
		return change{kind: replaced, record: r, previous: was}, true
	}
}

func (v *view) remember(r record) {
	if len(v.order) >= maxLapsed {
		v.forget(v.order[0])
	}
	v.lapsed[r.Name] = r
	v.order = append(v.order, r.Name)
}

func (v *view) forget(name string) {
	if _, known := v.lapsed[name]; known {
		delete(v.lapsed, name)
		v.order = slices.DeleteFunc(v.order, func(n string) bool { return n == name })
	}
}

// members returns the live ones, ordered by name.
func (v *view) members() []record {
	members := make([]record, 0, len(v.live))
	for _, name := range slices.Sorted(maps.Keys(v.live)) {
		members = append(members, v.live[name])
	}
	return members
}
