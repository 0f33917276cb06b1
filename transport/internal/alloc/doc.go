// Package alloc is the memory of an endpoint's Alloc (transport.Allocator): regions, each a file
// without a name that is mapped over memory of the Go heap. So it stays garbage-collected, and
// nobody who still points to it can be left without memory: when nothing does, or Free is called,
// ordinary memory takes its place again. What a region is good for is the driver's: another process
// maps the file, or a device knows the memory.
//
// That it is a file lets Detach give pages back to the caller at once, while others go on reading
// them.
//
// It works on Linux. It imports golang.org/x/sys/unix; no link and no frame ever enters it.
package alloc
