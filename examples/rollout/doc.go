// Command rollout learns to balance a pole on a cart, by reinforcement: actors play with the
// present policy, a learner improves it by what they have seen, and so on until 100 episodes in a
// row have a mean return of 475, which is what CartPole-v1 calls solved.
//
//	rollout -seed 1 -plot build/rollout.png             # all in one process
//	tutti run -n 5 -- rollout -seed 1                   # a learner, and four actors
//	tutti run -n 5 -- rollout -seed 1 -async            # the same, asynchronously
//	tutti run -n 4 -- rollout -seed 1 -collective       # four that play, and learn together
//	rollout -role actor -number 2 -store redis://host   # an actor somewhere else
//
// The problem is that of Barto, Sutton and Anderson, "Neuronlike Adaptive Elements That Can Solve
// Difficult Learning Control Problems", IEEE SMC-13 (1983). The policy is an actor and a critic,
// two small perceptrons, and learns by PPO with a clipped surrogate (Schulman, Wolski, Dhariwal,
// Radford and Klimov, "Proximal Policy Optimization Algorithms", 2017, arXiv:1707.06347) on
// generalised advantage estimates (Schulman, Moritz, Levine, Jordan and Abbeel, ICLR 2016,
// arXiv:1506.02438), with Adam (Kingma and Ba, ICLR 2015, arXiv:1412.6980).
//
// The seed determines the whole curve, bit for bit on one kind of machine: an actor's trajectory
// depends on the parameters, their version and the actor's number only, and the learner takes
// trajectories in the order of actors, whenever they came. So an actor that is lost and started
// again changes nothing. With -async the learner waits for 60 % of the actors, the others being
// still at play with older parameters. What they bring is learned from all the same, as PPO weighs
// it by the ratio of what the policy would do now to what it did then, unless it is too stale.
//
// Parameters, gradients and trajectories are each one vector of float32, so that they travel as
// they are. A minibatch has an equal share of each actor's trajectory: learners with a trajectory
// each that average their gradients take, but for rounding, the steps of one learner that has all.
//
// The files, in the order of the story: cartpole.go and random.go (the problem), mlp.go and
// policy.go (the networks), trajectory.go and actor.go (playing), advantage.go, loss.go, adam.go
// and learner.go (learning), job.go and curve.go (until it is solved), local.go (all in one
// process), workers.go (a learner and actors, by package proxy), members.go (learners together, by
// package collective), evaluate.go (the check), progress.go and plot.go (what is shown), roles.go and
// main.go (who does what).
//
// The arithmetic is gonum's. An actor that dies and is started again under its number goes on; the
// learner waits for it, or for a part of the actors with -async.
package main
