package schedule

import (
	"errors"

	"github.com/tutti-ml/tutti/topology"
)

// The two levels that the hierarchical algorithms are made of: ranks that share a host, and hosts
// that share a network. What goes over the network then is what it would be if every host were one
// rank, however many ranks a host has. Either leaders speak for their hosts, or each rank cares
// for a shard of the vector among the ranks with its number on the other hosts; a host's network
// card sends and receives the same either way.

const hierarchical = "hierarchical"

var (
	errFlat = errors.New(
		"schedule: hierarchical needs several hosts, one of them with several ranks")
	errScattered = errors.New(
		"schedule: hierarchical needs the ranks of each host to follow each other")
	errLopsided = errors.New("schedule: hierarchical needs equally many ranks on all hosts")
)

func hierarchicalApplies(a Args) error {
	h := topology.HostsOf(a.Hosts)
	if h.Count() < 2 || h.Largest() < 2 {
		return errFlat
	}
	return nil
}

// hierarchicalBlocks applies where, besides, a host's blocks are neighbours.
func hierarchicalBlocks(a Args) error {
	for r, host := range a.Hosts {
		if r > 0 && host < a.Hosts[r-1] { // hosts are numbered in the order of their first rank
			return errScattered
		}
	}
	return hierarchicalApplies(a)
}

// levels returns the caller's two teams: the ranks of its host, numbered from the leader on, and
// the ranks with its number on every host, numbered from the root's host on. The leader of a host
// is its first rank, of the root's host the root.
func levels(a Args, hosts topology.Hosts, root int) (inside, across team) {
	first, mine := hosts.Index[root], hosts.Index[a.Rank]
	start := func(host int) int {
		if host == first {
			return hosts.LocalRank(root)
		}
		return 0
	}
	at := func(host, i int) int {
		m := hosts.Members[host]
		return m[(start(host)+i)%len(m)]
	}
	g, h := len(hosts.Members[mine]), hosts.Count()
	local := (hosts.LocalRank(a.Rank) - start(mine) + g) % g
	inside = team{local, g, func(i int) int { return at(mine, i) }}
	across = team{(mine - first + h) % h, h, func(i int) int { return at((first+i)%h, local) }}
	return inside, across
}

// hostBlocks is the view of the blocks of whole hosts, whose ranks follow each other, in a buffer
// with one block for each rank.
func hostBlocks(b Buffer, hosts topology.Hosts) view {
	return func(i, n int) Span {
		h := hosts.Count()
		s := Span{b, hosts.Leader((i%h + h) % h), 0}
		for k := range n {
			s.N += len(hosts.Members[((i+k)%h+h)%h])
		}
		return s
	}
}

// parts returns into how many shards the ranks of a host share a vector: one, the leader's, where
// hosts have unequally many ranks.
func parts(hosts topology.Hosts) int {
	if hosts.Uniform() {
		return hosts.Largest()
	}
	return 1
}
