package transport

// spread moves a rank to another core when its peers seem to be on the same one, though there are
// as many cores as ranks: when wait after wait ends as soon as it gives the core away. Schedulers
// leave two threads that take turns on one core together, as one that was just woken and who woke
// it, where other processes keep the other cores busy; taking turns costs ten times what a frame
// costs between two cores.
type spread struct {
	count int // waits that ended by giving the core away, with none between that says otherwise
	rest  int // waits that say something to go until the next move
}

const (
	spreadAfter = 16   // waits of that kind
	spreadRest  = 1024 // waits that say something between two moves
)

// apart notes a wait, or many quick ones, not ended by giving the core away.
func (s *spread) apart() {
	s.count = 0
	if s.rest > 0 {
		s.rest--
	}
}

// together notes a wait that ended when the core was given away, and reports whether to leave it.
func (s *spread) together() bool {
	if s.rest > 0 {
		s.rest--
		return false
	}
	if s.count++; s.count < spreadAfter {
		return false
	}
	s.count, s.rest = 0, spreadRest
	return true
}
