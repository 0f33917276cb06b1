package main

// evaluate plays so many fresh episodes with the most probable actions of a policy, and returns the
// return of each. The episodes depend on the seed only, and are none of those learned from.
func evaluate(r recipe, params []float32, episodes int) (returns []float64) {
	p := newPolicy(r.hidden, 1)
	copy(p.params, params)
	cart := newCartPole(stream(r.seed, forEvaluation, 0, 0))
	for range episodes {
		sum, end := 0.0, goesOn
		for end == goesOn {
			cart.observe(p.input())
			var reward float64
			reward, end = cart.step(p.best())
			sum += reward
		}
		returns = append(returns, sum)
		cart.reset()
	}
	return returns
}
