// Package netnstest gives tests two hosts on one machine: network namespaces that a cable of
// virtual Ethernet joins, whose traffic can be counted and which can be unplugged.
//
// It imports the standard library. What runs on the hosts is the test's.
package netnstest
