package transport

// Allocator is an endpoint that has memory which its links move with fewer copies than any other:
// memory that peers can see, or that a device knows. It is beside the contract; an endpoint need not
// be one. Its methods may be called by any goroutine at any time.
type Allocator interface {
	// Alloc returns n zero bytes that begin at a multiple of 64. They are garbage-collected, and may
	// be used for as long as anything points to them, also after Close. Small ones may be ordinary
	// memory. The error says that there is none, or not enough, of the special kind; the endpoint has
	// logged so.
	Alloc(n int) ([]byte, error)
	// Free takes back what is special about memory that Alloc has returned, before the garbage
	// collector would; b begins where that began. Its content is lost, and it is ordinary memory
	// from now on. No call may be using it.
	Free(b []byte)
}
