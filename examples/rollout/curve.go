package main

// window is how many episodes the mean return is taken over.
const window = 100

// curve is how learning has gone: the returns of the episodes that ended while the policy learned.
type curve struct {
	steps   int       // of the environments, over all actors
	returns []float64 // of each ended episode
	at      []int     // the steps there had been when it was learned from
	means   []point   // one for each update after which there were ended episodes
}

type point struct {
	steps int
	mean  float64 // return over the last window episodes, or all if they are fewer
}

// add counts the trajectories of one update, in the order of their actors, and the steps of those
// that were dropped.
func (c *curve) add(used []*trajectory, dropped int) {
	c.steps += dropped
	for _, t := range used {
		c.steps += t.steps()
		for _, r := range t.returns() {
			c.returns = append(c.returns, r)
			c.at = append(c.at, c.steps)
		}
	}
	if len(c.returns) > 0 {
		c.means = append(c.means, point{c.steps, c.mean()})
	}
}

// mean is the mean return over the last window episodes, or all if they are fewer; 0 of none.
func (c *curve) mean() float64 {
	return mean(c.returns[max(len(c.returns)-window, 0):])
}

// solved tells whether the last window episodes, played by exploring policies while they learned,
// reach what CartPole-v1 asks for.
func (c *curve) solved() bool {
	return len(c.returns) >= window && c.mean() >= solvedReturn
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
