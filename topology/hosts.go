package topology

// Hosts tells which ranks run on which host. Hosts are numbered from 0 in the order of their first
// rank. It does not change once made.
type Hosts struct {
	// Index[rank] is the host of a rank.
	Index []int
	// Members[host] lists the ranks of a host in rising order; the first is its leader.
	Members [][]int
}

// HostsOf numbers hosts from the identity of each rank's host, such as its name or machine id, in
// the order of ranks. Equal identities are one host.
func HostsOf[ID comparable](ids []ID) Hosts {
	h := Hosts{Index: make([]int, len(ids))}
	seen := map[ID]int{}
	for rank, id := range ids {
		host, ok := seen[id]
		if !ok {
			host = len(h.Members)
			seen[id] = host
			h.Members = append(h.Members, nil)
		}
		h.Index[rank] = host
		h.Members[host] = append(h.Members[host], rank)
	}
	return h
}

// Count returns the number of hosts.
func (h Hosts) Count() int { return len(h.Members) }

// Leader returns the rank that speaks for a host: its lowest one.
func (h Hosts) Leader(host int) int {
	want("host", host, len(h.Members))
	return h.Members[host][0]
}

// LocalRank returns the position of a rank among the ranks of its host.
func (h Hosts) LocalRank(rank int) int {
	want("rank", rank, len(h.Index))
	for i, r := range h.Members[h.Index[rank]] {
		if r == rank {
			return i
		}
	}
	return -1
}

// Peers returns the ranks that stand at the given position on each host, in the order of hosts;
// hosts with fewer ranks are left out.
func (h Hosts) Peers(local int) []int {
	var ranks []int
	for _, m := range h.Members {
		if local < len(m) {
			ranks = append(ranks, m[local])
		}
	}
	return ranks
}

// Largest returns the number of ranks on the fullest host.
func (h Hosts) Largest() int {
	most := 0
	for _, m := range h.Members {
		most = max(most, len(m))
	}
	return most
}

// Uniform reports whether all hosts run equally many ranks.
func (h Hosts) Uniform() bool {
	for _, m := range h.Members {
		if len(m) != len(h.Members[0]) {
			return false
		}
	}
	return true
}
