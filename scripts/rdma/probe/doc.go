// Command probe lists the RDMA devices that libibverbs finds, with their ports and GIDs, and exits
// with 1 if none has an active port: the first thing to try where RDMA does not work.
//
//	go run -tags ibverbs ./scripts/rdma/probe
//
// It needs cgo and libibverbs-dev (Debian), rdma-core-devel (Fedora and its kin). Without the build
// tag ibverbs it only says so.
package main
