package topology

// Cost is what an algorithm spends on its critical path, counted as in the literature: one-ported,
// full duplex. It is exact for programs in rounds and a closed form for pipelines.
type Cost struct {
	Messages float64 // how often a latency is paid
	Bytes    float64 // bytes sent one after the other
	Reduced  float64 // bytes reduced one after the other
	// Cached are bytes that the algorithm of the same Bytes would move out of main memory and this one
	// finds in a cache, where ranks share memory. It makes a difference when Vectors, the bytes of all
	// ranks' vectors together, are more than caches hold.
	Cached, Vectors float64
	// Forwarded are those of Bytes that a rank sends on right after they came, chunk by chunk.
	Forwarded float64
	// Streamed are those of Bytes that go through a pipeline: while a rank has one chunk from another, a
	// third has the chunk before from it.
	Streamed float64
}

// Model is the alpha-beta-gamma model of a set of links.
type Model struct {
	Alpha float64 // seconds per message
	Beta  float64 // seconds per byte moved
	Gamma float64 // seconds per byte reduced
	Delta float64 // seconds saved per cached byte; 0 where ranks share no memory
	// Caches is how much the caches of a host hold from one round of an algorithm to the next.
	Caches float64
	// Forward is the seconds saved per forwarded byte: where links copy and ranks outnumber the cores of a
	// host, a rank that has its turn sends on what it has just copied. 0 elsewhere.
	Forward float64
	// Stream is the seconds that a streamed byte takes longer where ranks share memory and each has a core
	// of its own: likely as the line that one core has just written is in its cache. 0 elsewhere.
	Stream float64
}

// Seconds returns the predicted time of a cost.
func (m Model) Seconds(c Cost) float64 {
	return m.Alpha*c.Messages + m.Beta*c.Bytes + m.Gamma*c.Reduced - m.saved(c)
}

// saved is the time of what caches spare, below 0 where they cost more.
func (m Model) saved(c Cost) float64 {
	saved := m.Forward*c.Forwarded - m.Stream*c.Streamed
	if c.Vectors > m.Caches {
		saved += m.Delta * c.Cached
	}
	return saved
}
