//go:build !linux

package ibverbs

func lockLimit() string { return "" }
