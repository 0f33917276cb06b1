package main

import "math"

// batch is samples of any trajectories, side by side.
type batch struct {
	observations []float32 // observed numbers a sample
	actions      []float32
	logProbs     []float32
	advantages   []float32
	values       []float32
	targets      []float32
}

func (b *batch) clear() {
	for _, column := range b.columns() {
		*column = (*column)[:0]
	}
}

func (b *batch) columns() [6]*[]float32 {
	return [6]*[]float32{
		&b.observations, &b.actions, &b.logProbs, &b.advantages, &b.values, &b.targets,
	}
}

// add appends a step of s.
func (b *batch) add(s samples, step int) {
	b.observations = append(b.observations, s.observations[observed*step:][:observed]...)
	b.actions = append(b.actions, s.actions[step])
	b.logProbs = append(b.logProbs, s.logProbs[step])
	b.advantages = append(b.advantages, s.advantages[step])
	b.values = append(b.values, s.values[step])
	b.targets = append(b.targets, s.targets[step])
}

func (b *batch) len() int { return len(b.actions) }

// losses are means over samples.
type losses struct {
	policy, value float64
	entropy       float64 // in nats
	divergence    float64 // of the policy that acted from the one that learns, estimated
	clipped       float64 // share of samples whose ratio was too far from 1 to learn from
}

func (l *losses) add(other losses, weight float64) {
	l.policy += weight * other.policy
	l.value += weight * other.value
	l.entropy += weight * other.entropy
	l.divergence += weight * other.divergence
	l.clipped += weight * other.clipped
}

// lossGradient runs a batch through the policy and leaves the gradient of the loss in p.grad. The
// loss is the clipped surrogate of PPO (Schulman et al., "Proximal Policy Optimization Algorithms",
// 2017), plus the critic's squared error, minus a bonus for entropy; each a mean over the batch.
func lossGradient(p *policy, b *batch, r *recipe, clip float64) (l losses) {
	rows := b.len()
	copy(p.input(), b.observations)
	logits, values := p.logits(rows), p.values(rows)
	byLogits := p.actor.delta[len(p.actor.layers)]
	byValues := p.critic.delta[len(p.critic.layers)]
	share := 1 / float64(rows)
	for i := range rows {
		row, slope := logits.Data[i*actions:][:actions], byLogits.Data[i*actions:][:actions]
		s := surrogate{int(b.actions[i]), float64(b.logProbs[i]), float64(b.advantages[i])}
		l.add(s.differentiate(row, slope, clip, r.entropyWeight, share), share)
		value, before, target := float64(values[i]), float64(b.values[i]), float64(b.targets[i])
		loss, d := valueLoss(value, before, target, r.valueClip)
		l.value += share * loss
		byValues.Data[i] = float32(share * r.valueWeight * d)
	}
	p.actor.backward(rows)
	p.critic.backward(rows)
	return l
}

// surrogate is what PPO knows of one sample.
type surrogate struct {
	action    int
	logProb   float64 // when it was chosen
	advantage float64
}

// differentiate returns the losses of the sample and writes the gradient of the policy's by the
// logits, times share, to slope.
func (s surrogate) differentiate(
	logits, slope []float32, clip, entropyWeight, share float64,
) (l losses) {
	var log [actions]float64
	logSoftmax(logits, &log)
	ratio := math.Exp(log[s.action] - s.logProb)
	free := ratio * s.advantage
	bound := min(max(ratio, 1-clip), 1+clip) * s.advantage
	l.policy = -min(free, bound)
	l.divergence = ratio - 1 - math.Log(ratio)
	byLogProb := -free
	if bound < free {
		byLogProb = 0
	}
	if math.Abs(ratio-1) > clip {
		l.clipped = 1
	}
	for _, v := range log {
		l.entropy -= math.Exp(v) * v
	}
	for a, v := range log {
		probability := math.Exp(v)
		d := -byLogProb * probability
		if a == s.action {
			d += byLogProb
		}
		d += entropyWeight * probability * (v + l.entropy)
		slope[a] = float32(share * d)
	}
	return l
}

// valueLoss is half the squared error of a value, and its derivative. With a clip above 0, moving
// the value further than that from what it was when the sample was taken does not make the loss
// smaller.
func valueLoss(value, before, target, clip float64) (loss, derivative float64) {
	loss, derivative = (value-target)*(value-target)/2, value-target
	if clip <= 0 {
		return loss, derivative
	}
	held := min(max(value, before-clip), before+clip)
	if other := (held - target) * (held - target) / 2; other > loss {
		if held == value {
			return other, derivative
		}
		return other, 0
	}
	return loss, derivative
}
