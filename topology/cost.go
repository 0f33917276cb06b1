package topology

// Cost is what an algorithm spends on its critical path, counted as in the literature: one-ported,
// full duplex. It is exact for programs in rounds and a closed form for pipelines.
type Cost struct {
	Messages float64 // how often a latency is paid
	Bytes    float64 // bytes sent one after the other
	Reduced  float64 // bytes reduced one after the other
}

// Model is the alpha-beta-gamma model of a set of links.
type Model struct {
	Alpha float64 // seconds per message
	Beta  float64 // seconds per byte moved
	Gamma float64 // seconds per byte reduced
}

// Seconds returns the predicted time of a cost.
func (m Model) Seconds(c Cost) float64 {
	return m.Alpha*c.Messages + m.Beta*c.Bytes + m.Gamma*c.Reduced
}
